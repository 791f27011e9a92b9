"""Celery's signals: when each is sent, what its receivers get, and in which process they run.

What ``process`` says of a task's run holds for every pool: a runner process is a pool process of prefork and the one
process of threads and aio. An eager call sends what a run sends, in the caller's process.
"""

from __future__ import annotations

from tq_core.dispatch import Signal

_CALLER = "the process that calls"
_RUNNER = "runner process"
_RUN = "runner process, in the thread that runs the task; eager: the caller's"
_TRANSPORT = "runner process, in its transport thread"
_NODE = "the worker's main process"
_LATER = "none yet"

# Calls

before_task_publish = Signal(
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
    name="before_task_publish",
    description="A call is about to be sent; headers, properties, body and retry_policy may be changed in place.",
    sender="the task's name",
    process=_CALLER,
)
after_task_publish = Signal(
    ("body", "exchange", "routing_key", "headers"),
    name="after_task_publish",
    description="The broker has taken a call.",
    sender="the task's name",
    process=_CALLER,
)
task_sent = Signal(
    ("task_id", "task", "args", "kwargs", "eta", "taskset"),
    name="task_sent",
    description="The broker has taken a call; of old programs, after_task_publish takes its place.",
    sender="the task's name",
    process=_CALLER,
)

# Runs

task_received = Signal(
    ("request",),
    name="task_received",
    description="A worker has received a task and is going to run it.",
    sender="the runner, with app and hostname",
    process=_TRANSPORT,
)
task_prerun = Signal(
    ("task_id", "task", "args", "kwargs"),
    name="task_prerun",
    description="A run is about to begin.",
    sender="the task",
    process=_RUN,
)
task_postrun = Signal(
    ("task_id", "task", "args", "kwargs", "retval", "state"),
    name="task_postrun",
    description="A run has ended, whatever became of it.",
    sender="the task",
    process=_RUN,
)
task_success = Signal(
    ("result", "runtime"),
    name="task_success",
    description="A run has returned.",
    sender="the task",
    process=_RUN,
)
task_retry = Signal(
    ("request", "reason", "einfo"),
    name="task_retry",
    description="A run asks to be repeated later.",
    sender="the task",
    process=_RUN,
)
task_failure = Signal(
    ("task_id", "exception", "args", "kwargs", "traceback", "einfo"),
    name="task_failure",
    description="A run has raised, was stopped at its hard limit, or was lost with its process.",
    sender="the task",
    process=f"{_RUN}; of a task whose process was killed: {_NODE}",
)
task_internal_error = Signal(
    ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo"),
    name="task_internal_error",
    description="Something outside of the task's own code failed while it was run or its end was written down.",
    sender="the task",
    process=_RUNNER,
)
task_revoked = Signal(
    ("request", "terminated", "signum", "expired"),
    name="task_revoked",
    description="A task is not run because it was revoked or has expired, or its run was terminated.",
    sender="the task",
    process=_TRANSPORT,
)
task_rejected = Signal(
    ("message", "exc"),
    name="task_rejected",
    description="A message was received that cannot be read; it goes to the dead letters.",
    sender="the runner, with app and hostname",
    process=_TRANSPORT,
)
task_unknown = Signal(
    ("message", "exc", "name", "id"),
    name="task_unknown",
    description="A task was received that is not registered; it goes to the dead letters.",
    sender="the runner, with app and hostname",
    process=_TRANSPORT,
)

# The worker node, in the order in which they are sent

celeryd_init = Signal(
    ("instance", "conf", "options"),
    name="celeryd_init",
    description="The command starts; settings may be changed for workers of one name.",
    sender="the node name",
    process=_NODE,
)
import_modules = Signal(
    name="import_modules",
    description="The task modules are about to be imported; an exception ends the worker.",
    sender="the application",
    process=f"{_NODE}; with spawn and forkserver each {_RUNNER} as well",
)
worker_init = Signal(
    name="worker_init",
    description="The worker is about to be started.",
    sender="the worker, with app and hostname",
    process=_NODE,
)
celeryd_after_setup = Signal(
    ("instance", "conf"),
    name="celeryd_after_setup",
    description="The worker is set up and not started yet; queues may be added with app.queues.select_add().",
    sender="the node name",
    process=_NODE,
)
worker_before_create_process = Signal(
    name="worker_before_create_process",
    description="A runner process is about to be created.",
    sender="the worker, with app and hostname",
    process=_NODE,
)
worker_process_init = Signal(
    name="worker_process_init",
    description="A runner process has been created, and has opened no connection yet.",
    sender="the node name",
    process=_RUNNER,
)
worker_ready = Signal(
    name="worker_ready",
    description="Every runner receives.",
    sender="the worker, with app and hostname",
    process=_NODE,
)
heartbeat_sent = Signal(
    name="heartbeat_sent",
    description="Sent by worker heartbeats, which come with events.",
    process=_LATER,
)
worker_shutting_down = Signal(
    ("sig", "how", "exitcode"),
    name="worker_shutting_down",
    description="The worker was asked to stop: how is Warm or Cold.",
    sender="the node name",
    process=_NODE,
)
worker_process_shutdown = Signal(
    ("pid", "exitcode"),
    name="worker_process_shutdown",
    description="A runner process has run what it had to and is about to end; not sent when it is killed.",
    sender="the node name",
    process=_RUNNER,
)
worker_shutdown = Signal(
    name="worker_shutdown",
    description="Every runner has ended, and the worker is about to.",
    sender="the worker, with app and hostname",
    process=_NODE,
)

# Logging

setup_logging = Signal(
    ("loglevel", "logfile", "format", "colorize"),
    name="setup_logging",
    description="Logging is about to be set up; with a receiver it is left to that, and an exception ends the worker.",
    process=f"{_NODE}; with spawn and forkserver each {_RUNNER} as well",
)
after_setup_logger = Signal(
    ("logger", "loglevel", "logfile", "format", "colorize"),
    name="after_setup_logger",
    description="The root logger is set up.",
    process=f"{_NODE}; with spawn and forkserver each {_RUNNER} as well",
)
after_setup_task_logger = Signal(
    ("logger", "loglevel", "logfile", "format", "colorize"),
    name="after_setup_task_logger",
    description="The tasks' logger is set up.",
    process=f"{_NODE}; with spawn and forkserver each {_RUNNER} as well",
)

# Features still to come

user_preload_options = Signal(
    ("app", "options"),
    name="user_preload_options",
    description="Sent where an application gives the commands options of its own, which tq does not read yet.",
    process=_LATER,
)
beat_init = Signal(
    name="beat_init",
    description="Sent by the scheduler of periodic tasks when it starts.",
    process=_LATER,
)
beat_embedded_init = Signal(
    name="beat_embedded_init",
    description="Sent after beat_init by a scheduler within a worker.",
    process=_LATER,
)
eventlet_pool_started = Signal(
    name="eventlet_pool_started",
    description="Sent by the eventlet pool when it has started.",
    process=_LATER,
)
eventlet_pool_preshutdown = Signal(
    name="eventlet_pool_preshutdown",
    description="Sent by the eventlet pool before it waits for its tasks.",
    process=_LATER,
)
eventlet_pool_postshutdown = Signal(
    name="eventlet_pool_postshutdown",
    description="Sent by the eventlet pool after its tasks have ended.",
    process=_LATER,
)
eventlet_pool_apply = Signal(
    ("target", "args", "kwargs"),
    name="eventlet_pool_apply",
    description="Sent by the eventlet pool when it takes a task.",
    process=_LATER,
)

#: Every signal, by name.
ALL: dict[str, Signal] = {value.name or "": value for value in list(globals().values()) if isinstance(value, Signal)}
