"""AF_PACKET sockets as a user sees them: addresses, waiting and errno around `pystack_c.sockets.packets`.

They are instances of a subclass of the socket class, so that the calls of all other sockets stay as they are.
"""

import errno
from collections.abc import Iterable
from typing import Any

import pystack_c.const as C
from pystack.runtime.sockethost import SocketHost
from pystack.sockets import cmsg as _cmsg
from pystack.sockets.handles import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, Description, again, error
from pystack.sockets.sockbase import immutable
from pystack_c.sockets import packets

AF_PACKET = packets.AF_PACKET


def _swap(proto: int) -> int:
    """Change the byte order of a protocol number, as htons does. Linux looks at 16 bits of it."""
    return int.from_bytes((proto & 0xFFFF).to_bytes(2, "little"), "big")


class Packets(Description):
    """An open packet socket."""

    def __init__(self, host: SocketHost, kind: int, proto: int):
        endpoint = host.call(packets.packet_open, host.stack, kind, _swap(proto))
        super().__init__(host, endpoint, kind, proto)
        self.family = AF_PACKET

    def address(self, value: Any, caller: str) -> tuple[int, int, bytes]:
        """Return (interface index, protocol, link address) of a Python address. The errors are CPython's."""
        if not isinstance(value, tuple):
            raise TypeError(f"{caller}(): AF_PACKET address must be tuple, not {type(value).__name__}")
        if not 2 <= len(value) <= 5 or not isinstance(value[0], str):
            raise TypeError(f"{caller}(): AF_PACKET address must be (interface, proto[, pkttype[, hatype[, addr]]])")
        numbers = value[1:4]
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError(f"{caller}(): proto, pkttype and hatype must be int")
        addr = bytes(memoryview(value[4])) if len(value) == 5 else b""
        if len(addr) > 8:
            raise ValueError("Hardware address must be 8 bytes or less")
        for iface in self.host.stack.ifaces:
            if iface.name == value[0]:
                break
        else:
            raise error(errno.ENODEV)
        if not 0 <= value[1] <= 0xFFFF:
            raise OverflowError(f"{caller}(): proto must be 0-65535.")
        return iface.index, value[1], addr

    def bind(self, index: int, proto: int) -> None:
        """bind(2)."""
        self.host.call(packets.bind, self.endpoint, index, proto)

    def recvfrom(self, flags: int, timeout: float | None) -> Any:
        """The next frame (the core's object: packets.recvfrom)."""
        if flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC):
            raise error(errno.EINVAL)
        host = self.host
        got = host.call(packets.recvfrom, self.endpoint, flags & MSG_PEEK)
        if got is None:
            if flags & MSG_DONTWAIT:
                raise again()
            deadline = host.deadline(timeout)
            while got is None:
                self.await_ready(C.EV_IN, timeout, deadline, self.rcvtimeo)
                got = host.call(packets.recvfrom, self.endpoint, flags & MSG_PEEK)
        self.shown()
        return got

    def sendto(self, data: bytes, to: tuple[int, int, bytes] | None) -> int:
        """sendto(2). None: send(2)."""
        index, proto, addr = (-1, 0, None) if to is None else to
        self.host.call(packets.sendto, self.endpoint, data, index, proto, addr, 0)
        return len(data)

    def getsockname(self) -> tuple[Any, ...]:
        """The address as Python's socket gives it."""
        iface = self.endpoint.link
        if iface is None:
            return "", self.endpoint.proto, 0, 0, b""
        addr = b"" if iface.kind == C.LINK_IP else iface.mac.to_bytes(6, "big")
        return iface.name, self.endpoint.proto, 0, packets.HATYPES[iface.kind], addr

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """An option that the core knows."""
        self.host.call(packets.setsockopt, self.endpoint, level, name, value)

    def getsockopt(self, level: int, name: int) -> Any:
        """An option that the core knows."""
        value = self.host.call(packets.getsockopt, self.endpoint, level, name)
        self.shown()
        return value

    def release(self) -> None:
        """close(2)."""
        self.closed = True
        self.host.call(packets.close, self.endpoint)
        self.host.wake(self.watch)

    def discard(self) -> None:
        """Close the socket for the garbage collector, without waiting."""
        self.closed = True
        self.host.later(packets.close, self.endpoint)


def _writable(buffer: Any, size: int) -> memoryview:
    """The part of a buffer that a call may fill."""
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError(f"read-write bytes-like object expected, not {type(buffer).__name__}")
    if size < 0:
        raise ValueError("negative buffersize")
    if size > len(view):
        raise ValueError("buffer too small for requested bytes")
    return view[: size or len(view)]


def _source(got: Any) -> tuple[str, int, int, int, bytes]:
    """The address of a received frame."""
    return got.iface.name, got.sport, got.ttl, got.tos, got.options


class PacketMethods:
    """The methods of a packet socket that differ from those of sockets with an IP address."""

    __slots__ = ()

    _open_description: Any
    _timeout: float | None

    def _take(self, size: int, flags: int, what: str) -> tuple[bytes, Any]:
        if size < 0:
            raise ValueError(f"negative buffersize in {what}")
        got = self._open_description().recvfrom(flags, self._timeout)
        return got.data[:size], _source(got)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive the first bytes of the next frame."""
        return self._take(bufsize, flags, "recv")[0]

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive a frame, and (interface, protocol, packet type, type of the device, link address)."""
        return self._take(bufsize, flags, "recvfrom")

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        view = _writable(buffer, nbytes)
        data, _ = self._take(len(view), flags, "recv_into")
        view[: len(data)] = data
        return len(data)

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """recvfrom into a buffer."""
        view = _writable(buffer, nbytes)
        data, address = self._take(len(view), flags, "recvfrom_into")
        view[: len(data)] = data
        return len(data), address

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """Receive a frame and its time, if SO_TIMESTAMP is on."""
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        _cmsg.check_size("recvmsg", ancbufsize)
        description = self._open_description()
        got = description.recvfrom(flags, self._timeout)
        messages, cut = _cmsg._fit(list(_cmsg._timestamp(description, got)), ancbufsize)
        return got.data[:bufsize], messages, cut | (MSG_TRUNC if len(got.data) > bufsize else 0), _source(got)

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, Any]:
        """recvmsg into buffers, one after the other."""
        views = _cmsg.writable_views(buffers)
        data, messages, msg_flags, address = self.recvmsg(sum(len(view) for view in views), ancbufsize, flags)
        _cmsg.scatter(data, views)
        return len(data), messages, msg_flags, address

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send a frame by the interface to which the socket is bound."""
        return int(self._open_description().sendto(immutable(data), None))

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send a frame, which always goes whole."""
        self.send(data, flags)

    def sendto(self, data: Any, *args: Any) -> int:
        """sendto(data, [flags,] address)."""
        if not 1 <= len(args) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(args) + 1} given)")
        description = self._open_description()
        return int(description.sendto(immutable(data), description.address(args[-1], "sendto")))

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """Send the buffers as one frame, to `address` if one is given. There are no control messages to send."""
        data = b"".join(_cmsg.readable(buffers))
        if _cmsg.check_ancillary(ancdata):
            raise error(errno.EINVAL)
        description = self._open_description()
        to = None if address is None else description.address(address, "sendmsg")
        return int(description.sendto(data, to))

    def bind(self, address: Any, /) -> None:
        """Bind to (interface, protocol)."""
        description = self._open_description()
        index, proto, _ = description.address(address, "bind")
        description.bind(index, proto)

    def connect(self, address: Any, /) -> None:
        """A packet socket has no peer."""
        code = self.connect_ex(address)
        raise error(code)

    def connect_ex(self, address: Any, /) -> int:
        """As connect, but return the errno."""
        self._open_description().address(address, "connect")
        return errno.EOPNOTSUPP

    def getsockname(self) -> tuple[Any, ...]:
        """Interface, protocol, 0, type of the device, and link address."""
        return self._open_description().getsockname()  # type: ignore[no-any-return]

    def getpeername(self) -> Any:
        """A packet socket has no peer."""
        self._open_description()
        raise error(errno.EOPNOTSUPP)

    def shutdown(self, how: int, /) -> None:
        """A packet socket cannot be shut down."""
        self._open_description()
        raise error(errno.EOPNOTSUPP)


#: a socket class -> its class of packet sockets
_classes: dict[type, type] = {}


def class_for(cls: type) -> type:
    """The class of packet sockets that is a subclass of the socket class `cls`."""
    if issubclass(cls, PacketMethods):
        return cls
    found = _classes.get(cls)
    if found is None:
        space = {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__}
        metaclass: Any = type(cls)
        found = _classes[cls] = metaclass(cls.__name__, (PacketMethods, cls), space)
    return found
