"""Redis of a test's own that can also be reached with TLS and by a Unix socket."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping

from tests.private_servers.redis import PrivateRedis
from tests.private_servers.redis_cluster import PrivateNode
from tests.private_servers.server import find_program, free_port

_REQUEST = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"


class PrivateTLSRedis(PrivateRedis):
    """A Redis that listens to TLS on a port of its own, and to a Unix socket.

    Attributes:
        tls_port: the port.
        certificate: file of its certificate, which it signed itself.
        socket: path of the Unix socket.
    """

    def _fill(self) -> None:
        super()._fill()
        self.tls_port = free_port()
        self.certificate, self._key = self.data / "cert.pem", self.data / "key.pem"
        self.socket = self.data / "redis.sock"
        openssl = find_program("openssl", "openssl")
        files = ["-keyout", str(self._key), "-out", str(self.certificate)]
        subprocess.run([openssl, *_REQUEST.split(), *files], check=True, capture_output=True)
        if self._run_as is not None:
            os.chown(self._key, pwd.getpwnam(self._run_as).pw_uid, -1)

    def _settings(self) -> Mapping[str, object]:
        return {
            **super()._settings(),
            "tls-port": self.tls_port,
            "tls-cert-file": self.certificate,
            "tls-key-file": self._key,
            "tls-ca-cert-file": self.certificate,
            "tls-auth-clients": "no",
            "unixsocket": self.socket,
            "unixsocketperm": "777",
        }


class PrivateTLSNode(PrivateTLSRedis, PrivateNode):
    """A node of a cluster that listens to TLS as well."""

    def _settings(self) -> Mapping[str, object]:
        # Only then do the nodes name the ports of TLS to those who come by TLS.
        return {**super()._settings(), "tls-cluster": "yes"}
