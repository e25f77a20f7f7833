"""Tests in virtual time: the fixtures, the mark, coroutines and plain functions (pystack/pytest_plugin)."""

import pytest

from tests.pytest_plugin.conftest import ECHO

pytest.importorskip("greenlet")
pytest_plugins = ["pytester"]


def test_coroutines_and_plain_functions_run_on_a_host_of_the_network(inner):
    inner.write(
        ECHO
        + """
async def test_async(net):
    net.start("server", serve)
    assert await ask() == b"hello"
    assert net.now == 4_000_000 and socket.gethostname() == "test" and time.monotonic() == 0.004

def test_plain(net):
    net.start("server", serve)
    with socket.create_connection(("server", 7)) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    time.sleep(1000)
    assert net.now == 1_000_004_000_000

@pytest.mark.pystack
async def test_marked():
    await asyncio.sleep(1000)
    assert socket.gethostname() == "test"

class TestClass:
    def test_method(self, net):
        self.seen = True
        time.sleep(1)
        assert net.now == 10**9

    @pytest.mark.pystack(host="me")
    async def test_async_method(self):
        assert not hasattr(self, "seen") and socket.gethostname() == "me"

def test_other():
    assert socket.gethostname() != "test"
"""
    )
    inner.here("-W", "error").assert_outcomes(passed=6)


def test_the_mark_sets_the_links_the_hosts_and_the_seed(inner):
    inner.write(
        ECHO
        + """
pytestmark = pytest.mark.pystack(delay="50ms")

@pytest.mark.pystack(hosts=["a", "b"], seed=9)
async def test_hosts(net, hosts, links, pystack_seed):
    assert list(hosts) == ["a", "b"] and net.seed == pystack_seed == 9
    assert hosts["b"].addresses() == ["10.0.0.3"]
    net.start("a", serve)
    assert await net.start("b", lambda: asyncio.run(ask("a"))) == b"hello"
    assert net.now == 200_000_000  # each way once, whichever hosts they are
    links["a"].down()
    assert not net.links["a-lan"].ab.up and links["a-lan"] is links["a"]
    with pytest.raises(KeyError, match="no link of a host 'x'"):
        links["x"]

@pytest.mark.pystack(profile="lte", loss="1%", delay="20ms")
async def test_profile(net):
    link, other = net.links["test-lan"], net.host("server").net.links["server-lan"]
    assert link.ab.rate == 12_000_000 and link.ba.loss == 0.01 and link.ab.delay == 20_000_000 and other.ab.delay == 0

@pytest.mark.pystack(loss=1.0)
class TestClass:
    @pytest.mark.pystack(delay=7)
    def test_marks_add_up(self, net):
        assert net.links["test-lan"].ab.loss == 1.0 and net.links["test-lan"].ab.delay == 7
        assert net.links["test-lan"].ba.loss == 0 and net.links["test-lan"].ba.delay == 0

@pytest.mark.pystack(loss=0.5, mtu=1000)
def test_links_of_the_test_have_the_faults_too(net):
    a, b = net.host("a", join=False), net.host("b", join=False)
    link = net.link(a, b, addrs=("10.9.0.1/24", "10.9.0.2/24"), delay="3ms", ba={"loss": 0.1})
    assert (link.ab.loss, link.ba.loss, link.ab.delay) == (0.5, 0.1, 3_000_000) and a.ports[0].iface.mtu == 1500
    assert net.hosts["test"].ports[0].iface.mtu == 1000
"""
    )
    inner.here("-W", "error").assert_outcomes(passed=4)


def test_a_program_beside_the_test_that_fails_lets_the_test_fail(inner):
    inner.write(
        ECHO
        + """
async def broken():
    await asyncio.sleep(1)
    raise ValueError("a bug of the server")

def broken_too():
    time.sleep(1)
    raise ValueError("a bug of the server")

@pytest.mark.parametrize("program", [broken, broken_too])
async def test_async(net, program):
    net.start("server", program)
    await asyncio.sleep(10)

@pytest.mark.parametrize("program", [broken, broken_too])
def test_plain(net, program):
    net.start("server", program)
    time.sleep(10)

@pytest.mark.parametrize("program", [broken, broken_too])
async def test_waited_for(net, program):
    with pytest.raises(ValueError, match="a bug of the server"):
        await net.start("server", program)

@pytest.mark.parametrize("program", [broken, broken_too])
def test_waited_for_too(net, program):
    with pytest.raises(ValueError, match="a bug of the server"):
        net.start("server", program).wait()
"""
    )
    result = inner.here("--pystack-shrink=0")
    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines(["E * ValueError: a bug of the server"])


def test_a_plain_test_may_run_programs_as_without_the_plugin(inner):
    inner.write(
        ECHO
        + """
@pytest.mark.pystack(hosts=3)
def test_run(net, hosts):
    one, two, three = hosts.values()
    results = net.run({one: [lambda: asyncio.run(ask("host3"))] * 2, "host2": ask_three}, background={three: serve})
    assert results == {one: [b"hello", b"hello"], "host2": b"hello"}
    net.run(10**9)
    assert net.now == 10**9

async def ask_three():
    return await ask("host3")
"""
    )
    inner.here("-W", "error").assert_outcomes(passed=1)


def test_fixtures_with_programs_and_asynchronous_fixtures(inner):
    inner.write(
        ECHO
        + """
events = []

@pytest.fixture
def server(net):
    net.start("server", serve)
    yield "server"
    events.append("server ends")

@pytest.fixture
async def connection(server):
    reader, writer = await asyncio.open_connection(server, 7)
    assert socket.gethostname() == "test"
    yield reader, writer
    writer.close()
    await writer.wait_closed()
    events.append("connection ends")

@pytest.fixture
async def greeting(connection):
    reader, writer = connection
    writer.write(b"hi")
    return await reader.readexactly(2)

async def test_async(connection, greeting):
    reader, writer = connection
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello" and greeting == b"hi"

class TestClass:
    @pytest.fixture
    async def mine(self, greeting):
        self.what = greeting
        return self

    def test_plain(self, mine, net):
        assert mine is self and self.what == b"hi" and net.now == 4_000_000

def test_end():
    assert events == ["connection ends", "server ends"] * 2
"""
    )
    inner.here("-W", "error").assert_outcomes(passed=3)


def test_the_order_of_tasks_is_shuffled_by_the_seed(inner):
    inner.write(
        """
import asyncio, pytest

orders = {}

@pytest.mark.pystack(shuffle=True)
async def test_order(net):
    order = []
    async def step(number):
        order.append(number)
    await asyncio.gather(*(step(number) for number in range(5)))
    orders[net.seed] = order

def test_end():
    assert len(orders) == 6 and len({tuple(order) for order in orders.values()}) > 3
"""
    )
    inner.here("--pystack-seeds=6").assert_outcomes(passed=7)


def test_the_schedule_has_faults_of_hosts_that_exist_and_that_come_later(inner):
    inner.write(
        ECHO
        + """
@pytest.mark.pystack(hosts=["a"], schedule=["1s cut a until 2s", "3s freeze b until 4s", "5s reboot a until 6s", "7s crash a"])
def test_steps(net, hosts, links):
    b = net.host("b")
    seen = []
    for number in range(9):
        time.sleep(max(0, number + 0.5 - time.monotonic()))
        seen.append((links["a"].ab.up, b.up, hosts["a"].up))
    assert seen == [
        (True, True, True), (False, True, True), (True, True, True), (True, False, True), (True, True, True),
        (True, True, False), (True, True, True), (True, True, False), (True, True, False),
    ]

def faults(plan):
    plan.crash(10**9, plan.net.hosts["test"])

@pytest.mark.pystack(schedule=faults)
def test_function(net):
    time.sleep(2)
    assert not net.hosts["test"].up

@pytest.mark.pystack(schedule=["1s crash nobody"])
def test_unknown(net):
    time.sleep(2)
"""
    )
    result = inner.here("--pystack-shrink=0")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["E *SimError: the schedule has a fault of the host 'nobody', which is not in the network"]
    )


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ("los=0.1", "*TypeError*no keyword 'los': did you mean loss? There are seed, hosts,*"),
        ("loss=2", "*loss=2: write a probability from 0 to 1*"),
        ("delay='50 miles'", "*delay: '50 miles' is not a time*"),
        ("profile='5g'", "*there is no link profile '5g'; there are lan, dsl, lte, wifi, satellite*"),
        ("hosts=['test']", "*two hosts have one name*"),
        ("hosts=3.5", "*write a number, or a list of names*"),
        ("seed='x'", "*a seed is a whole number*"),
        ("schedule='5s cut a until 1s'", "*the fault ends before it begins*"),
        ("schedule='soon cut a'", "*'soon' is not a time*"),
        ("schedule='1s tickle a'", "*'tickle' is not a fault; there are cut, freeze, crash, reboot*"),
        ("schedule='cut a'", "*is not of the form*"),
        ("schedule=[3]", "*a step is a text*"),
        ("schedule=5", "*schedule=5: write a list of steps, or a function*"),
        ("limit='0s'", "*write a virtual time*"),
        ("shuffle=3", "*write True or False*"),
        ("host=3", "*write the name of the host*"),
        ("0.1", "*takes keywords, such as loss=0.05, and not 0.1*"),
    ],
)
def test_a_wrong_mark_is_an_error_of_the_collection(inner, keywords, message):
    inner.write(f"import pytest\n@pytest.mark.pystack({keywords})\ndef test_it(): pass\n")
    result = inner.here()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_it: " + message.replace("TypeError", "")])


def test_the_mark_and_the_fixtures_are_documented(inner):
    inner.here("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.pystack(delay='50ms', *): run the test in virtual time*"]
    )
    text = inner.here("--fixtures").stdout.str()
    for name in ("net", "hosts", "links", "pystack_seed"):
        assert f"\n{name} -- " in text
    assert "\n_pystack" not in text
    assert "--pystack-seeds=N" in inner.here("--help").stdout.str()


def test_the_seeds_are_tests_of_their_own_and_can_be_named(inner):
    inner.write(
        """
import pytest
@pytest.mark.pystack(seed=5)
@pytest.mark.parametrize("what", ["x"])
def test_it(net, what):
    assert net.seed != 6
def test_seed(pystack_seed):
    print("seed", pystack_seed)
def test_other(): pass
"""
    )
    result = inner.here("-v", "--pystack-seeds=3", "--pystack-shrink=0")
    result.assert_outcomes(passed=6, failed=1)
    for number in (5, 6, 7):
        result.stdout.fnmatch_lines([f"test_it.py::test_it[[]x-seed={number}[]]*"])
    inner.here("test_it.py::test_it[x-seed=7]").assert_outcomes(passed=1)
    inner.here("--lf", "--pystack-shrink=0").assert_outcomes(failed=1)
    inner.here("--lf", "--pystack-shrink=0").assert_outcomes(failed=1)
    result = inner.here("-s", "--pystack-seed=6", "--pystack-shrink=0")
    result.assert_outcomes(passed=2, failed=1)
    assert "seed 6" in result.stdout.str()
    assert inner.here("--pystack-seeds=0").ret == 4 and inner.here("--pystack-seeds=-1").ret == 4


def test_without_greenlet_a_plain_test_says_what_is_missing(inner, monkeypatch):
    from pystack.sim import green

    monkeypatch.setattr(green, "_greenlet", None)
    inner.write(ECHO + "def test_plain(net): pass\nasync def test_async(net):\n    await asyncio.sleep(1)\n")
    result = inner.here("--pystack-shrink=0")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*pip install 'pystack[[]pytest[]]', or write `async def`*"])
