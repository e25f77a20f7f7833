"""Explanations of DHCP, of recursive DNS, and of the datagrams that carry them."""

from pystack.stepper.explain.base import Explanation, Look

#: what a state means (RFC 2131, figure 5)
_STATES = {
    "INIT": "The client has no address, and begins anew.",
    "INIT-REBOOT": "The client had an address before, and will ask for it again.",
    "SELECTING": "The client has no address. Its DISCOVER goes from 0.0.0.0 to 255.255.255.255, and each server may offer an address.",
    "REQUESTING": "The REQUEST names the server that it chose. It is a broadcast, so that the other servers learn that their offers are free again.",
    "REBOOTING": "The client asks whether it may keep its former address.",
    "BOUND": "The client may use the address, until the lease ends.",
    "RENEWING": "Half of the lease has passed (T1). The client asks the server that gave the lease, by unicast, to extend it.",
    "REBINDING": "That server did not answer until T2. Now the client asks all servers by broadcast.",
    "LINK-LOCAL": "No server answers, so the client chooses an address in 169.254/16 by itself and checks with ARP that it is free.",
}


def dhcp(look: Look) -> Explanation:
    """Explain a state or a message of a DHCP client, server or relay."""
    entry = look.entry
    if entry.kind == "dhcp.message":
        return Explanation("dhcp", f"DHCP {entry.fields['type']} at {look.host}: {entry.reason}{look.section()}.")
    old, new = entry.fields["old"], entry.fields["new"]
    time = entry.fields.get("time")
    return Explanation(
        "dhcp",
        f"DHCP: {look.host} goes from {old} to {new}: {entry.reason}{look.section()}.",
        _STATES.get(new, ""),
        f"The lease is for {time} s, of which T1 is {entry.fields['t1']} s and T2 is {entry.fields['t2']} s."
        if time
        else "",
    )


#: what a step of a lookup means
_STEPS = {
    "ask": "The resolver asks without recursion: each server tells only what it knows itself.",
    "refer": "A referral is no answer. It names the servers of a zone below, which know more, and the resolver asks one of these next. "
    "It remembers the delegation, so that the next name in that zone costs one question.",
    "alias": "An alias (CNAME) has no other records. The resolver looks up the name to which it leads.",
    "answer": "The resolver remembers the records for their time to live.",
    "nothing": "The SOA record in the answer says for how long the resolver may remember this.",
    "silence": "The resolver goes on with another server of the zone.",
    "lame": "The resolver does not ask this server again for the name, and goes on with another one.",
    "fail": "The client gets SERVFAIL.",
}


def dns(look: Look) -> Explanation:
    """Explain a step of a recursive lookup."""
    entry = look.entry
    action = entry.fields["action"]
    return Explanation(
        "dns",
        f"Recursion for {entry.subject.removeprefix('dns ')}: {entry.reason}{look.section()}.",
        _STEPS.get(action, ""),
    )


def datagram(look: Look) -> Explanation:
    """Explain a UDP datagram that is sent."""
    entry = look.entry
    size = entry.fields["length"]
    if entry.reason == "the application sent a datagram":
        to = entry.subject.partition("-")[2]
        where = f" to {to}" if to and not to.endswith(":0") else ""
        return Explanation(
            "told",
            f"The program on {look.host} sends {size} bytes{where} in a datagram. UDP opens no connection for it, and {look.host} learns only from an answer or an "
            f"error what became of it{look.section()}.",
        )
    return Explanation("told", f"{look.host} sends {size} bytes in a datagram, because {look.named()}{look.section()}.")
