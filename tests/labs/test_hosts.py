"""Programs on kernel hosts that may not run as root: whoever the user is, they find one that is not root."""

import shutil
import subprocess
import sys

import pytest

from pystack.labs.folders import no_host
from pystack.labs.values import lacking
from tests.kernel.hosts import ROOT

LACKS = lacking("postgres psql unshare setpriv") or no_host()
pytestmark = pytest.mark.skipif(bool(LACKS), reason=LACKS or "it has all")
#: prints the answer of a database, or the last thing that psql says
CODE = """
import time
from pystack.labs.hosts import not_root, postgres, said
from pystack.labs.values import program
from pystack.sim.network import Network
with Network(1) as net:
    host = net.kernel("database")
    with postgres(host, "127.0.0.1"):
        end = time.monotonic() + 30
        words = [program("psql"), "-At", "host=127.0.0.1 user=postgres dbname=postgres", "-c", "select 6 * 7"]
        while (answer := said(host, *words).strip()) != "42" and time.monotonic() < end:
            time.sleep(0.1)
print(not_root()[0], answer)
"""
USERS = {
    "the user of the tests": [],
    "root of a user namespace": ["unshare", "-Ur"],
    "an ordinary user": ["unshare", "--map-user=1000", "--map-group=1000"],
}


@pytest.mark.parametrize("user", USERS)
def test_postgresql_runs_for_each_user(user):
    """PostgreSQL refuses to run as root, and a user without root is root of the host's user namespace."""
    if USERS[user] and subprocess.run([*USERS[user], shutil.which("true")], check=False).returncode:
        pytest.skip("there are no user namespaces here")
    words = [*USERS[user], sys.executable, "-c", CODE]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    how, _, answer = done.stdout.strip().partition(" ")
    assert (how, answer) == ("unshare" if USERS[user] else how, "42"), done.stderr
