"""Asks one server one question: with EDNS or without it, with letters of random case or without them, over UDP or TCP.

A server that does not know EDNS (RFC 6891 section 7), or that changes letters and has no TCP, is remembered.
"""

from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype

from pystack.dns.exchange import CaseChanged, DnsSockets, Question, Secret, Unreliable

Server = tuple[str, int]
#: servers that are remembered for each of the two reasons
MOST_SERVERS = 1000


class Asker:
    """Asks servers by the sockets of a host.

    edns, use_tcp, mix_case   see DnsSettings
    recurse                   whether the server is asked to recurse (the bit RD)
    """

    def __init__(
        self,
        host: Any,
        secret: Secret,
        *,
        edns: int = 1232,
        use_tcp: bool = False,
        mix_case: bool = True,
        recurse: bool = True,
    ):
        self.secret = secret
        self.edns = edns
        self.use_tcp = use_tcp
        self.mix_case = mix_case
        self.recurse = recurse
        self._sockets = DnsSockets(host, secret)
        self._no_edns: dict[Server, bool] = {}
        self._no_case: dict[Server, bool] = {}

    def ask(self, server: Server, name: str, rdtype: dns.rdatatype.RdataType, wait: float) -> dns.message.Message:
        """Ask. OSError: no answer came in `wait` seconds for each attempt."""
        for _ in range(2):
            payload = 0 if server in self._no_edns else self.edns
            mix = self.mix_case and server not in self._no_case
            question = Question(name, rdtype, self.secret, payload, mix, self.recurse)
            reply = self._either(server, question, wait)
            refused = reply.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS)
            if not payload or not refused:
                break
            _remember(self._no_edns, server)
        return reply

    def _either(self, server: Server, question: Question, wait: float) -> dns.message.Message:
        if self.use_tcp:
            return self._sockets.tcp(server, question, wait)
        try:
            return self._sockets.udp(server, question, wait)
        except Unreliable as reason:
            try:
                return self._sockets.tcp(server, question, wait)
            except OSError:
                if not isinstance(reason, CaseChanged):
                    raise
        # It changes letters and has no TCP. With random case it would be useless.
        _remember(self._no_case, server)
        name = question.name.to_text().lower()
        plain = Question(name, question.rdtype, self.secret, question.payload, False, self.recurse)
        return self._sockets.udp(server, plain, wait)


def _remember(servers: dict[Server, bool], server: Server) -> None:
    if len(servers) >= MOST_SERVERS:
        servers.clear()
    servers[server] = True
