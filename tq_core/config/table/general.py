"""Settings of the application as a whole: content, time, security, plugins."""

from __future__ import annotations

from tq_core.config.kinds import (
    ANY,
    BOOL,
    CONTENT,
    DURATION,
    MAPPING,
    NAMES,
    PATH,
    PORT,
    POSITIVE,
    SIZE,
    STRING,
    TIMEZONE,
    choice,
)
from tq_core.config.setting import Setting

# A table is read by its rows, so it is not wrapped by the formatter.
# fmt: off

#: Settings by the heading they stand under.
ROWS: dict[str, tuple[Setting, ...]] = {
    "General": (
        Setting("accept_content", CONTENT, ("json",),
                "Serializers and content types a worker or client accepts; everything else is refused.",
                ("CELERY_ACCEPT_CONTENT",)),
        Setting("result_accept_content", CONTENT, None,
                "Serializers and content types accepted in results; unset means those of accept_content.",
                ("RESULT_ACCEPT_CONTENT",)),
        Setting("interop", choice("celery-5.3", "celery-5.4", "celery-5.5", "celery-5.6", "celery-5.7", "none"),
                "celery-5.6",
                "The oldest Celery generation that must be able to read what tq writes; `none` when no Celery has to, "
                "so that work-flows are stored in the result back end once, instead of in each of their messages."),
        Setting("message_max_size", SIZE, 64 * 1024 * 1024,
                "The largest message body that is read or sent, in bytes."),
        Setting("message_max_depth", POSITIVE, 100, "How deeply the arguments of a message may be nested."),
    ),
    "Time": (
        Setting("enable_utc", BOOL, True,
                "Write dates in messages in UTC.", ("ENABLE_UTC", "CELERY_ENABLE_UTC")),
        Setting("timezone", TIMEZONE, None,
                "Time zone of schedules and of local times; unset means UTC, or the machine's zone when "
                "enable_utc is off.", ("CELERY_TIMEZONE",)),
    ),
    "Plugins": (
        Setting("plugins_disabled", NAMES, (),
                "Distributions or entries (such as `brokers.redis`) that are not to be used although "
                "they are installed."),
        Setting("plugins_prefer", MAPPING, {},
                "Which distribution serves an entry that several offer, such as `brokers.redis: tq-redis`."),
        Setting("override_backends", MAPPING, None,
                "Result back ends by alias, as dotted paths, that replace the installed ones."),
    ),
    "Security": (
        Setting("security_key", PATH, None,
                "Path of the private key that signs messages when the serializer is `auth`.",
                ("CELERY_SECURITY_KEY",)),
        Setting("security_key_password", STRING, None,
                "Password of the private key.", ("CELERY_SECURITY_KEY_PASSWORD",), secret=True),
        Setting("security_certificate", PATH, None,
                "Path of the certificate that belongs to the private key.", ("CELERY_SECURITY_CERTIFICATE",)),
        Setting("security_cert_store", STRING, None,
                "Glob of the certificates whose signatures are trusted.", ("CELERY_SECURITY_CERT_STORE",)),
        Setting("security_digest", STRING, "sha256",
                "Digest used to sign messages.", ("CELERY_SECURITY_DIGEST",)),
    ),
    "Error mails": (
        Setting("task_send_error_emails", BOOL, False,
                "Send a mail to the admins when a task fails, unless the task says otherwise.",
                ("CELERY_SEND_TASK_ERROR_EMAILS",), reloadable=True),
        Setting("admins", ANY, (),
                "Pairs of name and address that receive error mails.", ("ADMINS",), reloadable=True),
        Setting("server_email", STRING, "celery@localhost",
                "Sender of error mails.", ("SERVER_EMAIL",), reloadable=True),
        Setting("email_host", STRING, "localhost",
                "Mail server for error mails.", ("EMAIL_HOST",), reloadable=True),
        Setting("email_port", PORT, 25, "Port of the mail server.", ("EMAIL_PORT",), reloadable=True),
        Setting("email_host_user", STRING, None,
                "User name at the mail server.", ("EMAIL_HOST_USER",), reloadable=True),
        Setting("email_host_password", STRING, None,
                "Password at the mail server.", ("EMAIL_HOST_PASSWORD",), secret=True, reloadable=True),
        Setting("email_timeout", DURATION, 2,
                "Seconds to wait for the mail server.", ("EMAIL_TIMEOUT",), reloadable=True),
        Setting("email_use_ssl", BOOL, False,
                "Speak TLS with the mail server from the first byte.", ("EMAIL_USE_SSL",), reloadable=True),
        Setting("email_use_tls", BOOL, False,
                "Upgrade the connection to the mail server with STARTTLS.",
                ("EMAIL_USE_TLS",), reloadable=True),
    ),
}
