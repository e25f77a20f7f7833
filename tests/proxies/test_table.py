"""The table of docs/reference/proxies.md: the same cases at nginx, HAProxy and pystack's proxy, with the same settings.

`make proxies` writes the page from these results.
"""

import pytest

pytest.importorskip("h11", reason="needs the extra `proxy`")

from tests.proxies.cases import CASES
from tests.proxies.origin import InThread
from tests.proxies.peers import NAMES, missing, peer, version
from tools import proxies_docs

CELLS = proxies_docs.cells(proxies_docs.PAGE.read_text())
VERSIONS = proxies_docs.versions(proxies_docs.PAGE.read_text())


@pytest.fixture(scope="module")
def thread():
    thread = InThread()
    yield thread
    thread.close()


@pytest.fixture(scope="module", params=NAMES)
def proxy(request, thread, tmp_path_factory):
    """(name, port, origin) of a proxy that runs."""
    if why := missing(request.param):
        pytest.skip(why)
    if version(request.param) != VERSIONS.get(request.param, ""):
        pytest.skip(f"the page is about version {VERSIONS[request.param]} of {request.param}")
    origin, at = thread.origin()
    with peer(request.param, thread, at, origin.second, tmp_path_factory.mktemp(request.param)) as port:
        yield request.param, port, origin


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(proxy, case):
    name, port, origin = proxy
    expected = CELLS[case.part, case.name][NAMES.index(name)]
    # A case waits for parts of a second. On a busy machine, an answer may come later than that, but not each time.
    for _ in range(3):
        origin.forget()
        found = case.run(port, origin)
        if found == expected:
            break
    assert found == expected


def test_the_page_has_the_cases():
    assert list(CELLS) == [(case.part, case.name) for case in CASES]
    assert all(len(row) == len(NAMES) and all(row) for row in CELLS.values())


def test_the_words_of_the_page_are_the_tools():
    text = proxies_docs.PAGE.read_text()
    assert text.startswith(proxies_docs.HEAD) and text.endswith(proxies_docs.tail() + "\n"), "run make proxies"


def test_nothing_that_two_servers_may_read_differently_passes():
    """Two forms are harmless, because the proxy writes another head: a higher minor version, and a whole URL."""
    part = CASES[0].part
    passed = [name for (where, name), row in CELLS.items() if where == part and "passed on" in row[2]]
    assert passed == ["HTTP/1.2"]
