"""The application: tasks, settings and connections under one name."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from tq_core import current, signals, timeutil
from tq_core.config.settings import Settings
from tq_core.configurator import Configurator
from tq_core.discovery import import_named, import_related
from tq_core.producer import Producer
from tq_core.registry import TaskRegistry
from tq_core.result_stores import backend_of
from tq_core.sender import Sender
from tq_core.task import Task as BaseTask
from tq_core.task_decorator import task_decorator
from tq_core.task_factory import TaskFactory, TaskType

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from tq_core.connections import Connections
    from tq_core.contracts.backend import Backend
    from tq_core.contracts.broker import Broker
    from tq_core.control.client import Control
    from tq_core.message import Message
    from tq_core.plugin.manager import PluginManager
    from tq_core.protocol.task import TaskMessage
    from tq_core.request import Request
    from tq_core.results.arrivals import ResultWatcher
    from tq_core.results.async_result import AsyncResult as Result
    from tq_core.results.eager import EagerResult
    from tq_core.results.group_result import GroupResult as GroupOfResults
    from tq_core.results.group_result import ResultSet as SetOfResults
    from tq_core.routing.amqp import AMQP
    from tq_core.routing.queues import Queues
    from tq_core.routing.router import Router
    from tq_core.serializers.registry import SerializerRegistry

logger = logging.getLogger(__name__)


class Celery:
    """An application.

    Safe to use from any thread; several may live in one process and share nothing. Connections are opened when they
    are first needed, and anew after a fork.

    Args:
        main: name of the main module, used for tasks defined in ``__main__``.
        broker: broker URL; over the configuration files, under ``app.conf``.
        backend: result backend URL or name.
        include: modules a worker imports.
        config_source: object, mapping, or name of a module or file with settings.
        set_as_current: make this the thread's current application.
        task_cls: base class of tasks, or its dotted path.
        changes: settings.
        namespace: prefix of the setting names in ``config_source``.
        strict_typing: check arguments when a task is called.
        autofinalize, fixups, loader, log, control, events, amqp, tasks: accepted for compatibility.
        **settings: further settings by name.

    Attributes:
        main: the name given.
        conf: the settings.
        tasks: the tasks by name.
    """

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Sequence[str] | None = None,
        config_source: Any = None,
        set_as_current: bool = True,
        task_cls: type[BaseTask] | str | None = None,
        changes: Mapping[str, Any] | None = None,
        namespace: str | None = None,
        strict_typing: bool = True,
        autofinalize: bool = True,
        **settings: Any,
    ) -> None:
        self.main = main
        self.conf = Settings()
        self.strict_typing = strict_typing
        self._task_class = task_cls
        self._lock = threading.RLock()
        self._finalized = False
        self._deferred: list[Callable[[], None]] = []
        self._watchers: dict[Backend, ResultWatcher] = {}
        self._registry = TaskRegistry()
        self._factory = TaskFactory(self, self._registry)
        #: Sends calls; what is sent by :class:`~tq_core.task.Task` and the canvas goes through it.
        self.sender = Sender(self)
        given = {**(changes or {}), **{k: v for k, v in settings.items() if k not in _IGNORED}}
        if broker is not None:
            given["broker_url"] = broker
        if backend is not None:
            given["result_backend"] = backend
        if include:
            given["include"] = tuple(include)
        if config_source is not None:
            self.config_from_object(config_source, namespace=namespace)
        else:
            self._configurator.take_surroundings()
        if given:
            self.conf.layer(given, origin="arguments of Celery()")
        if set_as_current:
            current.set_current_app(self)
        current.add_app(self)

    # configuration

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from an object, a mapping, or the name of a module (``module`` or ``module:attribute``).

        Args:
            obj: the source.
            silent: a module that cannot be imported is no error.
            force: accepted for compatibility; sources are read at once.
            namespace: only names with this prefix, without it (``CELERY`` → ``CELERY_TASK_SERIALIZER``).

        Raises:
            ImportError: the module cannot be found.
            ImproperlyConfigured: a value cannot be used.
        """
        try:
            self._configurator.take_object(obj, namespace)
        except ImportError:
            if not silent:
                raise

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> bool:
        """Take settings from the module or file that an environment variable names; False when it is not set."""
        if silent and not os.environ.get(variable_name):
            return False
        self._configurator.take_variable(variable_name)
        return True

    def config_from_file(self, name: str | None = None) -> str | None:
        """Take settings from a YAML or Python file or module, and from the environment.

        Args:
            name: path or module; by default what ``CELERY_CONFIG_MODULE`` names, else ``celeryconfig.yaml`` or
                ``celeryconfig.py`` in the working directory, if there is one.

        Returns:
            what was read, or None.

        Raises:
            ConfigurationInvalid: lists every mistake with file, line and column.
            ImproperlyConfigured: there is no such file or module, or its code raised.
        """
        return self._configurator.take_file(name)

    def add_defaults(self, fun: Any) -> None:
        """Take settings from a mapping, or from a function that returns one."""
        self.conf.update(fun() if callable(fun) else fun)
        self._settings_changed()

    def adopt_settings(self, settings: Settings) -> None:
        """Use another application's settings, as a runner in a fresh process does."""
        self.conf = settings
        self._settings_changed()

    def _settings_changed(self) -> None:
        """Forget what was derived from the settings."""
        self.close()
        for name in ("queues", "router", "serializers", "producer", "plugins", "connections", "_configurator"):
            self.__dict__.pop(name, None)

    def _read_places(self) -> None:
        """Read queues and routes again, whose settings have been changed after the first call."""
        self.queues.read()
        self.__dict__.pop("router", None)

    @cached_property
    def _configurator(self) -> Configurator:
        return Configurator(self.conf, lambda: self.plugins, self._settings_changed)

    # tasks

    @task_decorator
    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a task of a function; usable with and without arguments.

        Args:
            function: the body.
            **options: ``name``, ``bind`` (the task itself is the first argument), ``base`` (a task class), ``pydantic``
                (arguments and results are models) and any attribute of :class:`~tq_core.task.Task`.
        """
        if function is None:
            return lambda body: self.task(body, **options)
        with self._lock:
            return self._factory.of_function(function, **options)

    def register_task(self, task: TaskType | type[TaskType], **options: Any) -> TaskType:
        """Add a class-based task, given as an instance or a class."""
        with self._lock:
            return self._factory.of_class(task, **options)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the automatic name of a task: its module's name (``main`` for ``__main__``) and its own."""
        if module == "__main__":
            module = self.main or "__main__"
        return f"{module}.{name}"

    @property
    def finalized(self) -> bool:
        """True once built-in and shared tasks are in place."""
        return self._finalized

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name, built-in ones included."""
        if not self._finalized:
            self.finalize()
        return self._registry

    @cached_property
    def Task(self) -> type[BaseTask]:
        """Base class of this application's tasks; assign another to change it for later tasks."""
        return self._factory.base_class(self._task_class)

    def finalize(self, auto: bool = False) -> None:
        """Add built-in and shared tasks and what ``autodiscover_tasks`` put off. Called when it is first needed."""
        with self._lock:
            if self._finalized:
                return
            self._factory.annotate_all()
            self._finalized = True
            from tq_core.canvas import builtin_tasks

            builtin_tasks.register(self)
            for connect in current.shared_tasks():
                connect(self)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Have workers import ``package.related_name`` of each package that has one.

        Args:
            packages: names, or a function returning them (called when the worker starts).
            related_name: name of the module, None for the package itself.
            force: import now.
        """

        if force:
            import_related(packages, related_name)
        else:
            self._deferred.append(partial(import_related, packages, related_name))

    def import_task_modules(self) -> None:
        """Import what the settings ``imports`` and ``include`` name, and what was to be discovered. For workers."""
        signals.import_modules.send_strictly(self)
        import_named(self.conf.imports)
        import_named(self.conf.include)
        deferred, self._deferred = self._deferred, []
        for discover in deferred:
            discover()

    # connections; what they need is imported when they are opened, not by programs that only define tasks

    @cached_property
    def plugins(self) -> PluginManager:
        """The plugins this application uses."""
        from tq_core.plugin.manager import PluginManager

        return PluginManager(disabled=self.conf.plugins_disabled, prefer=self.conf.plugins_prefer)

    @cached_property
    def serializers(self) -> SerializerRegistry:
        """The serializers by name and content type."""
        from tq_core.serializers.registry import SerializerRegistry

        return SerializerRegistry(self.plugins.open_serializer)

    @cached_property
    def queues(self) -> Queues:
        """The queues by name."""
        from tq_core.routing.queues import SETTINGS, Queues

        self.conf.watch(SETTINGS, self._read_places)
        return Queues(self.conf)

    @cached_property
    def router(self) -> Router:
        """Decides where calls go."""
        from tq_core.routing.router import Router

        return Router(self.conf, self.queues, lambda: self.broker.capabilities.exchanges)

    @property
    def amqp(self) -> AMQP:
        """Queues and router under the names that Celery's programs know."""
        from tq_core.routing.amqp import AMQP

        return AMQP(self.queues, self.router)

    def select_queues(self, queues: Sequence[str] | str | None = None) -> None:
        """Choose the queues that a worker in this process receives from."""
        self.queues.select(queues or ())

    @cached_property
    def producer(self) -> Producer:
        """Encodes and publishes."""
        return Producer(self)

    @cached_property
    def control(self) -> Control:
        """Asks the worker nodes to do something."""
        control: Control = importlib.import_module("tq_core.control.client").Control(self)
        return control

    @cached_property
    def connections(self) -> Connections:
        """Broker and result backend."""
        from tq_core.connections import Connections

        return Connections(self.conf, self.plugins, self.serializers)

    @property
    def timezone(self) -> tzinfo:
        """The zone of schedules and local times, of the settings ``timezone`` and ``enable_utc``."""
        from tq_core.zones import zone_of

        return zone_of(self.conf)

    def now(self) -> datetime:
        """Return the present time, aware, in :attr:`timezone`."""
        return timeutil.now().astimezone(self.timezone)

    @property
    def node(self) -> str:
        """Name of this process for origins and leases."""
        return self.connections.node

    @property
    def broker(self) -> Broker:
        """The broker; opened when first needed, and anew after a fork."""
        return self.connections.broker

    @property
    def backend(self) -> Backend:
        """The result backend; opened when first needed, and anew after a fork."""
        return self.connections.backend

    @property
    def broker_address(self) -> str:
        """The broker's URL without its password."""
        return self.connections.addresses[0]

    @property
    def backend_address(self) -> str:
        """The result backend's URL without its password."""
        return self.connections.addresses[1]

    def result_watcher(self, backend: Backend) -> ResultWatcher:
        """Return what tells coroutines of this process that results are there."""
        watcher = self._watchers.get(backend)
        if watcher is None:
            from tq_core.results.arrivals import ResultWatcher

            # Of two threads that come here at once, both get the same one.
            watcher = self._watchers.setdefault(backend, ResultWatcher(backend))
        return watcher

    def message_reader(self) -> Callable[[Message], TaskMessage]:
        """Return the function that decodes task messages within the limits of the settings."""
        from tq_core.protocol.inspection import Limits, read

        conf = self.conf
        size = conf.message_max_size
        return partial(
            read,
            codecs=self.serializers,
            accept=self.serializers.accept(conf.accept_content),
            limits=Limits(size=size, unfolded=size, depth=conf.message_max_depth),
        )

    def forget_connections(self) -> None:
        """Drop what a parent process opened, without closing it: it is still the parent's."""
        self.__dict__.pop("producer", None)  # it names the parent as the origin of its messages
        self._watchers.clear()
        if "connections" in self.__dict__:
            self.connections.forget()

    def inherit_connections(self) -> None:
        """Go on with the broker and backend of the parent process, which open connections of their own here."""
        self.__dict__.pop("producer", None)  # it names the parent as the origin of its messages
        self._watchers.clear()
        if "connections" in self.__dict__:
            self.connections.inherit()

    def close(self) -> None:
        """Close the connections of this process; using the application again opens new ones.

        What coroutines have handed in is published first. Coroutines that await results get a ``BackendError``.
        """
        if "producer" in self.__dict__:
            self.producer.close()
        while self._watchers:
            self._watchers.popitem()[1].close()
        if "connections" in self.__dict__:
            self.connections.close()

    def __enter__(self) -> Celery:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # calling

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        countdown: float | None = None,
        eta: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        connection: Any = None,
        router: Any = None,
        result_cls: Any = None,
        **options: Any,
    ) -> Result:
        """Send a task by name; this process need not know it. Options as for :meth:`Task.apply_async`."""
        if countdown is not None:
            options["countdown"] = countdown
        if eta is not None:
            options["eta"] = eta
        return self.sender.send_named(name, self.tasks.get(name), args, kwargs, task_id, options)

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> Result:
        """As :meth:`send_task`; the running loop turns while the broker is waited for."""
        return await self.sender.asend_named(name, self.tasks.get(name), args, kwargs, task_id, options)

    def apply_eagerly(self, task: BaseTask, args: Any, kwargs: Any, **options: Any) -> EagerResult:
        """Run a task here and now; see :meth:`Task.apply`."""
        from tq_core.results.eager import apply_eagerly

        return apply_eagerly(self, task, args, kwargs, **options)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """Return a signature bound to this application."""
        from tq_core.canvas.making import signature

        return signature(*args, app=self, **kwargs)

    def mapping(self, kind: str, task: BaseTask, *args: Any) -> Any:
        """Return a signature of one task over many arguments: ``xmap``, ``xstarmap`` or ``chunks``."""
        from tq_core.canvas import mapping

        return getattr(mapping, kind)(task.s(), *args, app=self)

    def AsyncResult(self, task_id: str, **options: Any) -> Result:
        """Return the handle of a result by id."""
        return self.sender.handle(task_id, **options)

    def GroupResult(self, group_id: str | None = None, results: Any = None, **options: Any) -> GroupOfResults:
        """Return the handle of a group's results."""
        from tq_core.results.group_result import GroupResult

        return GroupResult(group_id, results or [], app=self, **options)

    def ResultSet(self, results: Any, **options: Any) -> SetOfResults:
        """Return a handle of some results."""
        from tq_core.results.group_result import ResultSet

        return ResultSet(results, app=self, **options)

    # what tasks and runners ask for

    def store_state(self, task_id: str, state: str, meta: Any, request: Request) -> None:
        """Store a custom state of a running task."""
        from tq_core.contracts.backend import ResultRecord

        record = ResultRecord(
            task_id,
            state,
            meta,
            group_id=request.group,
            parent_id=request.parent_id,
            reply_to=request.reply_to,
        )
        if task_id == request.id:
            with request.announcing:
                request.has_own_state = True
        backend_of(self, request.task).store([record])

    def replace_task(self, task: BaseTask, sig: Any) -> Any:
        """Let a signature take a running task's place; see :meth:`Task.replace`."""
        from tq_core.canvas.replacing import replace_task

        return replace_task(self, task, sig)

    def add_to_chord(self, task: BaseTask, sig: Any, lazy: bool) -> Any:
        """Add a signature to a running task's chord; see :meth:`Task.add_to_chord`."""
        from tq_core.canvas.replacing import add_to_chord

        return add_to_chord(self, task, sig, lazy)

    # programs

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run the command line of a worker in this process: ``app.worker_main(["worker", "-l", "info"])``."""
        main = importlib.import_module("tq_core.cli.main")
        main.run_for_app(self, list(sys.argv[1:] if argv is None else argv))

    start = worker_main

    @property
    def current_task(self) -> BaseTask | None:
        """The task that this thread or coroutine runs, or None."""
        return current.get_current_task()

    def set_current(self) -> None:
        """Make this the thread's current application."""
        current.set_current_app(self)

    def set_default(self) -> None:
        """Make this what threads use that have no application of their own."""
        current.set_default_app(self)

    def __reduce__(self) -> Any:
        return (_rebuild, (self.main, self.conf))

    def __repr__(self) -> str:
        return f"<Celery {self.main or '__main__'} at {id(self):#x}>"


#: Arguments of Celery's constructor that replace its insides; there is nothing to replace here.
_IGNORED = frozenset({"loader", "amqp", "events", "log", "control", "tasks", "fixups", "accept_magic_kwargs"})


def _rebuild(main: str | None, conf: Settings) -> Celery:
    app = Celery(main, set_as_current=False)
    app.adopt_settings(conf)
    return app
