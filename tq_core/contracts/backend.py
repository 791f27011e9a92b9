"""The contract of a result backend: it keeps what became of a task.

A task has at most one record, the newest; a ``SUCCESS`` is final and is not overwritten. Nothing is written
when a task is sent: an unknown id is simply ``PENDING``.

**Errors.** Only :class:`~tq_core.errors.BackendError` and its children leave a plugin: ``BackendUnavailable`` when
the server cannot be reached or does not answer in time. Every call is bounded in time. After an error the same
object may be called again.

**What is kept.** Ids are any printable text, and two ids are the same only when they are equal character by character.
Results hold any text, of ten million characters or none.

**Threads and processes.** Every method may be called from any thread. After a fork the child must not touch the
parent's connections; a plugin notices a changed process id and opens its own. A plugin installs no signal handlers, and
may be called beside or inside a running event loop, which it leaves alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tq_core.contracts.capability import capability
from tq_core.errors import NotSupported

if TYPE_CHECKING:
    from tq_core.contracts.coordination import Coordination
    from tq_core.contracts.serializer import Serializer


@dataclass(frozen=True, slots=True)
class BackendCapabilities:
    """What a result backend can do natively."""

    stores: bool = capability("Results are kept at all.", True)
    push: bool = capability("watch() is told of new results; it does not poll.")
    groups: bool = capability("Group membership can be saved and restored.")
    chords: bool = capability("Chord parts are counted atomically, so that the body is sent exactly once.")
    expiry: bool = capability("Records expire by themselves, or by clean_up().")
    forget: bool = capability("Records can be deleted.", True)
    shared: bool = capability("Other processes see the same records.", True)
    coordination: bool = capability("Offers the Coordination contract.")
    subscribe: bool = capability("Results can be awaited by a subscription whose tasks change while it waits.")
    replies: bool = capability("Records are sent to an address that travels with the call, and kept nowhere else.")


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """What is known about one task.

    The fields are those of Celery's result documents. ``result`` holds the value of a ``SUCCESS``, the exception
    of a ``FAILURE``, ``RETRY`` or ``REVOKED`` as the mapping ``{"exc_type", "exc_message", "exc_module"}``, and the
    metadata of any other state; it is plain data that the backend's serializer can write (with pickle, the
    exception itself).

    Attributes:
        task_id: the task's id.
        state: a word of :mod:`tq_core.states`, or a custom state.
        result: see above.
        traceback: the remote traceback as text, or None. A store whose text holds no NUL may keep the four
            characters of its escape instead.
        children: result tuples ``[[id, parent], members]`` of the tasks this one sent.
        date_done: ISO 8601, UTC with offset; only in a ready state.
        group_id, parent_id: ids, or None.
        extended: with ``result_extended``: ``name``, ``args``, ``kwargs``, ``worker``, ``retries``, ``queue`` and
            stamps.
        reply_to: where the caller hears of it (``replies``): "" where it gave no address and is told nothing, None for
            this process itself. No part of the document.
    """

    task_id: str
    state: str
    result: Any = None
    traceback: str | None = None
    children: Sequence[Any] = ()
    date_done: str | None = None
    group_id: str | None = None
    parent_id: str | None = None
    extended: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class ChordPart:
    """The outcome of one member of a chord's header.

    Attributes:
        group_id: the header's group.
        index: position in the header.
        task_id: the member's id; a repeated part of one id counts once.
        state: a ready state.
        result: like ``ResultRecord.result``.
    """

    group_id: str
    index: int
    task_id: str
    state: str
    result: Any = None


class ResultSubscription(ABC):
    """Hears of results of tasks that are added and dropped again. Owned by one thread; only :meth:`wake` is any's."""

    @abstractmethod
    def add(self, task_ids: Sequence[str]) -> None:
        """Hear of these tasks, too; of one that is ready already, at the next :meth:`receive`."""

    @abstractmethod
    def drop(self, task_ids: Sequence[str]) -> None:
        """Hear of these tasks no longer."""

    @abstractmethod
    def receive(self, timeout: float) -> list[ResultRecord]:
        """Return records that have become ready, waiting up to ``timeout`` seconds for the first.

        Each task is told of once and is then dropped. Nothing is lost in between two calls.

        Raises:
            BackendUnavailable: the store cannot be reached. The subscription is of no more use.
        """

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting :meth:`receive`, or the next one, return at once. May be called from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening and leave nothing behind. Never raises; may be called twice."""


class Backend(ABC):
    """A connection to one result store, opened by a plugin's ``tq_backend`` hook."""

    capabilities: BackendCapabilities

    @abstractmethod
    def store(self, records: Sequence[ResultRecord]) -> None:
        """Write records, newest state wins, a stored ``SUCCESS`` stays. One batch is one round trip.

        Raises:
            EncodeError: a result cannot be serialized; nothing of the batch was written.
            BackendUnavailable: it is not known what was written; storing again is safe.
        """

    @abstractmethod
    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        """Return the records there are; ids without one are missing from the answer."""

    @abstractmethod
    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        """Yield each task's record once, when it is in a ready state, in the order they become ready.

        Ends after the last one. Thousands of ids cost one subscription.

        Args:
            timeout: seconds for the whole watch, None for ever.
            interval: seconds between looks, only where ``push`` is not offered.

        Raises:
            TimeoutError: ``timeout`` passed; what was yielded stays valid.
        """

    def subscribe(self) -> ResultSubscription:
        """Open a subscription to results (``subscribe``); without it the core asks again and again."""
        raise NotSupported(f"{type(self).__name__} offers no subscription to results")

    @abstractmethod
    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete records and everything kept for them."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections of this process. Never raises; may be called twice."""

    def connect(self, timeout: float) -> None:
        """Make sure the store answers within ``timeout`` seconds, or raise ``BackendUnavailable``."""

    def clean_up(self) -> int:
        """Delete expired records and return how many (0 where they expire by themselves)."""
        return 0

    # replies

    def reply_address(self) -> str:
        """Return where this process hears of the results of its calls (``replies``). Asks nobody.

        It travels with each call as ``reply_to`` and comes back in :attr:`ResultRecord.reply_to`.
        """
        raise NotSupported(f"{type(self).__name__} sends no replies")

    def open_replies(self) -> None:
        """Make sure that what is sent to :meth:`reply_address` from now on is received (``replies``).

        Called before calls are published, so it must cost nothing once that is so.

        Raises:
            BackendUnavailable: the server cannot be reached.
        """
        raise NotSupported(f"{type(self).__name__} sends no replies")

    # groups

    def save_group(self, group_id: str, result: Any) -> None:
        """Keep a group's result tuple (``groups``)."""
        raise NotSupported(f"{type(self).__name__} cannot save groups")

    def load_group(self, group_id: str) -> Any | None:
        """Return the tuple kept by :meth:`save_group`, or None (``groups``)."""
        raise NotSupported(f"{type(self).__name__} cannot save groups")

    def delete_group(self, group_id: str) -> None:
        """Forget a saved group (``groups``)."""
        raise NotSupported(f"{type(self).__name__} cannot save groups")

    # chords

    def open_chord(self, group_id: str, size: int) -> None:
        """Say how many parts the chord ``group_id`` waits for; may come before or after parts (``chords``).

        A part may arrive first; then the next :meth:`add_chord_parts` or a repeated part completes it.
        Calling again replaces the size (a member was replaced by a group).
        """
        raise NotSupported(f"{type(self).__name__} cannot count chords")

    def enlarge_chord(self, group_id: str, by: int) -> None:
        """Let a chord wait for ``by`` more parts than before (``chords``)."""
        raise NotSupported(f"{type(self).__name__} cannot count chords")

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        """Record parts and claim the chords they complete (``chords``).

        Of all callers, in all processes, exactly one at a time holds the claim of a complete chord; it sends the
        body and calls :meth:`close_chord`. If it dies first, the claim runs out after ``lease`` seconds, and the
        next repeated part (its redelivered message) is given the claim. A claimant that asks again is given its own
        claim again. Once closed, a chord is never claimed again.

        Returns:
            ids of the groups that are complete and now claimed by ``claimant``.
        """
        raise NotSupported(f"{type(self).__name__} cannot count chords")

    def chord_parts(self, group_id: str) -> list[ChordPart]:
        """Return the parts recorded, by index (``chords``)."""
        raise NotSupported(f"{type(self).__name__} cannot count chords")

    def close_chord(self, group_id: str) -> None:
        """Drop the parts and remember, for as long as results live, that the body was sent (``chords``)."""
        raise NotSupported(f"{type(self).__name__} cannot count chords")

    def coordination(self) -> Coordination:
        """Return the store's coordination primitives (``coordination``)."""
        raise NotSupported(f"{type(self).__name__} offers no coordination")


@dataclass(frozen=True, slots=True)
class BackendRequest:
    """What a ``tq_backend`` hook is given.

    Attributes:
        url: the backend's URL, password included; never log it unmasked. ``db+…`` and the like are kept.
        settings: every resolved setting by its lower-case name.
        serializer: writes and reads results (``result_serializer``).
        accept: content types that may be read (``result_accept_content``).
        node: name of this process.
    """

    url: str
    settings: Mapping[str, Any]
    serializer: Serializer
    accept: frozenset[str]
    node: str
