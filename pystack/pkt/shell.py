"""The few shell commands that scripts use, simulated: sysctl, included files, sockstat, tcpdrop, nstat, grep, ...

shell_net.py has those about the network. No process is ever started. An unknown command is Unsupported.
"""

import os
import re
import shlex
from collections.abc import Callable
from typing import Any

from pystack.pkt import shell_flow
from pystack.pkt.errors import Unsupported
from pystack.pkt.parser import read
from pystack.pkt.pattern import trouble
from pystack.pkt.settings import PLATFORMS
from pystack.pkt.shell_net import ip_command, ss, tc_command
from pystack.pkt.sysctl import LINUX_ABSENT, Sysctls
from pystack_c.base.address import addr_bytes

#: commands that have no effect here
NOTHING = (
    "ethtool -K",
    "rm ",
    "/bin/rm ",
    ":",
    "true",
    "setkey -F",
)
#: the most characters of commands, and the most commands in one script
MAX_TEXT = 1 << 16
MAX_COMMANDS = 10_000
FREEBSD_STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RCVD",
    4: "FIN_WAIT_1",
    5: "FIN_WAIT_2",
    6: "TIME_WAIT",
    7: "CLOSED",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
}
_ARITHMETIC = re.compile(r"\$\(\(([\d\s*+\-/()x]+)\)\)")


class Shell:
    """Runs the commands of one script."""

    def __init__(self, runner: Any, sysctls: Sysctls, folder: str):
        self.runner = runner
        self.sysctls = sysctls
        self.folder = folder
        self.files: dict[str, int] = {}
        self.counted: dict[str, int] = {}
        self.variables: dict[str, str] = {}
        self.depth = 0
        self.commands = 0

    def run(self, text: str, line: int) -> int:
        """Run one command or several. Return the exit status of the last."""
        status = 0
        if len(text) > MAX_TEXT:
            raise Unsupported(line, f"commands of more than {MAX_TEXT} characters are not supported")
        text = re.sub(r"(?m)(?:^|\s)#[^\n]*", "", text.replace("\\\n", " "))
        flow = shell_flow.Flow(self)
        for part in _split(text):
            if part.startswith("||"):
                if status == 0:
                    continue
                part = part[2:]
            elif part.startswith("&&"):
                if status != 0:
                    continue
                part = part[2:]
            part = flow.word(part.strip(), line)
            if part and flow.runs:
                status = self.step(part, line)
        if flow.open:
            raise Unsupported(line, "an 'if' without 'fi' is not supported")
        return status

    def step(self, part: str, line: int) -> int:
        """Run one command, or an assignment."""
        part = shell_flow.expand(self, part, line)
        if shell_flow.assign(self, part, line):
            return 0
        return self._pipeline(part, line)[0]

    def output(self, part: str, line: int) -> list[str]:
        """Return what a command prints."""
        return self._pipeline(part, line)[1]

    def include(self, path: str, line: int) -> int:
        """Run the commands in a file.

        Its directory is relative to the script's, or else to the current one.
        """
        full = os.path.join(self.folder, path)
        if not os.path.exists(full):
            full = path
        try:
            text = read(full)
        except OSError:
            raise Unsupported(line, f"the included script {path} does not exist") from None
        if self.depth > 4:
            raise Unsupported(line, f"{path}: scripts include each other too deeply")
        self.depth += 1
        try:
            return self.run(text, line)
        finally:
            self.depth -= 1

    def _pipeline(self, text: str, line: int) -> tuple[int, list[str]]:
        self.commands += 1
        if self.commands > MAX_COMMANDS:
            raise Unsupported(line, f"a script of more than {MAX_COMMANDS} commands is not supported")
        text = re.sub(r"[12&]?>>?[ \t]{0,9}(?:/dev/null|&[12])", "", text).strip()
        if not text or text.startswith(NOTHING) or "sysctl_restore" in text:
            return 0, []
        output: list[str] | None = None
        status = 0
        for stage in _split(text, "|"):
            try:
                words = shlex.split(stage)
            except ValueError as error:
                raise Unsupported(line, f"command {stage.strip()!r}: {error}") from None
            if words:
                status, output = self._command(words, output, line, text)
        return status, output or []

    def _command(self, words: list[str], stdin: "list[str] | None", line: int, text: str) -> tuple[int, list[str]]:
        name = os.path.basename(words[0])
        if name == "sysctl":
            return self._sysctl(words[1:], line)
        if name == "set_sysctls.py":
            for word in words[1:]:
                key, _, value = word.partition("=")
                self.sysctls.set(key, value, line)
            return 0, []
        if name == "grep":
            return self._grep(words[1:], stdin, line)
        if name == "awk" and stdin is not None and len(words) == 2:
            return 0, _awk(words[1], stdin, line)
        if name == "wc" and words[1:] == ["-l"] and stdin is not None:
            return 0, [str(len(stdin))]
        if name in COMMANDS:
            return COMMANDS[name](self, words[1:], line)
        if name in (".", "source") and len(words) == 2:
            return self.include(words[1], line), []
        if name in ("[", "test") and (name == "test" or words[-1] == "]"):
            return shell_flow.test(words[1 : None if name == "test" else -1], line), []
        if name == "dd":
            self._dd(words[1:])
            return 0, []
        if name.endswith(".sh") and len(words) == 1:
            return self.include(words[0], line), []
        raise Unsupported(line, f"the command {text.strip()!r} is not supported")

    def _sysctl(self, words: list[str], line: int) -> tuple[int, list[str]]:
        output: list[str] = []
        for word in words:
            if word.startswith("-"):
                continue
            name, equals, value = word.partition("=")
            if name in LINUX_ABSENT:
                return 255, output
            if equals:
                self.sysctls.set(name, _ARITHMETIC.sub(lambda match: _arithmetic(match, line), value), line)
            elif name in self.sysctls.values:
                output.append(self.sysctls.values[name])
            else:
                raise Unsupported(line, f"reading sysctl {name} is not supported")
        return 0, output

    def _grep(self, words: list[str], stdin: "list[str] | None", line: int) -> tuple[int, list[str]]:
        flags = [w for w in words if w.startswith("-")]
        rest = [w for w in words if not w.startswith("-")]
        letters = "".join(flags).replace("-", "")
        if not rest or any(c not in "cqviE" for c in letters):
            raise Unsupported(line, f"grep {' '.join(words)} is not supported")
        lines = stdin if stdin is not None else [text for path in rest[1:] for text in self._file(path, line)]
        pattern = _grep_pattern(rest[0], letters, line)
        hits = [text for text in lines if bool(pattern.search(text)) != ("v" in letters)]
        output = [str(len(hits))] if "c" in letters else [] if "q" in letters else hits
        return (0 if hits else 1), output

    def _file(self, path: str, line: int) -> list[str]:
        if path == "/proc/net/tcp6":
            return []
        if path == "/proc/net/tcp":
            return [_proc_line(i, tcb) for i, tcb in enumerate(self.runner.stack.tcp.all())]
        raise Unsupported(line, f"reading {path} is not supported")

    def _dd(self, words: list[str]) -> None:
        """dd if=/dev/zero of=FILE bs=N count=N: makes a file of that size."""
        args = dict(word.partition("=")[::2] for word in words)
        units = {"k": 1024, "K": 1024, "M": 1 << 20}
        bs = args.get("bs", "512")
        size = int(bs[:-1]) * units[bs[-1]] if bs[-1] in units else int(bs)
        self.files[args.get("of", "")] = size * int(args.get("count", "1"))

    def sockstat(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """FreeBSD's sockstat: prints a line for each TCP endpoint, with its state at the end."""
        port = None
        for i, word in enumerate(words):
            if word == "-p" and i + 1 < len(words):
                port = int(words[i + 1])
        if "-6" in words:
            return 0, []
        held = self.runner.calls.open_endpoints()
        found = {tcb.ident: tcb for tcb in self.runner.stack.tcp.all()}
        found.update({ident: tcb for ident, (tcb, _) in held.items()})
        lines = []
        for ident in sorted(found):
            tcb = found[ident]
            if port is not None and port not in (tcb.lport, tcb.rport):
                continue
            owner = f"root packetdrill 1 {held[ident][1]}" if ident in held else "? ? ? ?"
            lines.append(f"{owner} tcp4 *:{tcb.lport} *:{tcb.rport} {FREEBSD_STATES.get(tcb.state, '?')}")
        return 0, lines

    def tcpdrop(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """FreeBSD's tcpdrop -s STATE: ends the connections in that state without sending anything."""
        if len(words) != 2 or words[0] != "-s":
            raise Unsupported(line, f"tcpdrop {' '.join(words)} is not supported")
        for tcb in self.runner.stack.tcp.all():
            if FREEBSD_STATES.get(tcb.state) == words[1]:
                self.runner.drop_connection(tcb)
        return 0, []

    def nstat(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """nstat: prints the counters that have changed since it was last run."""
        now = self.runner.stack.counters.nonzero()
        lines = [f"{name} {value - self.counted.get(name, 0)} 0.0" for name, value in now.items()]
        lines = [text for text in lines if " 0 " not in text]
        self.counted = now
        return 0, lines

    def sleep(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """sleep N: lets time pass."""
        self.runner.advance(self.runner.host.now + int(float(words[0]) * 1e9))
        return 0, []

    def uname(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """uname: prints the system that the profile stands for."""
        if words not in ([], ["-s"]) or self.runner.settings.profile not in PLATFORMS:
            raise Unsupported(line, f"uname {' '.join(words)} is not supported")
        return 0, [PLATFORMS[self.runner.settings.profile]]

    def echo(self, words: list[str], line: int) -> tuple[int, list[str]]:
        """echo: prints its arguments."""
        return 0, [" ".join(words)]


COMMANDS: dict[str, Callable[[Shell, list[str], int], tuple[int, list[str]]]] = {
    "sockstat": Shell.sockstat,
    "tcpdrop": Shell.tcpdrop,
    "nstat": Shell.nstat,
    "sleep": Shell.sleep,
    "echo": Shell.echo,
    "uname": Shell.uname,
    "ip": ip_command,
    "tc": tc_command,
    "ss": ss,
}


def _awk(program: str, lines: list[str], line: int) -> list[str]:
    """awk '{print $N}': prints that word of each line."""
    match = re.fullmatch(r"\s*\{\s*print \$(\d+);?\s*\}\s*", program)
    if match is None:
        raise Unsupported(line, f"awk {program!r} is not supported")
    number = int(match.group(1))
    cut = [text.split() for text in lines]
    return [" ".join(words) if number == 0 else words[number - 1] if number <= len(words) else "" for words in cut]


def _split(text: str, separators: str = ";\n&") -> list[str]:
    """Cut at separators outside of quotes. `&&` and `||` stay in front of what follows them."""
    parts = [""]
    quote = ""
    i = 0
    while i < len(text):
        c = text[i]
        if quote:
            quote = "" if c == quote else quote
            parts[-1] += c
        elif c in "\"'":
            quote = c
            parts[-1] += c
        elif separators != "|" and text[i : i + 2] in ("&&", "||"):
            parts.append(text[i : i + 2])
            i += 1
        elif c in separators and not (c == "&" and ">" in (text[i - 1 : i], text[i + 1 : i + 2])):
            parts.append("")
        else:
            parts[-1] += c
        i += 1
    return [part for part in parts if part.strip(" &|")]


def _arithmetic(match: "re.Match[str]", line: int) -> str:
    """Evaluate $((15*1024*1024)): products and sums of 64-bit numbers, as a shell does."""
    total = 0
    for term in match.group(1).replace(" ", "").split("+"):
        value = 1
        for factor in term.split("*"):
            if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}|[0-9]{1,19}", factor):
                raise Unsupported(line, f"the number {factor[:40]!r} is not supported")
            value *= int(factor, 16 if factor.startswith("0x") else 10)
            if value >> 63:
                raise Unsupported(line, "numbers of more than 64 bits are not supported")
        total += value
    if total >> 63:
        raise Unsupported(line, "numbers of more than 64 bits are not supported")
    return str(total)


def _grep_pattern(text: str, letters: str, line: int) -> "re.Pattern[str]":
    """Return grep's pattern. It comes from the script, so a pattern that could take too long is refused."""
    flags = re.I if "i" in letters else 0
    if "E" not in letters:
        return re.compile(re.escape(text), flags)
    try:
        why = trouble(text, flags, search=True)
        if not why:
            return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        why = str(error)
    raise Unsupported(line, f"the pattern {text[:80]!r} is not supported: {why}")


def _proc_line(index: int, tcb: Any) -> str:
    """Return a line of /proc/net/tcp."""
    local = int.from_bytes(addr_bytes(tcb.laddr), "little")
    remote = int.from_bytes(addr_bytes(tcb.raddr), "little")
    return f"{index:4}: {local:08X}:{tcb.lport:04X} {remote:08X}:{tcb.rport:04X} {tcb.state:02X} 00000000:00000000"
