"""Work-flows kept in the result backend: what is still to be sent is stored once, and messages refer to it.

In Celery's form each message holds all that is to follow it: a chain's first message the whole chain, each member of a
chord's header the body with all that follows the body. Where no Celery has to read the messages (``interop: none``) a
message holds the id of a graph and a position in it instead, whatever the size of the work-flow. See ADR 20.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tq_core.canvas import shelf
from tq_core.canvas.freezing import Place
from tq_core.canvas.making import maybe_signature
from tq_core.canvas.signature import Signature
from tq_core.errors import WorkflowLost
from tq_core.ids import new_id

if TYPE_CHECKING:
    from tq_core.app import Celery

#: A call with more arguments than this, or with a longer text among them, is not small.
_FEW, _SHORT = 8, 200
#: Options that say which chord a result counts towards.
_COUNTING = ("group_id", "group_index", "chord")
_SCALARS = (str, int, float, bool, type(None))
_open: ContextVar[Graph | None] = ContextVar("tq_graph", default=None)


class Graph:
    """The unsent parts of the work-flows that are being sent together. Used by one thread or coroutine.

    Args:
        app: the application; its backend will keep them.

    Attributes:
        id: names the graph in messages.
        nodes: the parts. Each is a mapping of ``sig``, ``next`` (position of what follows it, or None) and what a
            reference to it says: ``id``, ``width`` and ``counts``.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.id = new_id()
        self.nodes: list[dict[str, Any]] = []

    def lighten(self, part: Any) -> Any:
        """Return a part as messages are to carry it: itself where it is small, else a reference to it, which is kept.

        Args:
            part: a frozen signature, which is to be sent later.
        """
        return part if _is_small(part) else self._keep(part)

    def rest(self, steps: Sequence[Any]) -> list[Any]:
        """Return what a chain's first message says about the steps behind it: nothing, or one signature.

        Args:
            steps: frozen signatures in their order.
        """
        if not steps:
            return []
        if len(steps) == 1:
            return [self.lighten(steps[0])]
        return [self._keep_steps(steps)]

    def save(self) -> None:
        """Write the graph.

        Raises:
            EncodeError: an argument cannot be serialized.
            BackendError: it could not be written.
        """
        shelf.save(self._app, self.id, self.nodes)

    def _keep(self, part: Any) -> stored:
        return self._keep_steps(part.unchain_tasks() if part.kind == "chain" else [part])

    def _keep_steps(self, steps: Sequence[Any]) -> stored:
        """Keep steps that follow each other, and return the reference to the first."""
        end = steps[-1]
        about = {"id": _result_id(end), "width": end.width, "counts": counts_towards(end)}
        following: int | None = None
        for step in reversed(steps):
            node = {"sig": dict(step) if step.kind == "stored" else self._lean(step), "next": following, **about}
            self.nodes.append(node)
            following = len(self.nodes) - 1
        assert following is not None
        return _reference(self._app, self.id, following, self.nodes[following])

    def _lean(self, part: Any) -> dict[str, Any]:
        """Return a part in which all that is not sent together with it is a reference."""
        fields = dict(part)
        fields["options"] = self._lean_options(part.options)
        if part.kind == "group":
            fields["kwargs"] = {**part.kwargs, "tasks": [self._lean(task) for task in part.tasks]}
        elif part.kind == "chain":
            first, *later = part.tasks
            fields["kwargs"] = {**part.kwargs, "tasks": [self._lean(first), *self.rest(later)]}
        elif part.kind == "chord":
            header = part.kwargs["header"]
            lean = self._lean(header) if isinstance(header, Mapping) else [self._lean(task) for task in header]
            fields["kwargs"] = {**part.kwargs, "header": lean, "body": self.lighten(part.body)}
        return fields

    def _lean_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        lean = dict(options)
        for name in ("link", "link_error"):
            linked = lean.get(name)
            if linked:
                several = linked if isinstance(linked, (list, tuple)) else [linked]
                lean[name] = [self.lighten(maybe_signature(item, self._app)) for item in several]
        return lean


@contextmanager
def keeping(app: Celery) -> Iterator[None]:
    """While entered, unsent parts of what is sent go into one graph; it is written before the messages leave.

    Inside another they go into that one's graph. Nothing is written when the block raises.

    Raises:
        BackendError: the graph could not be written.
    """
    if _open.get() is not None or not _is_wanted(app):
        yield
        return
    graph = Graph(app)
    token = _open.set(graph)
    try:
        yield
    finally:
        _open.reset(token)
    if graph.nodes:
        app.producer.precede(graph.save)


def lightened(part: Any) -> Any:
    """Return a frozen part as messages are to carry it: itself, or a reference to it in the open graph."""
    graph = _open.get()
    return part if graph is None else graph.lighten(part)


def rest_of(steps: Sequence[Any]) -> list[Any]:
    """Return frozen steps as the message before them is to carry them: the next one last."""
    graph = _open.get()
    return list(reversed(steps)) if graph is None else graph.rest(steps)


def _is_wanted(app: Celery) -> bool:
    if app.conf.interop != "none":
        return False
    capabilities = app.backend.capabilities
    return capabilities.stores and capabilities.groups


@Signature.register_type("stored")
class stored(Signature):
    """A part of a work-flow that the result backend keeps.

    It is made by sending a work-flow, travels in messages and is sent like any signature. Its ``kwargs`` are ``graph``
    and ``at``, where the part is, and what must be known of it without it: ``width``, and in ``counts`` the chord its
    result counts towards. Its ``options`` are added to the part's.
    """

    kind = "stored"

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Any:
        """Return the reference that a mapping describes."""
        made = cls("tq.stored", (), d["kwargs"], d.get("options") or {}, subtask_type="stored", app=app)
        made.update(args=tuple(d.get("args") or ()), immutable=bool(d.get("immutable")))
        return made

    @property
    def width(self) -> int:
        """How many results count when it stands in the header of a chord."""
        width: int = self.kwargs["width"]
        return width

    def found(self) -> tuple[Any, dict[str, Any]]:
        """Return the part, with what was linked to the reference, and the options that are to be added.

        Raises:
            WorkflowLost: the backend does not have it any more.
            BackendError: the backend cannot be asked.
        """
        node = shelf.node(self.app, self.kwargs["graph"], self.kwargs["at"])
        if node is None:
            raise WorkflowLost(
                f"What follows here is not in the result backend any more (graph {self.kwargs['graph']}): it was "
                "deleted, or the work-flow took longer than result_expires"
            )
        part = maybe_signature(node["sig"], self.app).clone()  # what is read once is read by all
        if node["next"] is not None:
            part = self._with_rest(part, node["next"])
        options = {name: list(value) if isinstance(value, list) else value for name, value in self.options.items()}
        options.pop("task_id", None)
        for callback in options.pop("link", None) or ():
            part.link(callback)
        for errback in options.pop("link_error", None) or ():
            part.link_error(errback)
        place = Place.taken_from(options)
        if any(value is not None for value in place):
            part._freeze(place)
        if self.args:
            part = part.clone(self.args)
        if self.immutable:
            part.set_immutable(True)
        return part, options

    def _with_rest(self, part: Any, following: int) -> Any:
        from tq_core.canvas.chain import chain

        graph_id = self.kwargs["graph"]
        node = shelf.node(self.app, graph_id, following)
        assert node is not None
        return chain._of([part, _reference(self.app, graph_id, following, node)], self._app, {})

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> Any:
        """Send the part; where it is lost, whatever waits for it gets the error.

        Args:
            args, kwargs, **options: as for the part itself.
            route_name: accepted for compatibility.

        Returns:
            the part's result.
        """
        twin = self.clone()
        for name in ("link", "link_error"):
            for linked in _as_list(options.pop(name, None)):
                twin.append_to_list_option(name, linked)
        given = Place.taken_from(options)
        given.moved(task_id=None).mark(twin.options)
        _, _, twin.options = twin._merge((), None, options)
        try:
            part, added = twin.found()
        except WorkflowLost as error:
            from tq_core.canvas.errbacks import fail_unsent

            fail_unsent(self.app, twin, error)
            return self.app.AsyncResult(self.id or "")
        return part.apply_async(args, kwargs, **added)


def counts_towards(part: Any) -> dict[str, Any]:
    """Return ``group_id``, ``group_index`` and ``chord`` of the result of a frozen canvas, as far as it has them."""
    while part.kind in ("chain", "chord"):
        part = part.tasks[-1] if part.kind == "chain" else part.body
    own = {name: part.options[name] for name in _COUNTING if part.options.get(name) is not None}
    # What was said of a reference after it was made comes on top.
    return {**part.kwargs["counts"], **own} if part.kind == "stored" else own


def _result_id(part: Any) -> str | None:
    """Return the id of the result of a frozen canvas."""
    while part.kind == "chord":
        part = part.body
    task_id: str | None = part.options.get("task_id")
    return task_id


def _reference(app: Celery, graph_id: str, position: int, node: Mapping[str, Any]) -> stored:
    about = {"graph": graph_id, "at": position, "width": node["width"], "counts": node["counts"]}
    return stored("tq.stored", (), about, {"task_id": node["id"]}, subtask_type="stored", app=app)


def _is_small(part: Any) -> bool:
    """Tell whether a message may hold a part as it is: a reference to it would be as long."""
    if part.kind == "stored":
        return True
    if part.kind is not None or any(part.options.get(name) for name in ("link", "link_error", "chain")):
        return False
    values = [*part.args, *part.kwargs.values()]
    if len(values) > _FEW or not all(isinstance(v, _SCALARS) and len(str(v)) <= _SHORT for v in values):
        return False
    body = part.options.get("chord")
    return body is None or _is_small(maybe_signature(body))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
