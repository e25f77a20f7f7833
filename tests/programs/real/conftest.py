"""The fixtures of the tests of real programs."""

import shutil

import pytest

from tests.kernel.conftest import net as net  # noqa: PLC0414 (a fixture)
from tests.programs.real.apps import stores
from tests.programs.real.ground import Ground, make_files


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with certificates and keys."""
    return make_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="session")
def cluster(made):
    """A database cluster of PostgreSQL, which takes a second to make. Its folder's name is in a file."""
    folder = stores.make_cluster()
    with open(f"{made}/cluster", "w") as file:
        file.write(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ground(net, made):
    """A stack, the kernel's processes, and the files of both."""
    ground = Ground(net, made)
    yield ground
    ground.close()
