"""The task: a function with a name, and how it is called, retried and observed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic

from tq_core import current, result_stores, states
from tq_core.arity import Arity
from tq_core.errors import ImproperlyConfigured, Retry
from tq_core.request import Request
from tq_core.task_attributes import TaskAttributes
from tq_core.task_handlers import TaskHandlers
from tq_core.type_variables import P, R_co

if TYPE_CHECKING:
    from tq_core.app import Celery
    from tq_core.canvas.mapping import chunks as Chunks
    from tq_core.canvas.mapping import xmap, xstarmap
    from tq_core.canvas.signature import Signature
    from tq_core.contracts.backend import Backend

    # In the class below its own name is that of a method.
    from tq_core.results.async_result import AsyncResult as Result
    from tq_core.results.eager import EagerResult


class Task(TaskAttributes, TaskHandlers, Generic[P, R_co]):
    """A unit of work that workers know by name.

    Usually made with ``@app.task``; a subclass with a ``run`` method works as well. There is one instance of a task
    in each process; it is not made anew for each run, so what ``__init__`` prepares lasts. Calling it is safe from any
    thread. To type checkers it is a ``Task[parameters, value]``; without brackets it is any task.
    """

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        given = cls.__dict__.get("backend")
        if given is not None and not hasattr(given, "__get__"):
            del cls.backend
            cls.own_backend = given
            result_stores.note_apart()

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The task's body; a subclass or a decorated function gives it."""
        raise NotImplementedError("Tasks must define the run method.")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the body here and now, like any function."""
        outer = current.running.get()
        token = current.running.set(Request(args=args, kwargs=kwargs, task=self.name, task_object=self, outer=outer))
        try:
            value: R_co = self.run(*args, **kwargs)
            return value
        finally:
            current.running.reset(token)

    # calling

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R_co]:
        """Send the task with these arguments and return its result handle at once.

        Args:
            *args, **kwargs: the task's arguments.

        Raises:
            TypeError, EncodeError, PublishError: as for :meth:`apply_async`.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> Result[R_co]:
        """Send the task and return its result handle at once; with ``task_always_eager`` run it here and now.

        Args:
            args, kwargs: the task's arguments.
            task_id: an id of your own; a random one otherwise.
            producer: accepted for compatibility; the application's own connection is used.
            link, link_error: signatures to send when the task succeeds, or fails.
            shadow: another name for logs and monitors.
            **options: those of :class:`~tq_core.call_options.CallOptions`.

        Raises:
            TypeError: the arguments do not fit the function (``typing``).
            EncodeError: the arguments cannot be serialized.
            PublishError: the broker did not take the message within ``broker_publish_timeout``.
        """
        return self._bound_app().sender.send(
            self, args, kwargs, task_id, _given(options, link=link, link_error=link_error, shadow=shadow)
        )

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R_co]:
        """As :meth:`delay`; the running loop turns while the broker is waited for.

        Args:
            *args, **kwargs: the task's arguments.
        """
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> Result[R_co]:
        """As :meth:`apply_async`; the running loop turns while the broker is waited for.

        What many coroutines send at the same time travels in few batches. Cancelling the wait does not take the
        call back.

        Args:
            args, kwargs, task_id, producer, link, link_error, shadow, **options: as for :meth:`apply_async`.
        """
        return await self._bound_app().sender.asend(
            self, args, kwargs, task_id, _given(options, link=link, link_error=link_error, shadow=shadow)
        )

    def apply_many(self, calls: Iterable[Any], **options: Any) -> list[Result[R_co]]:
        """Send many calls of this task at once: in a fraction of the time that as many :meth:`delay` take.

        Either all calls can be encoded, or none is sent. Give it some thousands at a time.

        Args:
            calls: for each call, a tuple or list of positional arguments or a dict of keyword arguments.
            **options: of every call; as for :meth:`apply_async`, without ``task_id``.

        Returns:
            the handle of each call, in their order.

        Raises:
            TypeError: the arguments of a call do not fit the function (``typing``), or ``task_id`` is given.
            EncodeError: the arguments of a call cannot be serialized.
            PublishError: the broker did not take every message; ``unsent`` has the ids of those it did not.
        """
        return self._bound_app().sender.send_many(self, calls, options)

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        link: Any = None,
        link_error: Any = None,
        task_id: str | None = None,
        retries: int = 0,
        throw: bool | None = None,
        **options: Any,
    ) -> EagerResult[R_co]:
        """Run the task in this thread, behaving as in a worker: with handlers, signals, retries and callbacks.

        Args:
            args, kwargs: the task's arguments.
            link, link_error: signatures to run after success, or failure.
            task_id: an id of your own; a random one otherwise.
            retries: how often it counts as retried already.
            throw: raise the task's exception instead of returning a failed result; by default as
                ``task_eager_propagates`` says.
            **options: those of :class:`~tq_core.call_options.CallOptions`; what is about sending has no effect.
        """
        return self._bound_app().apply_eagerly(
            self,
            args,
            kwargs,
            task_id=task_id,
            link=link,
            link_error=link_error,
            retries=retries,
            throw=throw,
            **options,
        )

    def AsyncResult(self, task_id: str, **options: Any) -> Result[R_co]:
        """Return the handle of a result by id; nobody is asked yet.

        Args:
            task_id: the id.
            **options: ``parent`` and ``backend`` of the handle.
        """
        return self._bound_app().AsyncResult(task_id, task_name=self.name, **options)

    def check_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise when these arguments do not fit the task's parameters; see ``typing``.

        Args:
            args, kwargs: the arguments.

        Raises:
            TypeError: they do not fit.
        """
        check = self.__dict__.get("_arity")
        if check is None:
            check = self.__dict__["_arity"] = Arity(self.run)
        check.check(args, kwargs)

    # signatures

    def signature(self, args: Any = None, *rest: Any, **options: Any) -> Signature[R_co]:
        """Return a signature of this task: a call that has not been made.

        Args:
            args: positional arguments; those of earlier tasks come before them.
            *rest: keyword arguments, and options, as two mappings.
            **options: those of :class:`~tq_core.call_options.CallOptions`, and ``immutable``.
        """
        made: Signature[R_co] = self._bound_app().signature(self, args, *rest, **options)
        return made

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature[R_co]:
        """Return a signature with these arguments.

        Args:
            *args, **kwargs: arguments, or those that the result of an earlier task will not give.
        """
        return self.signature(args, kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R_co]:
        """Return an immutable signature: results of earlier tasks are not added to its arguments.

        Args:
            *args, **kwargs: all of the task's arguments.
        """
        return self.signature(args, kwargs, immutable=True)

    def map(self, it: Iterable[Any]) -> xmap[R_co]:
        """Return a signature that calls this task with each item, in one run.

        Args:
            it: the items; all of them travel in the message.
        """
        made: xmap[R_co] = self._bound_app().mapping("xmap", self, it)
        return made

    def starmap(self, it: Iterable[Iterable[Any]]) -> xstarmap[R_co]:
        """Return a signature that calls this task with each item's members, in one run.

        Args:
            it: sequences of arguments; all of them travel in the message.
        """
        made: xstarmap[R_co] = self._bound_app().mapping("xstarmap", self, it)
        return made

    def chunks(self, it: Iterable[Iterable[Any]], n: int) -> Chunks[R_co]:
        """Return a signature that calls this task with each item's members, ``n`` items in a run.

        Args:
            it: sequences of arguments.
            n: most items in one message.
        """
        made: Chunks[R_co] = self._bound_app().mapping("chunks", self, it, n)
        return made

    # inside a run

    @property
    def request(self) -> Request:
        """The run this task is in, in threads and coroutines alike; an empty one outside of any."""
        request = current.running.get()
        while request is not None and request.task_object is not self:
            request = request.outer
        return request if request is not None else Request(task=self.name, task_object=self)

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Run this task again later: same id, same queue, same serializer.

        Args:
            args, kwargs: other arguments for the next run.
            exc: the reason; kept as the state's result, and raised when there is no retry left.
            throw: False returns the ``Retry`` instead of raising it.
            eta, countdown: when; ``default_retry_delay`` seconds from now otherwise.
            max_retries: another limit for this call.
            **options: as for :meth:`apply_async`.

        Raises:
            Retry: always, unless ``throw`` is False; the worker knows it and sends the next run.
            MaxRetriesExceededError: the limit is reached and no ``exc`` was given; otherwise ``exc`` is raised. A task
                that was called like a function raises ``exc`` as well.
        """
        request = self.request
        limit = self.max_retries if max_retries is None else max_retries
        if request.called_directly:
            # Called like a function there is nothing to retry: the caller sees the error itself.
            raise Retry("Task can be retried", None) if exc is None else exc
        delay = self.default_retry_delay if countdown is None and eta is None else countdown
        if limit is not None and request.retries >= limit:
            if exc is not None:
                raise exc
            raise self.MaxRetriesExceededError(
                f"Can't retry {self.name}[{request.id}] args:{request.args} kwargs:{request.kwargs}",
                task_args=request.args,
                task_kwargs=request.kwargs,
            )
        next_run = self.signature_from_request(
            request, args, kwargs, countdown=delay, eta=eta, retries=request.retries + 1, **options
        )
        retry = Retry(exc=exc, when=eta if eta is not None else delay, is_eager=request.is_eager, sig=next_run)
        if throw:
            raise retry from exc
        self._bound_app().sender.send_retry(retry, request)
        return retry

    def signature_from_request(
        self, request: Request | None = None, args: Any = None, kwargs: Any = None, **extra: Any
    ) -> Any:
        """Return a signature that would repeat a run: with its id, its callbacks, its place in a work-flow.

        Args:
            request: the run; this one by default.
            args, kwargs: other arguments.
            **extra: other options.
        """
        request = self.request if request is None else request
        options = {**request.execution_options(), **{k: v for k, v in extra.items() if v is not None}}
        queue = options.get("queue")
        if queue is not None:
            options.pop("exchange", None)
            options.pop("routing_key", None)
        return self.signature(
            request.args if args is None else args,
            request.kwargs if kwargs is None else kwargs,
            **options,
        )

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **ignored: Any
    ) -> None:
        """Store a state of one's own, like ``PROGRESS``, with any metadata.

        Args:
            task_id: whose; that of the running task by default.
            state: its name.
            meta: what ``result.info`` will be; the result serializer must know it.
            **ignored: accepted for compatibility.

        Raises:
            ImproperlyConfigured: no task is running, and no ``task_id`` was given.
            BackendError: the state cannot be stored.
        """
        request = self.request
        wanted = request.id if task_id is None else task_id
        if wanted is None:
            raise ImproperlyConfigured(f"{self.name}.update_state() needs a task_id outside of a running task")
        self._bound_app().store_state(wanted, state or states.PENDING, meta, request)

    def replace(self, sig: Any) -> Any:
        """Let another signature take this task's place: its id, callbacks and position. Nothing after it is run.

        Args:
            sig: a signature, also a whole canvas.

        Raises:
            Ignore: in a worker, always: the run ends without a state.
        """
        return self._bound_app().replace_task(self, sig)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Add a signature to the chord this run is a member of, and send it.

        Args:
            sig: the signature.
            lazy: add it without sending it.

        Raises:
            ValueError: the run is no member of a chord.
            NotSupported: the result backend cannot count new members.
        """
        return self._bound_app().add_to_chord(self, sig, lazy)

    def push_request(self, *args: Any, **known: Any) -> None:
        """Make what is known of a run the task's :attr:`request`, for tests of bodies that read it.

        Args:
            *args: mappings of attributes.
            **known: attributes of the request.
        """
        merged = {name: value for mapping in args for name, value in mapping.items()} | known
        outer = current.running.get()
        current.running.set(Request(**{"task": self.name, "task_object": self, **merged, "outer": outer}))

    def pop_request(self) -> None:
        """Take back what :meth:`push_request` did last."""
        pushed = current.running.get()
        current.running.set(pushed.outer if pushed is not None else None)

    # about

    @property
    def backend(self) -> Backend:
        """Where its results are: a backend of its own, or the application's.

        May be set, also by ``@app.task(backend=…)`` and in a class's body, to a URL or name as for ``result_backend``,
        or to an opened backend. Its results are found by ``task.AsyncResult(id)`` in processes that know the task.
        """
        own, app = self.own_backend, self._bound_app()
        if own is None:
            return app.backend
        return app.connections.backend_at(own) if isinstance(own, str) else own

    @backend.setter
    def backend(self, own: str | Backend | None) -> None:
        self.own_backend = own
        if own is not None:
            result_stores.note_apart()

    @property
    def __wrapped__(self) -> Any:
        """The body, for tools that look through decorators."""
        return self.run

    @classmethod
    def bind(cls, app: Celery) -> Celery:
        """Tie a task class to an application.

        Args:
            app: the application.
        """
        cls.app = app
        return app

    def get_logger(self, **ignored: Any) -> logging.Logger:
        """Return a logger whose lines carry this task's name and id.

        Args:
            **ignored: accepted for compatibility.
        """
        from tq_core.log import get_task_logger

        return get_task_logger(self.name)

    def _bound_app(self) -> Celery:
        if self.app is None:
            type(self).app = current.get_current_app()
        assert self.app is not None
        return self.app

    def __reduce__(self) -> Any:
        return (_task_by_name, (self.name,))

    def __repr__(self) -> str:
        main = self.app.main if self.app is not None else None
        return f"<@task: {self.name} of {main or '__main__'} at {id(self):#x}>"


def _given(options: dict[str, Any], **named: Any) -> dict[str, Any]:
    """Add the options that somebody gave by name."""
    for name, value in named.items():
        if value is not None:
            options[name] = value
    return options


def _task_by_name(name: str) -> Task:
    return current.get_current_app().tasks[name]
