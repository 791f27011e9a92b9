"""JSON, rotated by thirteen letters."""

from tq_core.plugin import PluginInfo, hookimpl

info = PluginInfo(name="sample-serializer", summary="JSON, rotated by thirteen letters.")


@hookimpl
def tq_serializer(name):
    import codecs
    import json

    from tq_core.contracts.serializer import Serializer
    from tq_core.errors import DecodeError, EncodeError

    class Rot13Json(Serializer):
        content_type = "application/x-rot13-json"
        content_encoding = "utf-8"

        def dumps(self, value):
            try:
                return codecs.encode(json.dumps(value), "rot13").encode()
            except (TypeError, ValueError) as error:
                raise EncodeError(str(error)) from error

        def loads(self, data):
            try:
                return json.loads(codecs.decode(data.decode(), "rot13"))
            except ValueError as error:
                raise DecodeError(str(error)) from error

    Rot13Json.name = name
    return Rot13Json()
