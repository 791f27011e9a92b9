"""No password is ever printed."""

from __future__ import annotations

import pytest

from tq_core.config.masking import mask_settings, mask_url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://:hunter2@h:6379/0", "redis://:**@h:6379/0"),
        ("amqp://me:hunter2@h//", "amqp://me:**@h//"),
        ("amqp://me:p@ss:w/o?rd@h//", "amqp://me:**@h//"),
        ("sentinel://:hunter2@a:1;sentinel://:hunter2@b:2", "sentinel://:**@a:1;sentinel://:**@b:2"),
        ("amqp://u:hunter2@a,amqp://u:hunter2@b", "amqp://u:**@a,amqp://u:**@b"),
        ("mongodb://u:hunter2@a,b,c/db", "mongodb://u:**@a,b,c/db"),
        ("redis://h/0?password=hunter2&db=1", "redis://h/0?password=**&db=1"),
        ("redis://h/0?password=hunt@er2", "redis://h/0?password=**"),
        ("db+postgresql://u:hunter2@h/d", "db+postgresql://u:**@h/d"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
        ("db+sqlite:///results.db", "db+sqlite:///results.db"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("sqlite://u:hunter2@h/x.db", "sqlite://u:**@h/x.db"),
        ("u:hunter2@h", "u:**@h"),
        ("redis//u:hunter2@h/0", "redis//u:**@h/0"),
        ("redis:/u:hunter2@h/0", "redis:**@h/0"),
        ("my.broker.Class?password=hunter2", "my.broker.Class?password=**"),
        ("my.broker:Class", "my.broker:Class"),
        ("someone@example.org", "someone@example.org"),
        ("30 4 * * mon-fri", "30 4 * * mon-fri"),
        ("rpc", "rpc"),
    ],
)
def test_passwords_in_urls_are_hidden(url, masked):
    assert mask_url(url) == masked


def test_secrets_are_hidden_however_deep_they_are():
    masked = mask_settings(
        {
            "broker_transport_options": {"sentinel_kwargs": {"password": "hunter2"}, "pin": [{"token": 5}]},
            "broker_url": ["redis://:hunter2@h"],
            "CELERY_REDIS_PASSWORD": "hunter2",
            "security_key_password": b"hunter2",
            "task_default_routing_key": "celery",
        }
    )
    assert "hunter2" not in str(masked)
    assert masked["broker_transport_options"]["pin"] == [{"token": "********"}]
    assert masked["task_default_routing_key"] == "celery"


def test_masking_never_raises():
    endless: dict[str, object] = {}
    endless["again"] = endless

    class Odd(dict):
        def items(self):
            raise RuntimeError

    assert "again" in mask_settings({"x": endless})["x"]
    assert mask_settings({"y": Odd()}) == {"y": "********"}
