"""The application: tasks, settings and connections under one name."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, overload

from tq_core import current, signals
from tq_core.annotations import annotate
from tq_core.config.settings import Level, Settings
from tq_core.errors import ImproperlyConfigured
from tq_core.producer import Producer, enclosing_run
from tq_core.registry import TaskRegistry
from tq_core.task import Task as BaseTask

if TYPE_CHECKING:
    from tq_core.config.source import Source
    from tq_core.contracts.backend import Backend
    from tq_core.contracts.broker import Broker
    from tq_core.message import Message
    from tq_core.plugin.manager import PluginManager
    from tq_core.protocol.task import TaskMessage
    from tq_core.request import Request
    from tq_core.results.async_result import AsyncResult
    from tq_core.routing.queues import Queues
    from tq_core.routing.router import Router
    from tq_core.serializers.registry import SerializerRegistry

logger = logging.getLogger(__name__)

#: Every living application, for ``shared_task``.
_applications: weakref.WeakSet[Celery] = weakref.WeakSet()


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
        self._registry = TaskRegistry()
        self._pid = os.getpid()
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
            self._configure_from_surroundings()
        if given:
            self.conf.layer(given, origin="arguments of Celery()")
        if set_as_current:
            current.set_current_app(self)
        _applications.add(self)

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
        from tq_core.config.loading import read

        try:
            source = read(obj, namespace=namespace or "")
        except ImportError:
            # ``config_from_object("celeryconfig")`` of a site that writes its configuration in YAML.
            file = next((f"{obj}{ending}" for ending in (".yaml", ".yml") if os.path.isfile(f"{obj}{ending}")), None)
            if file is not None:
                self.config_from_file(file)
                return
            if silent:
                return
            raise
        self._adopt([(Level.FILE, source)])

    def _configure_from_surroundings(self) -> None:
        """Take the settings that need not be named: ``CELERY_CONFIG_MODULE``, ``celeryconfig.yaml``, the environment.

        A ``celeryconfig.py`` is not among them: Celery's applications read it only when the program says so.
        """
        from tq_core.config.environment import CONFIG_VARIABLE, read_environment

        named = os.environ.get(CONFIG_VARIABLE)
        found = named or next((name for name in _YAML_FILES if os.path.isfile(name)), None)
        if found is not None:
            self.config_from_file(found)
            return
        source = read_environment(os.environ, {})
        if source.entries:
            self._adopt([(Level.ENVIRONMENT, source)])

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> bool:
        """Take settings from the module or file that an environment variable names; False when it is not set."""
        name = os.environ.get(variable_name)
        if not name:
            if silent:
                return False
            raise ImproperlyConfigured(
                f"The environment variable {variable_name!r} is not set; it should name the settings"
            )
        self.config_from_file(name)
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
        """
        from tq_core.config.environment import read_environment
        from tq_core.config.loading import discover, read

        found = name if name is not None else discover(os.environ)
        sources = [] if found is None else [(Level.FILE, read(found))]
        self._choose_plugins([*sources, (Level.ENVIRONMENT, read_environment(os.environ))])
        schema = self.plugins.settings_schema()
        self.conf.declare(schema)
        self._adopt([*sources, (Level.ENVIRONMENT, read_environment(os.environ, schema))], schema)
        return found

    def _choose_plugins(self, sources: Iterable[tuple[Level, Source]]) -> None:
        """Take the settings that say which plugins may be imported, before any is asked for its settings."""
        from tq_core.config.validation import examine

        for level, source in sources:
            entries = tuple(entry for entry in source.entries if entry.name.lower() in _PLUGIN_CHOICE)
            # What is wrong with them is said when everything is examined.
            values, origins, _ = examine(replace(source, entries=entries))
            self.conf.adopt_layer(values, origins, level)
        self._settings_changed()

    def _adopt(self, sources: Iterable[tuple[Level, Any]], schema: Mapping[str, Any] | None = None) -> None:
        """Take the settings of some sources, or raise with every mistake in any of them."""
        from tq_core.config.mistake import ConfigurationInvalid
        from tq_core.config.validation import examine

        examined = [(level, *examine(source, schema)) for level, source in sources]
        mistakes = [mistake for _, _, _, wrong in examined for mistake in wrong]
        if mistakes:
            raise ConfigurationInvalid(mistakes)
        for level, values, origins, _ in examined:
            self.conf.adopt_layer(values, origins, level)
        self._settings_changed()

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
        for name in ("queues", "router", "serializers", "producer", "plugins", "_urls"):
            self.__dict__.pop(name, None)

    # tasks

    @overload
    def task(self, function: Callable[..., Any], /, **options: Any) -> BaseTask: ...

    @overload
    def task(self, function: None = None, /, **options: Any) -> Callable[[Callable[..., Any]], BaseTask]: ...

    def task(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Make a task of a function; usable with and without arguments.

        Args:
            function: the body.
            **options: ``name``, ``bind`` (the task itself is the first argument), ``base`` (a task class), ``shared``
                and
                any attribute of :class:`~tq_core.task.Task`.
        """
        if function is not None:
            return self._task_from_function(function, **options)
        return lambda body: self._task_from_function(body, **options)

    def _task_from_function(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        base: type[BaseTask] | None = None,
        bind: bool = False,
        lazy: bool = True,
        shared: bool = True,
        filter: Callable[..., Any] | None = None,
        pydantic: bool = False,
        **options: Any,
    ) -> BaseTask:
        name = name or self.gen_task_name(function.__name__, function.__module__)
        with self._lock:
            existing = self._registry.get(name)
            if existing is not None:
                return existing
            task = (base or self.Task)()
            body = filter(function) if filter is not None else function
            task.app = self
            task.name = name
            task.abstract = False
            task.run = body.__get__(task, type(task)) if bind else body  # type: ignore[method-assign]
            task.takes_self = bind
            task.__doc__ = function.__doc__
            task.__module__ = function.__module__
            task.__name__ = function.__name__  # type: ignore[attr-defined]  # tasks look like their functions
            task.__qualname__ = getattr(function, "__qualname__", function.__name__)  # type: ignore[attr-defined]
            for option, value in options.items():
                setattr(task, option, value)
            self._add(task)
            return task

    def register_task(self, task: Any, **options: Any) -> BaseTask:
        """Add a class-based task, given as an instance or a class."""
        made: Any = task() if isinstance(task, type) else task
        instance: BaseTask = made
        instance.app = self
        if not instance.name:
            instance.name = self.gen_task_name(type(instance).__name__, type(instance).__module__)
        for option, value in options.items():
            setattr(instance, option, value)
        with self._lock:
            self._add(instance)
        return instance

    def _add(self, task: BaseTask) -> None:
        if self._finalized:
            annotate(task, self.conf.task_annotations)
        self._registry.register(task)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the automatic name of a task: its module's name (``main`` for ``__main__``) and its own."""
        if module == "__main__":
            module = self.main or "__main__"
        return f"{module}.{name}"

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name, built-in ones included."""
        if not self._finalized:
            self.finalize()
        return self._registry

    @cached_property
    def Task(self) -> type[BaseTask]:
        """Base class of this application's tasks; assign another to change it for later tasks."""
        base: Any = self._task_class or BaseTask
        if isinstance(base, str):
            module, _, attribute = base.replace(":", ".").rpartition(".")
            base = getattr(importlib.import_module(module), attribute)
        return type(base.__name__, (base,), {"app": self, "__module__": base.__module__, "abstract": True})

    def finalize(self, auto: bool = False) -> None:
        """Add built-in and shared tasks and what ``autodiscover_tasks`` put off. Called when it is first needed."""
        with self._lock:
            if self._finalized:
                return
            for task in self._registry.values():
                annotate(task, self.conf.task_annotations)
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

        def discover() -> None:
            names = packages() if callable(packages) else packages
            for package in names or ():
                _import_related(package, related_name)

        if force:
            discover()
        else:
            self._deferred.append(discover)

    def import_task_modules(self) -> None:
        """Import what the settings ``imports`` and ``include`` name, and what was to be discovered. For workers."""
        for module in (*_names(self.conf.imports), *_names(self.conf.include)):
            importlib.import_module(module)
        deferred, self._deferred = self._deferred, []
        for discover in deferred:
            discover()
        signals.import_modules.send(self)

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
        from tq_core.routing.queues import Queues

        return Queues(self.conf)

    @cached_property
    def router(self) -> Router:
        """Decides where calls go."""
        from tq_core.routing.router import Router

        return Router(self.conf, self.queues)

    @cached_property
    def producer(self) -> Producer:
        """Encodes and publishes."""
        return Producer(self)

    @cached_property
    def node(self) -> str:
        """Name of this process for origins and leases."""
        import socket

        return f"gen{os.getpid()}@{socket.gethostname()}"

    @property
    def broker(self) -> Broker:
        """The broker; opened when first needed, and anew after a fork."""
        if self._pid != os.getpid():
            self.forget_connections()
        return self._broker

    @cached_property
    def _broker(self) -> Broker:
        url, _ = self._urls
        return self.plugins.open_broker(url, settings=self.conf.with_defaults(), node=self.node)

    @property
    def backend(self) -> Backend:
        """The result backend; opened when first needed, and anew after a fork."""
        if self._pid != os.getpid():
            self.forget_connections()
        return self._backend

    @cached_property
    def _backend(self) -> Backend:
        conf = self.conf
        _, url = self._urls
        accepted = conf.result_accept_content
        return self.plugins.open_backend(
            url,
            settings=conf.with_defaults(),
            serializer=self.serializers.get(conf.result_serializer),
            accept=self.serializers.accept(conf.accept_content if accepted is None else accepted),
            node=self.node,
        )

    @cached_property
    def _urls(self) -> tuple[str, str]:
        from tq_core.defaults import default_urls

        return default_urls(self.conf)

    @property
    def broker_address(self) -> str:
        """The broker's URL without its password."""
        from tq_core.config.masking import mask_url

        return mask_url(self._urls[0])

    @property
    def backend_address(self) -> str:
        """The result backend's URL without its password."""
        from tq_core.config.masking import mask_url

        return mask_url(self._urls[1])

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
        with self._lock:
            self._pid = os.getpid()
            for name in ("_broker", "_backend", "node", "producer"):
                inherited = self.__dict__.pop(name, None)
                if inherited is not None:
                    _inherited.append(inherited)

    def close(self) -> None:
        """Close the connections of this process; using the application again opens new ones."""
        with self._lock:
            for name in ("_broker", "_backend"):
                opened = self.__dict__.pop(name, None)
                if opened is not None:
                    opened.close()

    def __enter__(self) -> Celery:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # calling

    def send(
        self,
        task: BaseTask,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        task_id: str | None,
        options: dict[str, Any],
    ) -> AsyncResult:
        """Send a task of this application; see :meth:`Task.apply_async`."""
        if task.typing and self.strict_typing:
            task.check_arguments(args or (), kwargs or {})
        if self.conf.task_always_eager:
            from tq_core.results.eager import apply_eagerly

            result: AsyncResult = apply_eagerly(self, task, args, kwargs, task_id=task_id, **options)
            return result
        return self._sent(task.name, task, args, kwargs, task_id, options)

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
    ) -> AsyncResult:
        """Send a task by name; this process need not know it. Options as for :meth:`Task.apply_async`."""
        if countdown is not None:
            options["countdown"] = countdown
        if eta is not None:
            options["eta"] = eta
        return self._sent(name, self.tasks.get(name), args, kwargs, task_id, options)

    def _sent(
        self, name: str, task: BaseTask | None, args: Any, kwargs: Any, task_id: str | None, options: Mapping[str, Any]
    ) -> AsyncResult:
        sent_id = self.producer.send(name, task, args or (), kwargs or {}, task_id, options)
        result = self.AsyncResult(sent_id, task_name=name)
        parent = enclosing_run()
        if parent is not None and options.get("add_to_parent", True):
            parent.add_child(result)
        return result

    def apply_eagerly(self, task: BaseTask, args: Any, kwargs: Any, **options: Any) -> Any:
        """Run a task here and now; see :meth:`Task.apply`."""
        from tq_core.results.eager import apply_eagerly

        return apply_eagerly(self, task, args, kwargs, **options)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """Return a signature bound to this application."""
        from tq_core.canvas.signature import signature

        return signature(*args, app=self, **kwargs)

    def mapping(self, kind: str, task: BaseTask, *args: Any) -> Any:
        """Return a signature of one task over many arguments: ``xmap``, ``xstarmap`` or ``chunks``."""
        from tq_core.canvas import mapping

        return getattr(mapping, kind)(task.s(), *args, app=self)

    def AsyncResult(self, task_id: str, **options: Any) -> AsyncResult:
        """Return the handle of a result by id."""
        from tq_core.results.async_result import AsyncResult

        return AsyncResult(task_id, app=self, **options)

    def GroupResult(self, group_id: str | None = None, results: Any = None, **options: Any) -> Any:
        """Return the handle of a group's results."""
        from tq_core.results.group_result import GroupResult

        return GroupResult(group_id, results or [], app=self, **options)

    def ResultSet(self, results: Any, **options: Any) -> Any:
        """Return a handle of some results."""
        from tq_core.results.group_result import ResultSet

        return ResultSet(results, app=self, **options)

    # what tasks and runners ask for

    def store_state(self, task_id: str, state: str, meta: Any, request: Request) -> None:
        """Store a custom state of a running task."""
        from tq_core.contracts.backend import ResultRecord

        self.backend.store([ResultRecord(task_id, state, meta, group_id=request.group, parent_id=request.parent_id)])

    def send_retry(self, retry: Any, request: Request) -> None:
        """Send the next run that a ``Retry`` stands for, now."""
        self.producer.publish(self.collect_retry(retry, request))

    def collect_retry(self, retry: Any, request: Request) -> list[Message]:
        """Return the message of the next run that a ``Retry`` stands for."""
        token = current.running.set(request)
        try:
            with self.producer.collecting() as messages:
                if retry.sig is not None:
                    retry.sig.apply_async(add_to_parent=False)
        finally:
            current.running.reset(token)
        return list(messages)

    def replace_task(self, task: BaseTask, sig: Any) -> Any:
        """Let a signature take a running task's place; see :meth:`Task.replace`."""
        from tq_core.canvas.replacing import replace_task

        return replace_task(self, task, sig)

    def add_to_chord(self, task: BaseTask, sig: Any, lazy: bool) -> Any:
        """Add a signature to a running task's chord; see :meth:`Task.add_to_chord`."""
        from tq_core.canvas.replacing import add_to_chord

        return add_to_chord(self, task, sig, lazy)

    def send_errback(self, errback: Any, request: Request, error: BaseException, traceback: str | None) -> None:
        """Call or send one ``link_error`` signature of a failed run."""
        from tq_core.canvas.errbacks import send_errback

        send_errback(self, errback, request, error, traceback or "")

    def fail_unsent(self, signature: Any, error: BaseException, *, with_errbacks: bool = True) -> None:
        """Record that a chord's body, or the rest of a chain, will never run."""
        from tq_core.canvas.errbacks import fail_unsent

        fail_unsent(self, signature, error, with_errbacks=with_errbacks)

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


#: Configuration files that every application reads which is not told otherwise, from the working directory.
_YAML_FILES = ("celeryconfig.yaml", "celeryconfig.yml")
#: Arguments of Celery's constructor that replace its insides; there is nothing to replace here.
_IGNORED = frozenset({"loader", "amqp", "events", "log", "control", "tasks", "fixups", "accept_magic_kwargs"})
#: Settings that decide which plugins are imported.
_PLUGIN_CHOICE = frozenset({"plugins_disabled", "plugins_prefer"})
#: Connections inherited over a fork. Kept for ever: collecting them could close what the parent still uses.
_inherited: list[Any] = []


def _rebuild(main: str | None, conf: Settings) -> Celery:
    app = Celery(main, set_as_current=False)
    app.adopt_settings(conf)
    return app


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _import_related(package: str, related_name: str | None) -> None:
    from importlib.util import find_spec

    importlib.import_module(package)
    if not related_name:
        return
    name = f"{package}.{related_name}"
    # A package without such a module is fine; a module with a broken import inside is not.
    if find_spec(name) is not None:
        importlib.import_module(name)


def shared_task(*args: Any, **kwargs: Any) -> Any:
    """Make a task that every application has; usable with and without arguments, like ``app.task``.

    What it returns is the current application's task of that name, looked up at each use.
    """

    def create(**options: Any) -> Callable[[Callable[..., Any]], Any]:
        def decorate(function: Callable[..., Any]) -> Any:
            name = options.get("name")
            current.add_shared_task(
                lambda app: app.task(**options)(function), [a for a in _applications if a._finalized]
            )
            from tq_core.shared import SharedTask

            return SharedTask(function, name)

        return decorate

    if len(args) == 1 and callable(args[0]):
        return create(**kwargs)(args[0])
    return create(*args, **kwargs)
