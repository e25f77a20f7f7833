"""What must be the same on every Python and build: it runs here, compiled, and in the Python of the site (facts.mjs)."""

import hashlib
import json
import random

from pystack.labs import child
from pystack.labs.folders import labs
from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn, stream
from pystack.stepper import scenarios
from pystack.stepper.export import contents
from pystack.stepper.web.data import Trace

SCENARIO = "loss-fast-retransmit"
SIZE = 1 << 20
#: number of a lab -> values that are left out: each comes from an experiment as that of another value of the lab, with another
#: parameter, and takes longest of all. The page's Python takes ten times as long as the compiled core.
LEFT_OUT = {
    8: {"control half"},  # as "share"
    10: {"rate", "wide", "far", "control many"},  # as "full", and as "control silly"
    11: {"1600", "faster", "42", "fair", "unfair"},  # as "400" and "4"; and two bulk transfers for minutes
    35: {"bdp", "bdp share"},  # as "deep"
    36: {
        "total",
        "resumption",
        "pool",
        "album",
        "control one-write",
    },  # as "delays", "keep-alive", "album of four", "one-write"
}


def digest(value):
    """Return the hash of a value."""
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, default=repr).encode()
    return hashlib.sha256(data).hexdigest()


def scenario():
    """Return the hashes of a scenario's frames and events, and of all that the stepper shows of it."""
    chosen = scenarios.get(SCENARIO)
    timeline = chosen.timeline()
    frames = [[frame.time, frame.data.hex()] for frame in timeline.frames]
    events = [
        [event.time, event.host, str(event.kind), event.subject, event.reason, event.rfc, event.fields, event.frame]
        for event in timeline.events
    ]
    assert len(frames) > 20 and len(events) > 100
    return {"frames": digest(frames), "events": digest(events), "stepper": digest(contents(Trace(timeline, chosen)))}


def transfer():
    """Send 1 MB over a link that loses and reorders. Returns the hash of what arrived, and of all frames with their times."""
    net = Network(seed=7)
    a, b = net.host("a"), net.host("b")
    net.link(
        a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS, jitter=3 * MS, loss=0.02, rate=20_000_000, queue=50
    )
    frames = hashlib.sha256()
    count = 0

    def tap(time, direction, frame):
        nonlocal count
        count += 1
        frames.update(f"{time} {direction} ".encode() + bytes(frame))

    b.port().taps.append(tap)
    listener = stream(b)
    listener.bind("", 80)
    listener.listen()

    def receive():
        sock = yield listener.accept()
        return (yield sock.recv_all())

    def send():
        sock = stream(a)
        yield sock.connect("10.0.0.2", 80)
        yield sock.sendall(random.Random(1).randbytes(SIZE))
        sock.close()

    receiver = spawn(net, receive())
    spawn(net, send())
    net.run_until(receiver.finished, limit=600_000 * MS)
    assert len(receiver.value) == SIZE and a.counters.TcpRetransSegs > 5
    return {"data": digest(receiver.value), "frames": frames.hexdigest(), "count": count, "time": net.now}


def of_lab(number, names=None):
    """Return what a lab measures and how its grader judges; of its values only those of these names, if there are any.

    What needs a program or a module that is missing here is left out.
    """
    (lab,) = [lab for lab in labs() if lab.number == number]
    experiment = lab.module("experiment")
    everything = {value.name: (value, experiment.measure) for value in lab.values()}
    everything |= {
        f"control {control.value.name}": (control.value, experiment.control) for control in experiment.CONTROLS
    }
    left_out = LEFT_OUT.get(number, set())
    assert left_out <= everything.keys()
    chosen = {
        name: one for name, one in everything.items() if name not in left_out and (names is None or name in names)
    }
    results = {name: lab.result(value, measure) for name, (value, measure) in chosen.items()}
    values = {name: result.measured for name, result in results.items() if not result.skipped}
    grades = {}
    grader = child.grader_of(lab)
    if not isinstance(grader, dict) and lab.suffix == ".py":
        # All wrong answers would take minutes there, and tests/labs has all of them.
        for file in ("solution.py", next(iter(lab.wrong()))):
            text = (lab.path / file).read_text(encoding="utf-8")
            grades[file] = child.verdict(grader.check, lab.exercise, text, [])
    # as the page gets it
    return json.loads(json.dumps({"values": values, "grades": grades}))


def facts(numbers):
    """Return everything, with the labs of these numbers."""
    return {"scenario": scenario(), "transfer": transfer(), "labs": {str(number): of_lab(number) for number in numbers}}
