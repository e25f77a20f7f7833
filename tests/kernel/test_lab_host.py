"""Lab 37 gives an ordinary user the same results as root."""

import json
import os
import subprocess

import pytest

from pystack.labs.folders import lab_of
from tests.kernel.hosts import USER, as_nobody


def test_an_ordinary_user_gets_what_the_formulas_say(tmp_path):
    words = as_nobody()
    if words is None:
        pytest.skip("an ordinary user can reach no Python, or not /dev/net/tun")
    code = USER + (
        "import json; from pystack.labs.folders import lab_of\n"
        "print(json.dumps({result.value.name: result.measured for result in lab_of('37').measure()}))\n"
    )
    tmp_path.chmod(0o777)
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYSTACK_PURE": "1"}
    done = subprocess.run([*words, "-c", code], capture_output=True, text=True, timeout=120, cwd="/", env=env)
    assert done.returncode == 0, done.stderr
    missing = {value.name for value in lab_of("37").values() if value.missing()}
    expected = {value.name: None if value.name in missing else value.expected for value in lab_of("37").values()}
    assert json.loads(done.stdout) == expected
