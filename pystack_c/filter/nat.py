"""Address translation (NAT): the hooks that choose a translation for each new connection, and apply it to all its packets.

As on Linux, the destination changes at PREROUTING and OUTPUT, before routing, and the source at POSTROUTING and INPUT. The first
packet of a connection is compared with the rules. If none matches, the connection keeps its addresses, but its source port
changes if the answers would be the same as those of another connection. Packets that connection tracking calls invalid pass
untranslated.

RFC 4787, RFC 5382 and RFC 5508 describe what applications need. Linux's translation keeps ports and depends on both ends of a
connection; the setting nat_endpoint_independent selects what these RFCs ask for.
"""

from typing import Any

import pystack_c.const as C
from pystack_c.base.address import addr_text, key
from pystack_c.core import Core
from pystack_c.filter import conntrack, translate
from pystack_c.filter.conntrack_table import Conntrack
from pystack_c.filter.flow import Half, Tracked
from pystack_c.filter.hooks import HookCall, attach, detach
from pystack_c.filter.nat_rules import Mapping, Nat, NatRule, Range
from pystack_c.iface import Iface
from pystack_c.link import neighbor
from pystack_c.packet import Outgoing

#: Linux's priorities of the two translations
DESTINATION, SOURCE = -100, 100
_LINUX = "Linux nf_nat"
_KEEP = Range(0, 0, 0, 0)
_NAMES = ("accept", "snat", "dnat", "masquerade", "redirect")


def destination(core: Core, place: int, iface: Iface, packet: Any) -> int:
    """Translate the destination: the hook at PREROUTING and OUTPUT."""
    return _pass(core, place, iface, packet, False)


def source(core: Core, place: int, iface: Iface, packet: Any) -> int:
    """Translate the source: the hook at POSTROUTING and INPUT."""
    return _pass(core, place, iface, packet, True)


def _pass(core: Core, place: int, iface: Iface, packet: Any, of_source: bool) -> int:
    ct: Conntrack = core.conntrack
    entry: Tracked | None = ct.entry
    if entry is None:
        return C.NF_ACCEPT
    arrived = place == C.HOOK_PREROUTING or place == C.HOOK_INPUT
    if ct.state == C.CT_RELATED and packet.proto == C.IPPROTO_ICMP:
        return translate.translate_error(core, entry, ct.direction, of_source, packet, arrived)
    done = C.IPS_SRC_NAT_DONE if of_source else C.IPS_DST_NAT_DONE
    if not entry.status & (done | C.IPS_CONFIRMED) and ct.state != C.CT_RELATED:
        verdict = _bind(core, entry, place, iface, packet, of_source)
        if verdict != C.NF_ACCEPT:
            return verdict
        entry.status |= done
    elif of_source and entry.masquerade is not None and ct.direction == C.CT_ORIGINAL and not arrived:
        if entry.masquerade is not iface:
            # The route changed, and the address of the old interface is no address of the new one.
            ct.destroy(entry, "the packets leave by another interface than the one whose address they use")
            why = "the connection was translated to the address of another interface"
            core.drop("nat-other-interface", entry.subject(), why, _LINUX)
            return C.NF_COUNTED
    if translate.wanted(entry, ct.direction, of_source):
        translate.translate(core, entry, ct.direction, of_source, packet, arrived)
    return C.NF_ACCEPT


def _bind(core: Core, entry: Tracked, place: int, iface: Iface, packet: Any, of_source: bool) -> int:
    """Choose the translation of a new connection. Returns a verdict."""
    nat: Nat = core.nat
    half = nat.work
    # the packet as it would leave now
    half.mirror(entry.reply)
    rule = _rule_for(nat, place, iface, half, of_source)
    if rule is None:
        for chain in nat.chains[place]:
            verdict = chain.bind(core, place, iface, packet)
            if verdict != C.NF_ACCEPT:
                return int(verdict)
            rule = chain.chosen
            if rule is not None:
                break
    choice: Any = _KEEP
    if rule is not None:
        rule.packets += 1
        choice = _choice(rule, entry, place, iface, packet)
        if choice is None:
            if rule.service is not None:
                why = "no server of the service is up and has a weight"
                core.drop("balance-no-server", entry.subject(), why, "Linux IPVS")
                return C.NF_COUNTED
            why = "the interface has no address to translate to"
            core.drop("nat-no-address", entry.subject(), why, _LINUX)
            return C.NF_COUNTED
    elif not of_source and place == C.HOOK_PREROUTING and core.config.nat_endpoint_independent:
        choice = _open_mapping(core, nat, half)
    if not nat.choose(entry, half, choice, of_source):
        why = "all ports that the translation may use are in use"
        core.drop("nat-exhausted", entry.subject(), why, "RFC 4787 4.2")
        return C.NF_COUNTED
    old = nat.answer
    old.mirror(entry.reply)
    changed = old.src != half.src or old.sport != half.sport or old.dst != half.dst or old.dport != half.dport
    if not changed:
        return C.NF_ACCEPT
    entry.reply.mirror(half)
    entry.status |= C.IPS_SRC_NAT if of_source else C.IPS_DST_NAT
    if core.probe is not None:
        addr, port = (half.src, half.sport) if of_source else (half.dst, half.dport)
        fields = {"kind": "snat" if of_source else "dnat", "addr": addr_text(addr), "port": port}
        why = "another connection has the same ports" if rule is None else f"a rule says {_NAMES[rule.action]}"
        core.emit("nat.bind", entry.subject(), 0, why, _LINUX, fields)
    return C.NF_ACCEPT


def _rule_for(nat: Nat, place: int, iface: Iface, half: Half, of_source: bool) -> Any:
    """Return the first rule that matches, or None."""
    for item in nat.rules[place]:
        rule: NatRule = item
        if rule.matches(iface, half):
            return rule
    return None


def _choice(rule: NatRule, entry: Tracked, place: int, iface: Iface, packet: Any) -> Any:
    """Return the Range of a rule, or None if it needs an address that the interface does not have."""
    choice = rule.choice
    addr = 0
    if rule.action == C.NAT_ACCEPT:
        return _KEEP
    if rule.service is not None:
        server = rule.service.choose(entry.core, entry.original.src, entry.original.sport)
        if server is None:
            return None
        entry.server = server
        return Range(server.addr, server.addr, server.port, server.port)
    if rule.action == C.NAT_MASQUERADE:
        out: Outgoing = packet
        addr = neighbor.source_for(iface, out.dst.next_hop)
        entry.masquerade = iface
    elif rule.action == C.NAT_REDIRECT:
        # A packet of our own goes to the loopback address, any other to the interface on which it arrived.
        if place == C.HOOK_OUTPUT:
            addr = neighbor.source_for(entry.core.lo, 0)
        else:
            addr = neighbor.source_for(iface, 0)
    else:
        return choice
    if addr == 0:
        return None
    return Range(addr, addr, choice.port_low, choice.port_high, choice.fully_random)


def _open_mapping(core: Core, nat: Nat, half: Half) -> Range:
    """Return the internal endpoint of the mapping to which a packet from outside goes, if the filtering lets it in (RFC 4787 5)."""
    if core.config.nat_filtering == 2:
        return _KEEP
    port = half.sport if half.proto == C.IPPROTO_ICMP else half.dport
    mapping: Mapping | None = nat.find_external(half.dst, port, half.proto)
    if mapping is None or (core.config.nat_filtering == 1 and key(half.src) not in mapping.peers):
        return _KEEP
    inner = mapping.newest().original
    return Range(inner.src, inner.src, inner.sport, inner.sport)


# Setting up.


class Translator(HookCall):
    """The hooks `destination` and `source`."""

    def __init__(self, of_source: bool) -> None:
        self.reads = True
        self.of_source = of_source

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:  # inherited
        """Translate a packet."""
        if self.of_source:
            return source(core, place, iface, packet)
        return destination(core, place, iface, packet)


_DESTINATION, _SOURCE = Translator(False), Translator(True)


def enable(core: Core) -> None:
    """Switch address translation on, and connection tracking, which it needs."""
    if core.nat is not None:
        return
    conntrack.enable(core)
    core.nat = Nat(core)
    attach(core, C.HOOK_PREROUTING, _DESTINATION, DESTINATION)
    attach(core, C.HOOK_OUTPUT, _DESTINATION, DESTINATION)
    attach(core, C.HOOK_POSTROUTING, _SOURCE, SOURCE)
    attach(core, C.HOOK_INPUT, _SOURCE, SOURCE)


def disable(core: Core) -> None:
    """Switch address translation off. Connections that were translated lose their packets, as on Linux."""
    if core.nat is None:
        return
    ct: Conntrack = core.conntrack
    for entry in ct.all():
        if entry.status & (C.IPS_SRC_NAT | C.IPS_DST_NAT):
            ct.destroy(entry, "address translation was switched off")
    detach(core, C.HOOK_PREROUTING, _DESTINATION)
    detach(core, C.HOOK_OUTPUT, _DESTINATION)
    detach(core, C.HOOK_POSTROUTING, _SOURCE)
    detach(core, C.HOOK_INPUT, _SOURCE)
    core.nat = None


def add_rule(core: Core, place: int, rule: NatRule) -> None:
    """Append a rule to a place. Raises ValueError if the action is impossible there."""
    allowed = {
        C.NAT_ACCEPT: (C.HOOK_PREROUTING, C.HOOK_OUTPUT, C.HOOK_POSTROUTING, C.HOOK_INPUT),
        C.NAT_SNAT: (C.HOOK_POSTROUTING, C.HOOK_INPUT),
        C.NAT_MASQUERADE: (C.HOOK_POSTROUTING,),
        C.NAT_DNAT: (C.HOOK_PREROUTING, C.HOOK_OUTPUT),
        C.NAT_REDIRECT: (C.HOOK_PREROUTING, C.HOOK_OUTPUT),
    }
    if place not in allowed.get(rule.action, ()):
        raise ValueError("the action is impossible at this place")
    enable(core)
    nat: Nat = core.nat
    nat.rules[place].append(rule)


def address_gone(core: Core, iface: Iface, addr: int) -> None:
    """Remove the connections that use an address which the interface has lost (a masquerade follows the interface)."""
    ct: Conntrack = core.conntrack
    for entry in ct.all():
        if entry.masquerade is iface and (addr == 0 or entry.reply.dst == addr):
            ct.destroy(entry, "the address that the masquerade used is gone")
