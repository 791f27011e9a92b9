"""The names of every key of the broker; the prefix of the deployment stands before each.

The first group is kombu's (its virtual transport for Redis); a name that begins with ``tq:`` is ours.
"""

from __future__ import annotations

from tq_redis.options import TransportOptions


class Keys:
    """Key names of one deployment.

    Attributes:
        prefix: ``global_keyprefix``.
        steps: the priority steps, the most urgent first.
        unacked: hash of what is held: delivery tag → JSON of envelope, exchange and routing key.
        unacked_index: sorted set: delivery tag by the time it was taken, Unix seconds.
        unacked_mutex: lock of the one who gives back what a dead Celery worker held.
        paused: set of the names of paused queues.
        queues: set of the names of queues that tq has seen.
        dead: sorted set: number of a dead letter by the time it was buried, Unix seconds.
        dead_letters: hash: number of a dead letter → the letter.

    The scripts name the keys that only they use, in ``scripts/common.lua``: ``tq:fence`` counter of fencing tokens ·
    ``tq:consumers`` sorted set, fencing token by the time its lease ends · ``tq:names`` hash, token → consumer ·
    ``tq:held:<fence>`` hash, what a consumer holds · ``tq:attempts`` hash, delivery tag → how often it was handed out
    before · ``tq:due:<queue>`` sorted set, step and delivery tag by due time · ``tq:orphans:<queue>`` list of begun
    messages whose consumers died · ``tq:served`` sorted set, queue by the last sign of life of a consumer ·
    ``tq:swept`` when somebody last looked for dead consumers · ``tq:dead:number`` counter of dead letters.
    """

    def __init__(self, options: TransportOptions) -> None:
        prefix = self.prefix = options.connection.global_keyprefix
        self._sep = options.sep
        self.steps = options.priority_steps
        self.unacked = prefix + options.unacked_key
        self.unacked_index = prefix + options.unacked_index_key
        self.unacked_mutex = prefix + options.unacked_mutex_key
        self.paused = prefix + "tq:paused"
        self.queues = prefix + "tq:queues"
        self.dead = prefix + "tq:dead"
        self.dead_letters = prefix + "tq:dead:letters"

    def list_of(self, queue: str, priority: int | None = None) -> str:
        """Return the list that messages of this priority go to: the largest step that is not above it."""
        wanted = 0 if priority is None else min(max(priority, 0), 9)
        step = max(step for step in self.steps if step <= wanted)
        return f"{self.prefix}{queue}{self._sep}{step}" if step else self.prefix + queue

    def lists_of(self, queue: str) -> list[str]:
        """Return all lists of a queue, the most urgent first."""
        return [self.list_of(queue, step) for step in self.steps]

    def held(self, fence: int | str) -> str:
        """Hash of what a consumer holds: delivery tag → state and list."""
        return f"{self.prefix}tq:held:{fence}"

    def wake(self, queue: str) -> str:
        """Channel that wakes the consumers of a queue."""
        return f"{self.prefix}tq:wake:{queue}"

    def binding(self, exchange: str) -> str:
        """Set of an exchange's bindings."""
        return f"{self.prefix}_kombu.binding.{exchange}"

    def lasting_binding(self, exchange: str) -> str:
        """Set of an exchange's bindings that Celery 5.7 does not sweep away."""
        return f"{self.prefix}_kombu.binding_permanent.{exchange}"
