"""Links by name: `net.link(user, network, profile="lte")`, `pystack up --profile-link lte`.

A profile has the settings of both directions (see Channel). "Up" is the direction from the user to the network, and "down" the other one.
The rates and delays are from public sources that the comments name. What the comments call typical is a choice, not a measurement.
"""

from typing import Any

MS = 1_000_000
US = 1_000


def _waiting(rate: int, time: int) -> int:
    """The bytes that a queue of so much time holds at this rate."""
    return rate * time // (8 * 1_000_000_000)


def _link(down: int, up: int, delay: int, waiting: int, **both: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings (up, down) of a link with these rates, this delay each way, and queues of this time."""
    return (
        {"delay": delay, "rate": up, "queue_bytes": _waiting(up, waiting), **both},
        {"delay": delay, "rate": down, "queue_bytes": _waiting(down, waiting), **both},
    )


PROFILES = {
    # 1000BASE-T of IEEE 802.3: 1 Gbit/s in both directions. A frame takes 24 bytes more on the wire (preamble 8, FCS 4, gap 12).
    # Typical: 50 us each way, and a switch that holds 1 ms.
    "lan": _link(10**9, 10**9, 50 * US, 1 * MS, overhead=24),
    # WebPageTest's connectivity profile "DSL": 1.5 Mbit/s down, 384 kbit/s up, round trip 50 ms, no loss.
    # Typical: a modem that holds 250 ms.
    "dsl": _link(1_500_000, 384_000, 25 * MS, 250 * MS),
    # WebPageTest's connectivity profile "LTE": 12 Mbit/s down and up, round trip 70 ms, no loss. Typical: a base station repeats
    # what the radio lost, which shows as 5 ms of jitter, and it holds 300 ms.
    "lte": _link(12_000_000, 12_000_000, 35 * MS, 300 * MS, jitter=5 * MS),
    # IEEE 802.11n with one stream in a channel of 20 MHz sends at most 72.2 Mbit/s. Typical: a little more than half of that is left
    # after the waiting and the acknowledgements of the medium, the repetitions show as 3 ms of jitter, and an access point holds 100 ms.
    "wifi": _link(40_000_000, 40_000_000, 1 * MS, 100 * MS, jitter=3 * MS),
    # RFC 2488 section 2: a geostationary satellite adds up to 279.0 ms each way, so 558 ms to a round trip.
    # Typical: 20 Mbit/s down, 3 Mbit/s up, and a modem that holds 500 ms.
    "satellite": _link(20_000_000, 3_000_000, 279 * MS, 500 * MS),
    # A modem with a buffer that is too large. Kreibich et al., "Netalyzr" (IMC 2010): uplink buffers of 256 KiB were common, which
    # 1 Mbit/s needs 2.1 s to send. Typical: 8 Mbit/s down with a buffer of the same time, and 15 ms each way.
    "bufferbloat": _link(8_000_000, 1_000_000, 15 * MS, 2_097 * MS),
}


def link_profile(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings (up, down) of a profile, as new dicts. ValueError if there is no such profile."""
    if name not in PROFILES:
        raise ValueError(f"there is no link profile {name!r}; there are {', '.join(PROFILES)}")
    up, down = PROFILES[name]
    return dict(up), dict(down)
