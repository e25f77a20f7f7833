"""What a rule can look at: the fields of headers, and the values that the stack has about a packet, each with its type."""

from typing import Any

from pystack.nft import types as t
from pystack.nft.names import TCP_OPTIONS

#: protocol -> field -> type
PAYLOAD: dict[str, dict[str, t.Type]] = {
    "ip": {
        "version": t.integer(4),
        "hdrlength": t.integer(4),
        "dscp": t.DSCP,
        "ecn": t.ECN,
        "length": t.integer(16),
        "id": t.integer(16),
        "frag-off": t.integer(16, digits=1),
        "ttl": t.integer(8),
        "protocol": t.PROTOCOL,
        "checksum": t.integer(16),
        "saddr": t.ADDRESS,
        "daddr": t.ADDRESS,
    },
    "tcp": {
        "sport": t.SERVICE,
        "dport": t.SERVICE,
        "sequence": t.integer(32),
        "ackseq": t.integer(32),
        "doff": t.integer(4),
        "reserved": t.integer(4),
        "flags": t.TCP_FLAG,
        "window": t.integer(16),
        "checksum": t.integer(16),
        "urgptr": t.integer(16),
    },
    "udp": {"sport": t.SERVICE, "dport": t.SERVICE, "length": t.integer(16), "checksum": t.integer(16)},
    "th": {"sport": t.SERVICE, "dport": t.SERVICE},
    "icmp": {
        "type": t.ICMP_TYPE,
        "code": t.ICMP_CODE,
        "checksum": t.integer(16),
        "id": t.integer(16),
        "sequence": t.integer(16),
        "gateway": t.integer(32),
        "mtu": t.integer(16),
    },
}
META: dict[str, t.Type] = {
    "length": t.integer(32, host=True),
    "protocol": t.ETHER_TYPE,
    "nfproto": t.NF_PROTOCOL,
    "l4proto": t.PROTOCOL,
    "mark": t.MARK,
    "random": t.integer(32, host=True),
    "iif": t.IFINDEX,
    "oif": t.IFINDEX,
    "iifname": t.IFNAME,
    "oifname": t.IFNAME,
    "skuid": t.UID,
    "skgid": t.GID,
    "nftrace": t.integer(1),
    "pkttype": t.PACKET_TYPE,
    "cpu": t.integer(32, host=True),
}
#: keys that are shown without the word "meta"
META_SHOWN_BARE = ("iif", "oif", "iifname", "oifname")
META_WRITABLE = ("mark", "nftrace", "pkttype")
CT: dict[str, t.Type] = {
    "state": t.CT_STATE,
    "status": t.CT_STATUS,
    "direction": t.CT_DIRECTION,
    "mark": t.MARK,
    "expiration": t.TIME,
    "helper": t.STRING,
    "zone": t.integer(16),
    "id": t.integer(32),
    "l3proto": t.NF_PROTOCOL,
    "protocol": t.PROTOCOL,
    "bytes": t.integer(64, host=True),
    "packets": t.integer(64, host=True),
    "avgpkt": t.integer(64, host=True),
    "ip saddr": t.ADDRESS,
    "ip daddr": t.ADDRESS,
    "proto-src": t.SERVICE,
    "proto-dst": t.SERVICE,
}
#: keys of one direction alone, and those that can have one
CT_DIRECTED = ("ip saddr", "ip daddr", "proto-src", "proto-dst")
CT_EITHER = ("bytes", "packets", "avgpkt", "zone")
CT_WRITABLE = ("mark", "zone")
RT: dict[str, t.Type] = {"mtu": t.integer(16), "nexthop": t.ADDRESS}
FIB: dict[str, t.Type] = {"oif": t.IFINDEX, "oifname": t.IFNAME, "type": t.ADDRESS_TYPE}
OPTION: dict[str, dict[str, t.Type]] = {
    name: {
        field: t.integer({"size": 16, "left": 32, "right": 32, "tsval": 32, "tsecr": 32}.get(field, 8))
        for field in fields
    }
    for name, fields in TCP_OPTIONS.items()
}


def type_of(json: Any) -> "t.Type | list[t.Type]":
    """Return the type of an expression's JSON; a concatenation has a list of types. Unknown expressions are plain numbers."""
    if not isinstance(json, dict) or len(json) != 1:
        return t.integer(32)
    kind, body = next(iter(json.items()))
    if kind == "concat":
        return [one if isinstance(one := type_of(part), t.Type) else one[0] for part in body]
    if kind in ("&", "|", "^", "<<", ">>"):
        return type_of(body[0])
    if kind == "map":
        return type_of(body["key"])
    if kind == "payload":
        return PAYLOAD.get(body.get("protocol", ""), {}).get(body.get("field", ""), t.integer(32))
    if kind == "tcp option":
        fields = OPTION.get(body.get("name", ""), {})
        return fields.get(body["field"], t.integer(32)) if "field" in body else t.BOOLEAN
    tables = {"meta": META, "ct": CT, "rt": RT}
    if kind in tables:
        return tables[kind].get(body.get("key", ""), t.integer(32))
    if kind == "fib":
        return FIB.get(body.get("result", ""), t.integer(32))
    return t.integer(32)
