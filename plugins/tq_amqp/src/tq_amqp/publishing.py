"""Messages on their way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from tq_amqp.connection import Doubt, Link, Parcel
from tq_amqp.delays import Delays
from tq_amqp.envelope import DUE, write
from tq_amqp.topology import Topology, front_of
from tq_core.errors import BrokerError, BrokerUnavailable, PublishError
from tq_core.message import Message

#: Most messages that are sent before their confirms are waited for.
_MOST = 2000


class Outgoing:
    """Publishes messages. Any thread.

    Args:
        link: the way to RabbitMQ.
        topology: makes queues.
        delays: where messages wait for their time.
    """

    def __init__(self, link: Link, topology: Topology, delays: Delays) -> None:
        self._link = link
        self._topology = topology
        self.delays = delays
        self._bound = link.options.publish_timeout

    def publish(self, messages: Sequence[Message]) -> None:
        """See :meth:`tq_core.contracts.broker.Broker.publish`."""
        deadline = monotonic() + self._bound
        ids: list[str] = [message.id for message in messages]
        parcels: list[Parcel] = []
        names: list[str] = []
        spread: set[tuple[str, str, str]] = set()
        try:
            for message in messages:
                if message.exchange and message.due is None:
                    # The router makes a message for each queue it knows of; the exchange makes the copies itself.
                    key = (message.id, message.exchange, message.routing_key)
                    if key in spread:
                        self._topology.ensure(message.queue)
                        continue
                    spread.add(key)
                parcels.append(self.parcel(message))
                names.append(message.id)
        except PublishError as error:
            raise PublishError(str(error), unsent=ids) from error
        except ValueError as error:
            raise PublishError(f"a message cannot be written as AMQP: {error}", unsent=ids) from error
        except BrokerError as error:
            raise PublishError(str(error), unsent=ids) from error
        self.send(parcels, names, deadline)

    def parcel(self, message: Message, own: Mapping[str, Any] | None = None) -> Parcel:
        """Return a message as it is to be sent, and make sure that there is a queue for it.

        Args:
            message: with the queue or the exchange it is for.
            own: headers of tq's own to add.

        Raises:
            PublishError: it cannot be written.
            BrokerUnavailable, BrokerError: its queue cannot be made.
        """
        queue = message.queue or (message.routing_key if not message.exchange else "")
        if queue:
            self._topology.ensure(queue)
        if message.due is not None and queue:
            exchange, key = "", queue
            waiting = self.delays.route(queue, message.due)
            if waiting is not None:
                key = waiting
            own = {**(own or {}), DUE: int(message.due * 1000)}
        elif message.exchange:
            exchange, key = message.exchange, message.routing_key
        else:
            exchange, key = "", queue
        properties = write(message, own)
        if len(properties) + 12 > self._link.options.frame_max - 8:
            raise PublishError(
                f"Task {message.id}: its headers have {len(properties):,} bytes, and must fit in one frame of "
                f"{self._link.options.frame_max:,}. Send large data in the arguments, or raise frame_max here and in "
                "RabbitMQ",
                unsent=[message.id],
            )
        return exchange, key, properties, message.body

    def send(self, parcels: Sequence[Parcel], ids: Sequence[str], deadline: float | None = None) -> None:
        """Publish what is written already; queues that have gone meanwhile are made again.

        Args:
            parcels: what to send.
            ids: of the messages, for errors.
            deadline: monotonic seconds; ``broker_publish_timeout`` from now by default.

        Raises:
            PublishError: not all are in the broker.
        """
        deadline = monotonic() + self._bound if deadline is None else deadline
        for first in range(0, len(parcels), _MOST):
            part = parcels[first : first + _MOST]
            try:
                self._send(part, ids[first : first + _MOST], deadline)
            except PublishError as error:
                rest = [*error.unsent, *ids[first + _MOST :]]
                raise PublishError(str(error), unsent=rest, maybe_sent=error.maybe_sent) from error
            deadline = max(deadline, monotonic() + self._bound)  # the bound is for a server that stands still

    def _send(self, parcels: Sequence[Parcel], ids: Sequence[str], deadline: float) -> None:
        outcome = self._attempt(parcels, ids, deadline)
        if outcome.returned and not outcome.refused:
            homeless = [parcels[place] for place in outcome.returned]
            names = [ids[place] for place in outcome.returned]
            self._make_again(homeless, names)
            outcome, parcels, ids = self._attempt(homeless, names, deadline), homeless, names
        unsent = [ids[place] for place in (*outcome.returned, *outcome.refused)]
        if outcome.returned:
            exchange, key, *_ = parcels[outcome.returned[0]]
            place = f"bound to the exchange {exchange!r} with the routing key {key!r}" if exchange else f"named {key!r}"
            raise PublishError(
                f"{self._link}: there is no queue {place}. Start a worker of such a queue, or route the task elsewhere",
                unsent=unsent,
            )
        if outcome.refused:
            key = parcels[outcome.refused[0]][1]
            raise PublishError(
                f"{self._link} did not take {len(unsent)} messages for {key!r}: the queue is full (x-overflow "
                "reject-publish), or a quorum queue has no leader",
                unsent=unsent,
            )

    def _attempt(self, parcels: Sequence[Parcel], ids: Sequence[str], deadline: float) -> Any:
        try:
            return self._link.publish(parcels, deadline)
        except Doubt as error:
            text = str(error)
            if error.refusal is not None and error.refusal.code in (403, 404):
                text += ". Check the exchange, and that the user may write to it"
            raise PublishError(text, unsent=ids, maybe_sent=error.maybe) from error
        except BrokerUnavailable as error:
            raise PublishError(str(error), unsent=ids) from error
        except ValueError as error:
            raise PublishError(f"a message cannot be written as AMQP: {error}", unsent=ids) from error

    def _make_again(self, parcels: Sequence[Parcel], ids: Sequence[str]) -> None:
        """Make the queues that somebody deleted."""
        again: dict[str, Callable[[], object]] = {}
        for exchange, key, *_ in parcels:
            if exchange or key in again:
                continue
            if key.startswith("tq.delay."):
                target = key.split(".", 3)[3]
                span = int(key.split(".", 3)[2])
                self.delays.forget(key)
                again[key] = lambda target=target, span=span: self.delays.ensure(target, span)  # type: ignore[misc]
            elif key.startswith("tq.front."):
                target = key.removeprefix("tq.front.")
                again[key] = lambda target=target: self._topology.ensure_front(target)  # type: ignore[misc]
            else:
                again[key] = lambda key=key: self._topology.ensure(key)  # type: ignore[misc]
            self._topology.forget(key, front_of(key))
        try:
            for make in again.values():
                make()
        except BrokerError as error:
            raise PublishError(str(error), unsent=ids) from error
