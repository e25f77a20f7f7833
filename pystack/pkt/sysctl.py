"""sysctl lines of Linux and FreeBSD as settings of the core.

There are three results: the setting was made, nothing had to be done (a note says why), or Unsupported. Nothing is
ignored silently: notes are printed with a failure, and are in the JSON.
"""

from collections.abc import Callable
from typing import Any

from pystack.pkt.errors import Unsupported
from pystack_c.config import FIELDS

S, MS = 1_000_000_000, 1_000_000

#: units of the Linux sysctls that are times; all others are plain numbers
LINUX_UNITS = {
    "tcp_fin_timeout": S,
    "tcp_keepalive_time": S,
    "tcp_keepalive_intvl": S,
    "tcp_invalid_ratelimit": MS,
    "tcp_probe_interval": S,
    "route.mtu_expires": S,
    "tcp_fastopen_blackhole_timeout_sec": S,
    "tcp_min_rtt_wlen": S,
    "tcp_rto_min_us": 1000,
    "tcp_rto_max_ms": MS,
}
#: Linux's name -> the core's, if they differ
LINUX_NAMES = {
    "route.min_pmtu": "min_pmtu",
    "route.mtu_expires": "mtu_expires",
    "tcp_congestion_control": "tcp_congestion",
    "tcp_rto_max_ms": "tcp_rto_max",
    "tcp_rto_min_us": "tcp_rto_var_min",
    "tcp_fastopen_blackhole_timeout_sec": "tcp_fastopen_blackhole_timeout",
}
#: Linux's sysctls that are switches here -> the setting, and the values that turn it on
LINUX_SWITCHES: dict[str, tuple[str, Callable[[int], bool]]] = {
    "tcp_recovery": ("tcp_rack", lambda value: value & 1 != 0),
    "tcp_early_retrans": ("tcp_tlp", lambda value: value >= 3),
}
#: Linux's sysctls that have no meaning here, and why
LINUX_MEANINGLESS = {
    "tcp_fack": "Linux has no FACK any more",
    "tcp_low_latency": "does nothing in Linux",
    "tcp_limit_output_bytes": "there is no queue below TCP",
    "tcp_tso_win_divisor": "segments are sent one by one",
    "tcp_tso_rtt_log": "segments are sent one by one",
    "tcp_autocorking": "there is no queue below TCP",
    "tcp_no_metrics_save": "a script starts without metrics",
    "tcp_adv_win_scale": "buffers hold payload only",
    "tcp_app_win": "buffers hold payload only",
    "tcp_comp_sack_nr": "",
    "tcp_comp_sack_delay_ns": "",
    "tcp_comp_sack_slack_ns": "",
    "tcp_workaround_signed_windows": "windows are unsigned",
    "tcp_stdurg": "the urgent pointer is RFC 9293's",
    "tcp_retrans_collapse": "does nothing for scripts",
}
#: sysctls of Linux that the core may or may not have; without them the script runs, with a note
LINUX_KNOWN = (
    "tcp_dsack tcp_frto tcp_recovery tcp_early_retrans tcp_ecn tcp_ecn_option tcp_ecn_option_beacon "
    "tcp_fastopen tcp_fastopen_key tcp_fastopen_blackhole_timeout_sec tcp_syncookies tcp_mtu_probing tcp_base_mss "
    "tcp_mtu_probe_floor tcp_min_snd_mss tcp_probe_threshold tcp_probe_interval tcp_notsent_lowat "
    "tcp_pacing_ss_ratio tcp_pacing_ca_ratio tcp_moderate_rcvbuf tcp_rfc1337 tcp_abc tcp_max_reordering "
    "tcp_thin_linear_timeouts tcp_min_rtt_wlen tcp_reflect_tos tcp_shrink_window tcp_plb_enabled tcp_migrate_req "
    "tcp_backlog_ack_defer tcp_syn_linear_timeouts tcp_pingpong_thresh tcp_child_ehash_entries tcp_rto_min_us "
    "tcp_rto_max_ms tcp_allowed_congestion_control tcp_rcvbuf_low_rtt tcp_l3mdev_accept tcp_max_tw_buckets "
    "ip_no_pmtu_disc ip_forward_use_pmtu ip_local_port_range ip_nonlocal_bind tcp_window_scaling tcp_challenge_ack_limit"
).split()


#: sysctls of test kernels that no released Linux has; setting them fails, as it does there
LINUX_ABSENT = ("net.ipv4.tcp_fastopen_cookies",)


class Sysctls:
    """Sets sysctls, and collects the notes."""

    def __init__(self, config: Any, notes: list[str]):
        self.config = config
        self.notes = notes
        self.values: dict[str, str] = {}
        #: forgets what is known about other hosts
        self.flush: Callable[[], None] = lambda: None

    def set(self, name: str, value: str, line: int) -> None:
        """Set one `name=value`."""
        name = name.replace("/", ".").removeprefix(".proc.sys.").strip()
        value = " ".join(value.strip().strip("\"'").split())
        self.values[name] = value
        try:
            if name.startswith("net.ipv4."):
                self._linux(name[9:], value, line)
            elif name.startswith(("net.inet.", "kern.")):
                self._freebsd(name, value, line)
            elif name.startswith("net.core."):
                self._core(name[9:], value, line)
            else:
                raise Unsupported(line, f"sysctl {name} is unknown")
        except ValueError as error:
            raise Unsupported(line, f"sysctl {name}={value}: {error}") from None

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _assign(self, name: str, value: Any) -> bool:
        """Set a setting of the core, converted to its type. Return False if there is no setting of that name."""
        if name not in FIELDS:
            return False
        old = getattr(self.config, name)
        if isinstance(old, bool):
            value = int(value) != 0
        elif isinstance(old, int):
            value = int(value)
        self.config.update({name: value})
        return True

    # -- Linux ---------------------------------------------------------------------------------------------------

    def _linux(self, name: str, value: str, line: int) -> None:
        if name in LINUX_MEANINGLESS:
            self.note(f"sysctl {name}: {LINUX_MEANINGLESS[name] or 'no ACKs are compressed'}")
        elif name in ("tcp_rmem", "tcp_wmem"):
            self._buffers(name, value, line)
        elif name == "tcp_mem":
            self._memory(value, line)
        elif name == "tcp_congestion_control":
            self._congestion(value)
        elif name == "tcp_fastopen_key":
            self._assign(name, value.replace("-", "").partition(",")[0])
        else:
            number = int(value, 0) * LINUX_UNITS.get(name, 1)
            if name in LINUX_SWITCHES:
                setting, on = LINUX_SWITCHES[name]
                number, name = int(on(number)), setting
            if self._assign(LINUX_NAMES.get(name, name), number):
                return
            if name not in LINUX_KNOWN:
                raise Unsupported(line, f"sysctl net.ipv4.{name} is unknown")
            self.note(f"sysctl {name}={value}: there is no such setting")

    def _buffers(self, name: str, value: str, line: int) -> None:
        """Set min, default, max. The largest receive buffer decides the window scale, in the core."""
        try:
            _, default, most = (int(part) for part in value.split())
        except ValueError:
            raise Unsupported(line, f"sysctl {name}={value}: three numbers are needed") from None
        self._assign(name, default)
        self._assign(name + "_max", most)

    def _memory(self, value: str, line: int) -> None:
        """Set low, pressure, high, in pages of 4 KiB."""
        try:
            sizes = [int(part) << 12 for part in value.split()]
            for name, size in zip(("low", "pressure", "high"), sizes, strict=True):
                self._assign(f"tcp_mem_{name}", size)
        except ValueError:
            raise Unsupported(line, f"sysctl tcp_mem={value}: three numbers are needed") from None

    def _congestion(self, name: str) -> None:
        from pystack_c.tcp.congestion.base import known

        if known(name):
            self.config.tcp_congestion = name
        else:
            self.note(f"there is no congestion control {name!r}: {self.config.tcp_congestion} is used")

    def _core(self, name: str, value: str, line: int) -> None:
        if name == "somaxconn":
            self.config.update({"somaxconn": int(value)})
        elif name in ("rmem_max", "wmem_max", "rmem_default", "wmem_default", "default_qdisc", "optmem_max"):
            self.note(f"sysctl net.core.{name}: there is no limit")
        else:
            raise Unsupported(line, f"sysctl net.core.{name} is unknown")

    # -- FreeBSD -------------------------------------------------------------------------------------------------

    def _freebsd(self, name: str, value: str, line: int) -> None:
        number = int(value, 0)
        short = name.removeprefix("net.inet.tcp.")
        if short in FREEBSD:
            names, unit = FREEBSD[short]
            missing = [n for n in names if not self._assign(n, number * unit)]
            if missing and len(missing) == len(names) and number:
                self.note(f"sysctl {name}={value}: there is no such setting")
        elif short == "udp_tunneling_overhead" and number in (0, 8):
            self.note(f"sysctl {name}: it is always the 8 bytes of a UDP header")
        elif short in FREEBSD_DEFAULTS:
            if number != FREEBSD_DEFAULTS[short]:
                raise Unsupported(line, f"sysctl {name}={value} is not supported")
        elif short == "rfc1323":
            self._assign("tcp_window_scaling", number in (1, 2))
            self._assign("tcp_timestamps", number in (1, 3))
        elif short == "drop_synfin":
            self._assign("tcp_drop_synfin", 2 if number else 0)
        elif short == "syncookies_only":
            self._assign("tcp_syncookies", 2 if number else min(self.config.tcp_syncookies, 1))
        elif short == "msl":
            self._assign("tcp_time_wait", 2 * number * MS)
        elif name == "kern.ipc.maxsockbuf":
            shift = 0
            while shift < 14 and (65535 << shift) < number:
                shift += 1
            self._assign("tcp_wscale", shift)
        elif short in ("fastopen.client_enable", "fastopen.server_enable"):
            bit = 1 if short == "fastopen.client_enable" else 2
            self.config.tcp_fastopen = self.config.tcp_fastopen & ~bit | (bit if number else 0)
            if bit == 1 and not number:
                self.flush()
        elif short == "hostcache.purgenow":
            self.flush()
        else:
            raise Unsupported(line, f"sysctl {name} is unknown")


#: FreeBSD's name below net.inet.tcp -> settings of the core, and the unit
FREEBSD: dict[str, tuple[tuple[str, ...], int]] = {
    "sack.enable": (("tcp_sack", "tcp_dsack"), 1),
    "recvspace": (("tcp_rmem",), 1),
    "sendspace": (("tcp_wmem",), 1),
    "ecn.enable": (("tcp_ecn",), 1),
    "ecn.maxretries": (("tcp_ecn_retries",), 1),
    "rexmit_initial": (("tcp_rto_initial",), MS),
    "rexmit_slop": (("tcp_rto_slop",), MS),
    "rexmit_min": (("tcp_rto_min",), MS),
    "rexmit_drop_options": (("tcp_syn_drop_options",), 1),
    "delacktime": (("tcp_delack_time",), MS),
    "keepinit": (("tcp_keepinit",), MS),
    "icmp_may_rst": (("tcp_icmp_may_rst",), 1),
    "keepidle": (("tcp_keepalive_time",), MS),
    "keepintvl": (("tcp_keepalive_intvl",), MS),
    "keepcnt": (("tcp_keepalive_probes",), 1),
    "finwait2_timeout": (("tcp_fin_timeout",), MS),
    "mssdflt": (("tcp_mss_default",), 1),
    "syncookies": (("tcp_syncookies",), 1),
    "insecure_rst": (("tcp_insecure_rst",), 1),
    "insecure_syn": (("tcp_insecure_syn",), 1),
    "udp_tunneling_port": (("tcp_udp_port",), 1),
    "always_keepalive": (("tcp_always_keepalive",), 1),
    "initcwnd_segments": (("tcp_init_cwnd",), 1),
}
#: those that the core cannot change, and their values
FREEBSD_DEFAULTS = {
    "blackhole": 0,
    "path_mtu_discovery": 1,
    "pmtud_blackhole_detection": 0,
    "tolerate_missing_ts": 0,
    "rfc3042": 1,
    "rfc3390": 1,
    "rfc3465": 1,
    "v6mssdflt": 1220,
    "delayed_ack": 1,
    "cc.algorithm": 0,
    "nolocaltimewait": 0,
    "sack.revised": 1,
}
