"""A thread with a server and proxies, for clients that block."""

import pytest

pytest.importorskip("h11", reason="needs the extra `proxy`")
pytest.importorskip("h2", reason="needs the extra `proxy`")

from tests.proxies.origin import InThread


@pytest.fixture
def thread():
    thread = InThread()
    yield thread
    thread.close()


@pytest.fixture
def origin(thread):
    """(the server, its port)"""
    return thread.origin()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """(a file with the key and certificates of "site" and "other", the CA's file)"""
    import trustme

    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA(key_type=trustme.KeyType.RSA)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    leaf = ca.issue_cert("site", "other", "127.0.0.1", key_type=trustme.KeyType.RSA)
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "leaf.pem")
    return folder / "leaf.pem", folder / "ca.pem"
