"""The names of the keys of results, groups and chords: Celery's, so that its clients and workers find them.

In a Redis Cluster, which Celery does not speak, a group's name is a hash tag: its chord's keys are changed in one step.
"""

from __future__ import annotations

from typing import NamedTuple

from tq_redis.slots import tagged


class ChordKeys(NamedTuple):
    """The keys of one chord.

    Attributes:
        parts: ``.j``, sorted set (or list) of encoded parts.
        beyond: ``.t``, how many parts are awaited beyond the size.
        size: ``.s``.
        counted: ``.d``, set of ``<task id>:<position>`` (Celery 5.7).
        claim: ``.c``, who sends the body, or ``done`` (Celery 5.7).
    """

    parts: bytes
    beyond: bytes
    size: bytes
    counted: bytes
    claim: bytes


class ResultKeys:
    """Key names of one deployment.

    Args:
        prefix: ``global_keyprefix``; an underscore joins it where it does not end in one of ``: _ - .``
        cluster: True in a Redis Cluster.
    """

    def __init__(self, prefix: str, *, cluster: bool = False) -> None:
        if prefix and prefix[-1] not in ":_-.":
            prefix += "_"
        self.prefix = prefix
        self._task = prefix + "celery-task-meta-"
        self._group = "celery-taskset-meta-"
        self._cluster = cluster

    def task(self, task_id: str) -> bytes:
        """Key of a task's result, and the name of the channel it is announced on."""
        return (self._task + task_id).encode("utf-8", "surrogatepass")

    def group(self, group_id: str) -> bytes:
        """Key of a saved group."""
        name = self._group + group_id
        return (self.prefix + (tagged(name) if self._cluster else name)).encode("utf-8", "surrogatepass")

    def chord(self, group_id: str) -> ChordKeys:
        """Keys of a chord."""
        group = self.group(group_id)
        return ChordKeys(*(group + ending for ending in (b".j", b".t", b".s", b".d", b".c")))
