"""The proxy hands bytes on, and fails in each of the ways a network does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tq_core.testing.proxy import Proxy

PATIENCE = 10.0


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that answers every byte with itself, on a thread a connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError:
                pass

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[:2]
    # close() alone does not wake a thread that is accepting.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[Proxy]:
    with Proxy(*echo) as made:
        yield made


def client(proxy: Proxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), PATIENCE)


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def test_bytes_pass_both_ways_and_the_end_of_the_stream_too(proxy: Proxy) -> None:
    with client(proxy) as connection:
        big = bytes(range(256)) * 40_000
        threading.Thread(target=connection.sendall, args=(big,)).start()
        assert exactly(connection, len(big)) == big
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_cut_resets_open_connections_and_welcomes_new_ones(proxy: Proxy) -> None:
    with client(proxy) as connection:
        proxy.wait_for_connections(1)
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with client(proxy) as connection:
        connection.sendall(b"again")
        assert exactly(connection, 5) == b"again"


def test_refused_connections_are_welcome_again_on_the_same_port(proxy: Proxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        client(proxy)
    proxy.resume()
    with client(proxy) as connection:
        connection.sendall(b"back")
        assert exactly(connection, 4) == b"back"


def test_stalled_bytes_are_held_and_delivered_later(proxy: Proxy) -> None:
    with client(proxy) as connection, client(proxy) as another:
        proxy.wait_for_connections(2)
        proxy.stall()
        connection.sendall(b"late")
        late_comer = client(proxy)
        late_comer.sendall(b"new")
        for silent in (connection, another, late_comer):
            silent.settimeout(0.05)
            with pytest.raises(TimeoutError):
                silent.recv(1)
            silent.settimeout(PATIENCE)
        proxy.resume()
        assert exactly(connection, 4) == b"late"
        assert exactly(late_comer, 3) == b"new"
        late_comer.close()


def test_swallowed_replies_never_come(proxy: Proxy) -> None:
    with client(proxy) as connection:
        connection.sendall(b"1")
        assert exactly(connection, 1) == b"1"
        proxy.swallow_replies()
        connection.sendall(b"2")
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_server_that_is_not_there_looks_like_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()[:2]

    def call(proxy: Proxy) -> None:
        with client(proxy) as connection:
            connection.recv(1)

    with Proxy(*address) as proxy, pytest.raises(ConnectionResetError):
        call(proxy)


def test_a_closed_proxy_says_so(echo: tuple[str, int]) -> None:
    proxy = Proxy(*echo)
    proxy.close()
    proxy.close()
    with pytest.raises(RuntimeError, match="closed"):
        proxy.cut()
