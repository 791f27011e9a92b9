"""A user's program, read by type checkers and never run.

A line with ``reveal_type`` names the type that every checker must find. A line that ends in "wrong" must be an error
for every checker, or for the one it names, and no other line may be.
"""

# ruff: noqa: F821

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tq_core import Celery, Task, chain, chord, chunks, group, shared_task, signature
from tq_core.results.async_result import AsyncResult
from tq_core.results.group_result import GroupResult

app = Celery("shop")

# A function


@app.task
def add(x: int, y: int) -> int:
    return x + y


reveal_type(add)  # Task[[x: int, y: int], int]
reveal_type(add.delay(1, y=2))  # AsyncResult[int]
reveal_type(add.delay(1, 2).get(timeout=3))  # int
add.delay("x", 2)  # wrong
add.delay(1)  # wrong
add.delay(1, 2, z=3)  # wrong

reveal_type(add(1, 2))  # int
add("x", 2)  # wrong

reveal_type(add.apply_async((1, 2), countdown=3, queue="fast"))  # AsyncResult[int]
reveal_type(add.apply_async(args=[1], kwargs={"y": 2}))  # AsyncResult[int]
reveal_type(add.apply((1, 2)).get())  # int
reveal_type(add.AsyncResult("an id").get())  # int
text: AsyncResult[str] = add.delay(1, 2)  # wrong
number: AsyncResult[float] = add.delay(1, 2)


# Options, defaults, several results


@app.task(name="shop.find", max_retries=3, acks_late=True)
def find(name: str, *, limit: int | None = None) -> dict[str, Any]:
    return {}


reveal_type(find.delay("shoes", limit=3).get())  # dict[str, Any]
find.delay("shoes", 3)  # wrong
find.delay(limit=3)  # wrong


@app.task()
def note(line: str) -> None:
    pass


reveal_type(note.delay("a").get())  # None
note.delay(1)  # wrong


# The task is the first argument, which nobody gives


@app.task(bind=True, max_retries=3)
def charge(self: Task, order: int, amount: float = 1.0) -> str:
    if self.request.retries:
        raise self.retry(countdown=3)
    return str(self.request.id)


reveal_type(charge.delay(1, amount=2.5))  # AsyncResult[str]
reveal_type(charge(1))  # str
charge.delay(charge, 1)  # wrong
charge.delay("one")  # wrong


@app.task(bind=True)
def ship(self, order: int) -> str:  # wrong for mypy
    return ""


reveal_type(ship)  # Task[[order: int], str]


@app.task(bind=True)
def keep(self: Task, /, order: int, **further: int) -> int:
    return order


reveal_type(keep.delay(1, size=2))  # AsyncResult[int]
keep.delay(1, size="large")  # wrong


# Coroutines


@app.task
async def fetch(url: str) -> bytes:
    return b""


@app.task(bind=True, soft_time_limit=5)
async def fetch_again(self: Task, url: str) -> bytes:
    reveal_type(await fetch(url))  # bytes
    reveal_type(await fetch.delay(url))  # bytes
    reveal_type(await fetch.adelay(url))  # AsyncResult[bytes]
    await fetch.adelay(1)  # wrong
    return b""


reveal_type(fetch)  # CoroutineTask[[url: str], bytes]
reveal_type(fetch.delay("a").get())  # bytes
reveal_type(fetch_again.delay("a").get())  # bytes
fetch.delay(1)  # wrong
fetch_again.delay(1)  # wrong
some_task: Task[..., bytes] = fetch


# Tasks of every application


@shared_task
def square(x: int) -> int:
    return x * x


@shared_task(bind=True, name="shop.cube")
def cube(self: Task, x: int) -> int:
    return x**3


reveal_type(square)  # Task[[x: int], int]
reveal_type(cube.delay(3))  # AsyncResult[int]
square.delay("x")  # wrong
cube.delay("x")  # wrong


# What cannot be known is any


class Counting(Task):
    counted: int = 0


@app.task(base=Counting)
def count(x: int) -> int:
    return x


reveal_type(count)  # Counting
reveal_type(count.counted)  # int
reveal_type(count.delay("any"))  # AsyncResult[Any]


@app.task(pydantic=True)
def model(order: Counting) -> Counting:
    return order


reveal_type(model.delay({"counted": 3}).get())  # Any


class Adding(Task):
    def run(self, x: int, y: int) -> int:
        return x + y


reveal_type(app.register_task(Adding()))  # Adding
reveal_type(app.register_task(Adding))  # Adding
reveal_type(app.send_task("shop.find", ["shoes"]).get())  # Any


def anything(x: int) -> Any:
    return x


loose = app.task(anything)
loose(1) + loose.delay(1).get()


# Written without brackets, tasks and results are of any kind


def later(task: Task, result: AsyncResult, named: Callable[[Task], None]) -> None:
    reveal_type(result.get())  # Any
    task.delay(1, 2, 3)


later(add, add.delay(1, 2), lambda task: None)

# Signatures: s() may lack what an earlier result will give, si() may not

reveal_type(add.s(1))  # Signature[int]
reveal_type(add.si(1, 2).set(queue="fast"))  # Signature[int]
reveal_type(add.s(1).clone((2,)).delay().get())  # int
reveal_type(~add.s(1, 2))  # int
add.si("x", 2)  # wrong
add.si(1)  # wrong
reveal_type(signature(add, (1, 2)))  # Signature[int]
reveal_type(signature("shop.add", (1, 2)))  # Signature[Any]

# Work-flows: a chain has the value of its last step, a group a list, a chord the value of its body

reveal_type(add.s(1, 2) | find.s())  # chain[dict[str, Any]]
reveal_type((add.s(1, 2) | charge.s(2.5) | square.s()).delay().get())  # int
reveal_type(chain(add.s(1, 2), charge.s())())  # AsyncResult[str]
reveal_type(chain([add.s(1, 2), charge.s()]))  # chain[Any]
reveal_type(group(square.s(1), cube.s(2)))  # group[int]
reveal_type(group(square.s(x) for x in range(3))())  # GroupResult[int]
reveal_type(group([square.s(1)]).apply_async().get())  # list[int]
reveal_type(group([square.s(1)]).delay())  # GroupResult[int]
reveal_type(group(square.s(1), square.s(2)) | charge.s())  # chord[str]
reveal_type(chord([square.s(1)])(charge.s()).get())  # str
reveal_type(chord([square.s(1)], charge.s()).delay())  # AsyncResult[str]
reveal_type(square.map([1, 2]).delay().get())  # list[int]
reveal_type(add.starmap([(1, 2)]))  # xstarmap[int]
reveal_type(add.chunks([(1, 2)], 10)())  # GroupResult[list[int]]
reveal_type(chunks(add.s(), [(1, 2)], 10))  # chunks[int]
mixed: GroupResult[object] = group(square.s(1), charge.s(2))()
