"""Explains the calls of programs: what a program asks of the stack, and what it gets."""

from typing import Any

from pystack.stepper.explain.base import Explanation, Look
from pystack.symbols import option_name
from pystack.trace.annotate import value_text

#: what the first argument of shutdown() ends
_WAYS = {0: "reading", 1: "sending", 2: "both directions"}
_OPENED = {
    "tcp_open": "a TCP socket", "udp_open": "a UDP socket", "raw_open": "a raw socket", "ping_open": "a ping socket",
    "packet_open": "a packet socket, which reads and writes whole frames",
}  # fmt: skip
#: calls that find nothing if nothing has arrived
_WAITING = ("recv", "recvfrom", "recvmsg", "accept")
#: how many events are searched for the beginning of a call
REACH = 200
#: a number of bytes that means "all"
ALL = 1 << 40


def call(look: Look) -> Explanation:
    """Explain a call of a program."""
    fields = look.entry.fields
    name = str(fields["name"]).rpartition(":")[2]
    args = [value_text(arg) for arg in fields.get("args", ())]
    result = fields.get("result")
    text = _words(look, name, args, result)
    if text is None:
        text = f"The program on {look.host} calls {name}({', '.join(args)})."
    return Explanation("told", text, _failed(result))


def returned(look: Look) -> Explanation:
    """Explain the end of a call."""
    name = str(look.entry.fields["name"]).rpartition(":")[2]
    began = look.last(
        "call", host=look.host, reach=REACH
    )  # A call of another host may be between the call and its end.
    if name in _WAITING and began is not None and began.fields.get("result") is None:
        text = f"The call {name}() has found nothing yet, so the program on {look.host} waits. It calls again when something is there."
        return Explanation("told", text)
    return Explanation("told", f"The call {name}() of the program on {look.host} is done.")


def _failed(result: Any) -> str:
    """Return what an error means for the program, or ""."""
    text = str(result)
    if "Error: [Errno" not in text:
        return ""
    return f"The call fails: {text.partition('] ')[2]} ({text.partition(':')[0]})."


def _words(look: Look, name: str, args: list[str], result: Any) -> "str | None":
    """Return a sentence, or None for a call that has none."""
    who = f"The program on {look.host}"
    if name in _OPENED:
        return f"{who} makes {_OPENED[name]}."
    if name in ("setsockopt", "getsockopt") and len(args) >= 2 and all(arg.isdigit() for arg in args[:2]):
        return _option(who, name, args, result)
    if name in ("bind", "connect") and len(args) >= 2:
        return _address(look, who, name, args)
    if name == "listen" and args:
        return f"{who} waits for connections from now on; up to {args[0]} may wait until it accepts them."
    if name == "accept" and result is None:
        return f"{who} waits for a connection: none is ready to be accepted."
    if name == "accept":
        return f"{who} accepts a connection."
    if name == "close":
        return f"{who} closes its socket."
    if name == "abort":
        return f"{who} aborts the connection, and does not wait for its end."
    if name == "shutdown" and args:
        return f"{who} ends {_WAYS.get(int(args[0]) if args[0].isdigit() else -1, 'a direction')} on its socket (shutdown)."
    if name == "connect_fastopen" and args:
        return f"{who} opens a connection and gives {args[0]} of data with it, for the SYN of Fast Open."
    if name in ("send", "sendto", "sendmsg") and args and args[0].endswith(" bytes"):
        return _sends(who, name, args, result)
    if name in ("recv", "recvfrom", "recvmsg"):
        return _reads(who, name, args, result)
    if name in ("stream", "datagram") and len(args) == 3:
        return f"{who} starts the service {args[0]} on port {args[2]} of {'TCP' if name == 'stream' else 'UDP'}."
    return None


def _option(who: str, name: str, args: list[str], result: Any) -> str:
    """Return a sentence about getsockopt() or setsockopt()."""
    option = option_name(int(args[0]), int(args[1]))
    if name == "getsockopt":
        return f"{who} asks for the socket option {option}, which is {value_text(result)}."
    values = {"True": "1", "False": "0"}
    return f"{who} sets the socket option {option} to {', '.join(values.get(arg, arg) for arg in args[2:]) or 'its default'}."


def _address(look: Look, who: str, name: str, args: list[str]) -> "str | None":
    """Return a sentence about bind() or connect(), or None for a packet socket, which has no address in this sense."""
    place = _place(*args[:2])
    if name == "bind":
        return None if "packet" in look.entry.rfc else f"{who} takes {place} for its socket."
    if look.entry.rfc.startswith("RFC 9293"):
        return f"{who} opens a connection to {place}."
    return f"{who} chooses the other end of its datagrams: {place}."


def _sends(who: str, name: str, args: list[str], result: Any) -> str:
    """Return a sentence about a call that sends."""
    if result is None:
        return f"{who} wants to send {args[0]}, but the send buffer is full, so it waits."
    if "Error" in str(result):
        return f"{who} wants to send {args[0]}."
    sentence = f"{who} sends {args[0]}"
    if name == "sendto" and len(args) == 4 and args[1] not in ("0", "0.0.0.0"):
        sentence += f" to {_place(*args[1:3])}"
    if name == "send" and str(result) != args[0].split()[0]:
        return f"{sentence}. The stack takes {result} of them."
    return f"{sentence}."


def _reads(who: str, name: str, args: list[str], result: Any) -> str:
    """Return a sentence about a call that reads."""
    most, got = "what has arrived", "what has arrived"
    if name == "recv" and args and args[0].isdigit() and int(args[0]) < ALL:
        most = f"up to {args[0]} bytes"
    if result is None:
        return f"{who} wants to read {most}, but nothing has arrived, so it waits."
    text = str(result)
    if "Error" in text:
        return f"{who} wants to read {most}."
    if text == "0 bytes" or result == b"":
        return f"{who} reads the end: the other side has no more data to send."
    if text.endswith(" bytes"):
        got = text
    elif text == "Datagram":
        got = "a datagram"
    return f"{who} reads {got}."


def _place(address: str, port: str = "") -> str:
    """Return an address and a port in words."""
    if address == "0":
        return f"port {port}"
    return address if port in ("", "0") else f"port {port} of {address}"
