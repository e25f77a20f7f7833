"""The core without a probe, to which the real one is compared: it lacks the probe, and nothing else."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

from tools.bench import probe_cost

ROOT = Path(__file__).resolve().parents[2]
#: a lossy transfer; what went over the wire, as one number
RUN = """
import hashlib, os
os.environ["PYSTACK_PURE"] = "1"
import pystack
from pystack.sim.programs import spawn, stream
from pystack.sim.network import MS, Network
seen = hashlib.sha256()
with Network(7) as net:
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS, loss=0.05)
    def serve():
        listener = stream(b); listener.bind("", 80); listener.listen()
        sock = yield listener.accept()
        got = 0
        while got < 100000:
            part = yield sock.recv(65536); got += len(part); seen.update(part)
    def send():
        sock = stream(a); yield sock.connect("10.0.0.2", 80); yield sock.sendall(bytes(range(250)) * 400)
    spawn(net, serve()); spawn(net, send())
    net.run(until=60 * 1000 * MS)
    for stack in (a.stack, b.stack):
        seen.update(repr(sorted((k, v) for k, v in stack.counters.nonzero().items())).encode())
    print(link.ab.stats.frames, seen.hexdigest())
"""


def without(text: str) -> str:
    return ast.unparse(ast.fix_missing_locations(probe_cost.Without().visit(ast.parse(text))))


def test_what_is_behind_the_comparison_goes():
    assert "emit" not in without("def f(core):\n    if core.probe is not None:\n        core.emit('x')\n    g()")
    assert without("def f(tcb):\n    if tcb.core.probe is None:\n        return ''\n    return 'words'") == (
        "def f(tcb):\n    return ''"
    )


def test_control_other_comparisons_stay():
    text = "def f(core, x):\n    if core.config is not None and x is None:\n        core.emit('x')"
    assert without(text) == text


def test_it_does_the_same_work(tmp_path):
    for part in ("pystack", "pystack_c"):
        shutil.copytree(
            ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__", "static")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def run(where: Path) -> str:
        done = subprocess.run([sys.executable, "-c", RUN], cwd=where, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    before = run(tmp_path)
    assert probe_cost.take_out(tmp_path) > 100
    assert run(tmp_path) == before and int(before.split()[0]) > 70
