"""Settings of results, wherever they are kept."""

from __future__ import annotations

from datetime import timedelta

from tq_core.config.kinds import (
    ADDRESS,
    BOOL,
    COUNT,
    DURATION,
    EXPIRY,
    INTEGER,
    MAPPING,
    RETRIES,
    STRING,
)
from tq_core.config.setting import Setting

# A table is read by its rows, so it is not wrapped by the formatter.
# fmt: off

#: Settings by the heading they stand under.
ROWS: dict[str, tuple[Setting, ...]] = {
    "Results": (
        Setting("result_backend", ADDRESS, None,
                "Where results are kept: a URL, a name or a dotted path; unset means nowhere.",
                ("CELERY_RESULT_BACKEND",)),
        Setting("result_backend_always_retry", BOOL, False,
                "Try again when the result back end fails in a way that may pass.",
                ("CELERY_RESULT_BACKEND_ALWAYS_RETRY",)),
        Setting("result_backend_max_sleep_between_retries_ms", COUNT, 10000,
                "Milliseconds between two tries at most.",
                ("CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS",)),
        Setting("result_backend_base_sleep_between_retries_ms", COUNT, 10,
                "Milliseconds before the second try; doubled from then on.",
                ("CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS",)),
        Setting("result_backend_max_retries", RETRIES, float("inf"),
                "How often it is tried again.", ("CELERY_RESULT_BACKEND_MAX_RETRIES",)),
        Setting("result_backend_thread_safe", BOOL, False,
                "Share one result back end among the threads of a process."),
        Setting("result_backend_transport_options", MAPPING, {},
                "Options of the result back end.", ("CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS",)),
        Setting("result_serializer", STRING, "json", "Serializer of results.", ("CELERY_RESULT_SERIALIZER",)),
        Setting("result_compression", STRING, None,
                "Compression of results; unset means none.", ("CELERY_RESULT_COMPRESSION",)),
        Setting("result_extended", BOOL, False,
                "Store name, arguments, worker, retries and queue with each result.",
                ("CELERY_RESULT_EXTENDED",)),
        Setting("result_expires", EXPIRY, timedelta(days=1),
                "How long results are kept; 0 or null means for ever.",
                ("CELERY_TASK_RESULT_EXPIRES", "CELERY_RESULT_EXPIRES",
                 "CELERY_AMQP_TASK_RESULT_EXPIRES"), nullable=True),
        Setting("result_failure_expires", EXPIRY, None,
                "How long results of failed tasks are kept; unset means as result_expires.",
                ("CELERY_RESULT_FAILURE_EXPIRES",)),
        Setting("result_cache_max", INTEGER, -1,
                "Results a client remembers; 0 means no limit, -1 none.", ("CELERY_MAX_CACHED_RESULTS",)),
        Setting("result_chord_join_timeout", DURATION, 3.0,
                "Seconds to wait for the results of a chord's header when it is joined.",
                ("CELERY_RESULT_CHORD_JOIN_TIMEOUT",)),
        Setting("result_chord_retry_interval", DURATION, 1.0,
                "Seconds between two looks at an unfinished chord.", ("CELERY_RESULT_CHORD_RETRY_INTERVAL",)),
        Setting("result_chord_expires", EXPIRY, None,
                "How long the bookkeeping of chords is kept; unset means as result_expires.",
                ("CELERY_RESULT_CHORD_EXPIRES",)),
        Setting("result_persistent", BOOL, None,
                "Make result messages of the rpc and amqp back ends survive a restart of the broker.",
                ("CELERY_RESULT_PERSISTENT",)),
        Setting("result_exchange", STRING, "celeryresults",
                "Exchange of the amqp result back end.", ("CELERY_RESULT_EXCHANGE",)),
        Setting("result_exchange_type", STRING, "direct",
                "Type of that exchange.", ("CELERY_RESULT_EXCHANGE_TYPE",)),
    ),
}
