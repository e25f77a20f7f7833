"""const.py and const.pxd hold the same numbers."""

import re
from pathlib import Path

import pystack_c
import pystack_c.const as C

PXD = Path(pystack_c.__file__).parent / "const.pxd"


def test_the_compiled_numbers_are_the_same():
    compiled = {
        name: int(value, 0) for name, value in re.findall(r"^    ([A-Z]\w*) = (-?\w+)", PXD.read_text(), re.MULTILINE)
    }
    python = {name: value for name, value in vars(C).items() if name.isupper() and isinstance(value, int)}
    assert compiled.pop("COMPILED") == 1 and python.pop("COMPILED") == 0
    assert compiled == python
    assert len(python) > 50


def enums(pxd: str) -> list[list[int]]:
    """The numbers of each anonymous enum of a .pxd."""
    blocks = re.findall(r"^cdef enum:\n((?:    .*\n|\n(?=    ))+)", pxd, re.MULTILINE)
    return [
        [int(value, 0) for value in re.findall(r"^    [A-Z]\w* = (-?\w+)", block, re.MULTILINE)] for block in blocks
    ]


def test_a_number_above_int_does_not_share_an_enum_with_those_that_fit():
    """From GCC 13 on it would make all of them unsigned (C23, 6.7.2.2): `length - C.L4_OFF` is then never negative."""
    found = [numbers for path in PXD.parent.parent.glob("pystack*/**/*.pxd") for numbers in enums(path.read_text())]
    assert sum(len(numbers) for numbers in found) > 100
    assert any(number > 0x7FFFFFFF for numbers in found for number in numbers)  # control: there is such a number
    for numbers in found:
        big = [number for number in numbers if not -0x80000000 <= number <= 0x7FFFFFFF]
        assert big in ([], numbers)
