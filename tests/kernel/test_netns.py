"""Namespaces by name, and what happens without pyroute2."""

import os
import sys

import pytest

from pystack.kernel import netns as ns
from pystack.kernel.netns import Namespace, NetlinkMissing
from pystack.phy.tap import TapDevice


@pytest.fixture
def name():
    found = f"pystack-test-{os.getpid()}"
    yield found
    assert not os.path.exists(f"/run/netns/{found}"), "left behind"


def test_a_named_namespace_is_made_and_removed(name):
    with Namespace.open(name, create=True) as space:
        assert os.path.exists(f"/run/netns/{name}")
        with TapDevice("tap0", netns=space, address="10.0.0.1/24"):
            with Namespace.open(name) as again:
                assert ns.get_address("tap0", again) == "10.0.0.1"
        # joining does not remove it
        assert os.path.exists(f"/run/netns/{name}")


def test_an_unknown_name_is_an_error():
    with pytest.raises(FileNotFoundError):
        Namespace.open("pystack-no-such-namespace")


def test_without_pyroute2_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    with Namespace.new() as space, TapDevice("tap0", netns=space, address="10.0.0.1/24"):
        assert ns.get_address("tap0", space) == "10.0.0.1"  # an address needs no netlink
        with pytest.raises(NetlinkMissing, match=r"pystack\[netlink\]"):
            ns.add_route("10.9.0.0/16", gateway="10.0.0.2", netns=space)


def test_an_exception_inside_comes_out():
    with Namespace.new() as space, pytest.raises(ZeroDivisionError):
        space.call(lambda: 1 / 0)


def test_long_names_are_refused():
    with pytest.raises(ValueError, match="15"):
        ns.ifreq("x" * 16)


def test_in_an_unprivileged_user_namespace():
    """Root in a user namespace of its own is enough (where /dev/net/tun may be opened)."""
    import subprocess

    code = (
        "import pystack\n"
        "with pystack.up(netns='new') as running:\n"
        "    out = running.netns.run(['ping', '-c', '1', '-W', '2', '10.0.0.2'], capture_output=True, text=True).stdout\n"
        "assert '1 received' in out, out\n"
    )
    command = ["unshare", "-Urn", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
