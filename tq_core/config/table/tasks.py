"""Settings of tasks: how they are published, run and retried."""

from __future__ import annotations

from tq_core.config.kinds import ANNOTATIONS, BOOL, COUNT, DURATION, MAPPING, RATE, STRING, integer
from tq_core.config.setting import Setting

#: Settings by the heading they stand under.
ROWS: dict[str, tuple[Setting, ...]] = {
    "Tasks": (
        Setting("task_annotations", ANNOTATIONS, None, "Attributes of tasks set from the configuration, by task name.", ("CELERY_ANNOTATIONS",)),
        Setting("task_compression", STRING, None, "Compression of task messages; unset means none.", ("CELERY_MESSAGE_COMPRESSION", "CELERY_COMPRESSION")),
        Setting("task_protocol", integer(1, 2), 2, "Version of the task message format that is sent.", ("CELERY_TASK_PROTOCOL",)),
        Setting("task_serializer", STRING, "json", "Serializer of task arguments.", ("CELERY_TASK_SERIALIZER",)),
        Setting("task_publish_retry", BOOL, True, "Try again when a task cannot be published because the broker is away.", ("CELERY_TASK_PUBLISH_RETRY", "CELERY_PUBLISH_RETRY")),
        Setting("task_publish_retry_policy", MAPPING, {"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2}, "How often and how long publishing is tried again.", ("CELERY_TASK_PUBLISH_RETRY_POLICY", "CELERY_PUBLISH_RETRY_POLICY")),
        Setting("broker_publish_timeout", DURATION, 5.0, "Seconds after which publishing gives up and raises, whatever the retry policy says."),
    ),
    "Task execution": (
        Setting("task_always_eager", BOOL, False, "Run tasks at once in the calling process instead of sending them.", ("CELERY_ALWAYS_EAGER", "CELERY_TASK_ALWAYS_EAGER")),
        Setting("task_eager_propagates", BOOL, False, "Raise the exceptions of tasks that run eagerly.", ("CELERY_EAGER_PROPAGATES_EXCEPTIONS", "CELERY_EAGER_PROPAGATES")),
        Setting("task_store_eager_result", BOOL, False, "Store the results of tasks that run eagerly.", ("CELERY_STORE_EAGER_RESULT",)),
        Setting("task_remote_tracebacks", BOOL, False, "Re-raise exceptions of tasks with the traceback of the worker.", ("CELERY_REMOTE_TRACEBACKS",)),
        Setting("task_ignore_result", BOOL, False, "Store no results, unless the task says otherwise.", ("CELERY_IGNORE_RESULT",), reloadable=True),
        Setting("task_store_errors_even_if_ignored", BOOL, False, "Store failures of tasks whose results are ignored.", ("CELERY_STORE_ERRORS_EVEN_IF_IGNORED",), reloadable=True),
        Setting("task_track_started", BOOL, False, "Report the state STARTED when a task begins.", ("CELERY_TRACK_STARTED", "CELERY_TASK_TRACK_STARTED"), reloadable=True),
        Setting("task_time_limit", DURATION, None, "Seconds after which a running task is killed.", ("CELERYD_TASK_TIME_LIMIT", "CELERYD_TIME_LIMIT"), reloadable=True),
        Setting("task_soft_time_limit", DURATION, None, "Seconds after which SoftTimeLimitExceeded is raised inside a running task.", ("CELERYD_TASK_SOFT_TIME_LIMIT", "CELERYD_SOFT_TIME_LIMIT"), reloadable=True),
        Setting("task_allow_error_cb_on_chord_header", BOOL, False, "Link error callbacks of a chord to the tasks of its header as well.", ("CELERY_ALLOW_ERROR_CB_ON_CHORD_HEADER",)),
        Setting("task_acks_late", BOOL, False, "Acknowledge a message when its task has ended instead of when it starts.", ("CELERY_ACKS_LATE",), reloadable=True),
        Setting("task_acks_on_failure_or_timeout", BOOL, True, "With late acknowledgement, acknowledge also when the task failed or ran out of time.", ("CELERY_ACKS_ON_FAILURE_OR_TIMEOUT",), reloadable=True),
        Setting("task_acks_on_failure", BOOL, None, "With late acknowledgement, acknowledge when the task failed; unset means as task_acks_on_failure_or_timeout.", ("CELERY_ACKS_ON_FAILURE",), reloadable=True),
        Setting("task_acks_on_timeout", BOOL, None, "With late acknowledgement, acknowledge when the task ran out of time; unset means as task_acks_on_failure_or_timeout.", ("CELERY_ACKS_ON_TIMEOUT",), reloadable=True),
        Setting("task_reject_on_worker_lost", BOOL, None, "With late acknowledgement, give the message back when the process that ran it died.", ("CELERY_REJECT_ON_WORKER_LOST", "CELERY_TASK_REJECT_ON_WORKER_LOST"), reloadable=True),
        Setting("task_retry_on_worker_lost", BOOL, False, "Retry the task when the process that ran it died.", ("CELERY_RETRY_ON_WORKER_LOST",), reloadable=True),
        Setting("task_max_deliveries", COUNT, 3, "Deliveries after which a message whose task keeps killing its worker is buried; 0 means never.", reloadable=True),
        Setting("task_default_rate_limit", RATE, None, "Rate limit of tasks that have none of their own.", ("CELERY_DEFAULT_RATE_LIMIT",), reloadable=True),
        Setting("task_repr_maxlevels", COUNT, 3, "How deeply arguments are shown in logs and events.", ("CELERY_REPR_MAXLEVELS",), reloadable=True),
    ),
    "Dead letters": (
        Setting("dead_letter_max_age", DURATION, 14 * 86400, "Seconds a dead letter is kept.", nullable=True, reloadable=True),
        Setting("dead_letter_max_count", COUNT, 10000, "Dead letters kept for each queue; the oldest go first.", nullable=True, reloadable=True),
    ),
}
