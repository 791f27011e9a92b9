"""Station 2: where a call goes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tq_core.config.routes import Route as RouteSetting
from tq_core.config.routes import RouteRule, route_rules
from tq_core.errors import ImproperlyConfigured, NotSupported, QueueNotFound
from tq_core.routing.placing import laid_over
from tq_core.routing.queues import Queues

if TYPE_CHECKING:
    from tq_core.config.queues import QueueSpec
    from tq_core.task import Task


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one message goes.

    Attributes:
        queue: the queue's name; "" where the broker alone knows which queues its exchange leads to.
        exchange: "" for the default exchange, which routes by queue name.
        routing_key: the routing key.
    """

    queue: str
    exchange: str
    routing_key: str


class Router:
    """Decides by call options, then task attributes, then routes, then the default queue.

    Args:
        settings: the application's settings.
        queues: the application's queues.
        has_exchanges: says whether the broker routes by exchanges of its own, which may lead to queues that are not
            known here. Asked only for an exchange that is not known here.

    Attributes:
        is_constant: no rule exists, so that a task's destination does not depend on its arguments.
    """

    def __init__(self, settings: Any, queues: Queues, has_exchanges: Callable[[], bool] = lambda: False) -> None:
        self._queues = queues
        self._has_exchanges = has_exchanges
        self._default = settings.task_default_queue
        self._rules = tuple(_resolve(rule) for rule in route_rules(settings.task_routes))
        self.is_constant = not self._rules
        self._places: dict[str, list[Destination]] = {}

    def routed(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        task: Task | None,
    ) -> Mapping[str, Any]:
        """Return a call's options with those of its route, which hold where the call's own say nothing or None.

        Raises:
            ImproperlyConfigured: a router answers with something that is no route.
        """
        route = self.options_for(name, args, kwargs, options, task)
        if not route:
            return options
        return laid_over(route, {key: value for key, value in options.items() if value is not None or key not in route})

    def options_for(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        task: Task | None,
    ) -> Mapping[str, Any]:
        """Return the options of the first rule that has something to say about this call, or none.

        Raises:
            ImproperlyConfigured: a router answers with something that is no route.
        """
        for rule in self._rules:
            if isinstance(rule, RouteRule):
                if rule.matches(name):
                    return rule.options
                continue
            answer = rule(name, args, kwargs, dict(options), task=task)
            if answer is None:
                continue
            if isinstance(answer, Mapping):
                return answer
            if isinstance(answer, str) or hasattr(answer, "routing_key"):
                return {"queue": answer}
            raise ImproperlyConfigured(
                f"task_routes: the router {rule!r} answered {answer!r} for {name}; a router returns the name of a "
                "queue, a mapping of options, or None to leave the decision to the next one"
            )
        return {}

    def destinations(self, options: Mapping[str, Any]) -> list[Destination]:
        """Return where a call with these options goes; more than one for topic and fanout exchanges.

        Raises:
            QueueNotFound: the queue is unknown and must not be made, or no queue is bound for the routing key.
        """
        key = options.get("routing_key")
        queue = options.get("queue")
        if queue is not None:
            return self._to_queue(queue if isinstance(queue, str) else self._known(queue), key)
        exchange = options.get("exchange")
        if exchange:
            return self._to_exchange(getattr(exchange, "name", exchange), key)
        if key:
            # The default exchange of AMQP, named by an empty text, knows every queue by its name.
            return self._by_key(key) if exchange is None else [Destination(self._queues[key].name, "", key)]
        return self._to_queue(self._default, None)

    def _known(self, queue: Any) -> str:
        """Return the name of a queue that is given as an object, which is known from then on."""
        name: str = queue.name
        if name not in self._queues and hasattr(queue, "exchange"):
            self._queues.add(queue)
        return name

    def _to_queue(self, name: str, key: str | None) -> list[Destination]:
        if key is None:
            known = self._places.get(name)
            if known is not None:
                return known
        spec = self._queues[name]
        exchange = spec.exchange
        assert exchange is not None
        if (exchange.type or "direct") == "direct":
            # A direct exchange is not needed to reach one queue: the default exchange knows it by name.
            places = [Destination(spec.name, "", spec.name)]
        elif spec.is_broadcast:
            places = [self._to_everybody(spec)]
        elif exchange.type in ("topic", "fanout"):
            places = self._to_exchange(exchange.name, key or spec.routing_key)
        else:
            places = [Destination(spec.name, exchange.name, key or spec.routing_key or "")]
        if key is None and len(places) == 1 and not places[0].exchange:
            self._places[name] = places
        return places

    def _to_everybody(self, spec: QueueSpec) -> Destination:
        """Return the exchange of a queue that each worker has under a name of its own."""
        assert spec.exchange is not None
        if not self._has_exchanges():
            raise NotSupported(
                f"The queue {spec.alias!r} is a kombu Broadcast: each worker has one of its own, which only a broker "
                "with exchanges (RabbitMQ) can find. Name a queue for each worker in task_queues instead, all with one "
                "exchange of type fanout"
            )
        return Destination("", spec.exchange.name, spec.routing_key or "")

    def _to_exchange(self, exchange: str, key: str | None) -> list[Destination]:
        key = self._queues.default_routing_key if key is None else key
        names = self._queues.bound_to(exchange, key)
        if names:
            return [Destination(name, exchange, key) for name in names]
        if self._has_exchanges():
            return [Destination("", exchange, key)]
        raise QueueNotFound(f"No queue in task_queues is bound to exchange {exchange!r} with routing key {key!r}")

    def _by_key(self, key: str) -> list[Destination]:
        """Return where the default queue's exchange leads to with a routing key.

        A direct exchange that knows no such key leads to the default queue, as in Celery.
        """
        exchange = self._queues[self._default].exchange
        assert exchange is not None
        if exchange.type == "direct" and not self._queues.bound_to(exchange.name, key):
            return self._to_queue(self._default, None)
        return self._to_exchange(exchange.name, key)


def _resolve(rule: RouteSetting) -> Any:
    """Return a rule, or the function that a router object or its dotted path stands for."""
    if isinstance(rule, RouteRule):
        return rule
    router: Any = rule
    if isinstance(rule, str):
        module, _, attribute = rule.replace(":", ".").rpartition(".")
        try:
            router = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ImproperlyConfigured(f"task_routes: the router {rule!r} cannot be imported: {error}") from error
    if isinstance(router, type):
        router = router()
    method = getattr(router, "route_for_task", None)
    if method is not None:
        return lambda name, args, kwargs, options, task=None: method(name, args, kwargs)
    return router
