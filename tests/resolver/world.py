"""A client and DNS servers in one simulated network, and servers that do something wrong."""

import socket

import dns.flags
import dns.message
import dns.rcode

from pystack.services.dns import DnsServer, Zone
from pystack.sim import MS, Network

RECORDS = """
@ 3600 SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 10.0.0.53
web 100 A 10.0.0.80
www 30 CNAME web
text TXT hello
zero 0 A 10.0.0.81
a.deep A 10.0.0.82
away CNAME web.elsewhere.test.
loop1 CNAME loop2
loop2 CNAME loop1
*.wild A 10.0.0.83
pool A 10.0.0.90
pool A 10.0.0.91
pool A 10.1.0.1
""" + "".join(f"big A 10.1.{number}.7\n" for number in range(150))
REVERSE = "@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60\n80 PTR web.example.\n81 PTR ev\\027il.example.\n"
RTT = 20 * MS


def servers():
    """An authoritative server for example. and 10.in-addr.arpa., and one for elsewhere.test."""
    return (
        DnsServer(Zone("example.", RECORDS), Zone("0.0.10.in-addr.arpa.", REVERSE)),
        DnsServer(Zone("elsewhere.test.", "@ SOA ns h 1 3600 600 86400 60\nweb A 10.0.0.99\n")),
    )


def network(*, seed=1, dns="10.0.0.53", names=("ns",), **options):
    """A client, and one server for each name, at 10.0.0.53, 10.0.0.54, ..., with 10 ms between two hosts."""
    net = Network(seed)
    client = net.host("client", dns=dns, **options)
    switch = net.switch("lan")
    for host, address in ((client, 2), *((net.host(name), 53 + number) for number, name in enumerate(names))):
        net.link(host, switch, delay=RTT // 4, addrs=(f"10.0.0.{address}/24", None))
    net.introduce()
    return net, client


class Scripted:
    """A server over UDP, and over TCP if `tcp` is set, that answers with the list of datagrams that `script(query, count)` returns."""

    def __init__(self, script, tcp=None):
        self.script = script
        self.tcp = tcp
        #: the messages and the ports of the questions
        self.asked = []
        self.ports = []
        self.by_tcp = 0

    def __call__(self):
        with socket.socket(type=socket.SOCK_DGRAM) as sock, socket.socket() as listener:
            sock.bind(("", 53))
            if self.tcp is not None:
                listener.bind(("", 53))
                listener.listen()
                from threading import Thread

                Thread(target=self._accept, args=(listener,), daemon=True).start()
            while True:
                try:
                    data, peer = sock.recvfrom(65535)
                    query = dns.message.from_wire(data)
                    self.asked.append(query)
                    self.ports.append(peer[1])
                    for answer in self.script(query, len(self.asked)):
                        sock.sendto(answer if isinstance(answer, bytes) else answer.to_wire(), peer)
                except ConnectionError:
                    pass

    def _accept(self, listener):
        while True:
            conn, _ = listener.accept()
            with conn:
                size = int.from_bytes(conn.recv(2), "big")
                query = dns.message.from_wire(conn.recv(size))
                self.by_tcp += 1
                data = self.tcp(query)
                data = data if isinstance(data, bytes) else data.to_wire()
                conn.sendall(len(data).to_bytes(2, "big") + data)


def reply(query, *rrsets, rcode=dns.rcode.NOERROR, change=0):
    """An answer to a query, with records as text. `change` changes its identifier."""
    import dns.rrset

    message = dns.message.make_response(query)
    message.id ^= change
    message.flags |= dns.flags.RA
    message.set_rcode(rcode)
    for text in rrsets:
        name, ttl, kind, value = text.split(None, 3)
        owner = query.question[0].name.to_text() if name == "@" else name
        message.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, value))
    return message
