"""Which keys of a Redis Cluster lie together.

A cluster spreads keys over 16384 slots by a hash of their names, and gives each slot to a node. Only keys of one slot
can be changed in one step. Where a name has a hash tag, ``{…}``, only what stands between the braces is hashed.
"""

from __future__ import annotations

from redis.crc import key_slot

from tq_core.errors import ImproperlyConfigured


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key."""
    return key_slot(key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass"))


def tagged(text: str) -> str:
    """Return a text as a hash tag.

    It must not be empty or begin with a closing brace: an empty tag is none.
    """
    return "{" + text + "}"


def one_slot(prefix: str) -> str:
    """Return the prefix that keeps all keys of a deployment's queues in one slot.

    Args:
        prefix: ``global_keyprefix``.

    Raises:
        ImproperlyConfigured: see :func:`without_tag`.
    """
    return tagged(without_tag(prefix) or "tq")


def without_tag(prefix: str) -> str:
    """Return a prefix that leaves the hash tags to the names behind it.

    Raises:
        ImproperlyConfigured: it has braces, of which Redis would make a tag or no tag where tq means another one.
    """
    if "{" in prefix or "}" in prefix:
        raise ImproperlyConfigured(
            f"global_keyprefix {prefix!r}: on a Redis Cluster it must have no braces, because tq writes the hash tags"
            " itself"
        )
    return prefix
