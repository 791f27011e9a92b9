"""The demonstration's application; its broker and result backend are given on the worker's command line."""

from __future__ import annotations

from tq_core.app import Celery

# A configuration in the working directory is somebody's own, and not the demonstration's.
app = Celery("tq_core.demo", config_source={}, include=["tq_core.demo.tasks"], set_as_current=False)
