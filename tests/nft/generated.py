"""Rules by Hypothesis: matches and statements with random values, in every combination."""

from hypothesis import strategies as st

addresses = st.builds(lambda a, b: f"10.{a}.{b}.1", st.integers(0, 3), st.integers(0, 3))
prefixes = st.builds(lambda a, length: f"10.{a}.0.0/{length}", st.integers(0, 255), st.integers(8, 32))
ports = st.integers(0, 65535).map(str) | st.sampled_from(["ssh", "http", "domain", "0x1f"])
numbers = st.integers(0, 255).map(str)
marks = st.integers(0, 0xFFFFFFFF).map(lambda number: f"{number:#x}") | numbers


@st.composite
def ranges(draw, top=65535):
    low = draw(st.integers(0, top - 1))
    return f"{low}-{draw(st.integers(low + 1, top))}"


@st.composite
def address_ranges(draw):
    low = draw(st.integers(0, 65534))
    high = draw(st.integers(low + 1, 65535))
    return f"10.9.{low >> 8}.{low & 255}-10.9.{high >> 8}.{high & 255}"


def sets(elements, most=5):
    """A set inside a rule."""
    return st.lists(elements, min_size=1, max_size=most, unique=True).map(
        lambda all_of: "{ " + ", ".join(all_of) + " }"
    )


def compared(name, values, low_high=None, ordered=True):
    """Matches of one field: with a value, a range, a set, and with operators."""
    # No <=: nft 1.1.3 makes a range of >= and <= beside each other even if they are about different fields.
    operators = ["", "== ", "!= "]
    plain = st.builds(lambda sign, value: f"{name} {sign}{value}", st.sampled_from(operators), values)
    parts = values if low_high is None else values | low_high
    some = st.builds(lambda sign, value: f"{name} {sign}{value}", st.sampled_from(["", "!= "]), sets(parts))
    found = [plain, some]
    if low_high is not None:
        found.append(st.builds(lambda sign, value: f"{name} {sign}{value}", st.sampled_from(operators), low_high))
    if ordered:
        signs = st.sampled_from(["< ", "> ", ">= "])
        found.append(st.builds(lambda sign, value: f"{name} {sign}{value}", signs, st.integers(1, 200).map(str)))
    return st.one_of(found)


def bits(name, values):
    """Matches of bits under a mask."""
    return st.builds(
        lambda mask, sign, value: f"{name} & {mask} {sign} {value}", values, st.sampled_from(["==", "!="]), values
    )


FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]
flags = st.lists(st.sampled_from(FLAGS), min_size=1, max_size=4, unique=True)
masks = st.lists(st.sampled_from(FLAGS), min_size=2, max_size=4, unique=True)
flag_matches = st.one_of(
    flags.map(lambda all_of: "tcp flags " + ",".join(all_of)),
    flags.map(lambda all_of: "tcp flags ! " + ",".join(all_of)),
    st.sampled_from(FLAGS).map(lambda one: f"tcp flags == {one}"),
    st.builds(lambda one, mask: f"tcp flags {','.join(one)} / {','.join(mask)}", flags, masks),
    st.builds(lambda one, mask: f"tcp flags & ({' | '.join(mask)}) == {' | '.join(one)}", flags, flags),
    flags.map(lambda all_of: f"tcp flags & ({' | '.join(all_of)}) != 0"),
)
states = st.lists(
    st.sampled_from(["new", "established", "related", "invalid", "untracked"]), min_size=1, max_size=3, unique=True
)
state_matches = states.map(lambda all_of: "ct state " + ",".join(all_of)) | states.map(
    lambda all_of: "ct state { " + ", ".join(all_of) + " }"
)
names = st.sampled_from(['"lo"', '"eth0"', "eth1", '"wan"'])
concatenated = st.lists(
    st.tuples(addresses | prefixes, ports | ranges()).map(" . ".join), min_size=1, max_size=3, unique=True
).map(lambda all_of: "ip saddr . tcp dport { " + ", ".join(all_of) + " }")

#: matches that fit beside each other in one rule
NETWORK = st.one_of(
    compared("ip saddr", addresses, prefixes | address_ranges(), ordered=False),
    compared("ip daddr", addresses, prefixes, ordered=False),
    compared("ip ttl", numbers, ranges(top=255)),
    compared("ip length", st.integers(0, 65535).map(str), ranges()),
    compared("ip protocol", st.sampled_from(["tcp", "udp", "icmp", "6"]), ordered=False),
    compared("ip dscp", st.sampled_from(["cs1", "af11", "ef", "10", "0x3"]), ordered=False),
    bits("ip saddr", addresses),
)
TRANSPORT = st.one_of(
    compared("tcp dport", ports, ranges()),
    compared("tcp sport", ports, ranges()),
    compared("tcp urgptr", st.integers(0, 65535).map(str), ranges()),
    bits("tcp dport", st.integers(1, 65535).map(str)),
    flag_matches,
    concatenated,
)
OTHER = st.one_of(
    state_matches,
    compared("meta mark", marks, ranges(top=1000)),
    compared("ct mark", marks, ranges(top=1000)),
    bits("meta mark", marks),
    compared("meta length", st.integers(0, 2000).map(str), ranges()),
    compared("iifname", names, ordered=False),
    compared("oifname", names, ordered=False),
    st.sampled_from(["meta l4proto tcp", "meta l4proto { tcp, udp }", "ct status dnat", "ct direction reply"]),
    st.builds(lambda mod, value: f"numgen inc mod {mod} {value}", st.integers(2, 9), st.integers(0, 1)),
    st.builds(lambda mod: f"jhash ip saddr mod {mod} seed 0x5 1", st.integers(2, 9)),
)
operations = st.lists(
    st.tuples(st.sampled_from(["&", "|", "^", "and", "or", "xor"]), st.integers(1, 0xFFFFFF).map(hex)), max_size=3
).map(lambda all_of: "".join(f" {sign} {number}" for sign, number in all_of))
STATEMENTS = st.one_of(
    st.just("counter"),
    st.builds(lambda packets, octets: f"counter packets {packets} bytes {octets}", numbers, numbers),
    st.builds(
        lambda over, rate, unit, burst: f"limit rate {over}{rate}/{unit}{burst}",
        st.sampled_from(["", "over "]),
        st.integers(1, 1000),
        st.sampled_from(["second", "minute", "hour", "day", "week"]),
        st.just("") | st.integers(1, 50).map(lambda number: f" burst {number} packets"),
    ),
    st.builds(
        lambda over, size, unit: f"quota {over}{size} {unit}",
        st.sampled_from(["", "over ", "until "]),
        st.integers(1, 5000),
        st.sampled_from(["bytes", "kbytes", "mbytes"]),
    ),
    st.builds(
        lambda size, unit, period, burst: f"limit rate {size} {unit}/{period}{burst}",
        st.integers(1, 3000),
        st.sampled_from(["bytes", "kbytes", "mbytes"]),
        st.sampled_from(["second", "hour"]),
        st.just("") | st.integers(1, 50).map(lambda number: f" burst {number} kbytes"),
    ),
    st.text("ab :-", min_size=1, max_size=10).map(lambda text: f'log prefix "{text}"'),
    st.builds(
        lambda value, more: f"meta mark set {value}{more}", st.sampled_from(["meta mark", "ct mark"]), operations
    ),
    marks.map(lambda mark: f"ct mark set {mark}"),
    ranges(top=1000).map(lambda _: "meta mark set ip saddr map { 10.0.0.1 : 5, 10.0.0.0 : 7 }"),
    st.just("add @seen { ip saddr timeout 90s }"),
)
ENDS = st.sampled_from(["accept", "drop", "return", "jump other", "goto other", "continue", "reject", ""]) | st.lists(
    st.tuples(st.integers(0, 65535), st.sampled_from(["accept", "drop", "jump other"])),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one[0],
).map(lambda all_of: "tcp dport vmap { " + ", ".join(f"{port} : {verdict}" for port, verdict in all_of) + " }")

RULES = st.builds(
    lambda matches, statements, end: " ".join([*matches, *statements, end]).strip(),
    st.lists(NETWORK | TRANSPORT | OTHER, max_size=4),
    st.lists(STATEMENTS, max_size=2),
    ENDS,
).filter(bool)
