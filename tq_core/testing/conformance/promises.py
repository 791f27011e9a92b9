"""What a check proves: one promise of a contract, with an id that stays and a sentence for people."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest

_Check = TypeVar("_Check", bound=Callable[..., Any])

#: Key of a test's property that names the capability for whose lack it was skipped.
UNDECLARED = "tq-undeclared"


@dataclass(frozen=True, slots=True)
class Promise:
    """One sentence of a contract.

    Attributes:
        id: ``area.words``; unique in its contract, and stays when the sentence is reworded.
        sentence: what holds, for people.
        needs: the capabilities that make the promise; without one of them the plugin does not make it.
    """

    id: str
    sentence: str
    needs: tuple[str, ...] = ()

    @property
    def area(self) -> str:
        """What the promise is about: the id's first word."""
        return self.id.partition(".")[0]


def promise(id: str, sentence: str, *, needs: str | tuple[str, ...] = ()) -> Callable[[_Check], _Check]:
    """Say which promise a check proves.

    Args:
        id: ``area.words``, unique in the contract.
        sentence: what holds.
        needs: one or several capabilities; a plugin that does not declare them all is not checked, and the check
            is skipped naming the capability.
    """
    kept = Promise(id, sentence, (needs,) if isinstance(needs, str) else needs)

    def mark(check: _Check) -> _Check:
        check.__tq_promise__ = kept  # type: ignore[attr-defined]  # functions take attributes
        return check

    return mark


def promise_of(check: Any) -> Promise | None:
    """Return the promise that a check proves, or None when it names none."""
    found: Promise | None = getattr(check, "__tq_promise__", None)
    return found


def skip_undeclared(request: pytest.FixtureRequest, capabilities: Any, *names: str) -> None:
    """Skip the running check unless every capability in ``names`` is declared."""
    for name in names:
        if not getattr(capabilities, name):
            request.node.user_properties.append((UNDECLARED, name))
            pytest.skip(f"{type(capabilities).__name__}.{name} is not declared")


class Conformance:
    """What the classes of all contracts have in common.

    Every check uses names of its own in the store, so that the kit may be pointed at one that is not empty, and several
    runs may share it.
    """

    #: The contract's word, as :func:`tq_core.testing.conformance.report.run` takes it.
    contract: ClassVar[str]
    #: Set anew for each check.
    token: str

    def capabilities(self, request: pytest.FixtureRequest) -> Any:
        """Return what the plugin under test declares; that of the fixture named like the contract."""
        return request.getfixturevalue(self.contract).capabilities

    def name(self, word: str) -> str:
        """Return a name that no other check and no other run uses; the order of words is the order of names."""
        return f"conformance-{self.token}-{word}"

    @pytest.fixture(autouse=True)
    def _own_names(self) -> None:
        self.token = uuid.uuid4().hex[:10]

    @pytest.fixture(autouse=True)
    def _only_what_is_declared(self, _own_names: None, request: pytest.FixtureRequest) -> None:
        kept = promise_of(request.function)
        if kept is not None and kept.needs:
            skip_undeclared(request, self.capabilities(request), *kept.needs)
