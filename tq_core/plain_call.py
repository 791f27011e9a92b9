"""Calls that nothing is said about but their arguments and their place: most calls, and the members of most groups.

What the calls of one task have in common is looked up once, in a :class:`PlainCall`; each message is then made quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tq_core import signals
from tq_core.message import Message
from tq_core.protocol import task_v2
from tq_core.task_handlers import TaskHandlers

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.contracts.serializer import Serializer
    from tq_core.routing.router import Destination
    from tq_core.task import Task

#: Attributes of a task that leave its calls plain, and a call's own options that do: a member of a group has these.
_OF_TASK = frozenset({"queue", "serializer"})
_OF_CALL = frozenset({"task_id", "group_id", "group_index", "root_id", "parent_id", "add_to_parent", "reply_to"})
_SEQUENCES = frozenset({list, tuple})
_NOTHING: Mapping[str, Any] = {}


class PlainCall:
    """The calls of one task, as settings and routes are now; not to be kept. Any thread.

    Args:
        app: the application.
        template: constant headers of the task; see :func:`tq_core.protocol.task_v2.template`.
        own: the task's options, which :func:`fits` has seen.
        priority: in the broker's own order.
    """

    __slots__ = ("_delivery_mode", "_destinations", "_dumps", "_priority", "_serializer", "_template")

    def __init__(self, app: Celery, template: dict[str, Any], own: Mapping[str, Any], priority: int | None) -> None:
        conf = app.conf
        self._template = template
        self._serializer: Serializer = app.serializers.get(own.get("serializer") or conf.task_serializer)
        self._dumps = self._serializer.dumps
        self._destinations: Sequence[Destination] = app.router.destinations(own)
        self._priority = priority
        self._delivery_mode: int = conf.task_default_delivery_mode

    def encode(
        self,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        reply_to: str,
        place: Mapping[str, Any] = _NOTHING,
    ) -> list[Message]:
        """Return the messages of one call: one, or several where an exchange copies it to several queues.

        Args:
            task_id: id of the new task.
            args: positional arguments, a list or tuple.
            kwargs: keyword arguments.
            reply_to: where the result goes, where the backend sends replies.
            place: options that say where in a work-flow the call stands.

        Raises:
            EncodeError: the arguments cannot be serialized.
        """
        headers, body = task_v2.build_plain(self._template, task_id, args, kwargs, place)
        data, serializer = self._dumps(body), self._serializer
        return [
            Message(
                task_id, headers, data, serializer.content_type, serializer.content_encoding, destination.queue,
                destination.exchange, destination.routing_key, self._priority, None, None, reply_to,
                self._delivery_mode,
            )
            for destination in self._destinations
        ]  # fmt: skip  # by position, in the order of the fields


def fits(app: Celery, task: Task, own: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Tell whether calls with these options are plain, whatever their arguments.

    Args:
        app: the application.
        task: what is called.
        own: the task's own options.
        options: the call's options.
    """
    return (
        options.keys() <= _OF_CALL
        and own.keys() <= _OF_TASK
        and app.router.is_constant
        and not signals.before_task_publish.receivers
        and getattr(task.shadow_name, "__func__", None) is TaskHandlers.shadow_name
        and app.conf.task_protocol != 1
        and not app.conf.task_compression
    )


def are_plain(args: Any, kwargs: Any) -> bool:
    """Tell whether arguments are of the types that need no look at how they are to be passed on."""
    return type(args) in _SEQUENCES and type(kwargs) is dict
