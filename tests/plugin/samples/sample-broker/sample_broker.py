"""A broker of its own: each message is a file, and moving the file takes the message.

``shelf:///directory`` names the directory. It holds ``queues/<queue>/``, ``held/<consumer>/<queue>/``, ``buried/``
and ``new/``, where files are written before they are moved. A file's name is ``<order>-<deliveries>``: the order is
the nanosecond from which the message may be taken.
"""

from pathlib import Path

from tq_core.contracts.broker import BrokerCapabilities
from tq_core.plugin import PluginInfo, hookimpl

CAPABILITIES = BrokerCapabilities(due_time=True, delivery_count=True)

info = PluginInfo(
    name="sample-broker",
    summary="Keeps messages on a shelf.",
    capabilities={"broker": CAPABILITIES},
    settings_schema=Path(__file__).with_suffix(".json"),
)


@hookimpl
def tq_broker(request):
    import base64
    import contextlib
    import json
    import os
    import threading
    import time
    from collections import deque
    from dataclasses import asdict
    from itertools import count
    from urllib.parse import quote, unquote, urlsplit

    from tq_core.contracts.broker import Ack, Broker, Bury, Consumer, Park, Requeue, Succession
    from tq_core.errors import BrokerUnavailable, PublishError
    from tq_core.message import Delivery, Message

    serials = count()
    pause = 0.02  # seconds between two looks at a directory

    def move(file, directory, order, deliveries):
        """Move a file; None when somebody else has taken it."""
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / f"{order}-{deliveries}"
        try:
            return file.rename(target)
        except FileNotFoundError:
            return None

    def read(file):
        fields = json.loads(file.read_bytes())
        return Message(**{**fields, "body": base64.b64decode(fields["body"])})

    class ShelfBroker(Broker):
        capabilities = CAPABILITIES

        def __init__(self):
            parts = urlsplit(request.url)
            self.root = Path(unquote(parts.netloc + parts.path))
            self.height = request.settings.get("shelf_height") or 3
            self._opened = []

        def connect(self, timeout):
            try:
                (self.root / "new").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BrokerUnavailable(f"The shelf {self.root} cannot be used: {error.strerror}") from error

        def queue(self, name):
            return self.root / "queues" / quote(name, safe="")

        def publish(self, messages):
            unsent = [message.id for message in messages]
            try:
                (self.root / "new").mkdir(parents=True, exist_ok=True)
                for message in messages:
                    fields = {**asdict(message), "body": base64.b64encode(message.body).decode()}
                    file = self.root / "new" / f"{os.getpid()}-{next(serials)}"
                    file.write_text(json.dumps(fields))
                    due = time.time_ns() if message.due is None else int(message.due * 1e9)
                    # A serial number keeps apart what is due in the same nanosecond.
                    order = f"{due:020d}.{os.getpid():010d}.{next(serials):010d}"
                    move(file, self.queue(message.queue), order, 0)
                    unsent.remove(message.id)
            except (OSError, TypeError) as error:
                raise PublishError(f"The shelf {self.root} did not take a message: {error}", unsent=unsent) from error

        def consumer(self, queues, *, consumer_id, prefetch=0):
            consumer = ShelfConsumer(self, queues, consumer_id)
            self._opened.append(consumer)
            return consumer

        def succeed(self, consumer_id):
            return ShelfSuccession(self, consumer_id)

        def close(self):
            for consumer in self._opened:
                consumer.close()

    class Holder:
        """What one consumer holds. A tag is the path of the file."""

        def __init__(self, broker, consumer_id):
            self._broker = broker
            self._directory = broker.root / "held" / quote(consumer_id, safe="")
            self._begun = set()

        def _delivery(self, file):
            queue, deliveries = unquote(file.parent.name), int(file.name.rpartition("-")[2])
            try:
                message, defect, raw = read(file), None, b""
            except (KeyError, TypeError, ValueError) as error:
                message, defect, raw = None, f"This is no message: {error}", file.read_bytes()
            return Delivery(file, queue, message, defect, raw, deliveries, deliveries > 1)

        def settle(self, settlements, follow_ups=()):
            self._broker.publish(follow_ups)
            return [ending.tag for ending in settlements if not self._end(ending)]

        def _end(self, ending):
            file = ending.tag
            if file in self._begun:
                self._begun.discard(file)
                return True
            if isinstance(ending, Ack):
                try:
                    file.unlink()
                except FileNotFoundError:
                    return False
                return True
            order, _, deliveries = file.name.rpartition("-")
            if isinstance(ending, Bury):
                return move(file, self._broker.root / "buried", order, deliveries) is not None
            if isinstance(ending, Park):
                order = f"{int(ending.until * 1e9):020d}.{order.partition('.')[2]}"
            uncounted = isinstance(ending, Park) or ending.uncounted
            queue = self._broker.root / "queues" / file.parent.name
            return move(file, queue, order, int(deliveries) - uncounted) is not None

        def _give_back(self, *, uncounted):
            for file in list(self._directory.glob("*/*")):
                self._end(Requeue(file, uncounted))

    class ShelfConsumer(Holder, Consumer):
        def __init__(self, broker, queues, consumer_id):
            super().__init__(broker, consumer_id)
            self._queues = deque(queues)
            self._woken = threading.Event()

        def receive(self, limit, timeout):
            deadline = time.monotonic() + timeout
            while not (taken := self._take(min(limit, self._broker.height))):
                left = deadline - time.monotonic()
                if left <= 0 or self._woken.wait(min(pause, left)):
                    break
            self._woken.clear()
            self._queues.rotate(-1)
            return taken

        def _take(self, limit):
            now = f"{time.time_ns():020d}"
            taken = []
            for queue in self._queues:
                with contextlib.suppress(FileNotFoundError):
                    for file in sorted(self._broker.queue(queue).iterdir()):
                        if len(taken) == limit or file.name > now:
                            break
                        order, _, deliveries = file.name.rpartition("-")
                        held = move(file, self._directory / file.parent.name, order, int(deliveries) + 1)
                        if held is not None:
                            taken.append(self._delivery(held))
            return taken

        def begin(self, tags):
            for file in tags:
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
                    self._begun.add(file)

        def renew(self):
            """Do nothing: a hold has no end, but for the succession."""

        def wake(self):
            self._woken.set()

        def set_queues(self, queues):
            self._queues = deque(queues)

        def close(self):
            self._give_back(uncounted=True)

    class ShelfSuccession(Holder, Succession):
        def held(self):
            return [self._delivery(file) for file in sorted(self._directory.glob("*/*"))]

        def close(self):
            self._give_back(uncounted=False)

    return ShelfBroker()
