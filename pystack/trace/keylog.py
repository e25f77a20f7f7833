"""TLS keys for captures: the contents of SSLKEYLOGFILE are put into the capture as Decryption Secrets Blocks.

Browsers, curl and Python's ssl (`SSLContext.keylog_filename`) write session keys in the NSS key log format. A pcapng
file has a block for them (draft-ietf-opsawg-pcapng section 4.7), and Wireshark decrypts the frames that follow it. So
the keys must be in the file before the first encrypted frame, but the program writes them later than it sends that
frame. Therefore `Delayed` keeps each frame back for a moment.
"""

import re
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from pystack.runtime import forked
from pystack.trace.errors import TraceError
from pystack.trace.pcapng import PcapngReader, PcapngWriter

#: one line of a key log: a label, the client's random value, the secret
LINE = re.compile(rb"(?:[A-Z][A-Z0-9_]{0,40} [0-9a-fA-F]{2,128} [0-9a-fA-F]{2,512}|RSA .{1,1100})")
#: the time in seconds for which a frame is kept back while keys may still arrive
DELAY = 0.5
MOST = 1 << 20


class KeyLog:
    """Follows a key log file that another program writes. The file need not exist yet."""

    def __init__(self, path: str):
        self.path = path
        self.position = 0
        self.rest = b""

    def new(self) -> bytes:
        """Return the complete lines since the last call, or b"" if there are none. Lines without a key are left out."""
        try:
            with open(self.path, "rb") as file:
                if file.seek(0, 2) < self.position:  # another program has started the file anew
                    self.position, self.rest = 0, b""
                file.seek(self.position)
                data = file.read(MOST)
        except FileNotFoundError:
            return b""
        self.position += len(data)
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > MOST:
            self.rest = b""
        return b"".join(line.strip() + b"\n" for line in lines if LINE.fullmatch(line.strip()))


class Keyed:
    """A sink that writes new keys before the record that it passes on."""

    def __init__(self, sink: Callable[[Any], None], writer: PcapngWriter, keylog: KeyLog):
        self.sink = sink
        self.writer = writer
        self.keylog = keylog

    def __call__(self, record: Any) -> None:
        """Write the new keys, if there are any, then the record."""
        keys = self.keylog.new()
        if keys:
            self.writer.secrets(keys)
        self.sink(record)


class Delayed:
    """A sink that passes records on `delay` seconds later, in order, from its own thread."""

    def __init__(self, sink: Callable[[Any], None], delay: float = DELAY):
        self.sink = sink
        self.delay = delay
        self._queue: deque[tuple[float, Any]] = deque()
        self._lock: Any
        forked.renewed(self, "_lock", threading.Lock)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pystack-capture", daemon=True)
        self._thread.start()

    def __call__(self, record: Any) -> None:
        """Queue a record."""
        self._queue.append((monotonic(), record))

    def _run(self) -> None:
        while not self._end.wait(self.delay / 4):
            self._hand_on(monotonic() - self.delay)

    def _hand_on(self, until: float) -> None:
        with self._lock:
            while self._queue and self._queue[0][0] <= until:
                self.sink(self._queue.popleft()[1])

    def close(self) -> None:
        """Pass on all records. A second call does nothing."""
        self._end.set()
        self._thread.join()
        self._hand_on(monotonic())


def inject(source: str, target: str, keys: bytes) -> None:
    """Copy a capture, with `keys` (a key log) before its frames, so that Wireshark can decrypt them.

    Raises TraceError.
    """
    lines = [line.strip() for line in keys.splitlines()]
    good = b"".join(line + b"\n" for line in lines if LINE.fullmatch(line))
    if not good:
        raise TraceError("the key log contains no keys")
    with open(source, "rb") as file, open(target, "wb") as out:
        writer = PcapngWriter(out)
        writer.secrets(good)
        numbers: dict[Any, int] = {}
        reader = PcapngReader(file, source)
        named: dict[str, str] = {}
        for frame in reader:
            if len(named) < len(reader.names):
                writer.names({address: name for address, name in reader.names.items() if address not in named})
                named.update(reader.names)
            key = frame.interface
            if key not in numbers:
                numbers[key] = writer.interface(key.name, key.linktype)
            writer.packet(numbers[key], frame.time, frame.data, frame.direction, frame.comments)
