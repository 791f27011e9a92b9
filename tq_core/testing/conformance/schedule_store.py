"""The schedule store contract as tests: subclass :class:`ScheduleStoreConformance`, override ``address``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from tq_core.contracts.schedule_store import ScheduleStore, StoredEntry
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.conformance.promises import Conformance, promise


class ScheduleStoreConformance(Conformance):
    """Every promise of :mod:`tq_core.contracts.schedule_store`.

    Override ``address``, or ``reopen``. Override ``damage`` where the store can be damaged from outside.
    """

    contract: ClassVar[str] = "schedule_store"

    @pytest.fixture
    def address(self) -> Address | None:
        """Where the store is; to be overridden where ``reopen`` is not."""
        return None

    @pytest.fixture
    def reopen(self, address: Address | None) -> Callable[[], ScheduleStore]:
        """Opens the same store again, as the next scheduler does; to be overridden where there is no ``address``."""
        if address is None:
            raise NotImplementedError("override the fixture `address`, or `reopen`")
        return address.schedule_store

    @pytest.fixture
    def open_store(self, reopen: Callable[[], ScheduleStore]) -> Iterator[Callable[[], ScheduleStore]]:
        """Opens the store, and closes it and leaves no entries after the test."""
        opened: list[ScheduleStore] = []

        def opener() -> ScheduleStore:
            opened.append(reopen())
            return opened[-1]

        yield opener
        for store in opened:
            store.close()
        last = reopen()
        for name in self.mine(last):
            last.delete(self.name(name))
        last.close()

    @pytest.fixture
    def store(self, open_store: Callable[[], ScheduleStore]) -> ScheduleStore:
        """A store."""
        return open_store()

    @pytest.fixture
    def damage(self) -> Callable[[], object]:
        """Damages the closed store, as a full disk or a stray editor does; to be overridden where that is possible."""
        pytest.skip("no fixture `damage` that damages the store")

    def entry(self, word: str = "entry", **fields: Any) -> StoredEntry:
        """Make an entry of this check's."""
        fields.setdefault("definition", {"task": "shop.pay", "schedule": {"every": 10.0}})
        return StoredEntry(self.name(word), **fields)

    def mine(self, store: ScheduleStore) -> dict[str, StoredEntry]:
        """Return this check's entries by their word: the store may hold others."""
        prefix = self.name("")
        return {name.removeprefix(prefix): entry for name, entry in store.load().items() if name.startswith(prefix)}

    def keep(self, store: ScheduleStore, *entries: StoredEntry) -> None:
        """Save entries."""
        store.save({entry.name: entry for entry in entries})

    @promise("entries.kept", "an entry comes back as it was saved")
    def test_an_entry_comes_back_as_it_was_saved(self, store: ScheduleStore) -> None:
        definition = {
            "task": "shop.pay ☃",
            "args": [1, 2.5, None, True, "text"],
            "kwargs": {"nested": {"list": [[], {}]}},
            "schedule": {"crontab": {"minute": "*/5", "hour": "0,12"}},
            "options": {"queue": "slow", "priority": 3},
        }
        saved = self.entry(
            "full", definition=definition, last_run_at=1767323045.678901, total_run_count=7, enabled=False
        )
        self.keep(store, saved)
        got = self.mine(store)["full"]
        assert (got.name, dict(got.definition)) == (saved.name, definition)
        assert (got.last_run_at, got.total_run_count, got.enabled) == (1767323045.678901, 7, False)

    @promise("entries.never-run", "an entry that never ran has no last run")
    def test_an_entry_that_never_ran_has_no_last_run(self, store: ScheduleStore) -> None:
        self.keep(store, self.entry())
        got = self.mine(store)["entry"]
        assert (got.last_run_at, got.total_run_count, got.enabled) == (None, 0, True)

    @promise("entries.names", "names may hold any text")
    @pytest.mark.parametrize("word", ["with space", "ü☃🎈", "a/b\\c", "quote'\"`", "%d {x} $y", "x" * 150])
    def test_names_may_hold_any_text(self, store: ScheduleStore, word: str) -> None:
        self.keep(store, self.entry(word))
        assert list(self.mine(store)) == [word]

    @promise("entries.replaced", "save() replaces what it names and leaves the others alone")
    def test_saving_replaces_what_it_names_and_leaves_the_others(self, store: ScheduleStore) -> None:
        self.keep(store, self.entry("a"), self.entry("b"))
        self.keep(store, self.entry("b", total_run_count=1), self.entry("c"))
        assert {word: entry.total_run_count for word, entry in self.mine(store).items()} == {"a": 0, "b": 1, "c": 0}
        store.save({})
        assert sorted(self.mine(store)) == ["a", "b", "c"]

    @promise("entries.deleted", "delete() removes an entry, and says whether there was one")
    def test_a_deleted_entry_is_gone(self, store: ScheduleStore) -> None:
        self.keep(store, self.entry("gone"), self.entry("kept"))
        assert store.delete(self.name("gone")) is True
        assert store.delete(self.name("gone")) is False
        assert list(self.mine(store)) == ["kept"]

    @promise("entries.many", "hundreds of entries are kept")
    def test_hundreds_of_entries_are_kept(self, store: ScheduleStore) -> None:
        self.keep(store, *(self.entry(f"{n:04}", total_run_count=n) for n in range(200)))
        assert [entry.total_run_count for _, entry in sorted(self.mine(store).items())] == list(range(200))

    @promise("closing.kept", "what was saved and deleted holds for the next scheduler")
    def test_entries_outlive_the_scheduler(self, store: ScheduleStore, open_store: Callable[[], ScheduleStore]) -> None:
        self.keep(store, self.entry("a", last_run_at=1.5), self.entry("b"))
        store.delete(self.name("b"))
        store.close()
        store.close()
        again = self.mine(open_store())
        assert {word: entry.last_run_at for word, entry in again.items()} == {"a": 1.5}

    @promise("watch.quiet", "watch() says no when its time is over and nobody else changed anything")
    def test_watch_says_no_when_nothing_changed(self, store: ScheduleStore) -> None:
        self.keep(store, self.entry())
        store.load()
        assert store.watch(0) is False
        assert store.watch(0.05) is False

    @promise("watch.change", "watch() says yes as soon as somebody else changed something")
    def test_watch_says_yes_when_somebody_else_changed_something(
        self, store: ScheduleStore, open_store: Callable[[], ScheduleStore]
    ) -> None:
        store.load()
        watching = Thread(lambda: store.watch(10 * PATIENCE))
        assert not watching.ended(0.1)
        other = open_store()
        self.keep(other, self.entry("new"))
        assert watching.result() is True
        assert list(self.mine(store)) == ["new"]

    @promise("damage.set-aside", "a damaged store reads as empty, and can be written again")
    def test_a_damaged_store_reads_as_empty(
        self, store: ScheduleStore, damage: Callable[[], object], open_store: Callable[[], ScheduleStore]
    ) -> None:
        self.keep(store, self.entry("lost"))
        store.close()
        damage()
        again = open_store()
        assert self.mine(again) == {}
        self.keep(again, self.entry("new"))
        assert list(self.mine(open_store())) == ["new"]
