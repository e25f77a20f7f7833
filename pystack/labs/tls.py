"""TLS on a simulated socket, with the standard library's ssl."""

import ssl
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pystack.sim.programs import Program, StreamSocket


def certificate(directory: Path, names: Sequence[str] = ()) -> tuple[str, str]:
    """Make a self-signed certificate with openssl, for these names. Returns the files of the certificate and of the key."""
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=pystack"
    more = ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)] if names else []
    subprocess.run([*command.split(), *more, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class SimTls:
    """One end of a TLS connection on a simulated socket: ssl with memory BIOs. A client may resume a `session`."""

    def __init__(
        self, sock: StreamSocket, context: ssl.SSLContext, server: bool, session: ssl.SSLSession | None = None
    ):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, session=session)

    def do(self, call: Callable[..., Any], *args: Any) -> Program:
        """Make a call of the SSLObject, and exchange the bytes that it needs (use with `yield from`)."""
        while True:
            try:
                result = call(*args)
            except ssl.SSLWantReadError:
                result = None
            if self.outgoing.pending:
                yield self.sock.sendall(self.outgoing.read())
            if result is not None:
                return result
            data = yield self.sock.recv(65536)
            if not data:
                return b""
            self.incoming.write(data)

    def handshake(self) -> Program:
        """Agree on keys."""

        def shake() -> bool:
            self.tls.do_handshake()
            return True

        yield from self.do(shake)

    def exactly(self, size: int) -> Program:
        """Read `size` bytes, or fewer if the peer ends the connection."""
        got = b""
        while len(got) < size and (part := (yield from self.do(self.tls.read, size - len(got)))):
            got += part
        return got
