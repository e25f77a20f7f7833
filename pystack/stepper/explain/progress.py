"""Explains how a connection gets on: what arrived, what was acknowledged, what was measured, and what a listener and connection tracking keep."""

from pystack.stepper.explain.base import Explanation, Look, count_of, ms

#: phase of loss recovery -> what it means
_PHASES = {
    "open": "{host} is out of recovery, and sends as its windows admit.",
    "disorder": "{host} waits a little before it considers anything lost, because the path may only have changed the order of the segments.",
    "cwr": "{host} sends fewer segments until its congestion window is as small as ssthresh. Nothing is lost.",
    "recovery": "Fast recovery begins: {host} retransmits what is lost, and does not wait for the retransmission timer.",
    "loss": "{host} begins anew with a small congestion window, and considers all that is not acknowledged lost.",
    "undone": "{host} undoes the reduction of its congestion window.",
}


def arrived(look: Look) -> Explanation:
    """Explain data that a program can read now."""
    fields = look.entry.fields
    if "in order" not in look.entry.reason:
        return named(look)
    start = (int(fields["seq"]) - int(look.tcb.get("irs", 0))) & 0xFFFFFFFF
    end = start + fields["length"]
    text = f"The program on {look.host} can read {count_of(fields['length'])} now, {start}:{end} of {look.peer()}: they are in order, and no byte before them is missing"
    return Explanation("data", f"{text}{look.section()}.")


def acknowledged(look: Look) -> Explanation:
    """Explain that the oldest outstanding data was acknowledged."""
    fields, host = look.entry.fields, look.host
    if not fields["length"]:
        began = look.before.get("state") in ("SYN-SENT", "SYN-RECEIVED")
        what = f"the {'SYN' if began else 'FIN'} of {host}. A SYN and a FIN take a sequence number as a byte does"
        return Explanation("ack", f"{look.peer()} acknowledges {what}{look.section()}.")
    return Explanation(
        "ack",
        f"{look.peer()} acknowledges {count_of(fields['length'])}: everything before byte {look.seq(fields['seq'])} has arrived, so {host} need not "
        f"keep it for a retransmission any more{look.section()}.",
    )


def trip(look: Look) -> Explanation:
    """Explain a sample of the round-trip time."""
    fields = look.entry.fields
    return Explanation(
        "timer",
        f"{look.host} measures the time from a segment to its acknowledgement: the round trip took {ms(fields['sample'])}{look.section()}.",
        f"The smoothed round-trip time (SRTT) is {ms(fields['srtt'])} now, and the retransmission timeout (RTO) is {ms(fields['rto'])}.",
    )


def size(look: Look) -> Explanation:
    """Explain how much data a segment carries."""
    old, new = look.entry.fields["old"], look.entry.fields["new"]
    return Explanation(
        "data",
        f"A segment of {look.host} carries at most {new} bytes of data from now on (before: {old}): {look.named()}{look.section()}.",
    )


def end(look: Look) -> Explanation:
    """Explain a FIN that arrived."""
    return Explanation(
        "close",
        f"{look.peer()} has no more data to send: its FIN arrived, and all data before it. The program on {look.host} reads that data, and then the "
        f"end{look.section()}.",
    )


def timeout(look: Look) -> Explanation:
    """Explain a change of a timeout without a sample."""
    fields = look.entry.fields
    text = f"The timeout of {look.host} changes from {ms(fields['old'])} to {ms(fields['new'])}: {look.named()}"
    return Explanation("rto", f"{text}{look.section()}.")


def recovery(look: Look) -> Explanation:
    """Explain a phase of loss recovery."""
    means = _PHASES.get(str(look.entry.fields["phase"]), "").format(host=look.host)
    reason = look.named()
    return Explanation("loss", f"{reason[:1].upper()}{reason[1:]}{look.section()}.", means)


def listener(look: Look) -> Explanation:
    """Explain a change of a listener's queue."""
    fields = look.entry.fields
    count = fields["length"]
    what = f"{count_of(count, 'connection')} of this listener {'waits' if count == 1 else 'wait'}"
    until = "the third segment of the handshake now (half-open)" if fields["queue"] == "syn" else "accept() now"
    return Explanation("backlog", f"On {look.host}, {look.named()}{look.section()}. {what} for {until}.")


def tracked(look: Look) -> Explanation:
    """Explain an entry in the table of connection tracking."""
    fields, host = look.entry.fields, look.host
    name = look.entry.subject.removeprefix("ct ")
    if look.entry.kind == "ct.new":
        return Explanation(
            "translation",
            f"{host} enters the connection {name} into its table: {look.entry.reason}{look.section()}.",
            "By this entry, it knows the later packets of both directions.",
        )
    text = f"In the table of {host}, the connection {name} changes from {fields['old']} to {fields['new']}: {look.entry.reason}"
    return Explanation("translation", f"{text}{look.section()}.")


def ruled(look: Look) -> Explanation:
    """Explain that a rule of the packet filter matched a packet."""
    fields, host = look.entry.fields, look.host
    if look.entry.kind == "nft.log":
        said = f" with the prefix {fields['prefix']!r}" if fields.get("prefix") else ""
        return Explanation(
            "firewall",
            f"A rule of {host} says that the packet is logged{said}{look.section()}. It goes on to the next rule.",
        )
    which = f"it matches the rule with handle {fields['handle']}" if fields["handle"] else look.entry.reason
    return Explanation(
        "firewall",
        f"{host} traces the packet through its rules: in chain {fields['chain']} of table {fields['table']}, {which}, and the verdict is "
        f"{fields['verdict']}{look.section()}.",
    )


def named(look: Look) -> Explanation:
    """Give the core's own reason, with the names of the hosts and the values that changed."""
    fields = look.entry.fields
    text = look.named()
    if not text:
        return Explanation("told", f"On {look.host}, {look.entry.text()}.")
    if "old" in fields and "new" in fields:
        text += look.entry.text().removeprefix(look.entry.reason).partition(" [")[0]
    return Explanation("told", f"On {look.host}, {text}{look.section()}.")
