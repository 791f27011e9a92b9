"""How long records live, and groups."""

from __future__ import annotations

from tq_core.contracts.backend import Backend
from tq_core.testing.conformance.backend.ground import BackendGround, listed
from tq_core.testing.conformance.patience import until
from tq_core.testing.conformance.promises import promise


class KeepingChecks(BackendGround):
    """How long records live, and groups."""

    @promise("expiry.gone", "records expire by themselves or by clean_up()", needs="expiry")
    def test_records_expire(self, short_lived: Backend) -> None:
        (old,) = self.names("old")
        short_lived.store([self.record("old")])

        def gone() -> bool:
            short_lived.clean_up()
            return not short_lived.fetch([old])

        until(gone, "the record did not expire")

    @promise("expiry.live", "clean_up() leaves live records alone")
    def test_clean_up_leaves_live_records_alone(self, backend: Backend) -> None:
        (young,) = self.names("young")
        backend.store([self.record("young", date_done=None)])
        backend.clean_up()
        assert list(backend.fetch([young])) == [young]

    @promise("groups.kept", "a group is saved, replaced, loaded by every connection, and deleted", needs="groups")
    def test_a_group_is_saved_and_forgotten(self, backend: Backend, other: Backend) -> None:
        (g,) = self.names("g")
        saved = [[g, None], [[["a", None], None], [["b", None], None]]]
        backend.save_group(g, saved)
        assert listed(other.load_group(g)) == saved
        backend.save_group(g, [[g, None], []])
        assert listed(other.load_group(g)) == [[g, None], []]
        other.delete_group(g)
        assert backend.load_group(g) is None
        assert backend.load_group(self.name("never saved")) is None
