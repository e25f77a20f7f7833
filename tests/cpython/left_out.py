"""The tests of CPython that do not pass on a stack, each with the reason. tests/cpython/test_*.py fail if this changes either way.

The names are those of `outcome.name_of`: `Class.method`. A name that a version of Python does not have does not matter.
"""

import re
from typing import Any

_FORK = "it forks a process for each request, and ForkingMixIn refuses this, because the stack exists in the parent process only"
_IPV6 = "the stack speaks IPv4"
_REFERENCES = "it counts references, and a traceback through Python frames holds some"

#: module -> test -> why it fails
FAILS: dict[str, dict[str, str]] = {
    "test.test_socketserver": {
        "ErrorHandlerTest.test_forking_handled": _FORK,
        "ErrorHandlerTest.test_forking_not_handled": _FORK,
        "SocketServerTest.test_ForkingTCPServer": _FORK,
        "SocketServerTest.test_ForkingUDPServer": _FORK,
    },
    "test.test_socket": {
        "GeneralModuleTests.testRefCountGetNameInfo": _REFERENCES,
        "GeneralModuleTests.test_SocketType_is_socketobject": (
            "the C module `_socket` stays the kernel's, because the standard library's class, which Unix sockets have, calls it"
        ),
    },
    # by tests/cpython/runner.py, which puts our modules in the place of `socket` and `_socket`
    "pystack.socket": {
        "GeneralModuleTests.testRefCountGetNameInfo": _REFERENCES,
        "GeneralModuleTests.test_socket_type": "our class is no C type, so attributes can be set on it",
    },
}

_TICKETS = (
    "the client closes the connection while the session tickets of TLS 1.3 are on their way. If they have arrived, it sends a reset, and the "
    "server of the test takes a reset for a reason to stop"
)
#: what such a server does to its clients
_STOPPED = re.compile("ConnectionResetError|ConnectionRefusedError|BrokenPipeError")
#: module -> test -> (the error, why it may fail). These fail at random on the kernel's sockets, too: a failure here counts only if the
#: test does not fail there.
RACES: dict[str, dict[str, tuple[re.Pattern[str], str]]] = {
    "test.test_ssl": {
        **{
            f"SimpleBackgroundTests.{name}": (_STOPPED, _TICKETS)
            for name in (
                "test_ciphers", "test_connect", "test_connect_cadata", "test_connect_capath", "test_connect_with_context",
                "test_get_server_certificate", "test_get_server_certificate_sni",
            )
        },
        "TestSSLDebug.test_msg_callback_deadlock_bpo43577": (_STOPPED, _TICKETS),
        "TestPostHandshakeAuth.test_pha_required_nocert": (_STOPPED, _TICKETS),
        "ThreadedTests.test_wrong_cert_tls13": (
            re.compile("does not match|ConnectionResetError|BrokenPipeError"),
            "the server closes the connection after its alert, and the test's next write may meet a reset before the alert is read",
        ),
    },
}  # fmt: skip

#: what the reason for a skip may begin with -> why it is right
SKIPS: dict[str, str] = {
    "Use of the 'network' resource": "it dials hosts on the internet",
    "resource 'network' is not enabled": "it dials hosts on the internet",
    "network is not enabled": "it dials hosts on the internet",
    "Resource '": "it dials hosts on the internet",
    "IPv6": _IPV6,
    "no IPv6 support": _IPV6,
    "dualstack_ipv6": _IPV6,
    "FIXME: bpo-": "CPython has switched it off",
    "Windows": "another system",
    "macOS": "another system",
    "Test needs selectors.": "another system's selectors",
    "TLSv1": "old versions of TLS, which this OpenSSL does not have",
    "SSLv": "old versions of TLS, which this OpenSSL does not have",
    "Test applies only to Python default ciphers": "Debian's Python has those of OpenSSL",
    "locale-specific month name": "it needs another locale",
    "local time needs to be different": "it needs another time zone",
    "test is only useful if the GIL is disabled": "it needs a Python without the GIL",
    "not enough memory": "it asks for more than 2 GB",
    "This test can't be run reliably as root": "CGI programs, which are processes",
    "name lookup failure": "the machine's own name, which a stack of its own does not know",
    "CPU time": "it measures the time of the processor, which others use too",
    "FD limit reached": "a pair takes four descriptors, and the test has two for it",
}
#: tests that are skipped without a reason -> why
SILENT_SKIPS: dict[str, str] = {
    "SelectSelectorTestCase.test_modify_unregister": "select(2) has nothing to unregister from",
}


def differences(module: str, report: dict[str, Any]) -> str:
    """What a report says against these lists; empty if nothing. The failures in RACES are not judged here."""
    listed, races = FAILS.get(module, {}), RACES.get(module, {})
    found = [
        f"FAILED {test}\n{text}" for test, text in report["failed"].items() if test not in listed and test not in races
    ]
    found += [f"{test} passes, and is in the list of those that do not" for test in report["passed"] if test in listed]
    found += [
        f"{test} is skipped: {why}"
        for test, why in report["skipped"].items()
        if not why.startswith(tuple(SKIPS)) and (why or test not in SILENT_SKIPS)
    ]
    if not report["run"]:
        found.append("no test ran")
    if report.get("core"):
        found.append(f"the core failed: {report['core']}")
    return "\n".join(found)
