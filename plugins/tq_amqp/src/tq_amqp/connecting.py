"""Opens connections with py-amqp: TCP, TLS, authentication and the terms that client and server agree on."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import amqp

from tq_amqp.address import Address
from tq_amqp.options import ConnectionOptions
from tq_amqp.wire import Wire
from tq_core.errors import ImproperlyConfigured

#: Milliseconds after which the system gives up a connection whose packets nobody acknowledges.
_TCP_USER_TIMEOUT = 10_000

#: How YAML writes what is asked of the server's certificate.
_CERTIFICATES = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class Unreachable(Exception):
    """The server cannot be connected to; the text says why, without the password."""


def open_wire(address: Address, options: ConnectionOptions, timeout: float, *, heartbeat: float, title: str) -> Wire:
    """Connect to a server.

    Args:
        address: where it is.
        options: how.
        timeout: seconds to wait for each answer of the server.
        heartbeat: seconds between heartbeats to ask for, 0 for none.
        title: what the server shows as the connection's name.

    Raises:
        Unreachable: it cannot be reached, or refused the user or the virtual host.
    """
    connection = amqp.Connection(
        host=f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}",
        userid=address.username,
        password=address.password,
        login_method=options.login_method or None,
        virtual_host=address.vhost,
        ssl=_tls(address, options.ssl),
        connect_timeout=timeout,
        read_timeout=timeout,
        write_timeout=timeout,
        heartbeat=heartbeat,
        frame_max=options.frame_max,
        client_properties={**options.client_properties, "product": "tq", "connection_name": title},
        socket_settings={socket.TCP_USER_TIMEOUT: _TCP_USER_TIMEOUT} if hasattr(socket, "TCP_USER_TIMEOUT") else None,
    )
    try:
        connection.connect()
    except ssl.SSLError as error:
        connection.collect()
        raise Unreachable(f"TLS failed: {error}. Check broker_use_ssl and the server's certificate") from error
    except TimeoutError:
        connection.collect()
        raise Unreachable(f"it did not answer within {timeout:g} s") from None
    except OSError as error:
        connection.collect()
        raise Unreachable(str(error)) from error
    except amqp.exceptions.AMQPError as error:
        connection.collect()
        raise Unreachable(_explained(address, error)) from None
    except ValueError as error:  # a login method that py-amqp does not know
        raise ImproperlyConfigured(f"py-amqp cannot connect: {error}. Check broker_login_method") from None
    transport = connection.transport
    sock, rest = transport.sock, bytes(transport._read_buffer)
    transport.sock = None  # it is the wire's from now on
    return Wire(sock, rest, connection.frame_max, float(connection.heartbeat or 0), str(address))


def _explained(address: Address, error: Exception) -> str:
    code = getattr(error, "reply_code", 0)
    text = getattr(error, "reply_text", None) or str(error)
    if code == 403:
        return f"it refused the user {address.username!r} or the password: {text}"
    if code == 530:
        return (
            f"it refused the virtual host {address.vhost!r}: {text}. Make it with rabbitmqctl add_vhost and "
            f"set_permissions, or correct the path of the URL"
        )
    return text


def _tls(address: Address, given: Mapping[str, Any] | None) -> Any:
    """Return py-amqp's TLS options: those of ``broker_use_ssl``, and the name to be checked."""
    if given is None and not address.tls:
        return False
    options = dict(given or {})
    required = options.get("cert_reqs", ssl.CERT_REQUIRED)
    if isinstance(required, str):
        options["cert_reqs"] = required = _CERTIFICATES.get(required.lower().removeprefix("cert_"), ssl.CERT_REQUIRED)
    if options.get("server_hostname") is None and required != ssl.CERT_NONE:
        options["server_hostname"] = address.host
    return options or True
