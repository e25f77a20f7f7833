"""Every call that reaches a stack through its Host can be recorded and replayed; none can be forgotten."""

import ast
import importlib
import io
from pathlib import Path

import pytest

import pystack
import pystack_c.const as C
from pystack.runtime.host import Host
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import sleep, spawn, stream
from pystack.trace import calls
from pystack.trace import format as fmt
from pystack.trace.recorder import Recorder
from pystack.trace.replay import Replay, replay
from pystack_c.config import Config
from pystack_c.link import acd
from pystack_c.stack import Stack
from pystack_c.tcp import sockopt, user
from pystack_c.tcp.queues import errqueue
from tests.trace.test_replay import Kept

ROOT = Path(pystack.__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "pystack").rglob("*.py"))
#: who calls through a Host, as the sources write it (a network namespace and a program have a `call` as well)
HOSTS = ("host", "self.host", "calls.host", "Host", "host_of", "super()")
#: functions that are chosen while the program runs: where they can come from
CHOICES = {
    "module(fd)": ("pystack_c.tcp.user", "pystack_c.sockets.udp"),
    "options_of(fd)": ("pystack_c.tcp.sockopt", "pystack_c.sockets.udp"),
    "self.calls": ("pystack_c.sockets.udp", "pystack_c.sockets.raw"),
}
#: the same, where a name stands for the function: (file, name) -> functions
NAMES = {
    ("pystack/dhcp/agent.py", "self.module:recvfrom"): "udp.recvfrom or packets.recvfrom",
    ("pystack/dhcp/agent.py", "self.module:close"): "udp.close or packets.close",
    ("pystack/sim/programs.py", "self.calls[name]"): "every name in procs.CALLS (below)",
    ("pystack/sim/programs.py", "calls['tcp_open']"): "a name in procs.CALLS",
    ("pystack/sim/programs.py", "calls['udp_open']"): "a name in procs.CALLS",
    ("pystack/sim/programs.py", "calls['raw_open']"): "a name in procs.CALLS",
    ("pystack/runtime/calling.py", "fn"): "passed on: Host.call, and what `later` was given",
    ("pystack/sim/virtual.py", "fn"): "passed on: Host.call, and what `later` was given",
    ("pystack/sim/nodes.py", "fn"): "passed on: what VirtualHost.call was given",
    ("pystack/trace/replay.py", "fn"): "the replay itself",
    ("pystack/services/base.py", "fn"): "serve.stream or serve.datagram",
    ("pystack/pkt/call_misc.py", "own"): "tcp.ioctl, which the core does not have",
    ("pystack/pkt/call_open.py", "undo"): "tcp.disconnect, which the core does not have",
    ("pystack/pkt/call_sendto.py", "opener"): "tcp.connect_fastopen",
}


def imports(tree):
    """Name -> the module, or module:function, that it stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update((item.asname or item.name, item.name) for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for item in node.names:
                whole = f"{node.module}.{item.name}"
                try:
                    importlib.import_module(whole)
                except ImportError:
                    whole = f"{node.module}:{item.name}"
                found[item.asname or item.name] = whole
    return found


def made(path):
    """The application calls that a source makes through a Host, as module:function, and what could not be told, as text."""
    tree = ast.parse(path.read_text())
    known = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr not in ("call", "later") or ast.unparse(node.func.value) not in HOSTS:
            continue
        known = known or imports(tree)
        args = node.args[1:] if ast.unparse(node.func.value) == "Host" else node.args
        yield node.lineno, resolve(args[0], known)


def resolve(fn, known):
    """Where a function comes from: module:function, several of them, or the source's own words for it."""
    text = ast.unparse(fn)
    if isinstance(fn, ast.Name):
        return [known.get(text, text)]
    if isinstance(fn, ast.Attribute):
        base = ast.unparse(fn.value)
        if base in CHOICES:
            return [f"{module}:{fn.attr}" for module in CHOICES[base]]
        return [f"{known.get(base, base)}:{fn.attr}"]
    return [text]


def owner(name):
    """module:function, by the module that defines the function (sockopt passes tcp_info on)."""
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function)
    return f"{found.__module__}:{found.__name__}"


def test_every_call_that_is_made_can_be_replayed():
    seen, unknown, named = set(), [], set()
    for path in SOURCES:
        short = str(path.relative_to(ROOT))
        for line, names in made(path):
            for name in names:
                if (short, name) in NAMES:
                    named.add((short, name))
                    continue
                if not name.startswith("pystack_c.") or ":" not in name:
                    unknown.append(f"{short}:{line}: {name}: which function is this? (see NAMES)")
                elif not is_call(owner(name)):
                    unknown.append(f"{short}:{line}: {name} is not in pystack.trace.calls.CALLS")
                else:
                    seen.add(owner(name))
    assert not unknown, "\n".join(unknown)
    assert {
        "pystack_c.tcp.queues.errqueue:take",
        "pystack_c.tcp.queues.errqueue:end_send",
        "pystack_c.sockets.raw:sendto",
    } <= seen
    assert len(seen) > 30 and named == set(NAMES)


def is_call(name):
    """Is `module:function` an application call?"""
    module, _, function = name.partition(":")
    try:
        return calls.find(calls.name_of(getattr(importlib.import_module(module), function))) is not None
    except (AttributeError, ValueError):
        return False


def test_the_simulators_calls_can_be_replayed():
    from pystack.sim import programs as procs

    for modules in (
        ("pystack_c.tcp.user", "pystack_c.tcp.sockopt"),
        ("pystack_c.sockets.udp",),
        ("pystack_c.sockets.raw",),
    ):
        for fn in procs._calls(*modules).values():
            assert calls.find(calls.name_of(fn)) is fn


def test_every_call_that_can_be_made_can_be_replayed():
    """Public functions of the core whose last parameter is `now`, save those that are none of an application's."""
    inner = {"pystack_c.link.neighbor:current_state", "pystack_c.ip.options:stamp", "pystack_c.services.base:skip"}
    # the functions that the calls of udp and raw share
    inner |= {f"pystack_c.sockets.datagram:{name}" for name in ("begin", "recvfrom", "shutdown")}
    found = set()
    for path in sorted((ROOT / "pystack_c").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.args.args and node.args.args[-1].arg == "now":
                if not node.name.startswith("_"):
                    found.add(f"{module}:{node.name}")
    listed = {f"{calls.MODULES[group]}:{name}" for group, names in calls.CALLS.items() for name in names.split()}
    assert found - inner == listed
    assert all(is_call(name) for name in listed)


def test_every_method_that_sets_a_stack_up_can_be_replayed():
    used = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setup":
                if node.args and isinstance(node.args[0], ast.Constant):
                    used.add(node.args[0].value)
    assert {"add_iface", "add_addr", "del_route"} <= used <= calls.SETUP


def test_what_cannot_be_replayed_is_not_recorded():
    recorder = Recorder(Kept())
    with pytest.raises(ValueError, match="print is not an application call"):
        recorder.host("h", 1, Config()).call(0, print, None, ())
    with pytest.raises(ValueError, match="close_write is not an application call"):
        recorder.host("h", 1, Config()).call(0, user.close_write, None, ())


def test_the_error_queue_of_a_stream_replays():
    """recvmsg with MSG_ERRQUEUE: zero-copy completions and time stamps; and address conflict detection."""
    out = Kept()
    told = []
    with Network(1) as net:
        net.record(out)
        a, b = net.host("a"), net.host("b")
        net.link(a, b, delay=5 * MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))

        def server():
            listener = stream(b)
            listener.bind("", 80)
            listener.listen()
            sock = yield listener.accept()
            return (yield sock.recv_all())

        def client():
            sock = stream(a)
            a.call(acd.start, a.stack, a.port().iface, 0x0A000009)
            a.call(acd.announce_twice, a.stack, a.port().iface, 0x0A000001)
            yield sock.connect("10.0.0.2", 80)
            tcb = sock.endpoint
            a.call(sockopt.setsockopt, tcb, 1, 60, 1)  # SO_ZEROCOPY
            a.call(
                sockopt.setsockopt, tcb, 1, 37, 2 | 16 | 128 | 512
            )  # SO_TIMESTAMPING: SOFTWARE, OPT_ID, TX_SOFTWARE, TX_ACK
            a.call(user.send, tcb, bytes(3000), errqueue.MSG_ZEROCOPY | errqueue.MSG_PART)
            a.call(user.send, tcb, bytes(3000), errqueue.MSG_ZEROCOPY | errqueue.MSG_PART)
            a.call(errqueue.note, tcb, 0, 0)
            a.call(errqueue.end_send, tcb)
            yield sleep(S)
            while (one := a.call(errqueue.take, tcb)) is not None:
                told.append((one.origin, one.info))
            sock.close()

        procs = [spawn(net, server()), spawn(net, client())]
        net.run(until=20 * S)
        assert all(proc.done for proc in procs) and procs[0].value == bytes(6000)
    assert len(told) >= 2
    counts = replay(io.BytesIO(out.kept))
    assert counts.calls > 10


FORMER = Path(__file__).parent / "data" / "before-moves.pytrace"


def test_a_recording_from_before_the_modules_moved_replays():
    """`pystack up --record` with a ping, a request and a refused connection, made when calls had the names of their modules."""
    names = []
    replayed = Replay(str(FORMER))
    announce = replayed._do[fmt.FUNCTION]
    replayed._do[fmt.FUNCTION] = lambda name: (names.append(name), announce(name))[1]
    counts = replayed.run()
    assert counts.frames > 0 and counts.calls > 0
    assert names and all(name.startswith("pystack_c.") for name in names)


def test_a_former_name_that_is_no_call_is_refused():
    for name in ("pystack_c.tcp.user:close_write", "pystack_c.nowhere:send", "os:system", "tcp:__init__", "send", ""):
        assert calls.find(name) is None
    assert calls.find("pystack_c.udp:sendto") is calls.find("udp:sendto")


class Still(Host):
    """A host whose clock stands at 0."""

    def clock(self):
        return 0

    def pump(self):
        pass


def test_a_route_that_replaced_another_replays_and_one_that_was_refused_is_not_recorded(tmp_path):
    """In older versions add_route replaced the first route to a network, and their recordings still replay. Now it raises an error."""
    path = tmp_path / "routes.pytrace"
    recorder = Recorder(str(path), {})
    host = Still(Stack(1), recorder.host("a", 1, Config()))
    iface = host.setup("add_iface", "eth0", C.LINK_ETHERNET, 2, 1500)
    host.setup("add_addr", iface, 0x0A000001, 24)
    host.setup("add_route", 0, 0, 0x0A0000FE, iface)
    with pytest.raises(FileExistsError):
        host.setup("add_route", 0, 0, 0x0A0000FD, iface)
    # as an older version did
    host.recorder.setup(0, "add_route", (0, 0, 0x0A0000FC, iface))
    recorder.close()
    replayed = Replay(str(path))
    replayed.run()
    (stack,) = (found.stack for found in replayed.hosts)
    assert [route.gateway & 0xFF for route in stack.routes.all() if route.prefixlen == 0] == [0xFC]
