"""Hosts whose stack is Linux's own: `Network.kernel`. A network namespace is joined to the topology by a TAP.

The links, routers and address translation between such hosts are pystack's. Programs of any language run on them unmodified.
"""

import _thread
import errno
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any, Self

import pystack_c.const as C
from pystack.addresses import parse_interface, parse_network
from pystack.kernel import netns
from pystack.kernel.space import HostSpace
from pystack.phy import tap
from pystack.phy.tapio import VNET_HDR_LEN, FrameIO, keep_memory
from pystack.sim import whole
from pystack.sim.hub import Signal
from pystack.sim.nodes import find_port
from pystack.sim.path import SimPort
from pystack.sim.realtime import RealTime

if TYPE_CHECKING:
    from pystack.sim.network import Network

# before any replacement (pystack.patching)
_Popen = subprocess.Popen
#: how many frames of a host are read before the network goes on
BATCH = 32
#: seconds that a program gets to end after SIGTERM
GRACE = 5.0
SWITCH = "hosts: files dns\n"


class KernelHost:
    """A host of the kernel. Made by `Network.kernel`.

    `run`, `popen` and `wait` are like those of the module `subprocess`. The frames of its programs are carried only while the network is driven,
    by one of Network.run, `run` or `wait`.
    """

    def __init__(self, net: "Network", name: str, dns: Sequence[str] = (), search: Sequence[str] = ()):
        if not name or len(name) > 63 or not all(char.isascii() and (char.isalnum() or char in "-_.") for char in name):
            raise ValueError(f"{name!r:.80} is no name for a kernel host: use at most 63 letters, digits and - _ .")
        self.net = net
        self.name = name
        self.ports: list[SimPort] = []
        self.space = HostSpace(name)
        self._devices: dict[str, KernelDevice] = {}
        self._networks: list[str] = []
        #: what is in the files that the host has for itself
        self._files: dict[str, str] = {}
        self._processes: list[subprocess.Popen[Any]] = []
        self._sockets: list[Any] = []
        #: whether /etc/hosts has only the host's own name, because a resolver has the others
        self.own_names_only = False
        try:
            self._control = self.space.datagram_socket()
            netns.set_device(self._control, "lo", up=True)
            self._file("/etc/nsswitch.conf", _switch())
            self.resolve(dns, search)
        except BaseException:
            self.space.close()
            raise
        keep_memory()

    @property
    def driver(self) -> RealTime:
        """The driver of the network."""
        return self.net.real_time()

    # -- set-up ------------------------------------------------------------------------------------------------------

    def attach(self, mtu: int, kind: int) -> SimPort:
        """A new port, with a device eth0, eth1, ... of the kernel behind it."""
        if kind != C.LINK_ETHERNET:
            raise ValueError(f"{self.name}: a kernel host has only Ethernet links")
        port = SimPort(self.net, self, f"eth{len(self.ports)}", kind)
        device = KernelDevice(self, port, mtu)
        self._devices[port.name] = device
        self.ports.append(port)
        self.driver.watch(device.fd, device.read)
        return port

    def port(self, name: str = "") -> SimPort:
        """A port by name; without a name, the newest port."""
        return find_port(self, name)

    def addr(self, address: str, iface: str = "") -> None:
        """Give an interface (the newest one, if not named) an address such as "10.0.0.1/24"."""
        parse_interface(address)
        device = self._devices[self.port(iface).name]
        label = f"{device.port.name}:{len(device.addresses)}" if device.addresses else device.port.name
        netns.set_device(self._control, label, address)
        device.addresses.append(address)

    def addresses(self) -> list[str]:
        """The addresses of its interfaces, in the order in which they were given; without any, the loopback address."""
        found = [address.partition("/")[0] for device in self._devices.values() for address in device.addresses]
        return found or ["127.0.0.1"]

    def interface_addresses(self, port: SimPort) -> list[str]:
        """The addresses of one port with their prefix lengths."""
        return list(self._devices[port.name].addresses)

    def route(self, network: str, via: str = "", iface: str = "") -> None:
        """Add a route to `network`, "default" or such as "10.1.0.0/16", via a gateway or straight to an interface.

        FileExistsError if there is a route to this network already.
        """
        parse_network(network)
        dev = self.port(iface).name if iface or not via else ""
        try:
            netns.set_route(self._control, "0.0.0.0/0" if network == "default" else network, via, dev)
        except OSError as error:
            if error.errno == errno.ENETUNREACH:
                text = f"{self.name}: the gateway {via} is in no network of an interface"
                raise OSError(errno.ENETUNREACH, text) from None
            raise
        self._networks.append(f"{network} via {via}" if via else f"{network} dev {dev}")

    def routes(self) -> list[str]:
        """The routes that `route` has added."""
        return list(self._networks)

    def sysctl(self, name: str, value: object) -> None:
        """Set a value below /proc/sys/net: sysctl("ipv4.ip_forward", 1). OSError with its name: the kernel does not have or take it."""
        try:
            self.space.write("/proc/sys/net/" + name.replace(".", "/"), str(value))
        except OSError as error:
            raise OSError(error.errno, f"{self.name}: net.{name} = {value}: {error.strerror}") from None

    def resolve(self, servers: Sequence[str], search: Sequence[str] = ()) -> None:
        """Use these DNS servers for names that are no hosts of the network."""
        lines = [f"nameserver {server}" for server in servers] + ([f"search {' '.join(search)}"] if search else [])
        self._file("/etc/resolv.conf", "".join(f"{line}\n" for line in lines) or "# no server\n")

    def inner_socket(self, address: tuple[str, int] | None, reader: Callable[[], None]) -> Any:
        """A UDP socket of this host's kernel. The driver calls `reader` when a datagram is there."""
        sock = self.space.datagram_socket(address)
        sock.setblocking(False)
        self._sockets.append(sock)
        self.driver.watch(sock.fileno(), reader)
        return sock

    def _file(self, path: str, text: str) -> None:
        if self._files.get(path) != text:
            self.space.own_file(path, text)
            self._files[path] = text

    def refresh(self) -> None:
        """Write the names of all hosts of the network into the host's own /etc/hosts."""
        self._file("/etc/hosts", hosts_file(self.net, self if self.own_names_only else None))

    # -- frames ------------------------------------------------------------------------------------------------------

    def deliver(self, port: SimPort, frame: bytes) -> None:
        """Give the kernel a finished frame."""
        self.deliver_raw(port, whole.plain(frame))

    def deliver_raw(self, port: SimPort, raw: bytes) -> None:
        """Give the kernel a frame with its virtio-net header."""
        driver = self.driver
        self._devices[port.name].write(raw)
        driver.late.add(max(0, driver.clock() - self.net.now))

    # -- programs ----------------------------------------------------------------------------------------------------

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
        """Start a program on the host. The options are those of subprocess.Popen, which is returned.

        All programs that still run are killed when the network is closed. FileNotFoundError: there is no such program.
        """
        if isinstance(argv, str) or not argv:
            raise TypeError(f"a command is a list of words, such as ['curl', 'http://web/'], not {argv!r}")
        if self.space.closed:
            raise OSError(
                errno.EBADF, f"the kernel host {self.name!r} is closed"
            )  # its process number may be another's
        words = [os.fspath(word) for word in argv]
        _find(words[0], options.get("env"))
        self.refresh()
        # In an empty context, the caller is no program of a simulated host, which has no processes.
        found: subprocess.Popen[Any] = Context().run(lambda: _Popen(self.space.command(words), **options))
        self._processes = [one for one in self._processes if one.poll() is None]
        self._processes.append(found)
        return found

    def run(
        self,
        argv: Sequence[str],
        *,
        input: Any = None,  # noqa: A002 (as in the module subprocess)
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        **options: Any,
    ) -> "subprocess.CompletedProcess[Any]":
        """Run a program on the host until it ends, and drive the network meanwhile. The options are those of subprocess.run."""
        if input is not None:
            options["stdin"] = subprocess.PIPE
        if capture_output:
            options["stdout"] = options["stderr"] = subprocess.PIPE
        process = self.popen(argv, **options)
        try:
            out, err = self.wait_for(lambda: process.communicate(input, timeout))
        except BaseException:
            _end(process)
            raise
        done = subprocess.CompletedProcess(list(argv), process.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    def wait(self, process: "subprocess.Popen[Any]", timeout: float | None = None) -> int:
        """Drive the network until a program of `popen` has ended. Returns its exit status, as Popen.wait does."""
        return int(self.wait_for(lambda: process.wait(timeout)))

    def wait_for(self, fn: Callable[[], Any]) -> Any:
        """Call a function that blocks in a thread of its own, and drive the network until it returns. Returns or raises what it did."""
        box: list[Any] = [None, None]
        signal = Signal("a program of a kernel host")
        driver = self.driver

        def body() -> None:
            try:
                box[0] = fn()
            except BaseException as exc:  # noqa: BLE001 (handed to the caller)
                box[1] = exc
            driver.call_soon(signal.fire)

        _thread.start_new_thread(body, ())
        self.net.hub.park(signal, None)
        if box[1] is not None:
            raise box[1]
        return box[0]

    def end(self) -> None:
        """End the programs that still run: SIGTERM, and SIGKILL for those that have not ended after five seconds."""
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                self.wait(process, GRACE)
            except subprocess.TimeoutExpired:
                _end(process)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill its programs, and remove the host from the kernel."""
        for device in self._devices.values():
            device.close()
        for sock in self._sockets:
            self.driver.forget(sock.fileno())
            sock.close()
        self._control.close()
        self.space.close()
        for process in self._processes:
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<KernelHost {self.name}>"


#: EIO: the device is down. EBADFD: it is removed. EINVAL: the frame is malformed. The others: there is no room
NOT_TAKEN = (
    errno.EIO, errno.EBADFD, errno.EINVAL, errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE
)  # fmt: skip


class KernelDevice:
    """The TAP behind a port of a kernel host.

    lost  frames that the kernel did not take
    """

    def __init__(self, host: KernelHost, port: SimPort, mtu: int):
        self.port = port
        self.host = host
        self.addresses: list[str] = []
        self.lost = 0
        self.fd = host.space.open("/dev/net/tun", tap.OPEN_FLAGS)
        control = host._control
        tap.attach(self.fd, port.name)
        netns.set_mac(control, port.name, host.net.next_mac())
        netns.set_device(control, port.name, mtu=mtu, up=True)
        self._io = FrameIO(self.fd, VNET_HDR_LEN + tap.MAX_FRAME, True)
        self._driver = host.driver

    def read(self) -> None:
        """Put the frames on the link that the kernel has sent."""
        recv, arrived, port = self._io.recv, self._driver.arrived, self.port
        for _ in range(BATCH):
            try:
                raw = recv()
            except OSError as error:
                if error.errno != errno.EBADFD:
                    raise
                self._driver.forget(self.fd)  # a program of the host has removed the device, so the link ends here
                return
            if raw is None:
                return
            alone = arrived()
            whole.send(port, raw)
            if not alone:
                return

    def write(self, raw: bytes) -> None:
        """Give the kernel a frame."""
        try:
            os.write(self.fd, raw)
        except OSError as error:
            if error.errno not in NOT_TAKEN:
                raise
            self.lost += 1

    def close(self) -> None:
        """Remove the device."""
        if self.fd >= 0:
            self._driver.forget(self.fd)
            os.close(self.fd)
            self.fd = self._io.fd = -1


def hosts_file(net: "Network", only: KernelHost | None = None) -> str:
    """The names of a network, or of one host, in the format of hosts(5)."""
    lines = ["127.0.0.1 localhost"]
    for name, addresses in net.names.table.items():
        lines += [f"{address} {name}" for address in addresses if name != "localhost"]
    for host in net.all_hosts() if only is None else [only]:
        lines += [f"{address} {host.name}" for address in host.addresses() if address != "127.0.0.1"]
    # A name with a space cannot be in such a file.
    return "\n".join(line for line in dict.fromkeys(lines) if len(line.split()) == 2) + "\n"


def _switch() -> str:
    """The machine's /etc/nsswitch.conf with another line for host names, so that no service of the machine answers for the network."""
    try:
        with open("/etc/nsswitch.conf", encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if not line.startswith("hosts:")]
    except FileNotFoundError:
        lines = []
    return "".join(lines) + SWITCH


def _find(name: str, env: Mapping[str, str] | None) -> None:
    """FileNotFoundError: there is no such program."""
    import shutil

    path = None if env is None else env.get("PATH")
    if shutil.which(name, path=path) is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such program", name)


def _end(process: "subprocess.Popen[Any]") -> None:
    """Kill a program, and wait for it."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
