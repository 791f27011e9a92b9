"""How a plugin describes itself without importing what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tq_core.contracts import CONTRACT_VERSION


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """Stands as ``info`` in a plugin's ``plugin`` module.

    Attributes:
        name: the plugin's own name, usually its distribution's.
        summary: one sentence.
        contract_version: the :data:`tq_core.contracts.CONTRACT_VERSION` it was written for.
        capabilities: by kind (``broker``, ``backend``, ``pool`` …) the capabilities object it offers; by
            ``kind:name`` where the names of one kind differ.
        settings_schema: a JSON Schema file with the plugin's own settings, or None.
    """

    name: str
    summary: str
    contract_version: int = CONTRACT_VERSION
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    settings_schema: Path | None = None
