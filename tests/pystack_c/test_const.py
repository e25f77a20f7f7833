"""const.py and const.pxd hold the same numbers."""

import re
from pathlib import Path

import pystack_c
import pystack_c.const as C

PXD = Path(pystack_c.__file__).parent / "const.pxd"


def test_the_compiled_numbers_are_the_same():
    compiled = {
        name: int(value, 0) for name, value in re.findall(r"^    ([A-Z]\w*) = (\w+)", PXD.read_text(), re.MULTILINE)
    }
    python = {name: value for name, value in vars(C).items() if name.isupper() and isinstance(value, int)}
    assert compiled.pop("COMPILED") == 1 and python.pop("COMPILED") == 0
    assert compiled == python
    assert len(python) > 50
