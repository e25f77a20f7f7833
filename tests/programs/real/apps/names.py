"""DNS: dnspython as a client, dnsmasq as a real server, and a server of a few lines made of dnspython."""

import asyncio
import contextlib
import socket
import threading

from tests.programs.real.apps.processes import running

LONG = "x" * 250
TEXTS = 8  # as many as make an answer longer than a datagram


@contextlib.contextmanager
def dnsmasq(files):
    """Debian's dnsmasq on port 53. It answers for example.test only, and asks nobody."""
    words = [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=root",
        "--pid-file=",
    ]
    words += ["--local=/test/", "--host-record=www.example.test,192.0.2.7"]
    words += [f"--txt-record=long.example.test,{number}{LONG}" for number in range(TEXTS)]
    with running(words):
        yield


def answer(data):
    """The answer to a query, as bytes: the same records that dnsmasq has."""
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset

    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    question = query.question[0]
    if question.name.to_text() == "www.example.test." and question.rdtype == 1:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "192.0.2.7"))
    elif question.name.to_text() == "long.example.test.":
        texts = [f'"{number}{LONG}"' for number in range(TEXTS)]
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", *texts))
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


@contextlib.contextmanager
def dns_server(files):
    """The same records by UDP and TCP, served by two threads."""

    def datagrams():
        while True:
            data, peer = udp.recvfrom(4096)
            if data == b"end":
                return
            udp.sendto(answer(data).to_wire(max_size=1232, prefer_truncation=True), peer)

    def streams():
        while True:
            conn, _ = tcp.accept()
            with conn, conn.makefile("rb") as file:
                length = file.read(2)
                if length == b"\0\0":
                    return
                wire = answer(file.read(int.from_bytes(length, "big"))).to_wire()
                conn.sendall(len(wire).to_bytes(2, "big") + wire)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_server(("", 53)) as tcp:
        udp.bind(("", 53))
        threads = [threading.Thread(target=datagrams), threading.Thread(target=streams)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"end", ("127.0.0.1", 53))
            with socket.create_connection(("127.0.0.1", 53)) as end:
                end.sendall(b"\0\0")
            for thread in threads:
                thread.join(10)


def check(resolver, resolve):
    """What both clients ask."""
    import dns.resolver

    assert [record.address for record in resolve("www.example.test", "A")] == ["192.0.2.7"]
    texts = {record.strings[0].decode() for record in resolve("long.example.test", "TXT")}
    assert texts == {f"{number}{LONG}" for number in range(TEXTS)}  # truncated by UDP, so it asks again by TCP
    try:
        resolve("none.example.test", "A")
    except dns.resolver.NXDOMAIN:
        return
    raise AssertionError("there is no such name")


def configured(host, kind):
    """A resolver of dnspython that asks this host."""
    resolver = kind(configure=False)
    resolver.nameservers = [socket.gethostbyname(host)]
    resolver.lifetime = 20
    resolver.timeout = 3
    return resolver


def dns_client(host, files):
    """dnspython's resolver, which blocks: an address, a long answer by TCP, a name that does not exist."""
    import dns.resolver

    resolver = configured(host, dns.resolver.Resolver)
    check(resolver, resolver.resolve)


async def dns_async_client(host, files):
    """dnspython by asyncio: twenty queries at once."""
    import dns.asyncresolver

    resolver = configured(host, dns.asyncresolver.Resolver)
    answers = await asyncio.gather(*(resolver.resolve("www.example.test", "A") for _ in range(20)))
    assert {record.address for found in answers for record in found} == {"192.0.2.7"}
    texts = await resolver.resolve("long.example.test", "TXT")
    assert len(list(texts)) == TEXTS
