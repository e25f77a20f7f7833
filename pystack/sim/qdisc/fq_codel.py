"""FQ-CoDel: a queue with CoDel for each flow, which take turns (RFC 8290, tc-fq_codel(8))."""

from collections import deque
from hashlib import blake2b

import pystack_c.const as C
from pystack.sim.middlebox import ip_end
from pystack.sim.qdisc.base import MTU, Qdisc, whole
from pystack.sim.qdisc.codel import MS, NEVER, CoDelQueue, codel_words


class FlowQueue(CoDelQueue):
    """The queue of one flow, or of the few whose hash is the same."""

    deficit = 0
    listed = False


class FqCodel(Qdisc):
    """`fq_codel [limit PACKETS] [flows N] [target TIME] [interval TIME] [quantum BYTES] [ecn | noecn] [ce_threshold TIME]
    [memory_limit BYTES] [drop_batch N]`

    The flow of a packet is the hash of its addresses, protocol and ports, with a key of its own for each link. A flow that was empty
    is served before those that have had their turn (RFC 8290 4.2). If the limit is exceeded, packets at the head of the longest queue
    are dropped. `memory_limit` counts the bytes of the frames.
    """

    kind = "fq_codel"

    def __init__(
        self,
        limit: int = 10_240,
        flows: int = 1024,
        target: int = 5 * MS,
        interval: int = 100 * MS,
        quantum: int = MTU,
        ecn: bool = True,
        ce_threshold: int = NEVER,
        memory_limit: int = 32 << 20,
        drop_batch: int = 64,
    ) -> None:
        super().__init__()
        self.limit, self.flows = whole("limit", limit), whole("flows", flows, 1, 65_536)
        self.target, self.interval = whole("target", target), whole("interval", interval)
        self.quantum = whole("quantum", quantum, 256, 1 << 20)
        self.ecn, self.ce_threshold = bool(ecn), whole("ce_threshold", ce_threshold, 0)
        self.memory_limit = whole("memory_limit", memory_limit)
        self.drop_batch = whole("drop_batch", drop_batch)
        self.new_flows: deque[FlowQueue] = deque()
        self.old_flows: deque[FlowQueue] = deque()
        self._table: dict[int, FlowQueue] = {}
        self.new_flow_count = self.drop_overlimit = 0

    def flow_of(self, frame: bytes) -> int:
        """The number of a packet's flow (RFC 8290 4.1)."""
        at = self._header
        end = ip_end(frame, at)
        if not end:
            key = frame[:14]
        else:
            key = frame[at + 12 : at + 20] + frame[at + 9 : at + 10]
            ports = at + (frame[at] & 15) * 4
            whole_datagram = (frame[at + 6] << 8 | frame[at + 7]) & 0x3FFF == 0
            if whole_datagram and frame[at + 9] in (C.IPPROTO_TCP, C.IPPROTO_UDP) and ports + 4 <= end:
                key += frame[ports : ports + 4]
        digest = blake2b(key, digest_size=4, key=f"{self.seed}/{self.name}".encode()[-64:]).digest()
        return int.from_bytes(digest, "big") * self.flows >> 32

    def enqueue(self, frame: bytes, now: int) -> bool:
        """See Qdisc."""
        number = self.flow_of(frame)
        flow = self._table.get(number)
        if flow is None:
            flow = self._table[number] = FlowQueue(self.target, self.interval)
        flow.append(frame, now)
        self.qlen += 1
        self.backlog += len(frame)
        if not flow.listed:
            flow.listed = True
            flow.deficit = self.quantum
            self.new_flow_count += 1
            self.new_flows.append(flow)
        if self.qlen <= self.limit and self.backlog <= self.memory_limit:
            return True
        return not self._drop_longest(now, flow)

    def _drop_longest(self, now: int, mine: FlowQueue) -> bool:
        """Drop from the head of the longest queue up to half of it, but not more than drop_batch packets (RFC 8290 4.1).

        Returns True if it is `mine`.
        """
        flow = max((*self.new_flows, *self.old_flows), key=lambda one: one.backlog)
        half = flow.backlog // 2
        for _ in range(self.drop_batch):
            _, frame = flow.frames.popleft()
            flow.backlog -= len(frame)
            self.lost(frame)
            self.drop_overlimit += 1
            self.drop(frame, now, "overlimit", "the queues are full, and this flow has the longest one", "RFC 8290 4.1")
            if flow.backlog <= half:
                break
        # RFC 8289 5.5 counts drops of CoDel only. As on Linux, these count, too, so that the next ones come sooner.
        flow.count += 1
        return flow is mine

    def lost(self, frame: bytes) -> None:
        """See codel.Owner."""
        self.qlen -= 1
        self.backlog -= len(frame)

    def dequeue(self, now: int) -> bytes | None:
        """See Qdisc. The scheduler is a deficit round robin over bytes (RFC 8290 4.2)."""
        while self.new_flows or self.old_flows:
            fresh = bool(self.new_flows)
            flows = self.new_flows if fresh else self.old_flows
            flow = flows[0]
            if flow.deficit <= 0:
                flow.deficit += self.quantum
                self.old_flows.append(flows.popleft())
                continue
            frame = flow.next(now, self)
            if frame is not None:
                flow.deficit -= len(frame)
                self.lost(frame)
                return self.sent(frame)
            flows.popleft()
            if fresh and self.old_flows:
                # RFC 8290 4.2: an empty flow takes a turn among the old ones, so that it cannot be new again at once.
                self.old_flows.append(flow)
            else:
                flow.listed = False
        return None

    def text(self) -> str:
        """See Qdisc."""
        words = codel_words(self.target, self.interval, self.ce_threshold, False)
        memory = f"{self.memory_limit >> 20}Mb" if self.memory_limit % (1 << 20) == 0 else f"{self.memory_limit}b"
        return " ".join(
            (
                f"limit {self.limit}p flows {self.flows} quantum {self.quantum}",
                *words,
                f"memory_limit {memory}",
                *(["ecn"] if self.ecn else []),
                f"drop_batch {self.drop_batch}",
            )
        )

    def extra(self) -> list[str]:
        """See Qdisc."""
        maxpacket = max((flow.maxpacket for flow in self._table.values()), default=0)
        marks = f" ce_mark {self.marks['ce']}" if self.ce_threshold != NEVER else ""
        return [
            f"  maxpacket {maxpacket} drop_overlimit {self.drop_overlimit} new_flow_count {self.new_flow_count}"
            f" ecn_mark {self.marks['codel']}{marks}",
            f"  new_flows_len {len(self.new_flows)} old_flows_len {len(self.old_flows)}",
        ]
