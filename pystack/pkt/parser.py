"""Parses a script's text into a Script."""

import errno
import os
import stat

from pystack.pkt import model
from pystack.pkt.cursor import TokenCursor
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.lexer import Lexer
from pystack.pkt.model import Code, Command, EventTime, Script, ScriptEvent, ScriptPacket
from pystack.pkt.parse_expr import parse_syscall
from pystack.pkt.parse_packet import parse_packet

#: the most characters of one file
MAX_TEXT = 1 << 24
#: The largest time in seconds. A later one has no use, and its microseconds would be too large for a clock.
MAX_TIME = 10_000_000


def load(path: str, defines: dict[str, str] | None = None) -> Script:
    """Read and parse a script file.

    OSError, ScriptError or Unsupported if that is not possible.
    """
    return parse(read(path), path, defines)


def read(path: str) -> str:
    """Return the text of a file. It must be a regular file, and no larger than a script can be."""
    with open(path, encoding="utf-8", errors="replace", opener=_opener) as file:
        text = file.read(MAX_TEXT + 1)
    if len(text) > MAX_TEXT:
        raise ScriptError(1, f"{path} has more than {MAX_TEXT} characters")
    return text


def _opener(path: str, flags: int) -> int:
    """Open without waiting, and only a regular file, because that has an end."""
    number = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return number


def parse(text: str, path: str = "script", defines: dict[str, str] | None = None) -> Script:
    """Parse a script. ScriptError says where it is wrong, and Unsupported what is not supported."""
    folder = os.path.dirname(path)

    def include(name: str) -> str:
        return read(os.path.join(folder, name))

    return Parser(Script(path, text), TokenCursor(Lexer(text, dict(defines or {}), include).tokens())).script()


class Parser:
    """Parses the events by recursive descent."""

    def __init__(self, script: Script, cursor: TokenCursor):
        self.result = script
        self.cursor = cursor

    def script(self) -> Script:
        """Parse [options] [init command] events [cleanup command]."""
        cursor = self.cursor
        result = self.result
        while cursor.token.kind == "option":
            token = cursor.next()
            name, _, value = str(token.value).partition("=")
            if name == "ip_version" and value != "ipv4":
                raise Unsupported(token.line, f"{value} is not supported")
            if name == "psp_udp_port":
                raise Unsupported(token.line, "PSP is not supported")
            result.options.append((name, value.strip('"'), token.line))
        if cursor.token.kind == "backquoted":
            token = cursor.next()
            result.init = (Command(str(token.value)), token.line)
        while cursor.token.kind != "end":
            if cursor.token.kind == "backquoted":
                token = cursor.next()
                if cursor.token.kind != "end":
                    raise ScriptError(token.line, "a command in the middle of a script needs a time")
                result.cleanup = (Command(str(token.value)), token.line)
                break
            result.events.append(self._event())
        return result

    def _event(self) -> ScriptEvent:
        line = self.cursor.token.line
        time = self._time()
        end = -1
        cursor = self.cursor
        if cursor.token.kind == "ellipsis":
            cursor.next()
            end = self._number()
        action: ScriptPacket | model.Syscall | Command | Code
        if cursor.is_punct("<") or cursor.is_punct(">"):
            if end >= 0:
                raise ScriptError(line, "only a system call can last from one time to another")
            action = parse_packet(cursor)
        elif cursor.token.kind == "backquoted":
            action = Command(str(cursor.next().value))
        elif cursor.token.kind == "code":
            action = Code(str(cursor.next().value))
        else:
            action = parse_syscall(cursor, end)
        outbound = isinstance(action, ScriptPacket) and not action.inbound
        if time.kind not in (model.RELATIVE, model.ABSOLUTE) and not outbound:
            what = "*" if time.kind == model.ANY else "a range of times"
            raise ScriptError(line, f"{what} is for outbound packets only")
        return ScriptEvent(line, time, action)

    def _time(self) -> EventTime:
        cursor = self.cursor
        if cursor.take_punct("*"):
            return EventTime(model.ANY)
        relative = cursor.take_punct("+")
        start = self._number()
        if not cursor.take_punct("~"):
            return EventTime(model.RELATIVE if relative else model.ABSOLUTE, start, start)
        if cursor.take_punct("+") != relative:
            raise cursor.error("both ends of the range with '+', or none")
        end = self._number()
        if end < start:
            raise ScriptError(cursor.token.line, "the range of times is backwards")
        return EventTime(model.RELATIVE_RANGE if relative else model.ABSOLUTE_RANGE, start, end)

    def _number(self) -> int:
        """Parse seconds. Return microseconds."""
        token = self.cursor.token
        if token.kind not in ("int", "float"):
            raise self.cursor.error("a time")
        self.cursor.next()
        value = float(token.value)
        if value < 0:
            raise ScriptError(token.line, "a time cannot be negative", token.column)
        if value > MAX_TIME:
            raise ScriptError(token.line, f"a time of more than {MAX_TIME} s", token.column)
        return round(value * 1_000_000)
