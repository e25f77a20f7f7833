"""Frames in and out of a TAP's descriptor: one system call each, and little else.

Two bodies, as wire.checksum has: compiled, plain read(2), write(2) and writev(2) (see tapio.pxd); uncompiled, those of `os`. The
compiled ones keep the interpreter's lock: the descriptor does not block, a call takes about two microseconds, and
giving the lock away for as long lets another thread take it, which costs two changes of threads a frame.
"""

import errno
import os
import struct
import sys

import pystack_c.const as C
from pystack_c.packet import Transmit

# linux/virtio_net.h: struct virtio_net_hdr, in the machine's byte order
VNET_HDR = struct.Struct("=BBHHHH")
VNET_HDR_LEN = 10
NEEDS_CSUM = 1
DATA_VALID = 2
GSO_NONE = 0
GSO_TCPV4 = 1
GSO_ECN = 0x80
_PLAIN = bytes(VNET_HDR_LEN)
#: where gso_size stands in it
_LOW, _HIGH = (4, 5) if sys.byteorder == "little" else (5, 4)


def keep_memory() -> None:
    """Let glibc's malloc keep up to 32 MB that is free, and map nothing below 4 MB apart (mallopt(3)); uncompiled: nothing.

    Frames of 64 KB come by dozens and go at once when they are read. By its defaults malloc gives that memory back to the kernel each
    time, to take it again, page by page, for the next ones: more work than all else on the way.
    """
    if C.COMPILED:
        keep_heap()  # type: ignore[name-defined] # noqa: F821


class FrameIO:
    """A non-blocking descriptor of a TAP or TUN, with or without virtio-net headers; `size` is the longest frame."""

    def __init__(self, fd: int, size: int, vnet: bool) -> None:
        self.fd = fd
        self.size = size
        self.vnet = vnet
        self.spare: bytes | None = None
        #: where the frame begins in what `recv` gave last, its const.RX_* flags, and the size of its segments (0: it is one)
        self.offset = VNET_HDR_LEN if vnet else 0
        self.flags = 0
        self.gso_size = 0
        #: frames that were too short to have the header they must have
        self.short = 0

    def recv(self) -> bytes | None:
        """The next frame, which begins at `offset`; None where none waits."""
        while True:
            frame: bytes | None
            if C.COMPILED:
                frame = read_frame(self)  # type: ignore[name-defined] # noqa: F821
            else:
                try:
                    frame = os.read(self.fd, self.size)
                except BlockingIOError:
                    frame = None
            if frame is None or not self.vnet:
                return frame
            if len(frame) > VNET_HDR_LEN:
                self.flags = C.RX_CSUM_OK if frame[0] & (NEEDS_CSUM | DATA_VALID) else 0
                self.gso_size = 0
                if frame[1] != GSO_NONE:
                    self.gso_size = frame[_LOW] | frame[_HIGH] << 8
                return frame
            self.short += 1

    def send(self, tx: Transmit) -> int:
        """Send one frame: 0, or the errno."""
        gso_type = GSO_NONE
        if tx.gso_size > 0:
            gso_type = GSO_TCPV4
            # RFC 3168 6.1.2: CWR belongs on the first segment only; the kernel must know to cut it so.
            if tx.header[tx.csum_start + 13] & C.CWR:
                gso_type |= GSO_ECN
        if C.COMPILED:
            return write_frame(self, tx, gso_type)  # type: ignore[name-defined,no-any-return] # noqa: F821
        else:
            parts = [tx.header] if tx.payload is None else [tx.header, tx.payload]
            if self.vnet:
                parts.insert(0, _vnet_header(tx, gso_type))
            try:
                os.writev(self.fd, parts)
            except OSError as exc:
                return exc.errno or errno.EIO
            return 0


def _vnet_header(tx: Transmit, gso_type: int) -> bytes:
    """The virtio-net header of a frame whose checksum, and perhaps segmentation, is left to the kernel."""
    if tx.csum_start == 0:
        return _PLAIN
    return VNET_HDR.pack(NEEDS_CSUM, gso_type, tx.hdr_len, tx.gso_size, tx.csum_start, tx.csum_offset)
