"""Results in Redis, on Celery's own keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tq_core.contracts.backend import Backend, BackendRequest, ChordPart, ResultRecord, ResultSubscription
from tq_core.contracts.coordination import Coordination
from tq_core.contracts.serializer import Serializer
from tq_core.errors import BackendError, BackendUnavailable, ImproperlyConfigured, TQError
from tq_redis.address import Address, parse_address
from tq_redis.backend_options import BackendOptions, completed
from tq_redis.capabilities import BACKEND_CAPABILITIES
from tq_redis.chords import Chords
from tq_redis.cluster_link import open_spread_link
from tq_redis.coordination import RedisCoordination
from tq_redis.results import ResultCodec
from tq_redis.results_keys import ResultKeys
from tq_redis.results_store import ResultStore
from tq_redis.slots import without_tag
from tq_redis.watching import Watchers
from tq_redis.watching_channels import Channels

#: What a link raises.
ERRORS: dict[str, type[TQError]] = {"unavailable": BackendUnavailable, "refused": BackendError}


class RedisBackend(Backend):
    """A result backend in one Redis. Any thread, any process.

    Args:
        address: where it is.
        options: the checked options.
        serializer: writes and reads results.
        tls: ``redis_backend_use_ssl``.
    """

    capabilities = BACKEND_CAPABILITIES

    def __init__(self, address: Address, options: BackendOptions, serializer: Serializer, tls: Any = None) -> None:
        prefix = options.connection.global_keyprefix
        keys = ResultKeys(without_tag(prefix) if address.cluster else prefix, cluster=address.cluster)
        codec = ResultCodec(serializer, options.compression)
        self._link = open_spread_link(address, options.connection, tls, **ERRORS)
        # Announcements would be taken for the answer of a health check.
        unchecked = replace(options.connection, health_check_interval=0.0)
        self._channels = Channels(open_spread_link(address, unchecked, tls, **ERRORS))
        self._store = ResultStore(self._link, keys, codec, options.lifetimes)
        self._watchers = Watchers(self._store, self._channels, keys, codec)
        self._chords = Chords(self._link, keys, codec, options.lifetimes.chord, ordered=options.chord_ordered)
        self._coordination = RedisCoordination(self._link, keys.prefix)

    @classmethod
    def from_request(cls, request: BackendRequest) -> RedisBackend:
        """Open the backend a hook was asked for.

        Raises:
            ImproperlyConfigured: the URL or an option cannot be used, or results would not be accepted.
        """
        serializer, settings = request.serializer, request.settings
        if request.accept and serializer.content_type not in request.accept:
            raise ImproperlyConfigured(
                f"`result_serializer` is {serializer.name!r}, which `result_accept_content` does not accept; add "
                f"{serializer.name!r} to `result_accept_content`"
            )
        url = request.url if "://" in request.url else "redis://"
        address = parse_address(url)
        options = BackendOptions.from_settings(settings, address.query)
        return cls(completed(address, url, settings), options, serializer, settings.get("redis_backend_use_ssl"))

    def connect(self, timeout: float) -> None:
        self._link.ping(timeout)

    def store(self, records: Sequence[ResultRecord]) -> None:
        if records:
            self._store.store(records)

    def fetch(self, task_ids: Sequence[str]) -> dict[str, ResultRecord]:
        return self._store.fetch(task_ids)

    def watch(self, task_ids: Sequence[str], *, timeout: float | None, interval: float = 0.5) -> Iterator[ResultRecord]:
        return self._watchers.watch(task_ids, timeout)

    def subscribe(self) -> ResultSubscription:
        return self._watchers.subscribe()

    def forget(self, task_ids: Sequence[str]) -> None:
        self._store.forget(task_ids)

    def close(self) -> None:
        self._channels.close()
        self._link.close()

    # groups

    def save_group(self, group_id: str, result: Any) -> None:
        self._store.save_group(group_id, result)

    def load_group(self, group_id: str) -> Any | None:
        return self._store.load_group(group_id)

    def delete_group(self, group_id: str) -> None:
        self._store.delete_group(group_id)

    # chords

    def open_chord(self, group_id: str, size: int) -> None:
        self._chords.open(group_id, size)

    def enlarge_chord(self, group_id: str, by: int) -> None:
        self._chords.enlarge(group_id, by)

    def add_chord_parts(self, parts: Sequence[ChordPart], *, claimant: str, lease: float) -> list[str]:
        return self._chords.add(parts, claimant, lease) if parts else []

    def chord_parts(self, group_id: str) -> list[ChordPart]:
        return self._chords.parts(group_id)

    def close_chord(self, group_id: str) -> None:
        self._chords.close(group_id)

    def coordination(self) -> Coordination:
        return self._coordination
