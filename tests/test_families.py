"""The modules above `wire/` and `ip/` do not know to which family an address belongs (pystack_c.base.address)."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

CORE = Path(__file__).parent.parent / "pystack_c"
#: the rooms that serve every family
BLIND = ("tcp", "sockets", "services", "filter")
SOURCES = sorted(path for room in BLIND for path in (CORE / room).rglob("*.py"))
#: modules that read and write the fields of headers that a ruleset names (`ip saddr`), or compute as the kernel does (jhash)
HEADERS = (
    "filter/nft/datatypes.py",
    "filter/nft/exprs.py",
    "filter/nft/mangle.py",
    "filter/nft/numgen.py",
    "filter/nft/view.py",
)
#: modules and names that know a family
MODULES = ("pystack_c.wire.ipv4", "pystack_c.wire.arp", "pystack_c.link.arp", "pystack_c.link.acd", "pystack_c.ingress")
NAMES = ("v4", "v4_bits", "is_v4", "is_v6", "IPV4_HLEN")
#: the names of variables and attributes that hold an address
ADDRESSES = (
    "addr src dst laddr raddr daddr gateway next_hop offender group hop spa tpa arp_spa arp_tpa first_hop peer".split()
)
#: a text that is an address and nothing else; the number of an RFC section has words beside it
QUAD = re.compile(r"\d{1,3}(\.\d{1,3}){3}([/:]\d+)?")
#: masks of 32 bits, which sequence numbers and options also use
PLAIN = (0xFFFFFFFF, 0x7FFFFFFF)


def is_address(node: ast.AST) -> bool:
    """Return True for a variable or an attribute that has the name of an address."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in ADDRESSES


def number(node: ast.AST) -> bool:
    """Return True for a number other than 0, which is the unspecified address, and for the mask of 32 bits."""
    if isinstance(node, ast.Attribute):
        return node.attr == "M32"
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value not in (0, True, False)


def docstrings(tree: ast.AST) -> list[ast.AST]:
    """Return the constants that are docstrings."""
    return [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def wrong(node: ast.AST) -> str:
    """Return in words how a node uses a family, or "" if it does not."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        base = getattr(node, "module", None) or ""
        for alias in node.names:
            if alias.name in NAMES or any(f"{base}.{alias.name}".strip(".").startswith(module) for module in MODULES):
                return f"imports {alias.name}"
    elif isinstance(node, ast.BinOp) and (is_address(node.left) or is_address(node.right)):
        if not isinstance(node.op, ast.Mod):
            return "calculates with an address"
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(is_address(side) for side in sides) and any(number(side) for side in sides):
            return "compares an address with a number"
    elif isinstance(node, ast.Assign) and any(is_address(target) for target in node.targets) and number(node.value):
        return "makes an address of a number"
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "to_bytes" and isinstance(node.func, ast.Attribute) and is_address(node.func.value):
            return "takes the bytes of an address"
        if name in ("pack", "pack_into") and any(is_address(arg) for arg in node.args):
            return "packs an address"
    elif isinstance(node, ast.Attribute) and node.attr == "ip_hlen":
        return "counts the bytes of the IPv4 header"
    return ""


def knows_a_family(source: str) -> list[str]:
    """Return the lines of a source that use an address family, and how they do so."""
    tree = ast.parse(source)
    found = [f"line {node.lineno}: {why}" for node in ast.walk(tree) if (why := wrong(node))]  # type: ignore[attr-defined]
    texts = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node not in texts:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if QUAD.fullmatch(text):
                found.append(f"line {node.lineno}: names the address {text!r}")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NUMBER and re.fullmatch(r"0[xX][0-9a-fA-F]{8}", token.string):
            if int(token.string, 16) not in PLAIN and int(token.string, 16).bit_count() != 1:
                found.append(f"line {token.start[0]}: has the number {token.string}, which looks like an address")
    return found


def test_there_are_sources():
    assert len(SOURCES) > 70


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_module_above_ip_knows_the_family(path):
    found = knows_a_family(path.read_text())
    if str(path.relative_to(CORE)) in HEADERS:
        assert found, "it need not be among HEADERS any more"
    else:
        assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "from pystack_c.wire import ipv4",
        "import pystack_c.wire.ipv4 as wire",
        "from pystack_c.base.address import addr_text, is_v4",
        "from pystack_c.route import IPV4_HLEN",
        "x = addr >> 28",
        "x = tcb.laddr << 32 | tcb.raddr",
        "x = (own.addr ^ addr) & mask",
        "x = addr == 0xFFFFFFFF",
        "x = addr != C.M32",
        "addr = 0x7F000001",
        "x = lookup(0x7F000001)",
        "x = addr if addr != 0 else 0x7F000001",
        "x = pkt.src.to_bytes(4, 'big')",
        "x = pack('>II', pkt.src, pkt.dst)",
        "x = pkt.ip_hlen - 20",
        "x = parse('255.255.255.0')",
    ],
)
def test_the_check_notices(source):
    """Control: each way in which a module could use the family is found."""
    assert len(knows_a_family(source)) >= 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Such as 10.0.0.1."""',
        "x = addr != 0 and addr == own.addr",
        "x = seq & 0xFFFFFFFF",
        "x = b'reuseport%d' % plain(laddr)",
        "x = is_multicast(addr)",
    ],
)
def test_the_check_allows(source):
    assert knows_a_family(source) == []


def narrow(pxd: str) -> list[str]:
    """Return the declarations of a .pxd that give an address fewer bits than 128."""
    names = "|".join(ADDRESSES)
    return re.findall(rf"\bu?int(?:32|64)_t (?:{names})\b|\b(?:{names})=u?int(?:32|64)_t\b", pxd)


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.pxd")), ids=lambda path: str(path.relative_to(CORE)))
def test_addresses_have_the_type_of_addresses(path):
    """A narrower type would silently keep only 32 bits of a mapped address."""
    assert narrow(path.read_text()) == []


def test_the_check_sees_a_narrow_address():
    assert narrow("cdef public uint32_t laddr\n@cython.locals(src=uint32_t, n=uint32_t)") == [
        "uint32_t laddr",
        "src=uint32_t",
    ]
