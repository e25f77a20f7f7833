#!/usr/bin/env python3
"""Writes the numbers of docs/explanation/anatomy-of-a-post.md: each table between its marks is made from runs of the scenario.

python tools/post_page.py            write them into the page
python tools/post_page.py --check    exit with 1 if the page has others
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path as File

from pystack.stepper.scenarios import post, tlsrecords
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing.text import ms, what
from pystack.stepper.timing.tls import segment

PAGE = File(__file__).resolve().parents[1] / "docs" / "explanation" / "anatomy-of-a-post.md"
ETHERNET, IPV4, UDP = 14, 20, 8
ARP_TYPE, UDP_PROTO = b"\x08\x06", 17


def timeline(plan: post.PostPlan) -> Timeline:
    """Return the run of a plan."""
    return Scenario("post", lambda net: post.run(net, plan), "", "", (), "").timeline()


def table(*rows: tuple[str, ...]) -> str:
    """Return rows as a table, the first one as its head; all columns but the first and the last are numbers."""
    inner = ["---:"] * (len(rows[0]) - 2)
    lines = [rows[0], ("---", *inner, "---"), *rows[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


# -- the stages ------------------------------------------------------------------------------------------------------


def stages(run: Timeline) -> str:
    """The stages of the request, by the events at which they end."""

    def first(host: str, test: Callable[..., bool], after: int = -1) -> int:
        return next(e.index for e in run.events if e.index > after and e.host == host and test(e))

    def call(name: str, conn: str = "tcp") -> Callable[..., bool]:
        return lambda e: e.kind == "call" and e.fields["name"] == name and conn in e.subject

    connect = first("client", call("connect"))
    established = first("client", lambda e: e.kind == "tcp.state" and e.fields["new"] == "ESTABLISHED")
    finished = first("client", call("send"), first("client", call("send")))
    passed = first("proxy", call("connect", "tcp"), first("proxy", call("connect", "tcp")))
    to_database = first("shop", call("connect"))
    to_proxy = [e.index for e in run.events if e.host == "shop" and call("send", f"{post.SHOP}:80")(e)][0]
    path = post.measured(run, post.PostPlan())
    ends = (
        (
            "name lookup",
            connect,
            "the client finds its gateway's MAC address, and asks the resolver, which asks the root",
        ),
        ("connection", established, "SYN and SYN-ACK: one round trip"),
        ("TLS", finished, "one round trip, and the time to compute"),
        ("upload", passed, "the request goes to the proxy in rounds of slow start; one segment is lost"),
        ("proxy to shop", to_database, "the proxy connects and passes the request on; the shop works on the photo"),
        ("database", to_proxy, "a connection, two messages to log in, and three statements"),
        ("answer", path.last, "from the shop over the proxy to the client"),
    )
    rows, begin = [("stage", "begins at", "takes", "what happens")], path.begin
    for name, event, text in ends:
        end = run.events[event].time
        rows.append((name, ms(begin - path.begin), ms(end - begin), text))
        begin = end
    rows.append(("in all", "", ms(path.elapsed), ""))
    return table(*rows)


def causes(run: Timeline) -> str:
    """Where the time went: every cause."""
    path = post.measured(run, post.PostPlan())
    rows = [("cause", "time", "share", "spans")]
    for (cause, why), time in path.totals().items():
        spans = [span for span in path if (span.cause, span.why) == (cause, why)]
        rows.append((what(spans[0]), ms(time), f"{100 * time / path.elapsed:.1f} %", str(len(spans))))
    rows.append(("in all", ms(path.elapsed), "100.0 %", str(len(path.spans))))
    return table(*rows)


# -- the bytes -------------------------------------------------------------------------------------------------------


def layers(run: Timeline) -> str:
    """The bytes on the client's link, by what they are. Both directions, and lost frames, too."""
    frames = [one for one in run.frames if "client" in (one.host, one.to)]
    sizes = dict.fromkeys(("Ethernet", "ARP", "IPv4", "UDP", "DNS", "TCP"), 0)
    texts: dict[bytes, dict[int, int]] = {}
    again = 0
    for frame in frames:
        data = frame.data
        sizes["Ethernet"] += ETHERNET
        if data[12:14] == ARP_TYPE:
            sizes["ARP"] += frame.length - ETHERNET
            continue
        sizes["IPv4"] += IPV4
        if data[ETHERNET + 9] == UDP_PROTO:
            sizes["UDP"] += UDP
            sizes["DNS"] += frame.length - ETHERNET - IPV4 - UDP
            continue
        found = segment(frame)
        assert found is not None and frame.length == len(data)
        ends, seq, length = found
        sizes["TCP"] += frame.length - ETHERNET - IPV4 - length
        seen = texts.setdefault(ends, {})
        new = [number for number in range(seq, seq + length) if number not in seen]
        seen.update(dict.fromkeys(new, 1))
        again += length - len(new)
    flights = tlsrecords.flights(post.NAME)
    head, answer_head = len(post.HEAD), len(post.ANSWER) - len(post.STORED)
    contents = (post.HEAD, post.BODY, post.ANSWER[:answer_head], post.STORED)
    records = sum(len(tlsrecords.sealed(text)) - len(text) for text in contents)
    assert sum(len(seen) for seen in texts.values()) == sum(map(len, flights)) + records + sum(map(len, contents))
    rows = [
        *sizes.items(),
        ("TLS, the handshake", sum(map(len, flights))),
        ("TLS, around the text", records),
        ("HTTP, both heads", head + answer_head),
        ("the photo", len(post.BODY)),
        ("the answer", len(post.STORED)),
        ("repeated", again),
    ]
    total = sum(frame.length for frame in frames)
    assert sum(size for _, size in rows) == total
    useful = len(post.BODY) + len(post.STORED)
    lines = [(name, f"{size:,}", f"{100 * size / total:.2f} %") for name, size in rows]
    return (
        table(("layer", "bytes", "share"), *lines, (f"in all, in {len(frames)} frames", f"{total:,}", "100.00 %"))
        + f"\nHeaders, handshakes and repetitions are {100 * (total - useful) / total:.2f} % of the bytes.\n"
    )


# -- the variants ----------------------------------------------------------------------------------------------------


def variants() -> Iterator[tuple[str, str, int, int]]:
    """Yield each variant: its name, what it changes, and its time with and without losses in ns."""
    for name, (plan, text) in (("", (post.PostPlan(), "as it is")), *post.VARIANTS.items()):
        times = [post.measured(timeline(one), one).elapsed for one in (plan, plan._replace(loss=0.0))]
        yield name, text, times[0], times[1]


def comparison() -> str:
    """The times of all variants."""
    rows = [("variant", "time", "saved", "without losses", "saved", "what is different")]
    found = list(variants())
    for name, text, lossy, clean in found:
        saved = (ms(found[0][2] - lossy), ms(found[0][3] - clean)) if name else ("", "")
        rows.append((f"`post:{name}`" if name else "`post`", ms(lossy), saved[0], ms(clean), saved[1], text))
    return table(*rows)


# -- the page --------------------------------------------------------------------------------------------------------


def made() -> dict[str, str]:
    """Return all tables by the names of their marks."""
    run = timeline(post.PostPlan())
    return {"stages": stages(run), "causes": causes(run), "layers": layers(run), "variants": comparison()}


def filled(text: str) -> str:
    """Return the page with its tables."""
    for name, content in made().items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        old, end, after = rest.partition("<!-- end -->")
        if not mark or not end:
            raise SystemExit(f"{PAGE} has no place for {name}")
        text = before + mark + content + end + after
    return text


def main() -> int:
    """Write or check the page."""
    text = PAGE.read_text()
    new = filled(text)
    if "--check" in sys.argv[1:]:
        return int(new != text)
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
