"""The relay agent (RFC 1542 section 4, RFC 3046): passes the messages of one link's clients to servers elsewhere, and back."""

from collections.abc import Sequence

from pystack.dhcp import message as m
from pystack.dhcp.actions import BROADCAST, Machine, SendMessage
from pystack.dhcp.message import DhcpMessage
from pystack.dhcp.server import number

#: the most relays that a message passes (RFC 1542 section 4.1.1)
MOST_HOPS = 16
_CIRCUIT_ID = 1


class Relay(Machine):
    """A relay for the link on which the host has `address`. `circuit` is the circuit identifier of option 82; b"": no option."""

    def __init__(self, address: str, servers: "str | Sequence[str]", circuit: bytes = b""):
        super().__init__("relay")
        self.addr = number(address)
        self.servers = [number(each) for each in ([servers] if isinstance(servers, str) else servers)]
        if not self.servers or len(circuit) > 253:
            raise ValueError("a relay needs the address of a server, and a circuit identifier of at most 253 bytes")
        self.agent = bytes((_CIRCUIT_ID, len(circuit))) + circuit if circuit else b""

    def message(self, data: bytes, src: int, now: int) -> None:
        """Machine.message: a datagram for port 67."""
        found = self.read(data)
        if found is None:
            return
        if found.op == m.BOOTREQUEST:
            self._to_server(found)
        else:
            self._to_client(found, src)

    def _to_server(self, request: DhcpMessage) -> None:
        if request.hops >= MOST_HOPS:
            self.drop("hops", f"the message has passed {MOST_HOPS} relays", "RFC 1542 4.1.1")
            return
        if request.giaddr == 0 and m.AGENT in request.options:
            self.drop("untrusted-circuit", "a client must not send the option of relays", "RFC 3046 2.1.1")
            return
        request.hops += 1
        if request.giaddr == 0:
            request.giaddr = self.addr
            if self.agent:
                request.options[m.AGENT] = self.agent
        elif request.giaddr == self.addr:
            self.drop("spoofed", "the message claims that this relay has passed it before", "RFC 3046 2.1.1")
            return
        self.note("dhcp.message", "the relay passes the message to the servers", "RFC 1542 4.1.1", type=request.name)
        for server in self.servers:
            self.actions.append(SendMessage(m.write(request), self.addr, server, m.SERVER_PORT, m.SERVER_PORT))

    def _to_client(self, reply: DhcpMessage, src: int) -> None:
        if reply.giaddr != self.addr or src not in self.servers:
            self.drop("not-ours", "the reply is not for this relay, or not from its servers", "RFC 1542 4.1.2")
            return
        if self.agent and reply.options.get(m.AGENT) == self.agent:
            del reply.options[m.AGENT]  # RFC 3046 section 2.1
        self.note("dhcp.message", "the relay passes the reply to the client", "RFC 1542 4.1.2", type=reply.name)
        everybody = reply.flags & m.BROADCAST_FLAG or reply.yiaddr == 0 or reply.htype != 1 or reply.hlen != 6
        mac = None if everybody else int.from_bytes(reply.chaddr, "big")
        dst = BROADCAST if everybody else reply.yiaddr
        self.actions.append(SendMessage(m.write(reply), self.addr, dst, m.SERVER_PORT, m.CLIENT_PORT, mac, link=True))
