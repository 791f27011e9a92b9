"""The contract of a broker: it keeps task messages safe between the caller and the worker.

The words are those of a work queue, not of AMQP. A message is in exactly one of five places: *ready* in a queue,
*parked* until it is due, *held* by a consumer, *buried* among the dead letters, or gone because it was acked.

**Leases.** A consumer's hold lives as long as the consumer does, however long a task runs. Where the technology
does not notice a dead consumer by itself (Redis, SQL), the consumer keeps a lease of some seconds alive with
:meth:`Consumer.renew`, and a message whose holder's lease ran out is handed to somebody else. Settling a message
one no longer holds does nothing and is reported, never an error.

**Errors.** A plugin raises only :class:`~tq_core.errors.BrokerError` and its children: ``BrokerUnavailable`` when
the server cannot be reached or does not answer in time, ``PublishError`` from :meth:`Broker.publish`. Every call
returns or raises within a bound (``broker_connection_timeout`` and the plugin's own time-outs); none hangs. After
``BrokerUnavailable`` the same object may be called again and connects anew by itself.

**Order.** The ready messages of one queue are handed out in the order in which they were published, urgent ones first
where the broker has ``priority``. What was given back or requeued stands before those that were never taken. Where in
the queue a message stands that was parked, buried or moved in between is left open; those moved together keep the order
among themselves.

**What travels.** A body is any bytes, ten million of them or none; headers are what JSON can say, with any text in
them. A queue's name is any printable text of up to 200 characters, and two names are the same only when they are
equal character by character.

**Threads and processes.** A :class:`Broker` may be called from any thread. A :class:`Consumer` or
:class:`Subscription` belongs to the thread that uses it; only :meth:`Consumer.wake` and ``Subscription.wake`` may be
called from elsewhere. Neither is used in two processes: after a fork the child must not touch what the parent
opened; a plugin notices a changed process id and opens connections of its own, and a child that closes what it
inherited leaves the parent's alone. A plugin installs no signal handlers, and may be called beside or inside a running
event loop, which it leaves alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tq_core.contracts.capability import capability
from tq_core.errors import NotSupported
from tq_core.message import Delivery, Message


@dataclass(frozen=True, slots=True)
class BrokerCapabilities:
    """What a broker can do natively. What it cannot, the core does another way, or refuses at start-up."""

    due_time: bool = capability("A message with a due time waits in the broker, costing workers nothing.")
    priority: bool = capability("Messages of one queue are handed out by priority.")
    priority_order: Literal["high_first", "low_first"] = capability(
        "Which end of 0 to 9 is served first.", "high_first"
    )
    lease: bool = capability("Holds are leased and fenced; a dead consumer's messages come back within seconds.")
    orphans: bool = capability("A begun message whose consumer died is handed over as orphaned, not to be run again.")
    delivery_count: bool = capability("Deliveries are counted across crashes.")
    dead_letters: bool = capability("Buried messages are kept with their reason and can be listed and replayed.")
    atomic_settle: bool = capability("Follow-up messages and endings given to settle() happen together or not at all.")
    broadcast: bool = capability("broadcast() reaches every listener of a channel.")
    control: bool = capability("Remote control passes through it, as Celery's nodes and clients send it.")
    peek: bool = capability("Waiting messages can be looked at without taking them.")
    depth: bool = capability("Waiting, parked and held messages can be counted.")
    purge: bool = capability("A queue can be emptied.")
    move: bool = capability("Waiting messages can be moved to another queue.")
    pause: bool = capability("A queue can be paused for all consumers, and the pause outlives the processes.")
    exchanges: bool = capability("Messages are routed by exchanges and bindings inside the broker.")
    shared: bool = capability("Other processes see the same queues.", True)


@dataclass(frozen=True, slots=True)
class Ack:
    """The message is done with; the broker forgets it."""

    tag: Any


@dataclass(frozen=True, slots=True)
class Requeue:
    """The message goes back to the front of its queue.

    Attributes:
        tag: the delivery's tag.
        uncounted: True where the task never started, so that this delivery does not count towards the limit.
    """

    tag: Any
    uncounted: bool = False


@dataclass(frozen=True, slots=True)
class Park:
    """The message goes back and must not be handed out before ``until`` (Unix time, seconds). Not counted."""

    tag: Any
    until: float


@dataclass(frozen=True, slots=True)
class Bury:
    """The message goes to the dead letters.

    Attributes:
        tag: the delivery's tag.
        reason: one line, for people.
        traceback: the traceback behind it, or None.
    """

    tag: Any
    reason: str
    traceback: str | None = None


#: The four endings; every delivery gets exactly one.
Settlement = Ack | Requeue | Park | Bury


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages a queue has.

    Attributes:
        ready: could be received now.
        parked: wait for their due time.
        held: are in the hands of consumers.
        oldest: age of the oldest ready message in seconds, None when there is none or it is not known.
    """

    ready: int
    parked: int = 0
    held: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A buried message.

    Attributes:
        letter_id: names the dead letter in this broker; given to :meth:`Broker.exhume`.
        queue: the queue it came from.
        message: the message, or None when its envelope cannot be read.
        reason: why it was buried.
        buried_at: Unix time, seconds.
        traceback: the traceback behind the reason, or None.
        raw: the envelope, where ``message`` is None.
        delivery_count: deliveries before it was buried.
    """

    letter_id: str
    queue: str
    message: Message | None
    reason: str
    buried_at: float
    traceback: str | None = None
    raw: bytes = b""
    delivery_count: int = 0


class Consumer(ABC):
    """Takes messages from some queues and holds them until it settles them.

    Owned by the one thread that receives, begins, settles and renews (a runner's transport thread).
    """

    @abstractmethod
    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to ``limit`` messages, waiting up to ``timeout`` seconds for the first.

        Returns as soon as there is at least one message, with as many as are there now; it never waits for
        more. A message with a due time is not handed out before it, to the hundredth of a second by the machine's
        clock. Returns an empty list after ``timeout``, after :meth:`wake`, or when every queue is paused. A
        message that cannot be read is a delivery with a ``defect``, never an error. Due messages, messages
        of dead consumers (counted, ``redelivered``) and orphans come out of here as well.

        Args:
            limit: 1 or more.
            timeout: seconds; 0 only looks.

        Raises:
            BrokerUnavailable: the connection broke. Messages held may since have gone to another consumer.
        """

    @abstractmethod
    def begin(self, tags: Sequence[Any]) -> None:
        """Note that these deliveries are being run and must not be run again (early acknowledgement).

        Without the ``orphans`` capability the broker forgets the messages now, and a later settlement of them
        does nothing. With it they stay held until they are settled; when their holder dies or closes first they are
        handed out as orphans, again and again until somebody settles them.
        """

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """Give each delivery its ending, and publish messages that follow from them.

        With the ``atomic_settle`` capability both happen together; otherwise the follow-ups are published
        before the first ending, so that a crash in between repeats rather than loses.

        Returns:
            the tags this consumer no longer held; nothing was done for them.

        Raises:
            BrokerUnavailable: it is not known what happened; calling again with the same arguments is safe
                for the endings, and publishes the follow-ups at least once.
        """

    @abstractmethod
    def renew(self) -> None:
        """Keep this consumer's lease alive. Called every few seconds, also while tasks run for hours."""

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting :meth:`receive` return at once. May be called from any thread."""

    @abstractmethod
    def set_queues(self, queues: Sequence[str]) -> None:
        """Receive from these queues from now on; what is held stays held."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held, uncounted, and end the lease. Never raises; may be called twice."""


class Succession(ABC):
    """The messages a dead consumer left behind, in the hands of whoever saw it die.

    The supervisor of a worker node uses this when one of its runners dies, instead of waiting for the lease.
    """

    @abstractmethod
    def held(self) -> list[Delivery]:
        """Return what the dead consumer held; begun messages have ``orphaned`` set."""

    @abstractmethod
    def settle(self, settlements: Sequence[Settlement], follow_ups: Sequence[Message] = ()) -> Sequence[Any]:
        """Like :meth:`Consumer.settle`."""

    @abstractmethod
    def close(self) -> None:
        """Requeue whatever was not settled (orphans stay orphans) and forget the dead consumer."""


class Subscription(ABC):
    """Hears what is broadcast on one channel from the moment it was opened. Owned by one thread."""

    @abstractmethod
    def receive(self, timeout: float) -> list[bytes]:
        """Return the payloads that have come in, waiting up to ``timeout`` seconds for the first."""

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting :meth:`receive` return at once. May be called from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening and leave nothing behind. May be called twice."""


class Inbox(ABC):
    """Receives messages of remote control from the moment it was opened. Owned by one thread."""

    @abstractmethod
    def fileno(self) -> int | None:
        """Return a file descriptor that is readable when there may be something to receive, or None.

        Only an inbox for announcements has one: a worker's supervisor waits for it among other things.
        """

    @abstractmethod
    def receive(self, timeout: float) -> list[Message]:
        """Return the messages that have come in, waiting up to ``timeout`` seconds for the first.

        Raises:
            BrokerUnavailable: the connection broke; the inbox hears nothing more and is to be closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop receiving and leave nothing behind. Never raises; may be called twice."""


class Broker(ABC):
    """A connection to one message broker, opened by a plugin's ``tq_broker`` hook."""

    capabilities: BrokerCapabilities

    @abstractmethod
    def connect(self, timeout: float) -> None:
        """Make sure the broker answers.

        Raises:
            BrokerUnavailable: it does not, within ``timeout`` seconds. The text names the URL without its
                password, the cause and what to check.
        """

    @abstractmethod
    def publish(self, messages: Sequence[Message]) -> None:
        """Hand messages over. Every one is in the broker when this returns.

        A message with ``due`` is parked (``due_time``), otherwise handed out at once whatever its due time is;
        the receiving worker then waits. Unknown queues come into being.

        Raises:
            PublishError: names the ids that were not taken, and whether they may have been all the same.
        """

    @abstractmethod
    def consumer(self, queues: Sequence[str], *, consumer_id: str, prefetch: int = 0) -> Consumer:
        """Open a consumer.

        Args:
            queues: names to receive from.
            consumer_id: unique among all living consumers of this broker; the worker node and runner.
            prefetch: most messages the core will hold at a time, 0 when not known.
        """

    @abstractmethod
    def succeed(self, consumer_id: str) -> Succession:
        """Take over what a dead consumer holds. The caller must know that its process is gone.

        Fences the dead consumer: nothing it might still send is accepted. Where the server itself gives a
        dead connection's messages back (RabbitMQ), the succession is empty.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections of this process. Never raises; may be called twice."""

    # What follows needs a capability; these defaults say so.

    def broadcast(self, channel: str, payload: bytes) -> None:
        """Send to every current listener of ``channel``, in order; nobody listening is not an error (``broadcast``)."""
        raise NotSupported(f"{type(self).__name__} cannot broadcast")

    def listen(self, channel: str) -> Subscription:
        """Listen to ``channel`` (``broadcast``)."""
        raise NotSupported(f"{type(self).__name__} cannot broadcast")

    def announce(self, exchange: str, message: Message) -> None:
        """Send a message to every inbox that is open on a fanout exchange (``control``).

        Nobody listening is not an error. Celery's nodes and clients must be able to read it.
        """
        raise NotSupported(f"{type(self).__name__} carries no remote control")

    def inbox(self, exchange: str) -> Inbox:
        """Hear what is announced on a fanout exchange (``control``)."""
        raise NotSupported(f"{type(self).__name__} carries no remote control")

    def answer(self, exchange: str, routing_key: str, message: Message) -> None:
        """Send a message to whoever collects answers under a routing key; nobody is not an error (``control``)."""
        raise NotSupported(f"{type(self).__name__} carries no remote control")

    def answers(self, exchange: str, routing_key: str) -> Inbox:
        """Collect what is answered under a routing key that nobody else uses (``control``)."""
        raise NotSupported(f"{type(self).__name__} carries no remote control")

    def queues(self) -> list[str]:
        """Return the names of the queues this broker knows of, sorted (``depth``)."""
        raise NotSupported(f"{type(self).__name__} cannot list its queues")

    def depth(self, queue: str) -> QueueDepth:
        """Count a queue's messages (``depth``); an unknown queue is empty."""
        raise NotSupported(f"{type(self).__name__} cannot count messages")

    def peek(self, queue: str, limit: int = 10) -> list[Delivery]:
        """Look at ready, then parked messages in the order they would come, without taking them (``peek``)."""
        raise NotSupported(f"{type(self).__name__} cannot peek")

    def purge(self, queue: str) -> int:
        """Drop all ready and parked messages of a queue and return how many they were (``purge``)."""
        raise NotSupported(f"{type(self).__name__} cannot purge")

    def move(self, source: str, target: str, limit: int | None = None) -> int:
        """Put waiting messages of one queue into another, and return how many they were (``move``).

        Ready ones go first, in the order in which they would be handed out, then parked ones in the order of their due
        times. Each keeps its priority, due time, count of deliveries and place among those that go with it. What is
        held stays, and goes back to ``source`` if it is given back. Whether a queue is paused makes no difference.

        Many messages are moved in several steps, each of which happens as a whole or not at all: a crash leaves every
        message in exactly one of the two queues. Messages published to ``source`` meanwhile may stay there.

        Args:
            source: where they are; an unknown queue is empty.
            target: where they go; an unknown queue comes into being. Nothing happens when it is ``source``.
            limit: most messages to move, None for all of them.

        Raises:
            BrokerUnavailable: it is not known how many were moved; calling again moves the rest.
        """
        raise NotSupported(f"{type(self).__name__} cannot move messages")

    def pause(self, queue: str) -> None:
        """Hand out nothing from ``queue`` to anyone until :meth:`resume` (``pause``)."""
        raise NotSupported(f"{type(self).__name__} cannot pause a queue")

    def resume(self, queue: str) -> None:
        """End a pause (``pause``)."""
        raise NotSupported(f"{type(self).__name__} cannot pause a queue")

    def paused(self) -> list[str]:
        """Return the names of paused queues, sorted (``pause``)."""
        return []

    def dead_letters(self, *, queue: str | None = None, limit: int = 100) -> Iterator[DeadLetter]:
        """Iterate over dead letters, newest first (``dead_letters``)."""
        raise NotSupported(f"{type(self).__name__} keeps no dead letters")

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter, or None (``dead_letters``)."""
        raise NotSupported(f"{type(self).__name__} keeps no dead letters")

    def bury(self, queue: str, message: Message, reason: str, traceback: str | None = None) -> str:
        """Bury a message that is not held, and return the letter's id (``dead_letters``)."""
        raise NotSupported(f"{type(self).__name__} keeps no dead letters")

    def exhume(self, letter_ids: Sequence[str]) -> int:
        """Put dead letters back into their queues with a fresh count; return how many there were
        (``dead_letters``)."""
        raise NotSupported(f"{type(self).__name__} keeps no dead letters")

    def drop_dead(self, letter_ids: Sequence[str]) -> int:
        """Delete dead letters; return how many there were (``dead_letters``)."""
        raise NotSupported(f"{type(self).__name__} keeps no dead letters")


@dataclass(frozen=True, slots=True)
class BrokerRequest:
    """What a ``tq_broker`` hook is given.

    Attributes:
        url: the broker's URL, password included; never log it unmasked.
        settings: every resolved setting by its lower-case name; ``broker_transport_options`` is the plugin's.
        node: name of this process for logs and leases, like ``celery@host``.
    """

    url: str
    settings: Mapping[str, Any]
    node: str
