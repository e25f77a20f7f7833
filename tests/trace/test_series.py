"""Series: the inner numbers of connections over time, checked against what the run must have done."""

import csv
import io

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.phy import match
from pystack.sim.network import Network, S
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import MS, lab_net
from pystack.trace.series import COLUMNS, Series, write_csv
from pystack_c.probe import ListProbe

R = 100 * MS
MSS = 1460


def transfer(size=80 * MSS, drop=0, watch=True, **settings):
    lab = lab_net(R // 2, **settings)
    if drop:
        lab.link.ab.drop(drop, match=match.is_data)
    series = Series(lab.a.stack) if watch else None
    client, server = lab.connected()
    taken = lab.upload(bytes(size), client, server)
    lab.net.run(lab.net.now + R)
    return lab, series, client, taken


def test_slow_start_in_numbers():
    lab, series, client, _ = transfer()
    (conn,) = series.connections()
    assert conn.subject == client.endpoint.subject() and conn.host == "a"
    opened = R + R // 2  # when both programs have their sockets
    assert [conn.at(opened + n * R)["cwnd"] // MSS for n in (0, 1, 2)] == [10, 20, 40]
    assert [conn.at(opened + n * R)["in_flight"] // MSS for n in (0, 1, 2)] == [10, 20, 40]
    assert conn.column("srtt")[-1] == conn.column("min_rtt")[-1] == R
    assert set(conn.column("retrans")) == {0} and conn.column("ssthresh")[-1] == -1
    assert conn.column("time") == sorted(conn.column("time"))
    assert conn.column("snd_una")[-1] == 80 * MSS + 1


def test_control_a_loss_shows_in_every_column_it_touches():
    _, series, _, _ = transfer(drop=15)
    (conn,) = series.connections()
    assert "recovery" in conn.column("phase")
    assert conn.column("ssthresh")[-1] > 0 and conn.column("retrans")[-1] == 1
    first = conn.column("phase").index("recovery")
    assert conn.rows[first][COLUMNS.index("cwnd")] < max(conn.column("cwnd")[:first])


def test_watching_changes_nothing():
    assert transfer(drop=15)[3] == transfer(drop=15, watch=False)[3]


def test_csv():
    _, series, _, _ = transfer()
    out = io.StringIO()
    count = series.write_csv(out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == count > 50 and list(rows[0]) == ["host", "connection", *COLUMNS]
    assert [row["cwnd"] for row in rows] == [str(v) for v in series.connections()[0].column("cwnd")]
    assert len(list(series.rows())) == count


def test_the_probe_that_was_there_hears_everything_and_comes_back():
    lab = lab_net(R // 2)
    probe = lab.a.stack.probe = ListProbe()
    series = Series(lab.a.stack)
    client, server = lab.connected()
    seen = len(probe.events)
    assert seen > 10
    series.detach()
    assert lab.a.stack.probe is probe
    rows = sum(len(conn.rows) for conn in series.connections())
    lab.upload(bytes(10 * MSS), client, server)
    assert len(probe.events) > seen and sum(len(conn.rows) for conn in series.connections()) == rows


def test_bounds_and_errors():
    lab = lab_net(R // 2)
    series = Series(lab.a.stack, limit=5)
    client, server = lab.connected()
    lab.upload(bytes(50 * MSS), client, server)
    (conn,) = series.connections()
    assert len(conn.rows) == 5
    with pytest.raises(KeyError):
        conn.column("nonsense")
    with pytest.raises(ValueError, match="there is no value"):
        conn.at(-1)


def test_a_recording_gives_the_same_series(tmp_path):
    recording, table = str(tmp_path / "run.pytrace"), str(tmp_path / "run.csv")
    net = Network(1)
    net.record(recording)
    a, b = net.host("a", profile="lab"), net.host("b", profile="lab")
    net.link(a, b, delay=R // 2, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    series = [Series(a.stack), Series(b.stack)]
    listener = stream(b)
    listener.bind("", 80)
    listener.listen()

    def serve():
        sock = yield listener.accept()
        yield sock.recv_exactly(100_000)

    def put():
        sock = stream(a)
        yield sock.connect("10.0.0.2", 80)
        yield sock.sendall(bytes(100_000))

    spawn(net, serve())
    spawn(net, put())
    net.run(until=2 * S)
    net.close()
    out = io.StringIO()
    rows = write_csv(series, out)
    result = CliRunner().invoke(cli, ["replay", "--series", table, recording])
    assert result.exit_code == 0, result.output
    with open(table, newline="", encoding="utf-8") as file:
        assert file.read() == out.getvalue()
    assert rows > 100
