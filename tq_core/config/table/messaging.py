"""Settings of queues, routes and the broker."""

from __future__ import annotations

from tq_core.config.kinds import BOOL, COUNT, DELIVERY_MODE, DURATION, MAPPING, NUMBER, PORT, PRIORITY, QUEUES, REFERENCE, ROUTES, STRING, TLS, URL, choice
from tq_core.config.setting import Setting

#: Settings by the heading they stand under.
ROWS: dict[str, tuple[Setting, ...]] = {
    "Routing": (
        Setting("task_queues", QUEUES, None, "The queues a worker consumes and routes may name.", ("CELERY_QUEUES",)),
        Setting("task_routes", ROUTES, None, "Which queue each task goes to.", ("CELERY_ROUTES",), reloadable=True),
        Setting("task_queue_max_priority", PRIORITY, None, "Largest priority of queues that set none themselves.", ("CELERY_QUEUE_MAX_PRIORITY",)),
        Setting("task_default_priority", PRIORITY, None, "Priority of tasks that have none of their own.", ("CELERY_DEFAULT_PRIORITY",), reloadable=True),
        Setting("task_priority_order", choice("native", "high_first", "low_first"), "native", "Which priorities are served first; native is what Celery does on that broker (Redis: 0 first, RabbitMQ: 255 first)."),
        Setting("task_inherit_parent_priority", BOOL, False, "Give a task the priority of the task that sent it.", ("CELERY_INHERIT_PARENT_PRIORITY",), reloadable=True),
        Setting("worker_direct", BOOL, False, "Give each worker a queue of its own, named after it.", ("CELERY_WORKER_DIRECT",)),
        Setting("task_create_missing_queues", BOOL, True, "Create queues that are named but not defined.", ("CELERY_CREATE_MISSING_QUEUES",)),
        Setting("task_create_missing_queue_type", STRING, "classic", "Type of the queues created that way.", ("CELERY_CREATE_MISSING_QUEUE_TYPE",)),
        Setting("task_create_missing_queue_exchange_type", STRING, None, "Exchange type of the queues created that way; unset means the default.", ("CELERY_CREATE_MISSING_QUEUE_EXCHANGE_TYPE",)),
        Setting("task_default_queue", STRING, "celery", "Queue of tasks that no route sends elsewhere.", ("CELERY_DEFAULT_QUEUE",)),
        Setting("task_default_queue_type", STRING, "classic", "Type of the default queue: classic or quorum.", ("CELERY_DEFAULT_QUEUE_TYPE",)),
        Setting("task_default_exchange", STRING, None, "Exchange of the default queue; unset means the queue's name.", ("CELERY_DEFAULT_EXCHANGE",)),
        Setting("task_default_exchange_type", STRING, "direct", "Type of the default exchange.", ("CELERY_DEFAULT_EXCHANGE_TYPE",)),
        Setting("task_default_routing_key", STRING, None, "Routing key of the default queue; unset means the queue's name.", ("CELERY_DEFAULT_ROUTING_KEY",)),
        Setting("task_default_delivery_mode", DELIVERY_MODE, 2, "Whether messages survive a restart of the broker: 2 (persistent) or 1 (transient).", ("CELERY_DEFAULT_DELIVERY_MODE",)),
    ),
    "Broker": (
        Setting("broker_url", URL, None, "Address of the broker; several are failed over to in order.", ("BROKER_URL", "CELERY_BROKER_URL")),
        Setting("broker_read_url", URL, None, "Address workers consume from; unset means broker_url.", ("BROKER_READ_URL",)),
        Setting("broker_write_url", URL, None, "Address messages are published to; unset means broker_url.", ("BROKER_WRITE_URL",)),
        Setting("broker_transport", STRING, None, "Transport, where broker_url is no full URL.", ("BROKER_TRANSPORT", "BROKER_BACKEND")),
        Setting("broker_host", STRING, None, "Host, where broker_url is unset.", ("BROKER_HOST",)),
        Setting("broker_port", PORT, None, "Port, where broker_url is unset.", ("BROKER_PORT",)),
        Setting("broker_user", STRING, None, "User name, where broker_url is unset.", ("BROKER_USER",)),
        Setting("broker_password", STRING, None, "Password, where broker_url is unset.", ("BROKER_PASSWORD",), secret=True),
        Setting("broker_vhost", STRING, None, "Virtual host, where broker_url is unset.", ("BROKER_VHOST",)),
        Setting("broker_failover_strategy", REFERENCE, None, "In which order several addresses are tried: `round-robin`, `shuffle`, or a function.", ("BROKER_FAILOVER_STRATEGY",)),
        Setting("broker_heartbeat", DURATION, 120, "Seconds between heartbeats on the connection; 0 or null means none.", ("BROKER_HEARTBEAT",), nullable=True),
        Setting("broker_heartbeat_checkrate", NUMBER, 3.0, "How many times in each heartbeat interval the peer's heartbeats are checked.", ("BROKER_HEARTBEAT_CHECKRATE",)),
        Setting("broker_use_ssl", TLS, False, "TLS options of the connection; true means the defaults.", ("BROKER_USE_SSL",), nullable=True),
        Setting("broker_pool_limit", COUNT, 10, "Connections a client keeps open at most; 0 or null means one for each use.", ("BROKER_POOL_LIMIT",), nullable=True),
        Setting("broker_pool_acquire_timeout", DURATION, None, "Seconds to wait for a connection of the pool.", ("BROKER_POOL_ACQUIRE_TIMEOUT",)),
        Setting("broker_connection_timeout", DURATION, 4, "Seconds to wait for a new connection.", ("BROKER_CONNECTION_TIMEOUT",), nullable=True),
        Setting("broker_connection_retry", BOOL, True, "Connect again when the connection is lost.", ("BROKER_CONNECTION_RETRY",)),
        Setting("broker_connection_retry_on_startup", BOOL, None, "Keep trying when the broker is away at start-up; unset means as broker_connection_retry.", ("BROKER_CONNECTION_RETRY_ON_STARTUP",)),
        Setting("broker_connection_max_retries", COUNT, 100, "Tries to connect before giving up; 0 or null means no limit.", ("BROKER_CONNECTION_MAX_RETRIES",), nullable=True),
        Setting("broker_channel_error_retry", BOOL, False, "Connect again also after errors of the channel.", ("BROKER_CHANNEL_ERROR_RETRY",)),
        Setting("broker_login_method", STRING, None, "SASL mechanism, such as PLAIN or EXTERNAL.", ("BROKER_LOGIN_METHOD",)),
        Setting("broker_native_delayed_delivery_queue_type", STRING, "quorum", "Type of the queues that hold delayed messages: quorum or classic.", ("BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE",)),
        Setting("broker_transport_options", MAPPING, {}, "Options of the broker plugin.", ("BROKER_TRANSPORT_OPTIONS",), nullable=True),
        Setting("lease_duration", DURATION, 8.0, "Seconds after which the messages of a worker that stopped renewing its lease are given to others."),
    ),
}
