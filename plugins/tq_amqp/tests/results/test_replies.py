"""``rpc://`` between clients and workers in processes of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plugins.tq_amqp.tests.results.conftest import Side

#: What a client does, in words that both Celery and tq understand; the outcome is compared.
CONVERSATION = """
first = add.delay(2, 3)
many = [add.delay(n, n) for n in range(50)]
failed = fail.delay("bad", 7)
again = hesitate.delay(2)
linked = (add.s(1, 1) | add.s(10) | add.s(100)).delay()
large = text.delay(300_000)
try:
    failed.get(timeout=30)
    raised = None
except ValueError as error:
    raised = [type(error).__name__, list(error.args)]
print(json.dumps([
    first.get(timeout=30), [result.get(timeout=30) for result in many], raised, again.get(timeout=30),
    linked.get(timeout=30), len(large.get(timeout=30)), first.get(timeout=30), failed.state,
]))
"""
OUTCOME = [5, [n + n for n in range(50)], ["ValueError", ["bad", 7]], 2, 112, 300_000, 5, "FAILURE"]


@pytest.mark.parametrize(
    ("client", "worker"),
    [("tq", "tq"), ("5.7", "tq"), ("5.5", "tq"), ("tq", "5.7"), ("tq", "5.5")],
    ids=lambda name: name.replace(".", "_"),
)
def test_a_client_gets_the_results_of_what_it_called(side: Callable[..., Side], client: str, worker: str) -> None:
    with side(worker).worker():
        assert side(client).client(CONVERSATION) == OUTCOME
