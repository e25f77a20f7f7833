"""SipHash-2-4 against its authors' vectors, and the Fast Open cookie that Linux gives for a key."""

from random import Random
from struct import pack

from pystack_c.base.address import v4
from pystack_c.base.siphash import siphash
from pystack_c.core import Core
from pystack_c.tcp.opening.fastopen import make_cookie

KEY = bytes(range(16))


def test_the_papers_vector():
    # Appendix A of the paper: key 00..0f, message 00..0e.
    assert siphash(KEY, bytes(range(15))) == 0xA129CA6149BE45E5


def test_reference_vectors():
    # The reference implementation's first vectors: messages 00, 00 01, ... of n bytes.
    expected = {0: 0x726FDB47DD0E0E31, 1: 0x74F839C593DC67FD, 8: 0x93F5F5799A932462}
    for n, value in expected.items():
        assert siphash(KEY, bytes(range(n))) == value


def test_cookie_under_a_shared_key():
    core = Core(1)
    core.config.tcp_fastopen_key = "a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4"
    cookie = make_cookie(core, b"", v4(0xC0000201), v4(0xC0A80001))
    assert cookie.hex() == "3021b9d889017eeb"
    assert make_cookie(core, b"", v4(0xC0000202), v4(0xC0A80001)) != cookie
    assert make_cookie(core, bytes(16), v4(0xC0000201), v4(0xC0A80001)) != cookie
    assert make_cookie(Core(1), b"", v4(0xC0000201), v4(0xC0A80001)) != make_cookie(
        Core(2), b"", v4(0xC0000201), v4(0xC0A80001)
    )


def test_a_ports_hash_is_that_of_its_bytes():
    rng, random = Core(1).rng, Random(1)
    edges = [(0, 0, 0), (0xFFFFFFFF, 0xFFFFFFFF, 65535), (0x01020304, 0xFFFE0000, 0x0102)]
    for laddr, raddr, rport in edges + [(random.getrandbits(32), random.getrandbits(32), n * 13) for n in range(200)]:
        assert rng.keyed_port(v4(laddr), v4(raddr), rport) == rng.keyed_hash(
            b"port" + pack(">IIH", laddr, raddr, rport)
        )
