"""Record with a real Celery what its canvases look like: ``python record_golden.py`` in an environment that has celery.

Writes ``golden/shapes.json`` (each canvas as JSON) and ``golden/messages.json`` (what is sent for it).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import celery
from celery import Celery, chain, chord, chunks, group, signature, xmap, xstarmap
from celery.signals import before_task_publish

sys.path.insert(0, str(Path(__file__).parent))
from canvases import CALLS, CANVASES
from normal import normal_messages, normal_shape

app = Celery("proj", broker="memory://", backend="cache+memory://", set_as_current=True)


def add(x, y, z=0):
    return x + y + z


def mul(x, y, z=1):
    return x * y * z


def tsum(xs):
    return sum(xs)


def boom(*args):
    return 1 / 0


def main() -> None:
    tasks = SimpleNamespace(
        add=app.task(add, name="proj.add", typing=False),
        mul=app.task(mul, name="proj.mul", typing=False),
        tsum=app.task(tsum, name="proj.tsum", typing=False),
        boom=app.task(boom, name="proj.boom", typing=False),
    )
    canvas = SimpleNamespace(
        chain=chain, group=group, chord=chord, chunks=chunks, signature=signature, xmap=xmap, xstarmap=xstarmap
    )
    sent = []

    @before_task_publish.connect(weak=False)
    def note(sender=None, body=None, headers=None, routing_key=None, **kwargs):
        sent.append({"task": headers["task"], "headers": dict(headers), "body": body, "queue": routing_key})

    shapes, messages = {}, {}
    calls = {name: (name, (), {}) for name in CANVASES} | CALLS
    for name, build in CANVASES.items():
        shapes[name] = normal_shape(json.loads(json.dumps(build(canvas, tasks))))
    for name, (which, args, options) in calls.items():
        del sent[:]
        try:
            result = CANVASES[which](canvas, tasks).apply_async(args, **options)
            tree = result.as_tuple() if hasattr(result, "as_tuple") else None
        except Exception as error:
            messages[name] = {"error": repr(error)}
            continue
        messages[name] = normal_messages(json.loads(json.dumps(sent)), json.loads(json.dumps(tree)))
    golden = Path(__file__).parent / "golden"
    for file, data in (("shapes", shapes), ("messages", messages)):
        text = json.dumps({"celery": celery.__version__, file: data}, indent=1, sort_keys=True)
        (golden / f"{file}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
