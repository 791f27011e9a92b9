"""Settings of results, and of each store that keeps them."""

from __future__ import annotations

from datetime import timedelta

from tq_core.config.kinds import (
    ADDRESS,
    ANY,
    BOOL,
    COUNT,
    DURATION,
    EXPIRY,
    INTEGER,
    MAPPING,
    NAMES,
    NUMBER,
    PATH,
    PORT,
    REFERENCE,
    RETRIES,
    STRING,
    TLS,
)
from tq_core.config.setting import Setting

#: Settings by the heading they stand under.
ROWS: dict[str, tuple[Setting, ...]] = {
    "Results": (
        Setting(
            "result_backend",
            ADDRESS,
            None,
            "Where results are kept: a URL, a name or a dotted path; unset means nowhere.",
            ("CELERY_RESULT_BACKEND",),
        ),
        Setting(
            "result_backend_always_retry",
            BOOL,
            False,
            "Try again when the result back end fails in a way that may pass.",
            ("CELERY_RESULT_BACKEND_ALWAYS_RETRY",),
        ),
        Setting(
            "result_backend_max_sleep_between_retries_ms",
            COUNT,
            10000,
            "Milliseconds between two tries at most.",
            ("CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS",),
        ),
        Setting(
            "result_backend_base_sleep_between_retries_ms",
            COUNT,
            10,
            "Milliseconds before the second try; doubled from then on.",
            ("CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS",),
        ),
        Setting(
            "result_backend_max_retries",
            RETRIES,
            float("inf"),
            "How often it is tried again.",
            ("CELERY_RESULT_BACKEND_MAX_RETRIES",),
        ),
        Setting("result_backend_thread_safe", BOOL, False, "Share one result back end among the threads of a process."),
        Setting(
            "result_backend_transport_options",
            MAPPING,
            {},
            "Options of the result back end.",
            ("CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS",),
        ),
        Setting("result_serializer", STRING, "json", "Serializer of results.", ("CELERY_RESULT_SERIALIZER",)),
        Setting(
            "result_compression",
            STRING,
            None,
            "Compression of results; unset means none.",
            ("CELERY_RESULT_COMPRESSION",),
        ),
        Setting(
            "result_extended",
            BOOL,
            False,
            "Store name, arguments, worker, retries and queue with each result.",
            ("CELERY_RESULT_EXTENDED",),
        ),
        Setting(
            "result_expires",
            EXPIRY,
            timedelta(days=1),
            "How long results are kept; 0 or null means for ever.",
            ("CELERY_TASK_RESULT_EXPIRES", "CELERY_RESULT_EXPIRES", "CELERY_AMQP_TASK_RESULT_EXPIRES"),
            nullable=True,
        ),
        Setting(
            "result_failure_expires",
            EXPIRY,
            None,
            "How long results of failed tasks are kept; unset means as result_expires.",
            ("CELERY_RESULT_FAILURE_EXPIRES",),
        ),
        Setting(
            "result_cache_max",
            INTEGER,
            -1,
            "Results a client remembers; 0 means no limit, -1 none.",
            ("CELERY_MAX_CACHED_RESULTS",),
        ),
        Setting(
            "result_chord_join_timeout",
            DURATION,
            3.0,
            "Seconds to wait for the results of a chord's header when it is joined.",
            ("CELERY_RESULT_CHORD_JOIN_TIMEOUT",),
        ),
        Setting(
            "result_chord_retry_interval",
            DURATION,
            1.0,
            "Seconds between two looks at an unfinished chord.",
            ("CELERY_RESULT_CHORD_RETRY_INTERVAL",),
        ),
        Setting(
            "result_chord_expires",
            EXPIRY,
            None,
            "How long the bookkeeping of chords is kept; unset means as result_expires.",
            ("CELERY_RESULT_CHORD_EXPIRES",),
        ),
        Setting(
            "result_persistent",
            BOOL,
            None,
            "Make result messages of the rpc and amqp back ends survive a restart of the broker.",
            ("CELERY_RESULT_PERSISTENT",),
        ),
        Setting(
            "result_exchange",
            STRING,
            "celeryresults",
            "Exchange of the amqp result back end.",
            ("CELERY_RESULT_EXCHANGE",),
        ),
        Setting("result_exchange_type", STRING, "direct", "Type of that exchange.", ("CELERY_RESULT_EXCHANGE_TYPE",)),
    ),
    "Results in a database": (
        Setting(
            "database_url",
            STRING,
            None,
            "URL of the database, for the result back end named `database`.",
            ("CELERY_RESULT_DBURI",),
        ),
        Setting(
            "database_create_tables_at_setup",
            BOOL,
            True,
            "Create missing tables when the back end is opened instead of when it is first used.",
            ("DATABASE_CREATE_TABLES_AT_SETUP",),
        ),
        Setting(
            "database_engine_options",
            MAPPING,
            {},
            "Options of SQLAlchemy's engine.",
            ("CELERY_RESULT_ENGINE_OPTIONS",),
            nullable=True,
        ),
        Setting(
            "database_engine_callback", REFERENCE, None, "Called with each new engine.", ("DATABASE_ENGINE_CALLBACK",)
        ),
        Setting(
            "database_short_lived_sessions",
            BOOL,
            False,
            "Use each database session once.",
            ("CELERY_RESULT_DB_SHORT_LIVED_SESSIONS",),
        ),
        Setting(
            "database_table_schemas",
            MAPPING,
            None,
            "Database schemas by table, `task` and `group`.",
            ("DATABASE_TABLE_SCHEMAS",),
        ),
        Setting(
            "database_table_names",
            MAPPING,
            None,
            "Names of the tables, `task` and `group`.",
            ("CELERY_RESULT_DB_TABLENAMES", "CELERY_RESULT_DB_TABLE_NAMES"),
        ),
    ),
    "Results in a cache": (
        Setting(
            "cache_backend",
            STRING,
            None,
            "URL of the cache, for the result back end named `cache`.",
            ("CELERY_CACHE_BACKEND",),
        ),
        Setting(
            "cache_backend_options", MAPPING, {}, "Options of the cache client.", ("CELERY_CACHE_BACKEND_OPTIONS",)
        ),
    ),
    "Results in Redis": (
        Setting(
            "redis_backend_health_check_interval",
            DURATION,
            None,
            "Seconds between two health checks of an idle connection.",
        ),
        Setting(
            "redis_backend_use_ssl", TLS, None, "TLS options of the connection.", ("CELERY_REDIS_BACKEND_USE_SSL",)
        ),
        Setting(
            "redis_backend_credential_provider",
            REFERENCE,
            None,
            "Class that provides user name and password.",
            ("CELERY_REDIS_BACKEND_CREDENTIAL_PROVIDER",),
        ),
        Setting("redis_host", STRING, None, "Host, where the URL names none.", ("CELERY_REDIS_HOST",)),
        Setting("redis_port", PORT, None, "Port, where the URL names none.", ("CELERY_REDIS_PORT",)),
        Setting("redis_db", ANY, None, "Database number, where the URL names none.", ("CELERY_REDIS_DB",)),
        Setting("redis_username", STRING, None, "User name, where the URL names none.", ("CELERY_REDIS_USERNAME",)),
        Setting(
            "redis_password",
            STRING,
            None,
            "Password, where the URL names none.",
            ("CELERY_REDIS_PASSWORD",),
            secret=True,
        ),
        Setting(
            "redis_max_connections", COUNT, None, "Connections of the pool at most.", ("CELERY_REDIS_MAX_CONNECTIONS",)
        ),
        Setting(
            "redis_socket_connect_timeout",
            DURATION,
            None,
            "Seconds to wait for a connection.",
            ("CELERY_REDIS_SOCKET_CONNECT_TIMEOUT",),
        ),
        Setting(
            "redis_socket_timeout",
            DURATION,
            120.0,
            "Seconds to wait for an answer.",
            ("CELERY_REDIS_SOCKET_TIMEOUT",),
            nullable=True,
        ),
        Setting(
            "redis_retry_on_timeout",
            BOOL,
            False,
            "Try again when an answer does not come in time.",
            ("CELERY_REDIS_RETRY_ON_TIMEOUT",),
        ),
        Setting(
            "redis_socket_keepalive",
            BOOL,
            False,
            "Keep idle TCP connections alive.",
            ("CELERY_REDIS_SOCKET_KEEPALIVE",),
        ),
        Setting("redis_client_name", STRING, None, "Name under which connections show in Redis' CLIENT LIST."),
    ),
    "Results in MongoDB": (
        Setting(
            "mongodb_backend_settings",
            MAPPING,
            None,
            "Database, collection and client options.",
            ("CELERY_MONGODB_BACKEND_SETTINGS",),
        ),
    ),
    "Results in Cassandra": (
        Setting("cassandra_servers", NAMES, None, "Hosts to connect to.", ("CASSANDRA_SERVERS",)),
        Setting("cassandra_secure_bundle_path", PATH, None, "Path of the bundle that connects to Astra DB."),
        Setting(
            "cassandra_bundle_path",
            PATH,
            None,
            "Path of the bundle that connects to Astra DB, in the older spelling.",
            ("CASSANDRA_BUNDLE_PATH",),
        ),
        Setting("cassandra_port", PORT, None, "Port of the servers.", ("CASSANDRA_PORT",)),
        Setting("cassandra_keyspace", STRING, None, "Key space of the table.", ("CASSANDRA_KEYSPACE",)),
        Setting("cassandra_table", STRING, None, "Name of the table.", ("CASSANDRA_TABLE", "CASSANDRA_COLUMN_FAMILY")),
        Setting(
            "cassandra_read_consistency", STRING, None, "Consistency level of reads.", ("CASSANDRA_READ_CONSISTENCY",)
        ),
        Setting(
            "cassandra_write_consistency",
            STRING,
            None,
            "Consistency level of writes.",
            ("CASSANDRA_WRITE_CONSISTENCY",),
        ),
        Setting(
            "cassandra_entry_ttl",
            DURATION,
            None,
            "Seconds after which Cassandra removes a result.",
            ("CASSANDRA_ENTRY_TTL",),
        ),
        Setting(
            "cassandra_auth_provider",
            STRING,
            None,
            "Class of cassandra.auth that logs in.",
            ("CASSANDRA_AUTH_PROVIDER",),
        ),
        Setting(
            "cassandra_auth_kwargs", MAPPING, None, "Arguments of that class.", ("CASSANDRA_AUTH_KWARGS",), secret=True
        ),
        Setting("cassandra_options", MAPPING, {}, "Further options of the cluster.", ("CASSANDRA_OPTIONS",)),
    ),
    "Results in S3": (
        Setting("s3_access_key_id", STRING, None, "Access key.", ("S3_ACCESS_KEY_ID",), secret=True),
        Setting("s3_secret_access_key", STRING, None, "Secret key.", ("S3_SECRET_ACCESS_KEY",), secret=True),
        Setting("s3_bucket", STRING, None, "Bucket.", ("S3_BUCKET",)),
        Setting("s3_base_path", STRING, None, "Folder within the bucket.", ("S3_BASE_PATH",)),
        Setting(
            "s3_endpoint_url", STRING, None, "Address of the service, where it is not Amazon's.", ("S3_ENDPOINT_URL",)
        ),
        Setting("s3_region", STRING, None, "Region of the bucket.", ("S3_REGION",)),
    ),
    "Results in Azure Block Blob": (
        Setting("azureblockblob_container_name", STRING, "celery", "Container.", ("AZUREBLOCKBLOB_CONTAINER_NAME",)),
        Setting("azureblockblob_base_path", STRING, "", "Folder within the container.", ("AZUREBLOCKBLOB_BASE_PATH",)),
        Setting(
            "azureblockblob_retry_initial_backoff_sec",
            DURATION,
            2,
            "Seconds before the second try.",
            ("AZUREBLOCKBLOB_RETRY_INITIAL_BACKOFF_SEC",),
        ),
        Setting(
            "azureblockblob_retry_increment_base",
            NUMBER,
            2,
            "Base of the growth of that wait.",
            ("AZUREBLOCKBLOB_RETRY_INCREMENT_BASE",),
        ),
        Setting(
            "azureblockblob_retry_max_attempts", COUNT, 3, "Tries at most.", ("AZUREBLOCKBLOB_RETRY_MAX_ATTEMPTS",)
        ),
        Setting(
            "azureblockblob_connection_timeout",
            DURATION,
            20,
            "Seconds to wait for a connection.",
            ("AZUREBLOCKBLOB_CONNECTION_TIMEOUT",),
        ),
        Setting(
            "azureblockblob_read_timeout",
            DURATION,
            120,
            "Seconds to wait for an answer.",
            ("AZUREBLOCKBLOB_READ_TIMEOUT",),
        ),
    ),
    "Results in Google Cloud Storage": (
        Setting("gcs_bucket", STRING, None, "Bucket.", ("GCS_BUCKET",)),
        Setting("gcs_project", STRING, None, "Project the bucket belongs to.", ("GCS_PROJECT",)),
        Setting("gcs_base_path", STRING, "", "Folder within the bucket.", ("GCS_BASE_PATH",)),
        Setting("gcs_ttl", DURATION, 0, "Seconds after which a result is removed; 0 means never.", ("GCS_TTL",)),
    ),
    "Results in Elasticsearch": (
        Setting(
            "elasticsearch_retry_on_timeout",
            BOOL,
            None,
            "Try again when an answer does not come in time.",
            ("CELERY_ELASTICSEARCH_RETRY_ON_TIMEOUT",),
        ),
        Setting(
            "elasticsearch_max_retries",
            COUNT,
            None,
            "How often it is tried again.",
            ("CELERY_ELASTICSEARCH_MAX_RETRIES",),
        ),
        Setting(
            "elasticsearch_timeout", DURATION, None, "Seconds to wait for an answer.", ("CELERY_ELASTICSEARCH_TIMEOUT",)
        ),
        Setting(
            "elasticsearch_save_meta_as_text",
            BOOL,
            True,
            "Store results as text instead of as native JSON.",
            ("CELERY_ELASTICSEARCH_SAVE_META_AS_TEXT",),
        ),
    ),
    "Results in Couchbase": (
        Setting(
            "couchbase_backend_settings",
            MAPPING,
            None,
            "Host, bucket and credentials.",
            ("CELERY_COUCHBASE_BACKEND_SETTINGS",),
        ),
    ),
    "Results in ArangoDB": (
        Setting(
            "arangodb_backend_settings",
            MAPPING,
            None,
            "Host, database, collection and credentials.",
            ("CELERY_ARANGODB_BACKEND_SETTINGS",),
        ),
    ),
    "Results in Cosmos DB": (
        Setting("cosmosdbsql_database_name", STRING, "celerydb", "Database.", ("COSMOSDBSQL_DATABASE_NAME",)),
        Setting("cosmosdbsql_collection_name", STRING, "celerycol", "Collection.", ("COSMOSDBSQL_COLLECTION_NAME",)),
        Setting(
            "cosmosdbsql_consistency_level", STRING, "Session", "Consistency level.", ("COSMOSDBSQL_CONSISTENCY_LEVEL",)
        ),
        Setting("cosmosdbsql_max_retry_attempts", COUNT, 9, "Tries at most.", ("COSMOSDBSQL_MAX_RETRY_ATTEMPTS",)),
        Setting(
            "cosmosdbsql_max_retry_wait_time",
            DURATION,
            30,
            "Seconds to wait between tries at most.",
            ("COSMOSDBSQL_MAX_RETRY_WAIT_TIME",),
        ),
    ),
}
