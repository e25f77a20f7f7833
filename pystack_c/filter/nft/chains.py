"""Chains of rules, and how a packet passes them (Linux nft_do_chain)."""

from collections import deque
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core
from pystack_c.filter.hooks import HookCall
from pystack_c.filter.nft.memos import recall, remember
from pystack_c.filter.nft.statements import Step, steps
from pystack_c.filter.nft.view import UNANSWERED, View
from pystack_c.packet import Outgoing

#: how many jumps a packet may be deep in, as on Linux (NFT_JUMP_STACK_SIZE)
DEPTH = 16
#: how many lines of `log` statements are kept
LOG_MAX = 1000
#: how many packets of this stack's own may be in the hooks at a time: an answer to an answer to a packet
VIEWS = 8
_LINUX = "Linux nf_tables"
_VERDICTS = {
    C.NF_DROP: "drop",
    C.NF_ACCEPT: "accept",
    C.NF_STOLEN: "queue",
    C.NF_COUNTED: "drop",
    C.NFT_CONTINUE: "continue",
    C.NFT_JUMP: "jump",
    C.NFT_GOTO: "goto",
    C.NFT_RETURN: "return",
}


class FilterRule:
    """A rule: its statements, and the JSON from which they were made."""

    def __init__(self, handle: int, statements: list[Any], expr: list[Any], comment: Any) -> None:
        self.handle = handle
        self.statements = statements
        self.first = steps(statements)
        self.expr = expr
        self.comment = comment
        #: what the rule refers to, where it came from in the JSON (during its load), and what it needs
        self.uses: list[Any] = []
        self.path: tuple[Any, ...] = ()
        self.wants_ct = False
        self.nat_kinds: list[int] = []
        self.queues = False
        self.rejects = False
        self.confined: list[Any] = []


class Chain(HookCall):
    """A chain. A base chain is a hook. It has a `kind` ("filter", "nat", "route"), a place, a priority and a policy (NF_ACCEPT or NF_DROP)."""

    def __init__(self, table: Any, name: str, handle: int) -> None:
        self.reads = True
        self.table = table
        self.name = name
        self.handle = handle
        self.rules: list[FilterRule] = []
        self.kind = ""
        self.place = 0
        self.priority = 0
        self.policy = C.NF_ACCEPT
        self.packets: Any = None
        #: the translation that the rules chose for the packet (type nat)
        self.chosen: Any = None
        self.comment: Any = None
        #: base chains are numbered as they are made
        self.order = 0

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:
        """Judge a packet: the hook of a base chain of the types filter and route."""
        packets = self.packets
        view = packets.outer if packets.depth == 0 else packets.view()
        arrived = self.priority > -200 and place <= C.HOOK_FORWARD
        if arrived and recall(core, self, packets.epoch, view, place, iface, packet):
            return C.NF_ACCEPT
        packets.depth += 1
        try:
            view.load(place, iface, packet)
            view.base = self
            view.blind = self.priority <= -200 and (place == C.HOOK_PREROUTING or place == C.HOOK_OUTPUT)
            if place == C.HOOK_OUTPUT and self.kind == "route":
                verdict = self._run_route(view, packet)
            else:
                verdict = self.run(view)
            if verdict == C.NF_DROP:
                return self._refused(core, view)
            if arrived and verdict == C.NF_ACCEPT:
                remember(core, self, self.rules, self.policy == C.NF_ACCEPT, packets.epoch, view, packet)
            return verdict
        finally:
            packets.depth -= 1

    def _run_route(self, view: View, out: Outgoing) -> int:
        """Apply the rules of a chain of the type route: if they change what routing depends on, the packet is routed anew."""
        mark = view.mark
        src = view.src
        dst = view.dst
        tos = view.tos
        verdict = self.run(view)
        if verdict == C.NF_ACCEPT and (view.mark != mark or view.src != src or view.dst != dst or view.tos != tos):
            out.reroute = True
        return verdict

    def bind(self, core: Core, place: int, iface: Any, packet: Any) -> int:
        """Judge the first packet of a connection: a base chain of type nat. The translation, if any, is in `chosen`."""
        packets = self.packets
        view = packets.view()
        packets.depth += 1
        self.chosen = None
        try:
            view.load(place, iface, packet)
            view.blind = False
            view.nat = None
            verdict = self.run(view)
            if verdict == C.NF_DROP:
                return self._refused(core, view)
            self.chosen = view.nat
            view.nat = None
            return verdict
        finally:
            packets.depth -= 1

    def run(self, view: View) -> int:
        """Apply the rules to a packet. The result is a verdict NF_*; view.rule is the rule that gave it, or None for the policy."""
        chain = self
        rules = self.rules
        count = len(rules)
        at = 0
        stack: Any = None
        while True:
            if at < count:
                rule: FilterRule = rules[at]
                at += 1
                verdict = C.NFT_CONTINUE
                step: Step | None = rule.first
                while step is not None:
                    verdict = step.statement.run(view)
                    if verdict != C.NFT_CONTINUE:
                        break
                    step = step.following
                if verdict == C.NFT_BREAK:
                    continue
                if view.trace:
                    _trace(view, chain, rule, verdict, "the packet matches the rule")
                if verdict == C.NFT_CONTINUE:
                    continue
                if verdict >= 0:
                    view.rule = rule
                    view.chain = chain
                    return verdict
                if verdict != C.NFT_RETURN:
                    if verdict == C.NFT_JUMP:
                        if stack is None:
                            stack = []
                        if len(stack) >= DEPTH:
                            # The loader refuses such rulesets, but a map may have changed since.
                            view.rule = rule
                            view.chain = chain
                            return C.NF_DROP
                        stack.append((chain, rules, at))
                    chain = view.target
                    rules = chain.rules
                    count = len(rules)
                    at = 0
                    continue
            elif view.trace and stack:
                _trace(view, chain, None, C.NFT_CONTINUE, "the chain has no more rules")
            if not stack:
                view.rule = None
                view.chain = self
                if view.trace:
                    _trace(view, self, None, self.policy, "no rule decided, so the policy of the chain does")
                return self.policy
            chain, rules, at = stack.pop()
            count = len(rules)

    def _refused(self, core: Core, view: View) -> int:
        """Count a drop, with the rule that is the reason."""
        rule: FilterRule | None = view.rule
        name = "nft-policy" if rule is None else "nft-reject" if view.rejected else "nft-drop"
        if core.probe is None:
            core.counters.drop(name)
            return C.NF_COUNTED
        where = f"chain {view.chain.name} of table {self.table.family} {self.table.name}"
        why = f"the policy of {where} is drop, and no rule accepted the packet"
        if rule is not None:
            why = f"the rule with handle {rule.handle} in {where} says {'reject' if view.rejected else 'drop'}"
            if view.rejected == UNANSWERED:
                why += ", but no answer may be sent about this packet"
        core.drop(name, view.subject(), why, _LINUX)
        return C.NF_COUNTED


class FilterPackets:
    """The packets that are on their way through the chains of one stack, and what their rules logged.

    A rule may answer a packet at once (`reject`), and the answer passes the hooks, too. So there is a View for each of them.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.views = [View(core) for _ in range(VIEWS)]
        self.outer = self.views[0]
        self.depth = 0
        #: counts the loads of rules, so that older memos do not hold any more
        self.epoch = 0
        #: the newest lines of `log` statements: (time in ns, prefix, level, place, subject)
        self.log: deque[Any] = deque(maxlen=LOG_MAX)
        self.logged = 0
        #: sends the answers of `reject` (pystack_c.ip.refusal)
        self.helper: Any = None
        #: queueing.Queues
        self.queues: Any = None

    def view(self) -> View:
        """Return the View for the packet in the hooks."""
        if self.depth == 0:
            return self.outer
        depth = self.depth if self.depth < VIEWS else VIEWS - 1
        found: View = self.views[depth]
        return found


class Beginning(HookCall):
    """The first hook of all at PREROUTING and OUTPUT: a packet begins its way."""

    def __init__(self, packets: FilterPackets) -> None:
        self.reads = True
        self.packets = packets

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:  # inherited
        """Forget what belongs to the packet before."""
        packets = self.packets
        if packets.depth == 0:
            packets.outer.begin(place == C.HOOK_OUTPUT, iface)
        else:
            packets.view().begin(place == C.HOOK_OUTPUT, iface)
        if place == C.HOOK_OUTPUT:
            self.leaves(packet)
        return C.NF_ACCEPT

    def leaves(self, out: Outgoing) -> None:
        """Take the mark of a packet of our own, which its socket set."""
        self.packets.view().mark = out.mark


def verdict_text(verdict: int, target: Any) -> str:
    """Return a verdict for people."""
    text: str = _VERDICTS[verdict]
    return f"{text} {target.name}" if verdict in (C.NFT_JUMP, C.NFT_GOTO) else text


def _trace(view: View, chain: Chain, rule: Any, verdict: int, why: str) -> None:
    """Report the step of a packet that is traced (`meta nftrace set 1`)."""
    core = view.core
    if core.probe is None:
        return
    fields = {
        "table": f"{chain.table.family} {chain.table.name}",
        "chain": chain.name,
        "handle": 0 if rule is None else rule.handle,
        "verdict": "reject" if view.rejected and verdict == C.NF_DROP else verdict_text(verdict, view.target),
        "mark": view.mark,
    }
    core.emit("nft.trace", view.subject(), 0, why, _LINUX, fields)
