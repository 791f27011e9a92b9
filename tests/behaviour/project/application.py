"""The application; where its messages and results are, the environment says."""

import codecs
import json
import os

from kombu.serialization import registry

from project import MODULES
from tq_core import Celery

app = Celery("project", set_as_current=False, include=MODULES, changes=json.loads(os.environ["BEHAVIOUR_SETTINGS"]))
app.conf.accept_content = ["json", "pickle", "yaml", "msgpack", "rot13json"]
app.conf.result_accept_content = ["json", "pickle", "yaml", "msgpack"]


def turned(text):
    return codecs.encode(text, "rot13")


def read_turned(data):
    return json.loads(turned(data.decode() if isinstance(data, bytes) else data))


registry.register(
    "rot13json",
    lambda value: turned(json.dumps(value)),
    read_turned,
    content_type="application/x-rot13",
    content_encoding="utf-8",
)
