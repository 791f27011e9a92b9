"""Graphs in the result backend, and those this process has read."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from tq_core import clock
from tq_core.errors import DecodeError

if TYPE_CHECKING:
    from tq_core.app import Celery

#: Characters of graphs that a process remembers; each step of a chain asks for the same graph.
_MOST = 16 * 1024 * 1024


class _Read(NamedTuple):
    """A graph that was read: its nodes, when it was saved (Unix seconds), and its length in characters."""

    nodes: Sequence[Mapping[str, Any]]
    saved: float
    length: int


class _Shelf:
    """The graphs read last. Any thread; a graph never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._graphs: OrderedDict[str, _Read] = OrderedDict()
        self._length = 0

    def get(self, graph_id: str) -> _Read | None:
        """Return a graph, or None."""
        with self._lock:
            found = self._graphs.get(graph_id)
            if found is not None:
                self._graphs.move_to_end(graph_id)
            return found

    def put(self, graph_id: str, graph: _Read) -> None:
        """Remember a graph instead of those that were asked for longest ago."""
        with self._lock:
            known = self._graphs.pop(graph_id, None)
            self._length += graph.length - (known.length if known is not None else 0)
            self._graphs[graph_id] = graph
            while self._length > _MOST and len(self._graphs) > 1:
                self._length -= self._graphs.popitem(last=False)[1].length


_shelves: WeakKeyDictionary[Celery, _Shelf] = WeakKeyDictionary()


def save(app: Celery, graph_id: str, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Write a graph into the result backend.

    It is written with the serializer of tasks, not that of results, because it holds tasks' arguments.

    Args:
        app: the application.
        graph_id: its id.
        nodes: see :class:`~tq_core.canvas.graph.Graph`.

    Raises:
        EncodeError: an argument cannot be serialized.
        BackendError: it could not be written.
    """
    serializer = app.serializers.get(app.conf.task_serializer)
    data = serializer.dumps(nodes)
    is_text = serializer.content_encoding == "utf-8"
    document = {
        "type": serializer.content_type,
        "text": is_text,
        "nodes": data.decode() if is_text else base64.b64encode(data).decode(),
        "saved": clock.now(),
    }
    app.backend.save_group(graph_id, document)


def node(app: Celery, graph_id: str, position: int) -> Mapping[str, Any] | None:
    """Return a node of a graph; None when the backend has no such graph any more.

    A graph that has lived half of ``result_expires`` is written once more, so that a work-flow lasts as long as none of
    its steps takes more than the other half.

    Raises:
        BackendError: the backend cannot be asked, or what it has cannot be read.
    """
    shelf = _shelves.get(app)
    if shelf is None:
        shelf = _shelves.setdefault(app, _Shelf())
    graph = shelf.get(graph_id)
    if graph is None:
        graph = _load(app, graph_id)
        if graph is None:
            return None
        shelf.put(graph_id, graph)
    lifetime = app.conf.result_expires
    if lifetime and clock.now() - graph.saved > lifetime.total_seconds() / 2:
        save(app, graph_id, graph.nodes)
        shelf.put(graph_id, graph._replace(saved=clock.now()))
    return graph.nodes[position]


def _load(app: Celery, graph_id: str) -> _Read | None:
    document = app.backend.load_group(graph_id)
    if document is None:
        return None
    if not isinstance(document, Mapping) or "nodes" not in document:
        raise DecodeError(f"What the result backend keeps as graph {graph_id} is none")
    text = document["nodes"]
    data = text.encode() if document["text"] else base64.b64decode(text)
    accept = app.serializers.accept(app.conf.accept_content)
    nodes = app.serializers.decode(data, document["type"], accept)
    return _Read(nodes, float(document["saved"]), len(text))
