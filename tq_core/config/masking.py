"""Passwords must not be printed: one place that hides them, used by every command, log line and error.

Nothing here raises. What cannot be understood is hidden rather than shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Stands where a secret setting's value was.
MASK = "********"
#: Stands where the password of a URL was.
URL_MASK = "**"

_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)?(?:$|_)|pwd|secret|token|credential|api_?key|access_?key|account_?key"
    r"|private_?key|auth_kwargs|signature|connection_?string|sas_?key",
    re.IGNORECASE,
)
_SECRET_PARAMETER = re.compile(
    r"([?&;#](?:[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|api_?key|access_?key|sig))=)[^&#]*",
    re.IGNORECASE,
)
#: ``user:password@`` in what was meant as a URL, but lacks its ``://`` or says it wrongly.
_USERINFO = re.compile(r"(?:^|(?<=[/;,\s]))([^\s:/@;,]*):([^\s@]+)@(?=[^\s@]*$)")
_NEXT_URL = re.compile(r"[;,](?=\s*[A-Za-z][A-Za-z0-9+.\-]*://)")
_FILE_URL = re.compile(r"\s*(?:[a-z0-9_]+\+)?(?:sqlite|file)(?:\+[a-z0-9_]+)?:(?!//[^/])", re.IGNORECASE)
_DEEPEST = 20


def mask_url(url: str) -> str:
    """Hide the passwords in a URL, or in several joined by ``;`` or ``,``.

    The password of the authority becomes ``**``, and so does every query parameter that is named like a
    secret. A password may contain unescaped ``@``, ``:``, ``/`` or ``?``. The paths of files
    (``sqlite:///…``) stay as they are.

    Args:
        url: any text; without ``://`` only what looks like ``user:password@host`` or like a secret parameter
            is hidden, because somebody may have mistyped a URL.

    Returns:
        The text, safe to print.
    """
    if "://" not in url:
        if _FILE_URL.match(url):
            return url
        return _USERINFO.sub(rf"\g<1>:{URL_MASK}@", _SECRET_PARAMETER.sub(rf"\g<1>{URL_MASK}", url))
    pieces = []
    start = 0
    for separator in _NEXT_URL.finditer(url):
        pieces += [_mask_one(url[start : separator.start()]), separator.group()]
        start = separator.end()
    pieces.append(_mask_one(url[start:]))
    return "".join(pieces)


def _mask_one(url: str) -> str:
    if _FILE_URL.match(url):
        return _SECRET_PARAMETER.sub(rf"\g<1>{URL_MASK}", url)
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    rest = _SECRET_PARAMETER.sub(rf"\g<1>{URL_MASK}", rest)
    # The last "@" ends the password, because a password may hold one that nobody escaped.
    userinfo, at, address = rest.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    if at and colon:
        return f"{scheme}://{user}:{URL_MASK}@{address}"
    return f"{scheme}://{rest}"


def is_secret(name: object) -> bool:
    """Say whether a setting or option of this name holds something that must not be printed."""
    return isinstance(name, str) and _SECRET_NAME.search(name) is not None


def mask_value(value: Any, name: object = None, *, secret: bool = False) -> Any:
    """Return a value that may be printed.

    Args:
        value: a setting's value, or a part of one.
        name: the name or key it stands under.
        secret: True hides it whatever its name says.

    Returns:
        The value itself if it holds no secret, else a copy of the same shape.
    """
    return _masked(value, name, secret, 0)


def _masked(value: Any, name: object, secret: bool, depth: int) -> Any:
    try:
        if value is None or isinstance(value, bool) or value in ("", b""):
            return value
        if secret or is_secret(name):
            return MASK
        if isinstance(value, str):
            return mask_url(value)
        if depth >= _DEEPEST:
            return MASK
        if isinstance(value, bytes):
            return mask_url(value.decode("latin-1")).encode("latin-1") if b"://" in value else value
        if isinstance(value, Mapping):
            return {key: _masked(item, key, False, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(_masked(item, None, False, depth + 1) for item in value)
        return value
    except Exception:  # a foreign mapping or text may raise anything, and hiding is the safe answer
        return MASK


def mask_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of settings, or of any options, that may be printed.

    Args:
        settings: values by name, nested as deep as they are; old and new names alike.
    """
    from tq_core.config.table import setting_of

    masked = {}
    for name, value in settings.items():
        setting = setting_of(name)
        masked[name] = mask_value(value, name, secret=setting is not None and setting.secret)
    return masked
