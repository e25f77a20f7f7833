"""Every setting of a stack in one object, the profiles, and the checks.

pystack_c/settings/ declares the settings: those that a user sets, and the quirks, which only mimic Linux or FreeBSD in
a profile. Times are in nanoseconds and sizes in bytes. If Linux has a sysctl for a setting, the setting has its name.
docs/reference/settings.md lists them all.
"""

from difflib import get_close_matches
from types import GetSetDescriptorType
from typing import Any

from pystack_c.settings.limits import COUNT_MOST, COUNTS, LIMITS, MS, SIZE_MOST, SIZES, TIME_MOST, S, limits
from pystack_c.settings.quirks import QuirkSettings

__all__ = [
    "COUNTS",
    "COUNT_MOST",
    "FIELDS",
    "LIMITS",
    "MS",
    "PROFILES",
    "SIZES",
    "SIZE_MOST",
    "TIME_MOST",
    "Config",
    "S",
    "limits",
    "profile",
    "unknown",
]


class Config(QuirkSettings):
    """The settings of one stack, `linux`-like by default.

    Keyword arguments change settings, with the checks of `update`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        if settings:
            self.update(settings)

    def as_dict(self) -> dict[str, Any]:  # python
        """Return all settings by name, in a fixed order. A recording stores this dict."""
        return {name: getattr(self, name) for name in FIELDS}

    def update(self, settings: dict[str, Any]) -> "Config":  # python
        """Set several settings by name, and return self.

        Raises ValueError and sets nothing if a name is unknown, or a value has the wrong type or is out of bounds.
        """
        before = {name: getattr(self, name) for name in settings if name in FIELDS}
        try:
            for name, value in settings.items():
                self._set(name, value)
            self.check()
        except ValueError:
            for name, value in before.items():
                setattr(self, name, value)
            raise
        return self

    def verify(self) -> None:  # python
        """Raise ValueError if a setting that a program assigned is out of bounds."""
        for name, least, most in BOUNDS:
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {getattr(self, name)}")
        self.check()

    def _set(self, name: str, value: Any) -> None:  # python
        """Set one setting, or raise ValueError if it cannot have that value."""
        if name not in FIELDS:
            raise ValueError(unknown(name))
        was = getattr(self, name)
        if isinstance(was, str) != isinstance(value, str) or not isinstance(value, (int, str)):
            raise ValueError(f"{name} takes {'a text' if isinstance(was, str) else 'a number'}, not {value!r}")
        if isinstance(value, int):
            least, most = limits(name) if not isinstance(was, bool) else (0, 1)
            if not least <= value <= most:
                raise ValueError(f"{name} must be from {least} to {most}, not {value}")
        setattr(self, name, bool(value) if isinstance(was, bool) else value)

    def check(self) -> None:  # python
        """Raise ValueError if two settings contradict each other."""
        if self.port_min > self.port_max:
            raise ValueError(f"port_min must not be above port_max, but {self.port_min} is above {self.port_max}")


def _names() -> tuple[str, ...]:  # python
    """Return the names of all settings, in the order of their declarations."""
    config = Config()
    if hasattr(config, "__dict__"):
        return tuple(vars(config))
    # In the compiled build, a setting is a descriptor of the class that declares it.
    classes = [cls for cls in reversed(type(config).__mro__) if cls is not object]
    return tuple(
        name for cls in classes for name, member in vars(cls).items() if isinstance(member, GetSetDescriptorType)
    )


#: the names of all settings, in a fixed order
FIELDS = _names()
#: the numeric settings, each with its smallest and its largest value
BOUNDS = tuple((name, *limits(name)) for name in FIELDS if type(getattr(Config(), name)) is int)


def unknown(name: str) -> str:  # python
    """Return the error text for an unknown setting name, with the names that resemble it most."""
    near = get_close_matches(name, FIELDS, 3, 0.75)
    return f"there is no setting named {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")


# The profiles: each lists only the settings that differ from the defaults.
PROFILES: dict[str, dict[str, Any]] = {
    "linux": {},
    # The values of the RFCs, if Linux differs: RTO at least 1 s, delayed ACK 200 ms, 2 MSL 4 minutes, and SYNs
    # retransmitted for 3 minutes (RFC 9293 MUST-23).
    "rfc": {
        "tcp_syn_retries": 7,
        "tcp_minshall": False,
        "tcp_rto_min": 1 * S,
        "tcp_rto_var_min": 1 * MS,
        "tcp_rto_max": 60 * S,
        "tcp_delack_time": 200 * MS,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_time_wait": 240 * S,
        "tcp_fin_timeout": 240 * S,
        "min_pmtu": 68,
        # Address translation: RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP).
        "nat_endpoint_independent": True,
        "nat_filtering": 0,
        "nf_conntrack_udp_timeout": 300 * S,
        "nf_conntrack_udp_timeout_stream": 300 * S,
        "nf_conntrack_icmp_timeout": 60 * S,
        "nf_conntrack_tcp_timeout_syn_sent": 240 * S,
        "nf_conntrack_tcp_timeout_syn_recv": 240 * S,
        "nf_conntrack_tcp_timeout_fin_wait": 240 * S,
        "nf_conntrack_tcp_timeout_close_wait": 240 * S,
        "nf_conntrack_tcp_timeout_last_ack": 240 * S,
        "nf_conntrack_tcp_timeout_time_wait": 240 * S,
        "nf_conntrack_tcp_timeout_close": 240 * S,
        "nf_conntrack_tcp_timeout_max_retrans": 7440 * S,
        "nf_conntrack_tcp_timeout_unacknowledged": 7440 * S,
    },
    # For teaching: no options that make the numbers harder to follow, no quick ACKs, and fixed buffer sizes.
    "lab": {
        "tcp_timestamps": False,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_moderate_rcvbuf": False,
        "tcp_moderate_sndbuf": False,
        "tcp_rmem": 4 << 20,
        "tcp_wmem": 4 << 20,
    },
    # TCP as of 1988: slow start from one segment after every loss, windows of at most 64 KiB, and only cumulative ACKs.
    "tahoe": {
        "tcp_congestion": "tahoe",
        "tcp_init_cwnd": 1,
        "tcp_abc_l": 0,
        "tcp_sack": False,
        "tcp_timestamps": False,
        "tcp_window_scaling": False,
        "tcp_ecn": 0,
        "tcp_rack": False,
        "tcp_tlp": False,
        "tcp_prr": False,
        "tcp_frto": False,
        "tcp_undo": False,
        "tcp_limited_transmit": False,
        "tcp_minshall": False,
        "tcp_syncookies": 0,
        "tcp_fastopen": 0,
        "tcp_quickack_segs": 0,
        "tcp_push_bursts": False,
        "tcp_ack_pushed": False,
        "tcp_moderate_rcvbuf": False,
        "tcp_moderate_sndbuf": False,
    },
}


def profile(name: str) -> Config:  # python
    """Return a new Config with the profile's settings.

    Raises ValueError with the known names if the name is unknown.
    """
    if name not in PROFILES:
        raise ValueError(f"no profile named {name!r}; there are {', '.join(PROFILES)}")
    return Config().update(PROFILES[name])
