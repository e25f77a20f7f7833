"""The recursive resolver of a stack: it reads clients' messages, and asks servers by the stack's sockets.

Clients that ask the same at the same time share one lookup, because each further question of our own for the same name would double the
chance of a forger (RFC 5452 section 5, the "birthday attack").
"""

import ipaddress
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from pystack.dns.asking import Asker
from pystack.dns.authority import LONGEST, read_query, refusal, to_wire
from pystack.dns.exchange import Secret
from pystack.dns.memory import Memory
from pystack.dns.recursion import Ask, LookupOutcome, Recursion, WorkLimits
from pystack.runtime.notes import note
from pystack.visible import visible

#: lookups at the same time; a question for a further name gets SERVFAIL
LOOKUPS = 200
_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]
#: types that are no data: nobody is asked for them
_META = frozenset((dns.rdatatype.ANY, dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.MAILB, dns.rdatatype.MAILA))


class _Shared:
    """A lookup that is under way, for which others may wait."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.outcome = LookupOutcome(dns.rcode.SERVFAIL, [])


class Recursive:
    """Answers messages. `use` gives it a stack.

    roots, allow   see services.dns.RecursiveServer
    edns, mix_case see DnsSettings
    most           the most entries of the cache
    limits         the fields of recursion.WorkLimits
    """

    def __init__(
        self,
        roots: "Mapping[str, str | Sequence[str]]",
        allow: Sequence[str] = ("0.0.0.0/0",),
        *,
        edns: int = 1232,
        mix_case: bool = True,
        most: int = 10_000,
        port: int = 53,
        **limits: Any,
    ):
        self.roots = roots
        self.allow = [ipaddress.IPv4Network(network) for network in allow]
        self.limits = WorkLimits(**limits)
        self.memory = Memory(most)
        self.port = port
        #: how many questions were sent to servers
        self.asked = 0
        self.recursion: Recursion | None = None
        self._options = {"edns": edns, "mix_case": mix_case}
        self._asker: Asker | None = None
        self._host: Any = None
        self._busy: dict[_Key, _Shared] = {}

    def use(self, host: Any, secret: Secret | None = None) -> None:
        """Ask by the sockets of this host. `secret` makes identifiers, ports and letters (None: from the stack's seed)."""
        self._host = host
        secret = secret or Secret(f"{host.stack.seed}/recursive")
        self._asker = Asker(
            host, secret, edns=self._options["edns"], mix_case=bool(self._options["mix_case"]), recurse=False
        )
        self.recursion = Recursion(self.roots, secret, self.memory, self.limits)
        self.recursion.on_note = self._note

    def _note(
        self,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        action: str,
        reason: str,
        rfc: str,
        fields: dict[str, object],
    ) -> None:
        """Report a decision to the probe and to the recording, if there is one."""
        host = self._host
        if host.recorder is not None or host.stack.probe is not None:
            note(host, "dns", f"dns {visible(name.to_text())} {rdtype.name}", reason, rfc, {"action": action, **fields})

    # -- messages ----------------------------------------------------------------------------------------------------

    def quick(self, data: bytes, peer: str, busy: bool = False) -> bytes | None:
        """The answer, b"" if there is none, or None: a server must be asked. `busy`: none may be asked now, so that is SERVFAIL."""
        query = read_query(data)
        if isinstance(query, bytes):
            return query
        reply = self._refuse(query, peer)
        if reply is None:
            outcome = self._remembered(self._key(query))
            if outcome is None and not busy and len(self._busy) < LOOKUPS:
                return None
            reply = self._reply(query, outcome or LookupOutcome(dns.rcode.SERVFAIL, []))
        return to_wire(reply, query, False)

    def answers(self, data: bytes, tcp: bool, peer: str) -> Iterator[bytes]:
        """The answer to a message, if it gets one."""
        query = read_query(data)
        if isinstance(query, bytes):
            if query:
                yield query
            return
        reply = self._refuse(query, peer)
        if reply is None:
            key = self._key(query)
            reply = self._reply(query, self._remembered(key) or self._shared(key))
        yield to_wire(reply, query, tcp)

    def _refuse(self, query: dns.message.Message, peer: str) -> dns.message.Message | None:
        """The answer to a question that is not looked up, or None."""
        code = refusal(query)
        if code == dns.rcode.NOERROR:
            code = self._policy(query, peer)
        if code == dns.rcode.NOERROR:
            return None
        reply = dns.message.make_response(query, recursion_available=True, our_payload=LONGEST)
        reply.set_rcode(code)
        return reply

    def _policy(self, query: dns.message.Message, peer: str) -> dns.rcode.Rcode:
        """The code with which a recursive resolver refuses a question, or NOERROR."""
        [asked] = query.question
        allowed = any(ipaddress.IPv4Address(peer) in network for network in self.allow)
        if not allowed or not query.flags & dns.flags.RD or asked.rdclass != dns.rdataclass.IN:
            return dns.rcode.REFUSED
        return dns.rcode.NOTIMP if asked.rdtype in _META else dns.rcode.NOERROR

    def _reply(self, query: dns.message.Message, outcome: LookupOutcome) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True, our_payload=LONGEST)
        reply.set_rcode(outcome.rcode)
        reply.answer += outcome.answer
        if outcome.soa is not None:
            reply.authority.append(outcome.soa)
        return reply

    def _key(self, query: dns.message.Message) -> _Key:
        return query.question[0].name.canonicalize(), query.question[0].rdtype

    # -- lookups -----------------------------------------------------------------------------------------------------

    def _remembered(self, key: _Key) -> LookupOutcome | None:
        """The answer from the cache alone, or None."""
        assert self.recursion is not None
        lookup = self.recursion.resolve(*key, self._host.clock, quiet=True)
        try:
            next(lookup)
        except StopIteration as end:
            outcome: LookupOutcome = end.value
            return outcome
        lookup.close()
        return None

    def _shared(self, key: _Key) -> LookupOutcome:
        """Look a name up, or wait for the thread that does it already."""
        if key not in self._busy and len(self._busy) >= LOOKUPS:
            return LookupOutcome(dns.rcode.SERVFAIL, [])
        own = _Shared()
        shared = self._busy.setdefault(key, own)  # one step, because another thread may do the same
        if shared is not own:
            shared.done.wait()
            return shared.outcome
        try:
            shared.outcome = self.lookup(*key)
        finally:
            del self._busy[key]
            shared.done.set()
        return shared.outcome

    def lookup(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> LookupOutcome:
        """Look a name up, from the cache or by asking servers."""
        assert self.recursion is not None
        work = self.recursion.resolve(name, rdtype, self._host.clock)
        reply: dns.message.Message | None = None
        try:
            question = next(work)
            while True:
                reply = self._ask(question)
                question = work.send(reply)
        except StopIteration as end:
            outcome: LookupOutcome = end.value
            return outcome

    def _ask(self, question: Ask) -> dns.message.Message | None:
        assert self._asker is not None
        self.asked += 1
        try:
            return self._asker.ask(
                (question.server, self.port), question.name.to_text(), question.rdtype, question.wait
            )
        except (OSError, dns.exception.DNSException):
            return None
