"""Bring recorded canvases and messages into a form that does not depend on random ids and clocks."""

from __future__ import annotations

import re
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
#: Where answers go, and who asks: different in each process, and no part of a work-flow.
_LEFT_OUT = ("reply_to",)
_HEADERS = ("id", "root_id", "parent_id", "group", "group_index", "stamped_headers", "stamps", "retries")


def normal_shape(value: Any) -> Any:
    """Leave out what is no part of a work-flow, and options that are None."""
    if isinstance(value, dict):
        shape = {k: normal_shape(v) for k, v in value.items() if k not in _LEFT_OUT}
        if "options" in shape and isinstance(shape["options"], dict):
            shape["options"] = {k: v for k, v in shape["options"].items() if v is not None}
        return shape
    if isinstance(value, (list, tuple)):
        return [normal_shape(item) for item in value]
    return value


def normal_messages(sent: list[dict[str, Any]], tree: Any) -> Any:
    """Number the ids in the order in which they first appear."""
    numbers: dict[str, str] = {}

    def numbered(value: Any) -> Any:
        if isinstance(value, str):
            return _UUID.sub(lambda found: numbers.setdefault(found[0], f"id{len(numbers)}"), value)
        if isinstance(value, dict):
            return {k: numbered(v) for k, v in sorted(value.items())}
        if isinstance(value, (list, tuple)):
            return [numbered(item) for item in value]
        return value

    plain = []
    for message in sent:
        headers = message["headers"]
        plain.append(
            {
                "task": message["task"],
                "queue": message["queue"],
                "headers": {name: headers.get(name) for name in _HEADERS},
                "delayed": headers.get("eta") is not None,
                "body": normal_shape([*message["body"][:2], {k: v or None for k, v in message["body"][2].items()}]),
            }
        )
    return numbered({"messages": plain, "result": tree})
