"""What a call of a task may say about itself: the options of ``apply_async``, ``send_task`` and signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict


class CallOptions(TypedDict, total=False):
    """Options of a call; the task's attributes and the settings say what is not given.

    Type checkers take ``**options`` of this type: ``options: CallOptions = {"countdown": 3}``.

    Attributes:
        task_id: an id of your own; a random one otherwise.
        countdown: seconds before which it is not run.
        eta: moment before which it is not run: a datetime, UTC where it has no zone, or ISO 8601.
        expires: seconds, or the moment, after which it is not run any more.
        queue: name of the queue.
        exchange: name of the exchange, on a broker with exchanges.
        routing_key: of the message.
        priority: from 0 to 9; ``task_priority_order`` says which end comes first.
        serializer: name of the serializer of the arguments.
        compression: name of the compression of the message.
        delivery_mode: 2 for a message that survives a restart of the broker, 1 for another.
        headers: headers of your own; the task finds them in its request.
        link: signatures to send with the value when the task succeeds, one or a list.
        link_error: signatures to call when the task fails, one or a list.
        shadow: another name for logs and monitors.
        ignore_result: keep no state of this call.
        time_limit: seconds after which the run is stopped from outside.
        soft_time_limit: seconds after which ``SoftTimeLimitExceeded`` is raised inside the run.
        retry: False tries once to hand the message to the broker.
        retry_policy: entries that override those of ``task_publish_retry_policy``.
        add_to_parent: False does not count the call among the children of the task that makes it.
        reply_to: where the result goes, with a backend that sends results to the caller.
        group_id: id of the group it is a member of.
        group_index: its position there.
        chord: signature of the body of the chord that it counts towards.
        chain: what follows it, the next one last.
        root_id: id of the first task of its work-flow.
        parent_id: id of the task before it.
        retries: how often it counts as retried already.
        replaced_task_nesting: how often it has taken another task's place.
        stamps: stamps, by name.
        stamped_headers: names of the stamps.
    """

    task_id: str | None
    countdown: float | timedelta | None
    eta: datetime | str | None
    expires: float | timedelta | datetime | str | None
    queue: Any
    exchange: Any
    routing_key: str | None
    priority: int | None
    serializer: str | None
    compression: str | None
    delivery_mode: int | None
    headers: Mapping[str, Any] | None
    link: Any
    link_error: Any
    shadow: str | None
    ignore_result: bool | None
    time_limit: float | None
    soft_time_limit: float | None
    retry: bool
    retry_policy: Mapping[str, Any] | None
    add_to_parent: bool
    reply_to: str | None
    group_id: str | None
    group_index: int | None
    chord: Any
    chain: Any
    root_id: str | None
    parent_id: str | None
    retries: int
    replaced_task_nesting: int
    stamps: Mapping[str, Any] | None
    stamped_headers: Sequence[str] | None
