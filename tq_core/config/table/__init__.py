"""The table of settings: the one source of defaults, names, the schema, the reference and ``app.conf``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tq_core.config.nearness import nearest
from tq_core.config.setting import Setting
from tq_core.config.table import general, messaging, operation, results, stores, tasks, workers

#: Names so general that in capitals they belong to somebody else's configuration.
_GENERAL = frozenset({"imports", "include", "timezone", "interop"})


def _sections() -> Iterator[Setting]:
    for part in (general, tasks, messaging, workers, operation, results, stores):
        for section, rows in part.ROWS.items():
            for row in rows:
                yield replace(row, section=section)


#: Every setting by its name, in the order of the reference page.
TABLE: dict[str, Setting] = {setting.name: setting for setting in _sections()}


def _spellings() -> dict[str, str]:
    known = {name: name for name in TABLE}
    for setting in TABLE.values():
        known |= dict.fromkeys(setting.old_names, setting.name)
    for name in TABLE:
        # Django projects write CELERY_ before every name; older ones write the new name in capitals.
        known.setdefault(f"CELERY_{name.upper()}", name)
        if name not in _GENERAL:
            known.setdefault(name.upper(), name)
    return known


#: Every accepted spelling of every setting, with the setting's name.
SPELLINGS: dict[str, str] = _spellings()


def setting_of(name: object) -> Setting | None:
    """Return the setting that is spelt this way, old or new, or None."""
    return TABLE.get(SPELLINGS.get(name, "")) if isinstance(name, str) else None


def nearest_setting(name: object, others: Iterable[str] = ()) -> str | None:
    """Return the accepted spelling closest to a mistyped name, or None.

    Args:
        name: what was written; capitals are compared with capitals.
        others: further names that are known, such as those of plugins.
    """
    if not isinstance(name, str):
        return None
    if name.isupper():
        return nearest(name, (spelling for spelling in SPELLINGS if spelling.isupper()), 0.75)
    return nearest(name, (*TABLE, *others), 0.75)
