"""Recognizes a file that is no recording by its first bytes, so that the error can say what it is."""

_MAGICS = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x7fELF", "a program"),
    (b"<!DOCTYPE html", "an HTML page"),
)
MAGIC = b"PYSTACKT"
#: the beginning of a pcapng file
PCAPNG = b"\x0a\x0d\x0d\x0a"
#: the beginning of a pcap file -> its byte order, and nanoseconds per unit of its times
PCAP = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def is_capture(head: bytes) -> bool:
    """Return True if a file with these first bytes is a capture, which pystack.stepper.capture opens."""
    return head.startswith((PCAPNG, *PCAP))


def foreign(head: bytes) -> str:
    """Say in words what a file is that begins with these bytes. Return "" for a recording (or the beginning of one)."""
    if not head:
        return "it is empty"
    if head[: len(MAGIC)] == MAGIC or MAGIC.startswith(head):
        return ""
    for magic, what in _MAGICS:
        if head.startswith(magic):
            return f"it is {what}"
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else "\0"
    if all(char.isprintable() or char in "\r\n\t" for char in text):
        return f"it is text, beginning {text.splitlines()[0][:40]!r}" if text.strip() else "it is blank text"
    return f"it begins with the bytes {head[:8].hex(' ')}"
