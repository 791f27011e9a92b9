"""What the asyncio tests run: an application whose tasks are coroutines."""

import asyncio
import os
import socket
import sys
import threading
import time
from contextvars import ContextVar

from tq_core import Celery
from tq_core.current import get_current_task
from tq_core.errors import Ignore, Reject, SoftTimeLimitExceeded

app = Celery("project", broker=os.environ["TEST_URL"], backend=os.environ["TEST_URL"])

left_behind = ContextVar("left_behind", default="nothing")
loops = []


def say(*words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.connect(os.environ["TEST_BELL"])
        bell.send(" ".join(map(str, words)).encode())


@app.task
def add(x, y):
    return x + y


@app.task
async def add_later(x, y):
    await asyncio.sleep(0)
    return x + y


@app.task
async def nap(seconds):
    await asyncio.sleep(seconds)
    return os.getpid()


@app.task
async def wait_at_gate(name="task"):
    """Wait, without blocking the loop, until the test opens the gate."""
    say("waiting", name, os.getpid(), threading.current_thread().name)
    reader, writer = await asyncio.open_unix_connection(os.environ["TEST_GATE"])
    try:
        await reader.read(1)
    except asyncio.CancelledError:
        say("cancelled", name)
        raise
    finally:
        writer.close()
    return name


@app.task(acks_late=True, reject_on_worker_lost=True)
async def wait_at_gate_late(name="task"):
    return await wait_at_gate.run(name)


@app.task
def block_at_gate(name="task"):
    say("waiting", name, os.getpid(), threading.current_thread().name)
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect(os.environ["TEST_GATE"])
        gate.recv(1)
    return name


@app.task(bind=True)
async def where_am_i(self):
    """Return what the run knows of itself: here, in a child task and in a thread."""
    await asyncio.sleep(0)

    async def child():
        await asyncio.sleep(0)
        return self.request.id

    def thread():
        return self.request.id, get_current_task().name

    return [
        self.request.id,
        get_current_task().name,
        await asyncio.create_task(child()),
        await asyncio.gather(child(), child()),
        await asyncio.to_thread(thread),
    ]


@app.task
async def leave_in_context(word):
    found = left_behind.get()
    left_behind.set(word)
    await asyncio.sleep(0)
    return found


@app.task
async def fail(text="no"):
    await asyncio.sleep(0)
    raise ValueError(text)


@app.task
async def leave():
    sys.exit("leaving")


@app.task
async def leave_from_child():
    async def child():
        sys.exit("leaving")

    await asyncio.create_task(child())


@app.task(bind=True, max_retries=3, default_retry_delay=0.05)
async def fail_twice(self):
    await asyncio.sleep(0)
    if self.request.retries < 2:
        raise self.retry(exc=ValueError("not yet"))
    return self.request.retries


@app.task(autoretry_for=(ZeroDivisionError,), retry_backoff=0.01, max_retries=2)
async def divide(x, y):
    await asyncio.sleep(0)
    return x / y


@app.task
async def reject():
    raise Reject("not for me", requeue=False)


@app.task
async def ignore():
    raise Ignore


@app.task(bind=True)
async def become(self, x, y):
    await asyncio.sleep(0)
    raise self.replace(add.s(x, y))


@app.task
async def clean_up_at_soft_limit(seconds):
    try:
        await asyncio.sleep(seconds)
    except SoftTimeLimitExceeded:
        async with asyncio.timeout(30) if hasattr(asyncio, "timeout") else asyncio.Lock():
            await asyncio.sleep(0)
        return "cleaned up"
    return "finished"


@app.task
async def gather_until_soft_limit():
    """Wait in a nested way; whoever is waited for must hear of the limit, too."""

    async def child():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            say("child cancelled")
            raise

    try:
        await asyncio.wait_for(asyncio.gather(child(), child()), 50)
    except SoftTimeLimitExceeded:
        return "cleaned up"


@app.task
async def spin(seconds):
    """Compute without ever awaiting."""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            sum(range(100))
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "finished"


@app.task
async def swallow_cancellation():
    say("swallowing")
    while True:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            say("swallowed")


@app.task
async def block_for_ever():
    """Block the loop, and swallow whatever is raised in it."""
    say("blocking", os.getpid())
    while True:
        try:
            while True:
                sum(range(100))
        except BaseException:
            pass


@app.task
async def block(seconds):
    time.sleep(seconds)


@app.task
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task
async def cancel_everything():
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()


@app.task
async def stream():
    yield 1


@app.task
def forget_to_await():
    return add_later.run(1, 2)


@app.task
async def which_loop():
    """Return whether the loop is the one of the last time, and use something that belongs to that loop."""
    loop = asyncio.get_running_loop()
    if not loops:
        loops.extend((loop, asyncio.get_running_loop().create_future()))
        loop.call_soon(loops[1].set_result, "kept")
        return [os.getpid(), "first"]
    return [os.getpid(), await asyncio.wait_for(loops[1], 10) if loops[0] is loop else "another loop"]


@app.task
async def leave_child_behind():
    """Leave an asyncio task on the loop that says when it is cancelled."""

    async def child():
        try:
            await asyncio.sleep(600)
        finally:
            say("left child ended")

    loops.append(asyncio.create_task(child()))
    await asyncio.sleep(0)


@app.task(acks_late=True)
async def nap_late(seconds):
    say("napping")
    await asyncio.sleep(seconds)
