"""Routes and rules beside the kernel's: the same random tables in both, and the same decision for thousands of packets.

Each test gives the same commands to the real `ip` in a namespace and to a stack. A command that the kernel refuses must be
refused with the same error. Then both say by which route a packet goes, for seeded destinations, sources, marks and interfaces.
"""

import errno
import json
import os
import random
import re
import shutil

import pytest

from pystack import iproute
from pystack.kernel.netns import Namespace
from pystack.sim.network import Network
from tests.support.routes import IFACES, questions, routes, rules

QUESTIONS = 1500


def why_not() -> str:
    """Why the kernel cannot be the oracle here, or ""."""
    if shutil.which("ip") is None:
        return "ip is not installed"
    try:
        with Namespace.new() as space:
            done = space.run(
                ["ip", "rule", "add", "fwmark", "1", "table", "100"], capture_output=True, text=True, timeout=20
            )
            return "" if done.returncode == 0 else f"the kernel has no rules: {done.stderr.strip()}"
    except OSError as exc:
        return f"no namespace here: {exc}"


_why = why_not()
pytestmark = pytest.mark.skipif(bool(_why), reason=_why or "the kernel is there")


class Both:
    """A namespace and a stack with the same interfaces: ethN has 192.168.N.1/24."""

    def __init__(self, space: Namespace):
        self.space = space
        setup = [f"tuntap add eth{n} mode tap" for n in range(IFACES)]
        setup += [f"addr add 192.168.{n}.1/24 dev eth{n}" for n in range(IFACES)]
        setup += [f"link set eth{n} up" for n in range(IFACES)]
        assert self.kernel([*setup, "link set lo up"])[1] == {}
        # A namespace may begin with reverse path filters, which a stack does not have.
        names = ["all", "default", *(f"eth{n}" for n in range(IFACES))]
        switches = [f"net.ipv4.conf.{name}.rp_filter=0" for name in names]
        space.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1", *switches], check=True, timeout=20)
        self.net = Network()
        self.host = self.net.host("h", ip_forward=True)
        for n in range(IFACES):
            self.net.link(self.host, self.net.wire(f"w{n}"), addrs=(f"192.168.{n}.1/24", None))

    def kernel(self, commands: list[str]) -> tuple[list[str], dict[int, str]]:
        """Run commands of `ip`. Returns the lines of those that succeeded, and the errors by the number of the command."""
        done = self.space.run(
            ["ip", "-j", "-force", "-batch", "-"],
            input="\n".join(commands) + "\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        errors, said = {}, ""
        for line in done.stderr.splitlines():
            failed = re.match(r"Command failed -:(\d+)", line)
            if failed:
                errors[int(failed[1]) - 1] = said
            else:
                said = line
        return [line for line in done.stdout.splitlines() if line.strip()], errors

    def change(self, commands: list[str]) -> None:
        """Run commands in both. Each must succeed in both, or fail in both with the same error."""
        _, errors = self.kernel(commands)
        for number, command in enumerate(commands):
            said = ""
            try:
                self.host.ip(command)
            except iproute.IpError as error:
                said = str(error)
            # Some kernels name the protocol in front of an explanation.
            theirs = errors.get(number, "").replace("ipv4: ", "")
            assert said.partition(":")[2].strip(" .") == theirs.partition(":")[2].strip(" ."), command

    def rules(self) -> tuple[list[str], list[str]]:
        """The rules as both print them."""
        done = self.space.run(["ip", "rule"], capture_output=True, text=True, timeout=20, check=True)
        return [line.strip() for line in done.stdout.splitlines()], self.host.ip("rule")


def number_of(error: str) -> int:
    """The errno of an error that `ip` printed."""
    text = error.partition(": ")[2]
    return next(number for number in errno.errorcode if os.strerror(number) == text)


def mine(both: Both, words: str) -> tuple[str, ...]:
    """The decision of the stack: how the packet leaves, or the text of the error."""
    try:
        (line,) = both.host.ip("route get " + words)
    except iproute.IpError as error:
        return (str(number_of(str(error))),)
    got = line.split()
    values = {name: got[got.index(name) + 1] for name in ("via", "dev", "table", "src") if name in got}
    return values.get("via", ""), values["dev"], values.get("table", "main"), values.get("src", "")


def compare(both: Both, asked: list[str]) -> list[str]:
    """Ask both. Returns the kinds of answers that there were."""
    # Only `fibmatch` says which table matched. Only without it, the gateway and the source address are those of the packet.
    lines, errors = both.kernel([f"route get {words}" for words in asked])
    answers = iter(lines)
    kinds = []
    for number, words in enumerate(asked):
        ours = mine(both, words)
        if number in errors:
            theirs: tuple[str, ...] = (str(number_of(errors[number])),)
            kinds.append(theirs[0])
        else:
            (found,) = json.loads(next(answers))
            table = found.get("table", "main")
            theirs = found.get("gateway", ""), found["dev"], table, found.get("prefsrc", "")
            kinds.append(table)
        assert ours == theirs, f"{words}: ours {ours}, the kernel's {theirs}"
    return kinds


@pytest.mark.parametrize("seed", range(4))
def test_every_decision_is_as_in_the_kernel(seed):
    rng = random.Random(seed)
    with Namespace.new() as space:
        both = Both(space)
        both.change(routes(rng, 120))
        plain = compare(both, questions(rng, QUESTIONS // 3))
        both.change(rules(rng, 25))
        theirs, ours = both.rules()
        assert ours == theirs
        kinds = compare(both, questions(rng, QUESTIONS))
    assert len({*plain, *kinds}) > 4


def test_flushed_rules_a_jump_and_a_route_in_another_table():
    with Namespace.new() as space:
        both = Both(space)
        both.change(
            [
                "route add default via 192.168.0.9 table 7",
                "route add default via 192.168.1.9",
                "rule add pref 10 fwmark 1 goto 100",
                "rule add pref 20 to 10.0.0.0/8 prohibit",
                "rule add pref 100 fwmark 1 table 7",
                "rule add pref 100 fwmark 1 table 7",
                "rule del pref 12345",
                "route del 10.99.0.0/16",
                "route del default table 9",
            ]
        )
        asked = ["10.1.1.1", "10.1.1.1 mark 1", "8.8.8.8 mark 1", "8.8.8.8"]
        assert compare(both, asked) == ["13", "7", "7", "main"]
        both.change(["rule del pref 10", "rule flush"])
        assert both.rules()[0] == both.rules()[1] == ["0:\tfrom all lookup local"]
        assert compare(both, asked) == ["101"] * 4
