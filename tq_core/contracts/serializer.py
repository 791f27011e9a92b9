"""The contract of a serializer: it turns plain values into bytes and back.

Stateless; every method may be called from any thread.

*Plain values* are ``None``, booleans, integers of 64 bits, finite floats, text without lone surrogates, lists, and
dictionaries with text keys, nested in any way. A format holds all of them and gives each back equal and of its type, or
it is for bytes alone and refuses them all. Tuples may come back as lists. What a format cannot hold it refuses; it
never writes something similar instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class Serializer(ABC):
    """One serialization format.

    Attributes:
        name: the word used in settings, like ``json``.
        content_type: MIME type written into messages.
        content_encoding: ``utf-8`` for text formats, ``binary`` otherwise.
        is_safe: False when reading foreign data can run foreign code; such a format is refused unless accepted.
    """

    name: ClassVar[str]
    content_type: ClassVar[str]
    content_encoding: ClassVar[str]
    is_safe: ClassVar[bool] = True

    @abstractmethod
    def dumps(self, value: Any) -> bytes:
        """Serialize ``value``, which stays as it is.

        Raises:
            EncodeError: it cannot be; the text names the type, and where in the value it was found if known.
        """

    @abstractmethod
    def loads(self, data: bytes) -> Any:
        """Read what :meth:`dumps`, or another implementation of the format, wrote.

        Raises:
            DecodeError: the data is malformed. No other error leaves this method, whatever the data.
        """
