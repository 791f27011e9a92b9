"""Tasks whose arguments and results are pydantic models: plain data in messages, models in the body."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tq_core.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from pydantic import BaseModel


def with_models(
    function: Callable[..., Any], *, strict: bool, context: Mapping[str, Any], dump: Mapping[str, Any] | None
) -> Callable[..., Any]:
    """Return a function that makes models of its arguments, and plain data of the model it returns.

    An argument is made a model where its annotation is one, or one that may be None; what is returned is turned into
    plain data where the function is annotated to return a model. Everything else passes as it is.

    Args:
        function: the body of a task; may be ``async def``.
        strict: whether pydantic refuses what it would have to convert.
        context: given to the models' validators.
        dump: arguments of ``model_dump``; ``mode="json"`` by default.

    Raises:
        ImproperlyConfigured: pydantic is not installed; later, in a call: an annotation cannot be resolved.
    """
    try:
        from pydantic import BaseModel
    except ImportError:
        raise ImproperlyConfigured(
            f"Task {function.__name__} is defined with pydantic=True, but pydantic is not installed: "
            "pip install pydantic"
        ) from None
    models = _Models(function, BaseModel, strict, dict(context), {"mode": "json"} if dump is None else dict(dump))
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def arun(*args: Any, **kwargs: Any) -> Any:
            bound = models.bind(args, kwargs)
            return models.plain(await function(*bound.args, **bound.kwargs))

        return arun

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        bound = models.bind(args, kwargs)
        return models.plain(function(*bound.args, **bound.kwargs))

    return run


class _Models:
    """Which of a function's arguments are models, found out at the first call: annotations may name what comes later.

    Args:
        function: the function.
        base: pydantic's ``BaseModel``.
        strict, context, dump: as for :func:`with_models`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        base: type[BaseModel],
        strict: bool,
        context: dict[str, Any],
        dump: dict[str, Any],
    ) -> None:
        self._function = function
        self._base = base
        self._strict = strict
        self._context = context
        self._dump = dump
        self._signature = inspect.signature(function)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        """Return the arguments, models made of plain data.

        Raises:
            pydantic.ValidationError: data that does not fit its model.
        """
        bound = self._signature.bind(*args, **kwargs)
        for name, model in self._arguments.items():
            value = bound.arguments.get(name)
            if value is not None:
                bound.arguments[name] = model.model_validate(value, strict=self._strict, context=self._context)
        return bound

    def plain(self, value: Any) -> Any:
        """Return what a body returned, as plain data if it is the model that is expected."""
        if self._returned is not None and isinstance(value, self._returned):
            return value.model_dump(**self._dump)
        return value

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        function = inspect.unwrap(self._function)
        try:
            return typing.get_type_hints(function, localns=inspect.getclosurevars(function).nonlocals)
        except (NameError, TypeError) as error:
            raise ImproperlyConfigured(
                f"The annotations of {function.__module__}.{function.__qualname__} cannot be resolved ({error}): "
                "pydantic=True needs them; import what they name where the function's module can see it"
            ) from error

    @functools.cached_property
    def _arguments(self) -> dict[str, type[BaseModel]]:
        found = {name: self._model(hint) for name, hint in self._hints.items() if name != "return"}
        return {name: model for name, model in found.items() if model is not None}

    @functools.cached_property
    def _returned(self) -> type[BaseModel] | None:
        return self._model(self._hints.get("return"))

    def _model(self, hint: Any) -> type[BaseModel] | None:
        """Return the model that an annotation stands for: itself, or what else it may be besides None."""
        if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and issubclass(hint, self._base):
            return hint
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            others = [choice for choice in typing.get_args(hint) if choice is not type(None)]
            if len(others) == 1:
                return self._model(others[0])
        return None
