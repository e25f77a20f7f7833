"""Random routes and rules, and packets whose way they decide: as commands of `ip`, for the kernel and for a stack."""

import random

from pystack_c.base.address import addr_text

#: the interfaces ethN with 192.168.N.1/24
IFACES = 3
TABLES = ("main", "main", "main", "100", "101", "default", "4294967290")
TYPES = ("", "", "", "", "", "", "", "unreachable ", "blackhole ", "prohibit ", "throw ")


def prefix(rng: random.Random) -> str:
    """A random destination: nested prefixes of 10/8, so that many match the same address."""
    length = rng.choice((0, 8, 8, 9, 12, 16, 16, 17, 20, 23, 24, 24, 25, 28, 30, 31, 32))
    if length == 0:
        return "default"
    bits = 0x0A000000 | rng.randrange(4) << 16 | rng.randrange(3) << 8 | rng.choice((0, 1, 64, 128, 200, 255))
    bits &= 0xFFFFFFFF << (32 - length)
    return f"{bits >> 24}.{bits >> 16 & 255}.{bits >> 8 & 255}.{bits & 255}/{length}"


def way(rng: random.Random) -> str:
    n = rng.randrange(IFACES)
    return rng.choice((f"via 192.168.{n}.{rng.randrange(2, 200)}", f"via 192.168.{n}.2 dev eth{n}", f"dev eth{n}"))


def routes(rng: random.Random, count: int) -> list[str]:
    """Commands that add routes, and remove some of them again."""
    commands: list[str] = []
    for _ in range(count):
        kind = rng.choice(TYPES)
        words = f"{kind}{prefix(rng)} {'' if kind else way(rng)}"
        words += rng.choice(("", "", " metric 5", " metric 10")) + f" table {rng.choice(TABLES)}"
        commands.append(rng.choice(("route add ", "route add ", "route replace ")) + words)
    for line in rng.sample(commands, count // 8):
        commands.append(line.replace("route add", "route del").replace("route replace", "route del"))
    return commands


def rules(rng: random.Random, count: int) -> list[str]:
    commands = []
    for _ in range(count):
        words = ["rule add"]
        words += rng.choice(([], [], ["not"]))
        words += rng.choice(
            ([], [f"from 192.168.{rng.randrange(IFACES)}.0/24"], [f"from 172.16.{rng.randrange(4)}.0/24"])
        )
        words += rng.choice(([], [], [f"to {prefix(rng)}".replace("default", "0.0.0.0/0")]))
        words += rng.choice(([], [], [f"fwmark {rng.randrange(1, 4)}"], [f"fwmark {rng.randrange(4)}/0x3"]))
        words += rng.choice(
            ([], [], [f"iif eth{rng.randrange(IFACES)}"], ["iif lo"], [f"oif eth{rng.randrange(IFACES)}"])
        )
        priority = rng.choice((None, rng.randrange(1, 32766), rng.randrange(1, 32766), 33000))
        words += [] if priority is None else [f"pref {priority}"]
        action = rng.choice(
            ("table", "table", "table", "table", "suppress", "blackhole", "unreachable", "prohibit", "nop")
        )
        table = rng.choice(TABLES)
        if action == "table":
            words.append(f"table {table}")
        elif action == "suppress":
            words.append(f"table {table} suppress_prefixlength {rng.choice((0, 8, 16))}")
        else:
            words.append(action)
        commands.append(" ".join(words))
    return commands


def questions(rng: random.Random, count: int) -> list[str]:
    """Packets whose way is asked for, as the words of `ip route get`."""
    found = []
    for _ in range(count):
        bits = (
            0x0A000000
            | rng.randrange(5) << 16
            | rng.randrange(4) << 8
            | rng.choice((0, 1, 2, 63, 65, 129, 200, 201, 255))
        )
        if rng.random() < 0.1:
            bits = rng.choice((0x08080808, 0xC0A80005, 0xC0A80105, 0xC0A80209, 0xAC100001))
        words = addr_text(0xFFFF00000000 | bits)
        side = rng.randrange(4)
        if side == 0:
            n = rng.randrange(IFACES)
            source = rng.choice((f"192.168.{n}.9", f"172.16.{rng.randrange(4)}.7", f"10.{rng.randrange(4)}.1.77"))
            words += f" from {source} iif eth{n}"
        elif side == 1:
            words += f" from 192.168.{rng.randrange(IFACES)}.1"
        elif side == 2:
            words += f" oif eth{rng.randrange(IFACES)}"
        if rng.random() < 0.5:
            words += f" mark {rng.randrange(4)}"
        found.append(words)
    return found
