"""The one list of compiled modules. Everything else about the package is in pyproject.toml.

`python setup.py build_ext --inplace` compiles what changed, on all cores. With PYSTACK_PURE=1 in the environment nothing
is compiled: the same sources run as they are. CFLAGS=-O1 is for quick builds while developing. With PYSTACK_WERROR=1 the
warnings of Cython and of the C compiler are errors: `make build`, `make compilers` and CI set it.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

COMPILED = [
    "pystack_c/base/fifo.py",
    "pystack_c/base/seqnum.py",
    "pystack_c/base/siphash.py",
    "pystack_c/base/rng.py",
    "pystack_c/base/ratelimit.py",
    "pystack_c/base/timer.py",
    "pystack_c/packet.py",
    "pystack_c/counters.py",
    "pystack_c/settings/network.py",
    "pystack_c/settings/tcp.py",
    "pystack_c/settings/service.py",
    "pystack_c/settings/quirks.py",
    "pystack_c/config.py",
    "pystack_c/iface.py",
    "pystack_c/core.py",
    "pystack_c/endpoint.py",
    "pystack_c/wire/checksum.py",
    "pystack_c/wire/ethernet.py",
    "pystack_c/wire/arp.py",
    "pystack_c/wire/ipv4.py",
    "pystack_c/wire/icmpv4.py",
    "pystack_c/wire/udp.py",
    "pystack_c/route.py",
    "pystack_c/filter/cbpf.py",
    "pystack_c/filter/hooks.py",
    "pystack_c/base/address.py",
    "pystack_c/link/arp.py",
    "pystack_c/link/neighbor.py",
    "pystack_c/wire/rewrite.py",
    "pystack_c/filter/flow.py",
    "pystack_c/filter/conntrack_tcp.py",
    "pystack_c/filter/conntrack_table.py",
    "pystack_c/filter/conntrack_states.py",
    "pystack_c/filter/conntrack.py",
    "pystack_c/filter/nat_rules.py",
    "pystack_c/filter/translate.py",
    "pystack_c/filter/nat.py",
    "pystack_c/filter/nft/view.py",
    "pystack_c/filter/nft/exprs.py",
    "pystack_c/filter/nft/numgen.py",
    "pystack_c/filter/nft/sets.py",
    "pystack_c/filter/nft/statements.py",
    "pystack_c/filter/nft/chains.py",
    "pystack_c/filter/nft/answers.py",
    "pystack_c/filter/nft/connlimit.py",
    "pystack_c/filter/nft/fib.py",
    "pystack_c/filter/nft/mangle.py",
    "pystack_c/filter/nft/memos.py",
    "pystack_c/ip/pmtu.py",
    "pystack_c/ip/policy.py",
    "pystack_c/ip/tables.py",
    "pystack_c/ip/routing.py",
    "pystack_c/ip/output.py",
    "pystack_c/ip/whole.py",
    "pystack_c/ip/icmpv4.py",
    "pystack_c/ip/redirect.py",
    "pystack_c/ip/groups.py",
    "pystack_c/ip/mssclamp.py",
    "pystack_c/ip/forward.py",
    "pystack_c/ip/reassembly.py",
    "pystack_c/sockets/record.py",
    "pystack_c/sockets/datagram.py",
    "pystack_c/sockets/udp.py",
    "pystack_c/sockets/raw.py",
    "pystack_c/ingress/icmpv4.py",
    "pystack_c/ingress/ipv4.py",
    "pystack_c/sockets/ports.py",
    "pystack_c/wire/tcp.py",
    "pystack_c/tcp/queues/sendbuf.py",
    "pystack_c/tcp/queues/recvbuf.py",
    "pystack_c/tcp/queues/sentseg.py",
    "pystack_c/tcp/loss/seglists.py",
    "pystack_c/tcp/loss/sackranges.py",
    "pystack_c/tcp/loss/scoreboard.py",
    "pystack_c/tcp/queues/rtxq.py",
    "pystack_c/tcp/queues/pieces.py",
    "pystack_c/tcp/queues/share.py",
    "pystack_c/tcp/ecn/accstate.py",
    "pystack_c/tcp/urgstate.py",
    "pystack_c/tcp/opening/tfostate.py",
    "pystack_c/tcp/tcb.py",
    "pystack_c/tcp/quirks.py",
    "pystack_c/tcp/state.py",
    "pystack_c/tcp/queues/memory.py",
    "pystack_c/tcp/window.py",
    "pystack_c/tcp/mss.py",
    "pystack_c/tcp/encap.py",
    "pystack_c/tcp/timestamps.py",
    "pystack_c/tcp/reset.py",
    "pystack_c/tcp/optionroom.py",
    "pystack_c/tcp/opening/syn.py",
    "pystack_c/tcp/segment.py",
    "pystack_c/tcp/mtuprobe.py",
    "pystack_c/tcp/congestion/base.py",
    "pystack_c/tcp/congestion/reno.py",
    "pystack_c/tcp/congestion/cubic.py",
    "pystack_c/tcp/congestion/bbr_model.py",
    "pystack_c/tcp/congestion/bbr.py",
    "pystack_c/tcp/loss/rtt.py",
    "pystack_c/tcp/tell.py",
    "pystack_c/tcp/loss/rack.py",
    "pystack_c/tcp/congestion/rate.py",
    "pystack_c/tcp/congestion/chrono.py",
    "pystack_c/tcp/loss/undo.py",
    "pystack_c/tcp/loss/retransmit.py",
    "pystack_c/tcp/loss/prr.py",
    "pystack_c/tcp/loss/marking.py",
    "pystack_c/tcp/loss/recovery.py",
    "pystack_c/tcp/ecn/accecn.py",
    "pystack_c/tcp/ecn/ecn.py",
    "pystack_c/tcp/schedule.py",
    "pystack_c/tcp/rtotimer.py",
    "pystack_c/tcp/nagle.py",
    "pystack_c/tcp/hold.py",
    "pystack_c/tcp/congestion/idle.py",
    "pystack_c/tcp/output.py",
    "pystack_c/tcp/close.py",
    "pystack_c/tcp/ack.py",
    "pystack_c/tcp/delack.py",
    "pystack_c/tcp/data.py",
    "pystack_c/tcp/opening/listener.py",
    "pystack_c/tcp/opening/fastopen.py",
    "pystack_c/tcp/opening/isn.py",
    "pystack_c/tcp/opening/handshake.py",
    "pystack_c/tcp/opening/cookies.py",
    "pystack_c/tcp/opening/listen.py",
    "pystack_c/tcp/timers.py",
    "pystack_c/tcp/tables.py",
    "pystack_c/tcp/queues/autotune.py",
    "pystack_c/tcp/errors.py",
    "pystack_c/tcp/urgent.py",
    "pystack_c/tcp/user.py",
    "pystack_c/tcp/again.py",
    "pystack_c/tcp/icmp.py",
    "pystack_c/tcp/challenge.py",
    "pystack_c/tcp/opening/repeat.py",
    "pystack_c/tcp/timewait.py",
    "pystack_c/tcp/shown.py",
    "pystack_c/tcp/input.py",
    "pystack/phy/tapio.py",
    "pystack_c/services/session.py",
    "pystack_c/services/base.py",
    "pystack_c/services/streams.py",
    "pystack_c/services/hello.py",
    "pystack_c/stack.py",
    "pystack/runtime/lock.py",
    "pystack/runtime/sleep.py",
    "pystack/runtime/waiting.py",
    "pystack/runtime/host.py",
    "pystack/runtime/sockethost.py",
    "pystack/runtime/calling.py",
    "pystack/runtime/serving.py",
    "pystack/runtime/selecting.py",
    "pystack/trace/cursor.py",
    "pystack/stepper/states.py",
    "pystack/stepper/collect.py",
    "pystack/sim/scheduler.py",
    "pystack/sim/channel.py",
    "pystack/sim/virtual.py",
    "pystack/sim/path.py",
    "pystack/sockets/readiness.py",
    "pystack/sockets/handles.py",
    "pystack/sockets/stream.py",
    "pystack/sockets/dgram.py",
    "pystack/sockets/sockbase.py",
]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    # If it were on, `/` of integers would lose the fraction, rounding would go to zero, and a division by 0 would kill the process
    # (tools/core_lint.py).
    "cdivision": False,
    "annotation_typing": False,
    "initializedcheck": False,
    # The compiled code does not check for None before it reads an attribute (nonecheck is off), so no Python caller may pass None
    # for an object of the core.
    "allow_none_for_extension_args": False,
    # Sockets cannot be pickled, as those of Python's own _socket.
    "auto_pickle": False,
}

# Directives for all classes of some modules. (A class cannot set them in its .pxd, and its source would have to import cython.)
# no_gc: none of these classes can be part of a cycle, so the collector need not count or examine their objects.
BUFFERS = {"freelist": 64, "no_gc": True}
# What works on the records of a file: an index out of its bounds is an exception, as uncompiled.
CHECKED = {"boundscheck": True, "wraparound": True}
DIRECTIVES_OF = {
    "pystack/stepper/states.py": CHECKED,
    "pystack/stepper/collect.py": CHECKED,
    "pystack_c/packet.py": {"freelist": 64},
    "pystack_c/tcp/queues/sentseg.py": BUFFERS,
    "pystack_c/tcp/loss/seglists.py": BUFFERS,
    "pystack_c/tcp/loss/sackranges.py": BUFFERS,
    "pystack_c/tcp/loss/scoreboard.py": BUFFERS,
    "pystack_c/tcp/queues/rtxq.py": BUFFERS,
    "pystack_c/tcp/queues/pieces.py": BUFFERS,
    "pystack_c/tcp/queues/recvbuf.py": BUFFERS,
    "pystack_c/tcp/queues/sendbuf.py": BUFFERS,
}

# A comparison of signed with unsigned is a place where compiled and uncompiled arithmetic differ.
# No fused multiply-add, because floats must have the same results as uncompiled, too.
C_FLAGS = ["-Wall", "-Wsign-compare", "-Wno-unused-function", "-ffp-contract=off"]
# Warnings are errors for developers and CI, who can correct them. A compiler or a Cython that is newer than this source may have
# new warnings, and these must not prevent a user from building it.
STRICT = os.environ.get("PYSTACK_WERROR") == "1"
if STRICT:
    C_FLAGS.append("-Werror")
if "CFLAGS" not in os.environ:
    # -g0: without debugging information, which takes a third of the compiler's time
    C_FLAGS += ["-O2", "-g0"]


class ParallelBuildExt(build_ext):
    """build_ext on all cores, unless -j says otherwise. Cython runs here, and not for a command that compiles nothing, such as sdist."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def run(self) -> None:
        translated = {module.name: module for module in translate()}
        for extension in self.extensions:
            extension.sources = translated[extension.name].sources
            extension.depends = translated[extension.name].depends
        super().run()


def build_page() -> None:
    """The web stepper's page (web/build.py). Without npm the rest is built all the same, and the command says what is missing."""
    subprocess.run(
        [sys.executable, str(Path(__file__).resolve().parent / "web" / "build.py"), "--optional"], check=True
    )


class BuildPage(build_py):
    """build_py with the page; an editable installation gets it from `make build`."""

    def run(self) -> None:
        if not self.editable_mode:
            build_page()
            self.__dict__.pop("data_files", None)  # it may have been computed before the page existed
        super().run()


class SourcesWithPage(sdist):
    """sdist with the finished page, so that who builds from it needs no npm."""

    def run(self) -> None:
        build_page()
        super().run()


def cimported(pxd: Path) -> set[Path]:
    """The .pxd files that a .pxd cimports. (Cython itself does not see `from package cimport module`.)"""
    found = set()
    for line in pxd.read_text().splitlines():
        match = re.match(r"(?:from\s+(pystack[\w.]*)\s+)?cimport\s+([\w., ]+)", line)
        if match is None:
            continue
        base = match[1] or ""
        names = [name.split(" as ")[0].strip() for name in match[2].split(",")]
        for name in [base, *(f"{base}.{name}" if base else name for name in names)]:
            path = Path(name.replace(".", "/") + ".pxd")
            if name.startswith("pystack") and path.exists():
                found.add(path)
    return found


def other_directives() -> bool:
    """Was the C that lies there made with other directives? (Cython does not ask.) Those of now are noted for the next time."""
    note = Path("pystack_c", ".directives")
    text = json.dumps([DIRECTIVES, DIRECTIVES_OF], indent=0)
    if note.exists() and note.read_text() == text:
        return False
    note.write_text(text)
    return True


def drop_stale_c() -> None:
    """Remove generated C that is older than a .pxd it depends on, at any distance (class layouts must agree), or made otherwise."""
    anew = other_directives()
    for source in COMPILED:
        c_file = Path(source).with_suffix(".c")
        if not c_file.exists():
            continue
        seen: set[Path] = set()
        todo = [Path(source).with_suffix(".pxd")]
        while todo:
            pxd = todo.pop()
            if pxd in seen or not pxd.exists():
                continue
            seen.add(pxd)
            todo.extend(cimported(pxd))
        if anew or any(pxd.stat().st_mtime > c_file.stat().st_mtime for pxd in seen):
            c_file.unlink()


def extension(source: str) -> Extension:
    """The extension module of one source."""
    return Extension(source.removesuffix(".py").replace("/", "."), [source], extra_compile_args=C_FLAGS)


def translate() -> list[Extension]:
    """Let Cython write the C of the extension modules."""
    from Cython.Build import cythonize
    from Cython.Compiler import Options

    Options.warning_errors = STRICT
    # Cython checks each directive that it is given against its defaults, which lack these two.
    Options.get_directive_defaults().update(freelist=0, no_gc=False)
    drop_stale_c()
    plain = [extension(source) for source in COMPILED if source not in DIRECTIVES_OF]
    modules: list[Extension] = cythonize(plain, compiler_directives=DIRECTIVES, nthreads=os.cpu_count() or 1)
    for source, special in DIRECTIVES_OF.items():
        modules += cythonize([extension(source)], compiler_directives={**DIRECTIVES, **special})
    return modules


setup(
    ext_modules=[] if os.environ.get("PYSTACK_PURE") == "1" else [extension(source) for source in COMPILED],
    # Cython's output for the C compiler has ten times the size of everything else. The labs have C files of their own.
    exclude_package_data={
        package: ["*.c"] for package in sorted({str(Path(source).parent).replace("/", ".") for source in COMPILED})
    },
    cmdclass={"build_ext": ParallelBuildExt, "build_py": BuildPage, "sdist": SourcesWithPage},
)
