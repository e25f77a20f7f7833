"""The commands about the network that scripts use: ip route, ip tcp_metrics, tc qdisc, ss. They are simulated like
those in shell.py.
"""

import re
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pystack.pkt.errors import Unsupported
from pystack_c.base.address import addr_text, v4_bits

#: the attributes of a route in `ip route` -> the argument of Stack.add_route
METRICS = {"mtu": 0, "advmss": 1, "initcwnd": 2}
#: states as ss writes them, by Linux's numbers
SS_STATES = {
    1: "ESTAB",
    2: "SYN-SENT",
    3: "SYN-RECV",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "UNCONN",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
}
#: groups of states in ss's filters
SS_GROUPS = {
    "all": tuple(SS_STATES),
    "connected": (1, 2, 3, 4, 5, 6, 8, 9, 11),
    "synchronized": (1, 4, 5, 6, 8, 9, 11),
    "established": (1,),
    "listening": (10,),
}
#: options of ss that change nothing here, or only the look of the lines
SS_PLAIN = "4nteimop"


def ip_command(shell: Any, words: list[str], line: int) -> tuple[int, list[str]]:
    """Run ip route add|change|replace|append|del DST ..., or ip tcp_metrics flush|delete."""
    words = [w for w in words if w not in ("-4", "-n")]
    if words[:1] == ["tcp_metrics"] and words[1:2] in (["flush"], ["delete"]):
        shell.sysctls.flush()
        return 0, []
    if words[:1] in (["route"], ["r"], ["ro"]) and len(words) > 2:
        if words[1] == "flush":
            return 0, []
        if words[1] in ("add", "change", "replace", "append"):
            dst, prefixlen = _prefix(words[2], line)
            shell.runner.change_route(dst, prefixlen, _metrics(words[3:], line))
            return 0, []
        if words[1] in ("del", "delete"):
            dst, prefixlen = _prefix(words[2], line)
            shell.runner.change_route(dst, prefixlen, None)
            return 0, []
    raise Unsupported(line, f"the command 'ip {' '.join(words)}' is not supported")


def _prefix(text: str, line: int) -> tuple[int, int]:
    try:
        network = IPv4Network("0.0.0.0/0" if text == "default" else text)
    except ValueError:
        raise Unsupported(line, f"ip route: {text} is not an IPv4 destination") from None
    return int(network.network_address), network.prefixlen


def _metrics(words: list[str], line: int) -> tuple[int, int, int]:
    """Return the metrics of an `ip route` line. The way of the route is known, because there is one link."""
    found = [0, 0, 0]
    i = 0
    while i < len(words):
        name = words[i]
        if i + 1 >= len(words):
            raise Unsupported(line, f"ip route: {name} without a value")
        if name == "mtu" and words[i + 1] == "lock":
            i += 1
        if name in METRICS and words[i + 1 : i + 2] and words[i + 1].isdigit():
            found[METRICS[name]] = int(words[i + 1])
        elif name not in ("via", "dev", "src", "proto", "scope"):
            raise Unsupported(line, f"ip route: {name} is not supported")
        i += 2
    return found[0], found[1], found[2]


def tc_command(shell: Any, words: list[str], line: int) -> tuple[int, list[str]]:
    """Run tc qdisc add|replace|change|del dev tun0 root pfifo|fq. With fq every connection is paced."""
    text = " ".join(words)
    rest = [w for w in words if w not in ("dev", "tun0", "root")]
    if rest[:1] != ["qdisc"] or len(rest) < 2:
        raise Unsupported(line, f"the command 'tc {text}' is not supported")
    if rest[1] in ("del", "delete"):
        shell.sysctls.config.tcp_pacing = False
        return 0, []
    if rest[1] not in ("add", "replace", "change") or rest[2:3] not in (["pfifo"], ["pfifo_fast"], ["fq"]):
        raise Unsupported(line, f"the command 'tc {text}' is not supported")
    if rest[3:]:
        raise Unsupported(line, "a full device queue is not supported")
    shell.sysctls.config.tcp_pacing = rest[2] == "fq"
    return 0, []


def ss(shell: Any, words: list[str], line: int) -> tuple[int, list[str]]:
    """Run Linux's ss for TCP sockets: state, queues, addresses; filters by state, port and address."""
    states = tuple(s for s in SS_STATES if s != 10)
    wanted: list[tuple[str, Any]] = []
    words = [w for w in re.sub(r"[()]", " ", " ".join(words)).split() if w not in ("and", "&&")]
    i = 0
    while i < len(words):
        word = words[i]
        if word == "state" and i + 1 < len(words):
            states = _states(words[i + 1], line)
            i += 1
        elif word in ("sport", "dport") and i + 2 < len(words) and words[i + 1] in ("=", "eq", "=="):
            wanted.append((word, int(words[i + 2].lstrip(":"))))
            i += 2
        elif word in ("src", "dst") and i + 1 < len(words):
            wanted.append((word, words[i + 1]))
            i += 1
        elif word.startswith("--") and word[2:] in ("options", "extended", "info", "numeric", "tcp", "ipv4", "memory"):
            pass
        elif word == "-6":
            return 0, [_HEAD]
        elif word.startswith("-") and not word.startswith("--"):
            states = _letters(word[1:], states, line)
        else:
            raise Unsupported(line, f"ss {word} is not supported")
        i += 1
    found = [t for t in _endpoints(shell) if t.state in states and all(_fits(t, *w) for w in wanted)]
    return 0, [_HEAD, *map(_ss_line, found)]


_HEAD = "State      Recv-Q Send-Q Local Address:Port  Peer Address:Port"


def _endpoints(shell: Any) -> list[Any]:
    found = {tcb.ident: tcb for tcb in shell.runner.stack.tcp.all()}
    return [found[ident] for ident in sorted(found)]


def _states(name: str, line: int) -> tuple[int, ...]:
    name = name.lower()
    if name in SS_GROUPS:
        return SS_GROUPS[name]
    for number, text in SS_STATES.items():
        if text.lower() == name:
            return (number,)
    raise Unsupported(line, f"ss state {name} is not supported")


def _letters(letters: str, states: tuple[int, ...], line: int) -> tuple[int, ...]:
    for letter in letters:
        if letter == "a":
            states = tuple(SS_STATES)
        elif letter == "l":
            states = (10,)
        elif letter not in SS_PLAIN:
            raise Unsupported(line, f"ss -{letter} is not supported")
    return states


def _fits(tcb: Any, name: str, value: Any) -> bool:
    if name == "sport":
        return bool(tcb.lport == value)
    if name == "dport":
        return bool(tcb.rport == value)
    address, _, port = str(value).partition(":")
    mine, mine_port = (tcb.laddr, tcb.lport) if name == "src" else (tcb.raddr, tcb.rport)
    if port and int(port) != mine_port:
        return False
    return not address or IPv4Address(v4_bits(mine)) in IPv4Network(address, strict=False)


def _ss_line(tcb: Any) -> str:
    recv, send = tcb.recvbuf.used, tcb.sendbuf.tail - tcb.sendbuf.head
    if tcb.listener is not None:
        recv, send = len(tcb.listener.accept_queue), tcb.listener.backlog
    local, peer = f"{addr_text(tcb.laddr)}:{tcb.lport}", f"{addr_text(tcb.raddr)}:{tcb.rport or '*'}"
    return f"{SS_STATES.get(tcb.state, '?'):10} {recv:<6} {send:<6} {local} {peer}"
