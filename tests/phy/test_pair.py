"""phy.pair: two stacks linked without root, in one process and by paths; bad messages, and peers that end."""

import contextlib
import errno
import os
import select
import shutil
import signal
import socket as kernel
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

import pystack
from pystack.phy import pair as pair_module
from pystack.phy.device import Device
from pystack.phy.pair import SocketDevice, UnixDevice, from_fd, pair
from pystack_c.packet import Transmit
from tests.support.patience import PATIENCE

FRAME = bytes(range(60))


def tx(frame=FRAME, payload=None):
    return Transmit(None, frame, payload)


def got(device):
    """The next frame, or None if none comes."""
    found = device.recv()
    return None if found is None else found[0]


@contextlib.contextmanager
def stacks(left, right):
    with (
        pystack.up("x", "10.9.0.1/24", None, device=left, default=False, name="a") as a,
        pystack.up("x", "10.9.0.2/24", None, device=right, default=False, name="b") as b,
    ):
        yield a, b
        assert a.host.failure is None and b.host.failure is None


def serve(stack, count):
    """An echo server for one connection of `count` bytes, in a thread."""
    server = stack.socket()
    server.bind(("0.0.0.0", 7))
    server.listen()
    server.settimeout(20)

    def work():
        conn, _ = server.accept()
        conn.settimeout(20)
        with server, conn:
            left = count
            while left and (data := conn.recv(65536)):
                conn.sendall(data)
                left -= len(data)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def echo(a, b, size):
    """Send `size` bytes from a through b's echo server, and return what comes back."""
    data = os.urandom(size)
    thread = serve(b, size)
    back = b""
    with a.socket() as sock:
        sock.settimeout(20)
        sock.connect(("10.9.0.2", 7))
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        while len(back) < size and (part := sock.recv(65536)):
            back += part
        sender.join()
    thread.join()
    return back == data


def test_two_stacks_of_one_process_echo_many_frames():
    left, right = pair()
    assert isinstance(left, Device) and isinstance(right, Device)
    with stacks(left, right) as (a, b):
        assert echo(a, b, 300_000)
        frames = a.host.inspect(lambda stack: stack.counters.nonzero()["TcpOutSegs"])
        assert frames > 200


def test_two_stacks_linked_by_paths_echo(tmp_path):
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with stacks(UnixDevice(one, two), UnixDevice(two, one)) as (a, b):
        assert echo(a, b, 100_000)
    assert list(tmp_path.iterdir()) == []


def test_a_passed_descriptor_is_a_device():
    left, right = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_SEQPACKET)
    with stacks(from_fd(left.detach()), from_fd(right.detach())) as (a, b):
        assert echo(a, b, 20_000)


def test_a_frame_keeps_its_parts_and_boundaries():
    left, right = pair()
    with left, right:
        assert left.send(tx(FRAME, b"payload")) and left.send(tx())
        assert (got(right), got(right), got(right)) == (FRAME + b"payload", FRAME, None)


@pytest.mark.parametrize("kind", [kernel.SOCK_DGRAM, kernel.SOCK_SEQPACKET])
def test_bad_messages_are_counted_and_do_not_reach_the_stack(kind):
    mine, its = kernel.socketpair(kernel.AF_UNIX, kind)
    with mine, from_fd(its.detach(), mtu=100) as device:
        for message in (b"x" * 13, b"y" * 119, b"z" * 14, b"t" * 118, b"l" * 5000):
            mine.send(message)
        assert (got(device), got(device), got(device)) == (b"z" * 14, b"t" * 118, None)
        assert (device.rx_short, device.rx_long) == (1, 2)


def test_a_flood_of_bad_messages_does_not_hold_the_driver():
    mine, its = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_DGRAM)
    with mine, from_fd(its.detach()) as device:
        for _ in range(70):
            mine.send(b"")
        assert got(device) is None and device.rx_short == 64
        assert got(device) is None and device.rx_short == 70


def test_no_room_is_false_and_room_comes_back():
    left, right = pair()
    with left, right:
        sent = 0
        while left.send(tx(bytes(1500))):
            sent += 1
            assert sent < 100_000
        assert sent > 20 and left.tx_dropped == 0
        while got(right) is not None:
            pass
        assert left.send(tx())


def test_a_frame_that_the_kernel_rejects_as_too_long_is_counted():
    left, right = pair()
    with left, right:
        assert left.send(tx(bytes(8 << 20))) and left.tx_errors == 1


def test_a_closed_end_of_a_pair_loses_frames_and_counts_them():
    left, right = pair()
    with left:
        right.close()
        right.close()
        assert right.fileno() == -1
        assert left.send(tx()) and left.send(tx())
        assert left.tx_dropped == 2 and got(left) is None


def test_the_end_of_a_seqpacket_connection_stops_the_device():
    mine, its = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_SEQPACKET)
    with from_fd(its.detach()) as device:
        mine.close()
        with pytest.raises(ConnectionResetError):
            device.recv()


def test_only_connected_sockets_that_keep_messages_are_taken():
    one, two = kernel.socketpair()
    lonely = kernel.socket(kernel.AF_UNIX, kernel.SOCK_DGRAM)
    inet = kernel.socket(kernel.AF_INET, kernel.SOCK_DGRAM)
    with one, two, lonely, inet, open(os.devnull) as file:
        for sock in (one, inet):
            with pytest.raises(ValueError, match="keeps messages"):
                from_fd(sock.fileno())
            sock.getsockname()  # still open
        for fd in (lonely.fileno(), file.fileno()):
            with pytest.raises(OSError):
                from_fd(fd)
            os.fstat(fd)
    with pytest.raises(ValueError, match="MTU"):
        pair(mtu=67)


def test_a_peer_may_come_later_go_and_come_back(tmp_path):
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with UnixDevice(one, two) as left:
        assert left.send(tx()) and left.tx_dropped == 1
        for _ in range(3):
            lost = left.tx_dropped
            with UnixDevice(two, one) as right:
                assert right.send(tx(b"r" * 60)) and got(left) == b"r" * 60
                assert left.send(tx()) and got(right) == FRAME
            assert got(left) is None
            assert left.send(tx()) and left.send(tx()) and left.tx_dropped == lost + 2
        assert not os.path.exists(two)


def test_the_first_frame_to_a_new_peer_is_not_lost(tmp_path):
    """The first frame is often the answer to the new peer's ARP request, which is repeated only after a second."""
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with UnixDevice(one, two) as left:
        for _ in range(3):
            with UnixDevice(two, one) as right:
                assert left.send(tx()) and got(right) == FRAME
        assert left.tx_dropped == 0


def test_a_new_peer_reaches_an_end_that_has_sent_nothing_since(tmp_path):
    """After the old peer was killed, the new one may send first. The descriptor of this end becomes readable."""
    import select

    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    code = f"from pystack.phy.pair import UnixDevice as U; d = U({two!r}, {one!r}); print(1, flush=True); input()"
    with UnixDevice(one, two) as left:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, env=os.environ | path())
        assert child.stdout.readline() == b"1\n"
        assert left.send(tx()) and left.tx_dropped == 0
        child.kill()
        child.communicate()
        assert os.path.exists(two)
        with UnixDevice(two, one) as right:
            assert right.send(tx())
            assert select.select([left.fileno()], [], [], PATIENCE)[0]
            assert got(left) == FRAME and got(left) is None
            assert not select.select([left.fileno()], [], [], 0)[0]


def test_one_path_is_enough_for_both_ends(tmp_path):
    path = str(tmp_path / "cable")
    with UnixDevice(path) as left, UnixDevice(path) as right:
        assert left.send(tx()) and got(right) == FRAME
        assert right.send(tx()) and got(left) == FRAME
        with pytest.raises(OSError, match="in use"):
            UnixDevice(path)


def test_two_ends_that_start_at_once_do_not_remove_each_others_file(tmp_path, monkeypatch):
    """Both find the file of a killed process. The second one must not remove the file that the first one has just made."""
    path = str(tmp_path / "cable")
    with kernel.socket(kernel.AF_UNIX, kernel.SOCK_SEQPACKET) as killed:
        killed.bind(path)
    stale = pair_module._stale

    def slowly(path):
        answer = stale(path)
        time.sleep(0.1)
        return answer

    monkeypatch.setattr(pair_module, "_stale", slowly)
    devices = []
    threads = [threading.Thread(target=lambda: devices.append(UnixDevice(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(device.path for device in devices) == [path, path + ".peer"]
    with devices[0] as left, devices[1] as right:
        assert left.send(tx()) and got(right) == FRAME
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_process_keeps_is_not_waited_for_for_ever(tmp_path):
    import fcntl

    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        UnixDevice(str(tmp_path / "cable")).close()
    finally:
        os.close(fd)


def test_a_path_is_replaced_only_if_nothing_is_bound(tmp_path):
    path = str(tmp_path / "a")
    for kind in (kernel.SOCK_DGRAM, kernel.SOCK_STREAM, kernel.SOCK_SEQPACKET):
        with kernel.socket(kernel.AF_UNIX, kind) as other:
            other.bind(path)
            with pytest.raises(OSError, match="in use") as info:
                UnixDevice(path, "b")
            assert info.value.errno == errno.EADDRINUSE
            assert os.path.exists(path)
        os.unlink(path)
    Path(path).write_text("a file")
    with pytest.raises(FileExistsError, match="not a socket"):
        UnixDevice(path, "b")
    assert Path(path).read_text() == "a file"


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link", "link to a cable"])
def test_one_path_that_is_no_socket_is_refused(tmp_path, kind):
    """If the device listened at PATH.peer instead, it would wait for ever for a peer that cannot connect."""
    path = tmp_path / "a"
    with UnixDevice(str(tmp_path / "other")):
        if kind == "file":
            path.write_text("a file")
        elif kind == "directory":
            path.mkdir()
        else:
            path.symlink_to(tmp_path / ("nothing" if kind == "dangling link" else "other"))
        with pytest.raises(FileExistsError, match="not a socket") as info:
            UnixDevice(str(path))
        assert info.value.filename == str(path) and not (tmp_path / "a.peer").exists()


def test_both_ends_at_one_path_are_refused(tmp_path):
    with pytest.raises(ValueError, match="different paths"):
        UnixDevice(str(tmp_path / "a"), str(tmp_path / "x" / ".." / "a"))
    assert list(tmp_path.iterdir()) == []


def test_the_error_of_a_missing_folder_names_the_path(tmp_path):
    with pytest.raises(FileNotFoundError) as info:
        UnixDevice(str(tmp_path / "no" / "a"))
    assert info.value.filename == str(tmp_path / "no" / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_cable_of_another_user_is_refused():
    """If the device listened at PATH.peer instead, it would wait for ever for a peer that may not connect."""
    folder = tempfile.mkdtemp()
    try:
        os.chmod(folder, 0o777)
        mask = os.umask(0o077)
        with UnixDevice(folder + "/a"):
            os.umask(mask)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    os.seteuid(65534)
                    UnixDevice(folder + "/a")
                except PermissionError as exc:
                    code = 0 if exc.filename == folder + "/a" and "may not connect" in str(exc) else 2
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            assert os.listdir(folder) == ["a"]
    finally:
        shutil.rmtree(folder)


def test_the_question_whether_a_path_is_in_use_does_not_disturb_the_link(tmp_path):
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with UnixDevice(one, two) as left, UnixDevice(two, one) as right:
        assert right.send(tx()) and got(left) == FRAME
        with pytest.raises(OSError, match="in use"):
            UnixDevice(one, two)
        assert got(left) is None
        assert right.send(tx()) and got(left) == FRAME and right.tx_dropped == 0


def test_the_last_end_that_connected_is_heard(tmp_path):
    one, two, three = (str(tmp_path / name) for name in "abc")
    with UnixDevice(one, two) as left, UnixDevice(two, one) as old, UnixDevice(three, one) as new:
        assert old.send(tx()) and new.send(tx(b"n" * 60))
        assert (got(left), got(left), got(left)) == (FRAME, b"n" * 60, None)
        # It connects again, and is the last one then.
        assert old.send(tx()) and old.tx_dropped == 0 and got(left) == FRAME


def test_an_end_leaves_a_file_alone_that_took_the_place_of_its_own(tmp_path):
    path = str(tmp_path / "a")
    device = UnixDevice(path, "b")
    os.unlink(path)
    Path(path).write_text("another")
    device.close()
    device.close()
    assert os.path.exists(path)


def test_a_child_closes_only_its_copies(tmp_path):
    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with UnixDevice(one, two) as left, UnixDevice(two, one) as right:
        assert right.send(tx()) and got(left) == FRAME
        pid = os.fork()
        if pid == 0:
            try:
                left.close()
                right.close()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert right.send(tx()) and got(left) == FRAME
        assert os.path.exists(one) and os.path.exists(two)


def test_close_while_other_threads_send():
    """Each send succeeds or raises an error: ENETDOWN of a stack that has stopped, or EBADF. All threads end."""
    for _ in range(5):
        left, right = pair()
        errors = []

        def flood(stack, errors=errors):
            try:  # on a busy machine, a thread may begin after the stack was closed
                with stack.socket(kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
                    while True:
                        sock.sendto(b"x" * 100, ("10.9.0.2", 9))
            except OSError as exc:
                errors.append(exc.errno)

        a = pystack.up("x", "10.9.0.1/24", None, device=left, default=False)
        with pystack.up("x", "10.9.0.2/24", None, device=right, default=False):
            threads = [threading.Thread(target=flood, args=(a,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.05)
            a.close(flush=0)
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()
        assert set(errors) <= {errno.ENETDOWN, errno.EBADF} and len(errors) == 3
        assert left.fileno() == -1


def test_two_commands_link_by_one_path(tmp_path):
    """`pystack up --link PATH` in one process answers a `pystack ping --link PATH` in another."""
    env = {**os.environ, **path(), "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pystack.cli", "up", "--link", "cable", "--name", "linked", "-a", "10.9.0.1/24"]
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=-1, stderr=-2)
    try:
        limit = time.monotonic() + 30
        while not (tmp_path / "cable").exists() and time.monotonic() < limit:
            time.sleep(0.02)
        ping = [
            sys.executable,
            "-m",
            "pystack.cli",
            "ping",
            "--link",
            "cable",
            "-a",
            "10.9.0.2/24",
            "-c",
            "2",
            "10.9.0.1",
        ]
        done = subprocess.run(ping, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert "2 received" in done.stdout, done.stdout + done.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    assert not (tmp_path / "cable").exists() and not (tmp_path / "cable.peer").exists()


@pytest.mark.parametrize(
    ("link", "status", "error"),
    [(".", 1, "not a socket"), ("a,a", 2, "different paths"), ("no/a", 1, "no/a"), (",a", 2, "needs the path")],
)
def test_a_command_with_a_path_that_cannot_be_an_end(tmp_path, link, status, error):
    command = [sys.executable, "-m", "pystack.cli", "ping", "--link", link, "-a", "10.9.0.2/24", "-c", "1", "10.9.0.1"]
    env = {**os.environ, **path()}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == status and error in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def path():
    """Return the environment in which a process finds this tree from any folder."""
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def test_the_devices_are_the_kernels_under_patch(tmp_path):
    code = f"""
        import pystack
        from pystack.phy.pair import UnixDevice, pair
        left, right = pair()
        with pystack.up("x", "10.9.0.1/24", None, device=left), pystack.patch():
            with UnixDevice({str(tmp_path / "c")!r}) as a, UnixDevice({str(tmp_path / "c")!r}) as b:
                assert a.recv() is None and a.fileno() >= 0
        right.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=60, env=os.environ | path()
    )
    assert done.returncode == 0, done.stderr


def test_a_name_for_each_end_and_a_repr():
    left, right = pair(names=("one", "two"), mtu=9000)
    with left, right:
        assert isinstance(left, SocketDevice) and left.mac != right.mac
        assert (left.name, right.name, right.mtu) == ("one", "two", 9000)
        assert repr(left) == f"<SocketDevice one mtu 9000 fd {left.fileno()}>"


def test_a_path_that_is_too_long_is_refused_at_once(tmp_path):
    with pytest.raises(OSError, match="at most 107 bytes"):
        UnixDevice(str(tmp_path / "a"), "/tmp/" + "b" * 103)
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_descriptors_loses_frames_and_goes_on(tmp_path):
    import resource

    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    with UnixDevice(one, two) as left, UnixDevice(two, one) as right:
        assert right.send(tx())
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            assert got(left) is None
            assert left.send(tx()) and left.tx_dropped == 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert got(left) == FRAME
        assert left.send(tx()) and got(right) == FRAME


def test_a_device_that_cannot_be_made_leaves_no_file(tmp_path, monkeypatch):
    def refused():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(pair_module.select, "epoll", refused)
    with pytest.raises(OSError, match="Too many open files"):
        UnixDevice(str(tmp_path / "cable"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [{"burst": 0.05}, {"jitter": 10**25}, {"reorder": 0.5, "reorder_delay": 0.03}])
def test_a_wrong_setting_of_a_link_does_not_end_the_stack(link):
    left, right = pair()
    with right, pystack.up("x", "10.9.0.1/24", None, device=left, default=False, name="a", link={"delay": "1ms"}) as a:
        with pytest.raises(ValueError):
            a.change_link(**link)
        with a.socket(kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("10.9.0.2", 9))
        limit = time.monotonic() + PATIENCE
        while right.recv() is None and time.monotonic() < limit:
            time.sleep(0.005)
        assert a.host.failure is None
    left, right = pair()
    with right, pytest.raises(ValueError):
        pystack.up("x", "10.9.0.1/24", None, device=left, default=False, name="a", link=link)


def test_an_empty_message_is_not_the_end_of_a_cable(tmp_path):
    ours, theirs = kernel.socketpair(kernel.AF_UNIX, kernel.SOCK_SEQPACKET)
    with from_fd(ours.detach()) as device:
        for message in (b"", b"", FRAME, b""):
            theirs.send(message)
        assert got(device) == FRAME and got(device) is None and device.rx_short == 3
        theirs.send(b"")
        theirs.send(FRAME)
        theirs.close()
        assert got(device) == FRAME
        with pytest.raises(ConnectionResetError):
            device.recv()
    path = str(tmp_path / "cable")
    with UnixDevice(path) as device, kernel.socket(kernel.AF_UNIX, kernel.SOCK_SEQPACKET) as other:
        other.connect(path)
        other.send(b"")
        other.send(FRAME)
        assert got(device) == FRAME and device.rx_short == 1
        other.send(FRAME)  # it is still the same connection
        assert got(device) == FRAME


def test_a_connection_for_which_there_is_no_descriptor_is_refused_and_not_polled_for(tmp_path):
    import resource

    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with UnixDevice(one, two) as left, UnixDevice(two, one) as right:
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
        try:
            assert right.send(tx())
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            for _ in range(3):
                assert select.select([left], [], [], 0)[0] == [left]
                assert got(left) is None
                assert select.select([left], [], [], 0)[0] == []  # nothing to poll for
                assert right.send(tx())  # it connects again
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert right.send(tx()) and select.select([left], [], [], PATIENCE)[0] == [left] and got(left) == FRAME


def test_without_even_a_spare_descriptor_connections_wait_until_this_end_sends(tmp_path):
    import resource

    one, two = str(tmp_path / "a"), str(tmp_path / "b")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with UnixDevice(one, two) as left, UnixDevice(two, one) as right:
        assert right.send(tx())
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            assert got(left) is None and got(left) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert select.select([left], [], [], 0)[0] == []
        left.send(tx())
        assert select.select([left], [], [], 0)[0] == [left] and got(left) == FRAME


def test_a_device_serves_one_stack():
    left, right = pair(names=("left", "right"))
    with right, pystack.up("x", "10.9.0.1/24", None, device=left, default=False, name="a") as a:
        for options in ({}, {"link": "lan"}):
            with pytest.raises(ValueError, match="the stack 'a' already uses the device left"):
                pystack.up("x", "10.9.0.2/24", None, device=left, default=False, name="b", **options)
        assert left.fileno() >= 0 and a.host.failure is None
        with a.socket(kernel.AF_INET, kernel.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("10.9.0.2", 9))
        limit = time.monotonic() + PATIENCE
        while right.recv() is None and time.monotonic() < limit:
            time.sleep(0.005)
        assert time.monotonic() < limit
