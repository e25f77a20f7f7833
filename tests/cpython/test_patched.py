"""CPython's own tests of sockets and of what is built on them, as they are, under pystack.patch. left_out.py lists those that do not pass."""

import importlib.util

import pytest

from tests.cpython import left_out, patched, runner

MODULES = [
    "test.test_asyncio.test_streams",
    "test.test_asyncio.test_sock_lowlevel",
    "test.test_asyncio.test_server",
    "test.test_asyncio.test_base_events",
    "test.test_asyncio.test_selector_events",
    "test.test_asyncio.test_sendfile",
    "test.test_asyncio.test_sslproto",
    "test.test_httplib",
    "test.test_httpservers",
    "test.test_urllib2_localnet",
    "test.test_epoll",
]
#: these take longer, from 7 to 40 seconds each
LONG = [
    "test.test_asyncio.test_events",
    "test.test_asyncio.test_ssl",
    "test.test_socket",
    "test.test_ftplib",
    "test.test_poplib",
    "test.test_smtplib",
    "test.test_socketserver",
    "test.test_ssl",
    "test.test_selectors",
    "test.test_select",
    "test.test_poll",
]
#: so often a test may pass on the kernel's sockets that is said to fail there at random
ROUNDS = 8


def there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def check(module: str) -> None:
    if not there(module):
        pytest.skip("this Python comes without its own tests (Debian: libpython3.X-testsuite)")
    report = patched.run(module, names=runner.classes() if module == "test.test_socket" else ())
    wrong = left_out.differences(module, report)
    assert not wrong, wrong
    check_races(module, report["failed"])


def check_races(module: str, failed: dict[str, str]) -> None:
    """What failed of the tests that fail at random on the kernel's sockets, too, failed as is said there, and
    they do fail there, or pass on the stack at other times."""
    races = left_out.RACES.get(module, {})
    left = {test: text for test, text in failed.items() if test in races}
    odd = "\n".join(f"FAILED {test}\n{text}" for test, text in left.items() if not races[test][0].search(text))
    assert not odd, odd
    for _ in range(ROUNDS):
        if not left:
            return
        on_the_kernel = patched.run(module, kernel=True, names=left)
        again = patched.run(module, names=left)
        random = {*on_the_kernel["failed"], *again["passed"]}
        left = {test: text for test, text in left.items() if test not in random}
    assert not left, "these pass on the kernel's sockets:\n" + "\n".join(
        f"{test}\n{text}" for test, text in left.items()
    )


@pytest.mark.slow
@pytest.mark.timeout(patched.SECONDS + 20)
@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    check(name)


@pytest.mark.once
@pytest.mark.timeout(2 * patched.SECONDS)
@pytest.mark.parametrize("name", LONG)
def test_long_module(name):
    check(name)


def test_the_lists_name_modules_that_run():
    assert {*left_out.FAILS, *left_out.RACES} <= {*MODULES, *LONG, "pystack.socket"}


@pytest.mark.parametrize(
    "change, word",
    [
        ({"failed": {"SocketServerTest.test_TCPServer": "boom"}}, "boom"),
        ({"passed": ["SocketServerTest.test_ForkingTCPServer"]}, "test_ForkingTCPServer passes"),
        ({"skipped": {"SocketServerTest.test_TCPServer": "no reason"}}, "no reason"),
        ({"skipped": {"SocketServerTest.test_TCPServer": ""}}, "test_TCPServer is skipped"),
        ({"run": 0}, "no test ran"),
        ({"core": "ValueError()"}, "the core failed"),
    ],
)
def test_a_change_either_way_is_found(change, word):
    module = "test.test_socketserver"
    report = {"run": 5, "failed": dict(left_out.FAILS[module]), "passed": [], "skipped": {}, "core": None}
    assert left_out.differences(module, report) == ""
    assert word in left_out.differences(module, report | change)


@pytest.mark.slow
def test_a_race_must_be_one_on_the_kernels_sockets_too(monkeypatch):
    """A test of the standard library that never fails there, said to do so, is found."""
    if not there("test.test_epoll"):
        pytest.skip("this Python comes without its own tests (Debian: libpython3.X-testsuite)")
    name = "TestEPoll.test_create"
    monkeypatch.setattr(
        patched, "run", lambda module, kernel=False, names=(): {"failed": {}, "passed": list(names) * kernel}
    )
    monkeypatch.setitem(left_out.RACES, "test.test_epoll", {name: (left_out._STOPPED, "said so")})
    monkeypatch.setattr("tests.cpython.test_patched.ROUNDS", 1)
    with pytest.raises(AssertionError, match="these pass on the kernel's sockets"):
        check_races("test.test_epoll", {name: "ConnectionResetError"})
    with pytest.raises(AssertionError, match="another error"):
        check_races("test.test_epoll", {name: "another error"})
