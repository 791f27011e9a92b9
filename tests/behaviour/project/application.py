"""The application; where its messages and results are, the environment says."""

import json
import os

from project import MODULES
from tq_core import Celery

app = Celery("project", set_as_current=False, include=MODULES, changes=json.loads(os.environ["BEHAVIOUR_SETTINGS"]))
app.conf.accept_content = ["json", "pickle", "yaml", "msgpack"]
app.conf.result_accept_content = ["json", "pickle", "yaml", "msgpack"]
