"""The same requests over TLS, with and without a pool."""

import ssl
from typing import Any

from pystack.labs.lab_19_connections.experiment import contexts
from pystack.labs.lab_43_pools.database import DATABASE, PORT, SERVICE, SIZE, WORKERS, network
from pystack.labs.tls import SimTls
from pystack.sim.programs import Program, sleep, spawn, stream
from pystack.testing.lab import S


def tls_requests(count: int, pooled: bool) -> int:
    """Make some requests over TLS 1.3, four at a time. Returns the time (ns)."""
    net = network()
    server, client = contexts(ssl.TLSVersion.TLSv1_3)
    listener = stream(net.hosts["database"])
    listener.bind("", PORT)
    listener.listen()

    def serve(sock: Any) -> Program:
        end = SimTls(sock, server, True)
        yield from end.handshake()
        while (yield from end.exactly(SIZE)):
            yield sleep(SERVICE)
            yield from end.do(end.tls.write, bytes(SIZE))
        sock.close()

    def accept() -> Program:
        while True:
            spawn(net, serve((yield listener.accept())))

    def some() -> Program:
        end = None
        for _ in range(count // WORKERS):
            if end is None or not pooled:
                sock = stream(net.hosts["app"])
                yield sock.connect(DATABASE, PORT)
                end = SimTls(sock, client, False)
                yield from end.handshake()
            yield from end.do(end.tls.write, bytes(SIZE))
            assert len((yield from end.exactly(SIZE))) == SIZE
            if not pooled:
                sock.close()

    spawn(net, accept())
    procs = [spawn(net, some()) for _ in range(WORKERS)]
    net.run_until(lambda: all(proc.finished() for proc in procs), limit=60 * S)
    return int(net.now)
