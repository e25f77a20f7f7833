"""How a script is run: addresses, tolerances, what is compared, and the profile.

The settings come from the command line, and then from the script's own --options.
"""

import ipaddress
from dataclasses import dataclass, field

from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.model import Script

#: options of packetdrill that control its own machinery and change nothing here
HARMLESS = {
    "gateway_ip",
    "netmask_ip",
    "speed",
    "verbose",
    "debug",
    "code_command",
    "code_format",
    "code_sockopt",
    "send_omit_free",
    "no_cleanup",
    "persistent_tun_dev",
    "tun_dev",
    "define",
    "dry_run",
}
#: names that public test suites expect on the command line, for IPv4
DEFINES = {
    "CODE": "host_unreachable",
    "CMSG_LEVEL_IP": "SOL_IP",
    "CMSG_TYPE_RECVERR": "IP_RECVERR",
    # for the default addresses, under the key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4
    "TFO_COOKIE": "3021b9d889017eeb",
}

#: the name that packetdrill defines for the system it runs on, by profile
PLATFORMS = {"linux": "Linux", "freebsd": "FreeBSD"}

#: how the options of a segment are compared: as written, or in any order and with any padding
EXACT, ANY_ORDER = "exact", "any-order"

#: profile -> (profile of the core, settings of the core, settings of the runner)
PROFILES: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "linux": (
        "linux",
        {
            "tcp_push_bursts": False,
            "tcp_ack_pushed": False,
            "tcp_fastopen_blackhole_timeout": 0,
            "tcp_hystart_limit": 0,
            "tcp_abc_l": 1000,
            "tcp_ack_unsent": False,
            "tcp_linux_queue": True,
            "tcp_tlp_at_rto": True,
            "tcp_prr_safe": True,
            "tcp_prr_ecn": True,
            "tcp_syn_ts_check": True,
            "tcp_window_start": 65535,
            "tcp_sack_whole": True,
            "tcp_icmp_opening": True,
            "tcp_advmss_pmtu": True,
            "tcp_ssthresh_cwnd": True,
            "tcp_grow_delivered": True,
            "tcp_init_cwnd_retrans": 2,
            "tcp_mtu_probe_largest": False,
            "tcp_accecn_linux": True,
            "tcp_crossed_ack": True,
            "tcp_crossed_text": 0,
            "tcp_old_ack": True,
            "tcp_timeout_slack": 2_000_000,
            "tcp_cubic_linux": True,
            "tcp_delack_fin": True,
        },
        {},
    ),
    "freebsd": (
        "linux",
        {
            "tcp_push_bursts": False,
            "tcp_ack_pushed": False,
            "tcp_wscale": 6,
            "tcp_rmem": 65536,
            "tcp_wmem": 32768,
            "tcp_delack_time": 40_000_000,
            "tcp_quickack_segs": 0,
            "tcp_rto_min": 30_000_000,
            "tcp_rto_var_min": 0,
            "tcp_tell_double": False,
            "tcp_round_buffers": True,
            "tcp_exact_window": True,
            "tcp_rfc1337": True,
            "tcp_closing_fin": True,
            "tcp_drop_synfin": 0,
            "tcp_tw_answer": True,
            "tcp_buffer_window": True,
            "tcp_delack_any_size": True,
            "tcp_rto_slop": 200_000_000,
            "tcp_reset_error": True,
            "tcp_icmp_refused": True,
            "tcp_fastopen_path_disable": 900_000_000_000,
            "tcp_reset_bound": True,
            "tcp_listen_reset": False,
            "tcp_crossed_text": 1,
            "tcp_always_keepalive": True,
            "tcp_keepinit": 75_000_000_000,
            "tcp_old_ack": True,
            "tcp_update_quarter": True,
            "tcp_syn_retries": 12,
            "tcp_rto_max": 64_000_000_000,
            # FreeBSD limits these ACKs to five a second, which no script reaches.
            "tcp_invalid_ratelimit": 0,
        },
        {"options": ANY_ORDER, "tolerance_percent": 5.0, "implied_connect": True, "gso_push": False},
    ),
    "rfc": ("rfc", {}, {"options": ANY_ORDER, "gso_push": False}),
    "lab": ("lab", {}, {"options": ANY_ORDER, "gso_push": False}),
}


@dataclass
class ScriptSettings:
    """All settings of a run."""

    profile: str = "linux"
    defines: dict[str, str] = field(default_factory=dict)
    local_ip: str = "192.168.0.1"
    remote_ip: str = "192.0.2.1"
    bind_port: int = 8080
    connect_port: int = 8080
    mtu: int = 1500
    #: inbound packets with more payload arrive as one that the device joined from segments of this size; 0: as written
    gro_size: int = 0
    #: a packet may be this early or late, or this percentage of the time since the previous event
    tolerance_usecs: int = 4000
    tolerance_percent: float = 12.5
    #: microseconds per tick of the timestamps sent; 0: their values are not compared
    ts_tick_usecs: int = 0
    ts_ecr_scaled: bool = False
    #: one packet of the script is one packet on the wire; otherwise it may be several in a row
    strict_segments: bool = False
    non_fatal: tuple[str, ...] = ()
    options: str = EXACT
    #: False: PSH is not compared
    push: bool = True
    #: Linux sets PSH on every packet that its offload cuts later, so PSH is not compared for a packet that is several
    #: on the wire
    gso_push: bool = True
    #: sendto on a fresh stream socket connects it (FreeBSD)
    implied_connect: bool = False
    #: command files that are run before the script
    init_scripts: tuple[str, ...] = ()
    #: individual settings of the core, which override those of the profile
    config: dict[str, object] = field(default_factory=dict)
    seed: int = 1

    @classmethod
    def for_profile(cls, profile: str) -> "ScriptSettings":
        """Return the initial settings of a profile. ValueError names the profiles."""
        if profile not in PROFILES:
            raise ValueError(f"no profile named {profile!r}; there are {', '.join(PROFILES)}")
        return cls(profile=profile, **PROFILES[profile][2])  # type: ignore[arg-type]

    def make_config(self) -> "object":
        """Return the core's Config."""
        from pystack_c import config

        base, changes, _ = PROFILES[self.profile]
        return config.profile(base).update(dict(changes)).update(dict(self.config))

    def take(self, script: Script) -> None:
        """Apply the script's own options. ScriptError or Unsupported if that is not possible."""
        for name, value, line in script.options:
            try:
                self._take(name, value, line)
            except ValueError:
                raise ScriptError(line, f"--{name}: bad value {value!r}") from None

    def _take(self, name: str, value: str, line: int) -> None:
        if name in ("bind_port", "connect_port", "mtu", "tolerance_usecs"):
            setattr(self, name, int(value))
        elif name == "tolerance_percent":
            self.tolerance_percent = float(value)
        elif name in ("local_ip", "remote_ip"):
            text = value.partition("/")[0]
            if ":" in text:
                raise Unsupported(line, "IPv6 is not supported")
            setattr(self, name, str(ipaddress.IPv4Address(text)))
        elif name == "tcp_ts_tick_usecs":
            self.ts_tick_usecs = int(value)
        elif name == "tcp_ts_ecr_scaled":
            self.ts_ecr_scaled = True
        elif name == "strict_segments":
            self.strict_segments = True
        elif name == "non_fatal":
            self.non_fatal = tuple(part.strip() for part in value.split(","))
        elif name == "init_scripts":
            self.init_scripts += tuple(value.split(","))
        elif name == "mss":
            self.defines.setdefault("MSS", value)
            self.gro_size = int(value)
        elif name == "udp_encapsulation" and value == "tcp":
            pass
        elif name == "ip_version":
            if value != "ipv4":
                raise Unsupported(line, f"{value} is not supported")
        elif name not in HARMLESS:
            raise Unsupported(line, f"the option --{name} is not supported")
