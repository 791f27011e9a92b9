"""The demonstration's application; its broker and result backend are given on the worker's command line."""

from __future__ import annotations

from tq_core.app import Celery

app = Celery("tq_core.demo", include=["tq_core.demo.tasks"], set_as_current=False)
