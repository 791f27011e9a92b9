"""``app.conf``: every setting with its value, and where the value came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from enum import IntEnum
from typing import Any

from tq_core.config.mistake import WrongValue
from tq_core.config.table import SPELLINGS, TABLE, nearest_setting
from tq_core.errors import ImproperlyConfigured

#: What :meth:`Settings.origin` says of a setting nobody set.
DEFAULT_ORIGIN = "default"


class Level(IntEnum):
    """Who sets a value; the higher one wins.

    FILE: files, modules, objects. ENVIRONMENT: variables. APPLICATION: the program, by argument,
        attribute, item
    or ``update``. COMMAND_LINE: options of the command that runs.
    """

    FILE = 1
    ENVIRONMENT = 2
    APPLICATION = 3
    COMMAND_LINE = 4


class Settings(MutableMapping[str, Any]):
    """All settings, readable as attributes and as items, by new, old and upper-case names.

    Reading an attribute by its new name is a plain look-up in the instance's ``__dict__``. What was set
    stays apart by level, so that the order in which sources are read does not decide who wins.

    Not synchronized: settings are set while a program starts, before its threads do.
    """

    __slots__ = ("__dict__", "_layers", "_origins", "_own", "_properties", "_watchers")

    # The slots hold everything that is no setting, so that __dict__ holds the settings and nothing else.
    _layers: dict[Level, dict[str, Any]]
    _origins: dict[Level, dict[str, str]]
    _own: dict[str, Any]
    _properties: dict[str, Mapping[str, Any]]

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        properties: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Start with the defaults.

        Args:
            values: set at once, leniently, as :meth:`update` does.
            properties: JSON Schema of the settings plugins add, by setting name.
        """
        put = object.__setattr__
        put(self, "_layers", {level: {} for level in Level})
        put(self, "_origins", {level: {} for level in Level})
        put(self, "_own", {})
        put(self, "_properties", {})
        put(self, "_watchers", {})
        self.__dict__.update((name, setting.fresh_default()) for name, setting in TABLE.items())
        self.declare(properties or {})
        if values:
            self.update(values)

    # --- names -------------------------------------------------------------------------------------------

    def canonical(self, name: object) -> str | None:
        """Return the lower-case name of a setting spelt in any accepted way, or None if there is none."""
        if not isinstance(name, str):
            return None
        known = SPELLINGS.get(name)
        return known if known is not None else (name if name in self._properties else None)

    def _require(self, name: object) -> str:
        known = self.canonical(name)
        if known is None:
            raise ImproperlyConfigured(f"There is no setting {name!r}{self._hint(name)}")
        return known

    def _hint(self, name: object) -> str:
        near = nearest_setting(name, self._properties)
        return f"; did you mean {near!r}?" if near else ". All settings are listed by: tq config show"

    def declare(self, properties: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the settings that plugins contribute.

        Args:
            properties: JSON Schema by setting name; ``default`` in it is the default. A name of the core's
                own table adds to what is checked there and changes no default.
        """
        for name, schema in properties.items():
            if name not in TABLE:
                self._properties[name] = dict(schema)
                self.__dict__.setdefault(name, schema.get("default"))

    # --- reading -----------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are not in __dict__: old spellings, a program's own keys, and mistakes.
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"There is no setting {name!r}{self._hint(name)}") from None

    def __getitem__(self, name: str) -> Any:
        values = self.__dict__
        if name in values:
            return values[name]
        known = self.canonical(name)
        return values[known] if known is not None else self._own[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.__dict__
        yield from self._own

    def __len__(self) -> int:
        return len(self.__dict__) + len(self._own)

    def __contains__(self, name: object) -> bool:
        return self.canonical(name) is not None or name in self._own

    def is_set(self, name: str) -> bool:
        """Say whether anybody set this, even to its default.

        Raises:
            ImproperlyConfigured: there is no such setting.
        """
        known = self._require(name)
        return any(known in layer for layer in self._layers.values())

    def origin(self, name: str) -> str:
        """Say where a setting's value came from: ``default``, a position in a file, a variable, …

        Raises:
            ImproperlyConfigured: there is no such setting.
        """
        if name in self._own:
            return "application"
        known = self._require(name)
        for level in reversed(Level):
            if known in self._origins[level]:
                return self._origins[level][known]
        return DEFAULT_ORIGIN

    def changes(self) -> dict[str, Any]:
        """Return what was set, by name, without what stayed at its default."""
        changed = {name: self.__dict__[name] for name in self.__dict__ if self.is_set(name)}
        return {**changed, **self._own}

    def with_defaults(self) -> dict[str, Any]:
        """Return every setting by name."""
        return {**self.__dict__, **self._own}

    # --- setting -----------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self.layer({name: value}, "application")

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"There is no setting {name!r}{self._hint(name)}") from None

    def __delitem__(self, name: str) -> None:
        """Take back what the program set; files and defaults show again."""
        known = self.canonical(name)
        if known is None:
            del self._own[name]
            return
        self._layers[Level.APPLICATION].pop(known, None)
        self._origins[Level.APPLICATION].pop(known, None)
        self._resolve(known)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set many at once.

        A mapping is read leniently, because frameworks hand over their whole configuration: unknown keys
        in capitals are ignored, other unknown keys are kept as the program's own, and what looks like a
        typing error is warned of. Keyword arguments are read strictly.

        Args:
            *args: at most one mapping, or sequence of pairs.
            **kwargs: settings.

        Raises:
            ImproperlyConfigured: a value is wrong, or a keyword is no setting.
        """
        if len(args) > 1:
            raise TypeError(f"update() takes at most one mapping, got {len(args)}")
        given = dict(args[0]) if args and args[0] is not None else {}
        known = {}
        for name, value in given.items():
            if self.canonical(name) is not None:
                known[name] = value
            elif isinstance(name, str):
                self._adopt(name, value)
        self.layer(known, "application")
        self.layer(kwargs, "application")

    def _adopt(self, name: str, value: Any) -> None:
        near = nearest_setting(name, self._properties)
        is_ours = name.startswith(("CELERY", "BROKER_")) or not name.isupper()
        if near and is_ours and _alike(name, near):
            import warnings

            warnings.warn(f"There is no setting {name!r}; did you mean {near!r}?", UserWarning, stacklevel=4)
        if not name.isupper():
            self._own[name] = value

    def layer(self, values: Mapping[str, Any], origin: str, level: Level = Level.APPLICATION) -> None:
        """Set values as one source gives them.

        Args:
            values: by any accepted spelling.
            origin: where they come from, as :meth:`origin` will say.
            level: who sets them; a higher level wins, and within one level the later call does.

        Raises:
            ImproperlyConfigured: a value is wrong or a name unknown; nothing has been set then.
        """
        read: dict[str, Any] = {}
        for name, value in values.items():
            known = self._require(name)
            if known in read:
                raise ImproperlyConfigured(f"{origin}: {known} is set twice, under two of its names")
            setting = TABLE.get(known)
            try:
                read[known] = value if setting is None else setting.coerce(value)
            except WrongValue as wrong:
                from tq_core.config.masking import mask_value

                shown = WrongValue(
                    wrong.expected,
                    mask_value(wrong.found, name, secret=setting is not None and setting.secret),
                    wrong.path,
                    wrong.nearest,
                )
                raise ImproperlyConfigured(f"{origin}: {name}: {shown}") from None
        self._layers[level].update(read)
        self._origins[level].update(dict.fromkeys(read, origin))
        for name in read:
            self._resolve(name)
        for changed, names in tuple(self._watchers.items()):
            if not names.isdisjoint(read):
                changed()

    def watch(self, names: Iterable[str], changed: Callable[[], None]) -> None:
        """Call a function whenever one of some settings is set. A copy of the settings is not watched.

        Args:
            names: lower-case names.
            changed: called in the thread that sets; given again, it watches these names instead of the former ones.
        """
        self._watchers[changed] = frozenset(names)

    def adopt_layer(self, values: Mapping[str, Any], origins: Mapping[str, str], level: Level) -> None:
        """Set values that are checked and read already, each with its own origin.

        Args:
            values: by lower-case name, as :func:`tq_core.config.validation.checked_values` returns them.
            origins: where each comes from.
            level: who sets them.
        """
        self._layers[level].update(values)
        self._origins[level].update(origins)
        for name in values:
            self._resolve(name)

    def _resolve(self, name: str) -> None:
        for level in reversed(Level):
            if name in self._layers[level]:
                self.__dict__[name] = self._layers[level][name]
                return
        setting = TABLE.get(name)
        self.__dict__[name] = setting.fresh_default() if setting else self._properties[name].get("default")

    # --- showing -----------------------------------------------------------------------------------------

    def masked(self, with_defaults: bool = True) -> dict[str, Any]:
        """Return the settings with every password hidden."""
        from tq_core.config.masking import mask_settings

        return mask_settings(self.with_defaults() if with_defaults else self.changes())

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return the settings by name, as Celery's ``conf.table()`` does.

        Args:
            with_defaults: False leaves out what nobody set.
            censored: True hides every password.
        """
        if censored:
            return self.masked(with_defaults)
        return self.with_defaults() if with_defaults else self.changes()

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the settings as text, one ``name: value`` a line."""
        return "\n".join(f"{name}: {value!r}" for name, value in self.table(with_defaults, censored).items())

    def __repr__(self) -> str:
        return f"<Settings: {self.masked(with_defaults=False)!r}>"

    __str__ = __repr__

    # --- copying -----------------------------------------------------------------------------------------

    def copy(self) -> Settings:
        """Return settings of their own with the same values and origins; mappings among them are copied too."""
        layers, origins, own, properties, defaults = self.__reduce__()[2]
        twin = Settings()
        twin.__setstate__(
            (
                {level: _copied(values) for level, values in layers.items()},
                {level: dict(places) for level, places in origins.items()},
                _copied(own),
                properties,
                _copied(defaults),
            )
        )
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        defaults = {
            name: value for name, value in self.__dict__.items() if isinstance(value, dict) and not self.is_set(name)
        }
        return Settings, (), (self._layers, self._origins, self._own, self._properties, defaults)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        layers, origins, own, properties, defaults = state
        put = object.__setattr__
        put(self, "_layers", layers)
        put(self, "_origins", origins)
        put(self, "_own", own)
        self.declare(properties)
        # A default mapping may have been filled in place (conf.beat_schedule["x"] = …).
        self.__dict__.update(defaults)
        for name in {name for layer in layers.values() for name in layer}:
            self._resolve(name)


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}


def _alike(name: str, near: str) -> bool:
    import difflib

    return difflib.SequenceMatcher(None, name.casefold(), near.casefold()).ratio() >= 0.9
