"""Advice to keep a connection: the run with it is compared, from the beginning of its next request."""

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim.network import MS, S
from pystack.sim.programs import sleep, spawn
from pystack.stepper import scenarios
from pystack.stepper.scenarios.base import Scenario, finish, kept, listener, pair, stream
from pystack.stepper.timing import path
from pystack.stepper.timing.advice import tried
from tests.stepper.timing.cases import QUICK

D = 10 * MS


def asking(second):
    """A client asks over a connection of its own. If it keeps one, it asks a second time at 2 s, and the server thinks for `second` before that answer."""

    def run(net):
        a, b, _ = pair(net, a=QUICK, b=QUICK, delay=D)
        waiting = listener(b)
        times = 2 if kept(net, "a", 2 * S) else 1

        def server():
            sock = yield waiting.accept()
            for number in range(times):
                yield sock.recv_exactly(1)
                if number:
                    yield sleep(second)
                yield sock.sendall(b"a")

        def client():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            for number in range(times):
                if number:
                    yield sleep(2 * S - net.now)
                yield sock.sendall(b"q")
                yield sock.recv_exactly(1)

        finish(net, spawn(net, server()), spawn(net, client()))

    return Scenario("asking", run, "", "", (), "")


def advice(scenario, change):
    timeline = scenario.timeline()
    found = path(timeline)
    return next(one for one in tried(scenario, timeline, found) if one.change == change)


def test_a_kept_connection_saves_its_handshake():
    one = advice(asking(0), "keepalive=a")
    assert (one.at_most, one.saved, one.gone) == (2 * D, 2 * D, 2 * D)


@pytest.mark.parametrize("second, saved", [(2 * D, 0), (50 * MS, 2 * D - 50 * MS)])
def test_control_it_is_no_advice_if_the_next_request_is_not_faster(second, saved):
    one = advice(asking(second), "keepalive=a")
    assert one.saved == saved <= 0


def test_the_command_tries_it_with_the_post():
    output = CliRunner().invoke(cli, ["time", "post", "--advice"]).output
    assert "saves 45.818914 ms (keepalive=shop): let shop keep its connection" in output
    assert "saves 2.651706 ms (keepalive=client): let client keep its connection" in output
    assert "keepalive=proxy" not in output  # it has no choice


def test_the_comparison_of_both_runs_begins_with_the_next_request():
    output = CliRunner().invoke(cli, ["time", "post", "--what-if", "keepalive=client"]).output
    assert "557.914063 ms    555.262357 ms     -2.651706 ms  in all" in output


def test_control_where_no_program_has_the_choice_it_is_not_tried():
    assert not any(one.change.startswith("keepalive") for one in _tried("http-get"))


def _tried(name):
    scenario = scenarios.get(name)
    timeline = scenario.timeline()
    return tried(scenario, timeline, path(timeline))
