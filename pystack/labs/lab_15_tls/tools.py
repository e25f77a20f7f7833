"""The real `openssl s_client` of this machine visits the server twice: on a kernel host, by the real clock."""

import re
import ssl
import tempfile
from pathlib import Path
from typing import Any

from pystack.labs.hosts import said
from pystack.labs.tls import SimTls
from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn, stream

ADDRESS, PORT = "10.0.0.2", 443


def visits(context: ssl.SSLContext) -> list[int]:
    """Visit the server, keep the session, and visit it again with the session. Returns whether each visit resumed one (1 or 0)."""
    with Network(1) as net, tempfile.TemporaryDirectory() as folder:
        client, server = net.kernel("client"), net.host("server")
        net.link(client, server, delay=MS, addrs=("10.0.0.1/24", f"{ADDRESS}/24"))
        listener = stream(server)
        listener.bind("", PORT)
        listener.listen()

        def serve() -> Any:
            while True:
                tls = SimTls((yield listener.accept()), context, True)
                yield from tls.handshake()
                yield from tls.do(tls.tls.write, b"hello\n")
                yield from tls.do(tls.tls.unwrap)  # the end, which comes after the tickets
                tls.sock.close()

        spawn(net, serve())
        session = str(Path(folder, "session"))
        command = ["openssl", "s_client", "-connect", f"{ADDRESS}:{PORT}", "-tls1_3", "-ign_eof"]
        texts = [said(client, *command, option, session) for option in ("-sess_out", "-sess_in")]
    return [{"New": 0, "Reused": 1}[re.findall(r"^(New|Reused), TLSv1\.3", text, re.M)[0]] for text in texts]
