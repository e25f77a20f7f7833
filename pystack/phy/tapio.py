"""Frames in and out of a TAP's descriptor, with one system call each.

There are two bodies, as in wire.checksum. The compiled one uses read(2), write(2) and writev(2) (see tapio.pxd), the
uncompiled one those of `os`. The compiled calls keep the interpreter's lock. The descriptor does not block, and a call
takes about two microseconds. If a call released the lock for so short a time, another thread would take it, which costs
two thread switches per frame.
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
#: the indexes of the two bytes of gso_size in the header
_LOW, _HIGH = (4, 5) if sys.byteorder == "little" else (5, 4)


def keep_memory() -> None:
    """Let glibc's malloc keep up to 32 MB of free memory, and map only blocks above 4 MB separately (mallopt(3)).

    Frames of 64 KB arrive by dozens, and are freed at once when they are read. By default, malloc returns their memory
    to the kernel each time and requests it again, page by page, for the next ones, which is more work than all the
    rest. Uncompiled, this function does nothing.
    """
    if C.COMPILED:
        keep_heap()  # type: ignore[name-defined] # noqa: F821


class FrameIO:
    """A non-blocking descriptor of a TAP or TUN, with or without virtio-net headers.

    `size` is the longest frame in bytes.
    """

    def __init__(self, fd: int, size: int, vnet: bool) -> None:
        self.fd = fd
        self.size = size
        self.vnet = vnet
        self.spare: bytes | None = None
        #: for the last result of `recv`: the offset of the frame, its
        #: const.RX_* flags, and its segment size (0: one segment)
        self.offset = VNET_HDR_LEN if vnet else 0
        self.flags = 0
        self.gso_size = 0
        #: the number of frames that were too short for the header that they must have
        self.short = 0

    def recv(self) -> bytes | None:
        """Return the next frame, which begins at `offset`, or None if no frame waits."""
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
        """Send one frame. Returns 0 or the errno."""
        gso_type = GSO_NONE
        if tx.gso_size > 0:
            gso_type = GSO_TCPV4
            # RFC 3168 6.1.2: only the first segment may have CWR, and the kernel must know that to cut the frame.
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
    """Return the virtio-net header of a frame whose checksum, and perhaps segmentation, is left to the kernel."""
    if tx.csum_start == 0:
        return _PLAIN
    return VNET_HDR.pack(NEEDS_CSUM, gso_type, tx.hdr_len, tx.gso_size, tx.csum_start, tx.csum_offset)
