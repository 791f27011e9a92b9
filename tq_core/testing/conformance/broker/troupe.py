"""What a broker's other process can be told to do, through :class:`~tq_core.testing.conformance.actor.Actor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tq_core.contracts.broker import Ack, Broker, Consumer
from tq_core.message import Delivery, Message
from tq_core.testing.conformance.acting import say
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.broker.ground import ids
from tq_core.testing.conformance.patience import take


class BrokerStage:
    """A broker, and a consumer with what it holds.

    Args:
        address: where the broker is.
        lease: seconds.
    """

    consumer: Consumer
    held: Sequence[Delivery] = ()

    def __init__(self, address: Address, lease: float) -> None:
        self.broker: Broker = address.broker(lease_duration=lease)


def publish(stage: BrokerStage, messages: Sequence[Message]) -> None:
    """Publish messages."""
    stage.broker.publish(messages)


def publish_for_ever(stage: BrokerStage, message: Message, size: int) -> None:
    """Publish batch after batch of copies, and tell the number of each once it was taken."""
    for batch in range(1_000_000):
        stage.broker.publish([replace(message, id=f"{batch}/{n}") for n in range(size)])
        say(batch)


def receive(stage: BrokerStage, queue: str, consumer_id: str, count: int) -> list[str]:
    """Open a consumer and receive; return the messages' ids."""
    stage.consumer = stage.broker.consumer([queue], consumer_id=consumer_id)
    stage.held = take(stage.consumer, count)
    return ids(stage.held)


def begin(stage: BrokerStage, *positions: int) -> None:
    """Begin some of what is held."""
    stage.consumer.begin([stage.held[position].tag for position in positions])


def renew(stage: BrokerStage) -> None:
    """Renew the lease."""
    stage.consumer.renew()


def settle(stage: BrokerStage, ending: type[Any], details: Sequence[Any], follow_ups: Sequence[Message]) -> int:
    """Give all that is held one ending; return how much of it was no longer held."""
    endings = [ending(delivery.tag, *details) for delivery in stage.held]
    return len(stage.consumer.settle(endings, follow_ups))


def wait_for_messages(stage: BrokerStage, queue: str, consumer_id: str) -> list[str]:
    """Wait in receive() for messages; return their ids."""
    consumer = stage.broker.consumer([queue], consumer_id=consumer_id)
    say("waiting")
    deliveries: list[Delivery] = []
    while not deliveries:
        deliveries = consumer.receive(10, 600.0)
    consumer.settle([Ack(delivery.tag) for delivery in deliveries])
    return ids(deliveries)


def drain(stage: BrokerStage, queue: str, consumer_id: str, follow_up: Message | None = None) -> list[str]:
    """Ack batches until the queue is empty, with a follow-up for each message if asked; tell the ids of each batch
    once it was settled, and return those of all."""
    consumer = stage.broker.consumer([queue], consumer_id=consumer_id)
    acked: list[str] = []
    while deliveries := consumer.receive(7, 0.5):
        names = ids(deliveries)
        follow_ups = [replace(follow_up, id=f"after {name}") for name in names] if follow_up else []
        lost = consumer.settle([Ack(delivery.tag) for delivery in deliveries], follow_ups)
        assert not list(lost), "a living consumer lost what it held"
        acked += names
        say(names)
    consumer.close()
    return acked


def hear(stage: BrokerStage, channel: str, count: int) -> list[bytes]:
    """Listen to a channel, say so, and return the first payloads."""
    subscription = stage.broker.listen(channel)
    say("listening")
    heard: list[bytes] = []
    while len(heard) < count:
        heard += subscription.receive(600.0)
    subscription.close()
    return heard


def move_to_and_fro(stage: BrokerStage, one: str, other: str) -> None:
    """Move all that waits from one queue to the other and back again, for ever; tell how many each time."""
    while True:
        say(stage.broker.move(one, other))
        one, other = other, one


def pause(stage: BrokerStage, queue: str) -> None:
    """Pause a queue."""
    stage.broker.pause(queue)
