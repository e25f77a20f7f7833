"""The tag of a virtual LAN in an Ethernet frame (IEEE 802.1Q 9.3).

0                   6                   12      14      16      18
+-------------------+-------------------+-------+-------+-------+----------
|    destination    |      source       | 81 00 |  TCI  | type  | payload
+-------------------+-------------------+-------+-------+-------+----------

The TCI has 3 bits of priority, one bit that marks frames that may be dropped first, and the 12 bits of the VLAN's number (VID).
"""

#: the EtherType of a C-tag. Frames with an S-tag (88 a8) count as untagged, as on a bridge of Linux with `vlan_protocol 802.1Q`
TPID = b"\x81\x00"
VID_MASK = 0x0FFF
#: IEEE 802.1Q table 9-2: 0 is a tag that has only a priority, and 4095 is reserved
LOWEST, HIGHEST = 1, 4094
TAG_LEN = 4


def tci_of(frame: bytes) -> int:
    """Return the TCI of a tagged frame, or -1 for a frame without a tag. A frame that ends within its tag counts as untagged."""
    if frame[12:14] != TPID or len(frame) < 18:
        return -1
    return frame[14] << 8 | frame[15]


def push(frame: bytes, tci: int) -> bytes:
    """Return the frame with a tag in front of its type."""
    return frame[:12] + TPID + tci.to_bytes(2, "big") + frame[12:]


def pop(frame: bytes) -> bytes:
    """Return a tagged frame without its tag."""
    return frame[:12] + frame[16:]


def check_vid(vid: object) -> int:
    """Return the number of a VLAN. ValueError if it is not in 1..4094."""
    if not isinstance(vid, int) or isinstance(vid, bool) or not LOWEST <= vid <= HIGHEST:
        raise ValueError(f"the VLAN {repr(vid)[:20]} is not in {LOWEST}..{HIGHEST}")
    return vid
