"""Events that no stack reports by itself, of code that works with a stack: DHCP, DNS. They reach the probe and the recording."""

from typing import Any


def note(host: Any, kind: str, subject: str, reason: str, rfc: str, fields: dict[str, Any]) -> None:
    """Report an event of this host, and count it if it is a drop. `kind` must be in trace.replay.NOTES, so that a replay takes it."""

    def tell(stack: Any) -> None:
        now = host.clock()
        if kind == "drop":
            stack.counters.drop(fields["name"])
        if host.recorder is not None:
            host.recorder.note(now, kind, subject, reason, rfc, fields)
        if stack.probe is not None:
            stack.now = now
            stack.emit(kind, subject, 0, reason, rfc, fields)

    inspect = getattr(host, "inspect", None)
    if inspect is None:
        tell(host.stack)
    else:
        inspect(tell)  # under the host's lock
