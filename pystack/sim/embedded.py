"""The resolver that each container has at 127.0.0.11: the names of the containers beside it, and a server for all others.

On a host of pystack it is a program, and on a kernel host, the driver of the network answers at a socket inside. dnspython reads and makes the messages.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from pystack.dns import need_dnspython, settings_of, use
from pystack.sim.nodes import SimHost
from pystack.sim.programs import datagram, spawn
from pystack.sockets.resolve import text as addr_text

if TYPE_CHECKING:
    from pystack.sim.containers import ContainerHost
    from pystack.sim.kernelhost import KernelHost

ADDRESS, PORT = "127.0.0.11", 53
#: the lifetime of an answer in seconds, as Docker's
TTL = 600
#: how many forwarded questions may be without an answer; the oldest give way
PENDING = 64


class Embedded:
    """The resolvers of the containers of one host.

    servers  the DNS servers, such as "10.0.0.53" or "10.0.0.53:5353", that are asked for other names; without any, there are no other names
    """

    def __init__(self, host: ContainerHost, servers: Sequence[str] = ()):
        need_dnspython()
        self.host = host
        self.servers = settings_of(servers).servers if servers else ()

    def serve(self, container: SimHost | KernelHost) -> None:
        """Give a container its resolver."""
        if not isinstance(container, SimHost):
            container.own_names_only = True
            container.resolve([ADDRESS])
            _KernelResolver(self, container)
            return
        assert container.names is not None
        container.names.hook = container.names.back_hook = None  # type: ignore[assignment]
        use(container, settings_of(ADDRESS))

        def start(host: SimHost) -> None:
            spawn(host.net, self._program(host, host.boots))

        start(container)
        container.on_boot.append(start)

    def _program(self, container: SimHost, boots: int) -> Generator[Any, Any, None]:
        """Answer questions for ever, or until the container is switched off."""
        if container.boots != boots:
            return
        sock, up = datagram(container), datagram(container)
        sock.bind(ADDRESS, PORT)
        waiting = Forwarded()
        if self.servers:
            spawn(container.net, self._answers(container, sock, up, waiting))
        while True:
            try:
                got = yield sock.recvfrom()
            except OSError:
                return  # the container has been switched off and on
            sender = (addr_text(got.src), got.sport)
            answer = self.answer(bytes(got.data))
            try:
                if answer is not None:
                    sock.sendto(answer, *sender)
                elif self.servers:
                    up.sendto(waiting.forward(bytes(got.data), sender), *self.servers[0])
            except OSError:
                pass  # there is no way to the server now: the question is asked again

    def _answers(self, container: SimHost, sock: Any, up: Any, waiting: Forwarded) -> Generator[Any, Any, None]:
        """Pass the answers of the server on."""
        while True:
            try:
                got = yield up.recvfrom()
            except OSError:
                if getattr(up.endpoint, "core", container.stack) is not container.stack:
                    return  # the container has been switched off and on
                continue  # an ICMP error
            if (addr_text(got.src), got.sport) == self.servers[0]:
                found = waiting.back(bytes(got.data))
                if found is not None:
                    sock.sendto(found[0], *found[1])

    def answer(self, question: bytes) -> bytes | None:
        """The answer to a question about a container, or to any question if there is no other server. None: ask the server, or ignore it."""
        import dns.exception
        import dns.flags
        import dns.message
        import dns.rcode
        import dns.rdatatype
        import dns.rrset

        try:
            query = dns.message.from_wire(question)
            [asked] = query.question
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR or query.opcode() != 0:
            return None
        name = asked.name.to_text(omit_final_dot=True).lower()
        reply = dns.message.make_response(query, recursion_available=True)
        known, data = self._look(name)
        if not known:
            if self.servers:
                return None
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype == dns.rdatatype.A and data and not name.endswith(".in-addr.arpa"):
            reply.answer.append(dns.rrset.from_text_list(asked.name, TTL, "IN", "A", data))
        elif asked.rdtype == dns.rdatatype.PTR and name.endswith(".in-addr.arpa"):
            reply.answer.append(dns.rrset.from_text_list(asked.name, TTL, "IN", "PTR", data))
        return bytes(reply.to_wire())

    def _look(self, name: str) -> tuple[bool, list[str]]:
        """Whether a name is a container's, and its addresses (or, in in-addr.arpa, its name)."""
        containers = self.host.containers
        if name.endswith(".in-addr.arpa"):
            address = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
            names = [f"{found.name}." for found in containers.values() if address in found.addresses()]
            return bool(names), names
        for found in containers.values():
            if found.name.lower() == name:
                return True, found.addresses()
        return False, []


class Forwarded:
    """The questions that were forwarded. Each has an ID of its own, because two programs may use the same one."""

    def __init__(self) -> None:
        self._next = 0
        self._known: dict[int, tuple[bytes, tuple[str, int]]] = {}

    def forward(self, question: bytes, sender: tuple[str, int]) -> bytes:
        """Return the question as it is to be forwarded."""
        self._next = (self._next + 0x9E37) & 0xFFFF
        if len(self._known) >= PENDING:
            del self._known[next(iter(self._known))]
        self._known[self._next] = question[:2], sender
        return self._next.to_bytes(2, "big") + question[2:]

    def back(self, answer: bytes) -> tuple[bytes, tuple[str, int]] | None:
        """Return the answer for the program that asked, and its address. None: nobody asked."""
        found = self._known.pop(int.from_bytes(answer[:2], "big"), None)
        return None if found is None else (found[0] + answer[2:], found[1])


class _KernelResolver:
    """The resolver of a kernel host: two sockets inside, which the driver reads."""

    def __init__(self, embedded: Embedded, container: KernelHost):
        self.embedded = embedded
        self.waiting = Forwarded()
        self.sock = container.inner_socket((ADDRESS, PORT), self._question)
        self.up = container.inner_socket(None, self._back) if embedded.servers else None

    def _question(self) -> None:
        question, sender = self.sock.recvfrom(4096)
        answer = self.embedded.answer(question)
        try:
            if answer is not None:
                self.sock.sendto(answer, sender)
            elif self.up is not None:
                self.up.sendto(self.waiting.forward(question, sender), self.embedded.servers[0])
        except OSError:
            pass  # there is no way to the server now: the question is asked again

    def _back(self) -> None:
        if self.up is None:
            return
        answer, sender = self.up.recvfrom(4096)
        found = self.waiting.back(answer) if sender == self.embedded.servers[0] else None
        if found is not None:
            self.sock.sendto(*found)


__all__ = ["ADDRESS", "Embedded"]
