"""What a scenario found, and the rules for judging it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Verdict:
    """One run of one scenario.

    Attributes:
        fault: its letter in the table of promises.
        name: which form of it.
        target: what is promised, in a few words.
        sent, run, lost, repeated: tasks sent, started at least once, never ended, ended more than once.
        recovery: seconds until all was well, the worst case of the run; None where there is nothing to recover.
        broken: every promise that was not kept.
        slow: every promise of a time that was not kept; on a busy machine that may be the machine's fault.
        notes: what else is worth knowing.
        broker: on which it was run.
    """

    fault: str
    name: str
    target: str
    sent: int = 0
    run: int = 0
    lost: int = 0
    repeated: int = 0
    recovery: float | None = None
    broken: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broker: str = ""

    @property
    def kept(self) -> bool:
        """True when every promise was kept, but for times."""
        return not self.broken

    @property
    def in_time(self) -> bool:
        """True when every promise of a time was kept."""
        return not self.slow

    @property
    def longest(self) -> float:
        """Seconds of the longest recovery, 0 where there was nothing to recover."""
        return self.recovery or 0.0

    def require(self, condition: object, otherwise: str) -> None:
        """Note a promise that was not kept."""
        if not condition:
            self.broken.append(otherwise)

    def require_in_time(self, condition: object, otherwise: str) -> None:
        """Note a promise of a time that was not kept."""
        if not condition:
            self.slow.append(otherwise)

    def took(self, seconds: float) -> None:
        """Note a recovery; the longest counts."""
        self.recovery = max(seconds, self.recovery or 0.0)
