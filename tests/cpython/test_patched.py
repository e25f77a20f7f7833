"""CPython's own tests of what is built on sockets, as they are, under pystack.patch."""

import importlib.util

import pytest

from tests.cpython import patched

#: module -> test -> why it cannot pass
EXPECTED_FAILURES = {
    "test.test_socketserver": {
        "test_ForkingTCPServer": "the stack exists in the parent process only",
        "test_ForkingUDPServer": "the same",
    },
}
MODULES = [
    "test.test_asyncio.test_streams",
    "test.test_asyncio.test_sock_lowlevel",
    "test.test_asyncio.test_server",
    "test.test_asyncio.test_sendfile",
    "test.test_asyncio.test_ssl",
    "test.test_asyncio.test_sslproto",
    "test.test_socketserver",
    "test.test_httplib",
    "test.test_httpservers",
    "test.test_urllib2_localnet",
]


def there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    if not there(name):
        pytest.skip("this Python comes without its own tests (Debian: libpython3.X-testsuite)")
    report = patched.run(name)
    expected = EXPECTED_FAILURES.get(name, {})
    unexpected = {test: text for test, text in report["failed"].items() if test not in expected}
    assert not unexpected, "\n".join(f"{test}\n{text}" for test, text in unexpected.items())
    assert set(report["failed"]) == set(expected), "a test passes that was expected to fail"
    assert report["run"] > 0
