"""Every hook a plugin may implement.

Three kinds: *factories* open something (the first answer counts), *collectors* gather contributions of all
plugins, *observers* announce what happens and whose answers are ignored. A hook costs microseconds;
what a factory returned is called directly ever after, and per-task observers are called only if
somebody listens at start-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from tq_core.contracts.backend import Backend, BackendRequest
    from tq_core.contracts.broker import Broker, BrokerRequest
    from tq_core.contracts.pool import Pool, PoolRequest
    from tq_core.contracts.schedule_store import ScheduleStore, ScheduleStoreRequest
    from tq_core.contracts.serializer import Serializer
    from tq_core.message import Delivery, Message

PROJECT = "tq"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# --- factories -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def tq_broker(request: BrokerRequest) -> Broker | None:
    """Called when a process first needs the broker whose URL scheme this plugin registered.

    Required of a plugin in the group ``tq.brokers``. Returns a broker that has not connected yet; raises
    ``ImproperlyConfigured`` when the URL or an option cannot be used.
    """


@hookspec(firstresult=True)
def tq_backend(request: BackendRequest) -> Backend | None:
    """Called when a process first needs the result backend whose URL scheme or name this plugin registered.

    Required of a plugin in the group ``tq.backends``. Returns a backend that has not connected yet; raises
    ``ImproperlyConfigured`` when the URL or an option cannot be used.
    """


@hookspec(firstresult=True)
def tq_serializer(name: str) -> Serializer | None:
    """Called when a message or a setting names a serializer this plugin registered.

    Required of a plugin in the group ``tq.serializers``. Raises ``ImproperlyConfigured`` when a library it
    needs is missing.
    """


@hookspec(firstresult=True)
def tq_pool(request: PoolRequest) -> type[Pool] | None:
    """Called when a worker starts with a pool this plugin registered.

    Required of a plugin in the group ``tq.pools``. Called in the supervisor, before any runner exists:
    returns the class, and does whatever must happen before the application is imported (monkey-patching).
    """


@hookspec(firstresult=True)
def tq_schedule_store(request: ScheduleStoreRequest) -> ScheduleStore | None:
    """Called when the scheduler starts with a store this plugin registered.

    Required of a plugin in the group ``tq.schedule_stores``.
    """


# --- collectors ------------------------------------------------------------------------------------------


@hookspec
def tq_settings_schema() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Called when settings are validated or listed: returns JSON Schema properties by setting name.

    Optional. A name may be new, or a section of its own such as ``broker_transport_options``' keys for
    this plugin under ``x-tq-section``. Must not import client libraries.
    """


@hookspec
def tq_cli_commands() -> Mapping[str, click.Command]:  # type: ignore[empty-body]
    """Called when the command line is built: returns click commands by name. Optional."""


@hookspec
def tq_health_checks(settings: Mapping[str, Any]) -> Mapping[str, str | None]:  # type: ignore[empty-body]
    """Called by ``tq doctor``: returns for each check its name and a sentence saying what is wrong, or None.

    Optional. May connect, within the time-outs of the settings.
    """


# --- observers -------------------------------------------------------------------------------------------


@hookspec
def tq_before_publish(message: Message) -> None:
    """Called when a message is about to be handed to the broker, in the caller's thread. Optional."""


@hookspec
def tq_after_publish(message: Message) -> None:
    """Called when the broker has taken a message, in the caller's thread. Optional."""


@hookspec
def tq_task_received(delivery: Delivery) -> None:
    """Called when a runner has admitted a message, in its transport thread. Optional."""


@hookspec
def tq_task_started(task_id: str, task_name: str) -> None:
    """Called when a task is about to run, in the thread that runs it. Optional."""


@hookspec
def tq_task_finished(task_id: str, task_name: str, state: str, runtime: float) -> None:
    """Called when a run has ended, in the thread that ran it; ``runtime`` is in seconds. Optional."""


@hookspec
def tq_worker_ready(node: str) -> None:
    """Called when every runner of a worker is up, in the supervisor. Optional."""


@hookspec
def tq_worker_shutdown(node: str) -> None:
    """Called when a worker has stopped all its runners, in the supervisor. Optional."""
