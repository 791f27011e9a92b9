"""Backends without a store: records are sent to their callers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tq_core.contracts.backend import Backend
from tq_core.testing.conformance.address import Address
from tq_core.testing.conformance.backend.ground import BackendGround
from tq_core.testing.conformance.patience import PATIENCE, Thread
from tq_core.testing.conformance.promises import promise


class ReplyChecks(BackendGround):
    """Backends without a store: records are sent to their callers."""

    @pytest.fixture
    def worker(self, address: Address | None) -> Iterator[Backend]:
        """A second connection, as a worker has it."""
        if address is None:
            pytest.skip("no fixture `address`: the plugin cannot be opened a second time")
        worker = address.backend()
        yield worker
        worker.close()

    @promise("replies.address", "a record goes to the address it names, and to nobody else", needs="replies")
    def test_a_record_goes_to_the_address_it_names(self, backend: Backend, worker: Backend) -> None:
        mine, nobodys, silent = self.names("mine", "nobodys", "silent")
        assert backend.reply_address() == backend.reply_address() != worker.reply_address()
        backend.open_replies()
        worker.store(
            [
                self.record("mine", reply_to=backend.reply_address()),
                self.record("nobodys", reply_to=self.name("gone")),
                self.record("silent", reply_to=""),
            ]
        )
        assert list(backend.fetch([mine, nobodys, silent])) == [mine]
        assert worker.fetch([mine, nobodys, silent]) == {}

    @promise("replies.watch", "a record that comes from elsewhere ends the wait of a watch", needs="replies")
    def test_a_record_from_elsewhere_ends_a_watch(self, backend: Backend, worker: Backend) -> None:
        (late,) = self.names("late")
        backend.open_replies()
        watching = Thread(lambda: next(backend.watch([late], timeout=PATIENCE)))
        assert not watching.ended(0.05)
        worker.store([self.record("late", result="here", reply_to=backend.reply_address())])
        assert watching.result().result == "here"
