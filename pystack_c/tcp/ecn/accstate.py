"""The variables of accurate ECN (RFC 9768). A connection has them once both sides agree on it."""


class AccEcn:
    """What one connection counts and has told, and what it knows about the path. See accecn.py."""

    def __init__(self) -> None:
        # the handshake
        self.syn = 0  # IP-ECN of the last SYN, which the SYN,ACK feeds back
        self.again = False  # another SYN came (3.1.5)
        self.answer = -1  # IP-ECN of the SYN,ACK as a handshake code, due on a pure ACK (3.2.2.1)
        self.counted = False  # a mark of the SYN,ACK was counted
        self.respond = False  # the handshake met a mark: respond in ESTABLISHED
        self.skip = False  # the next ACE field is a handshake code, and not a counter
        self.first = True  # the next one is the first counter, which is not 0 (3.2.2.4)
        self.newer = False  # this ACK has a newer timestamp than any before (A.1)
        # what is not to be trusted
        self.no_ect = False  # send without ECT from now on
        self.deaf = False  # the ACE field is not to be trusted: no response to it
        self.fail = 0  # accecn.*_FAIL_*, a sum of bits (tcpi_accecn_fail_mode)
        # what arrived
        self.last = 0  # IP-ECN of the last packet,
        self.last_data = 0  # and of the last one with data
        self.switched = 0  # options still due because that changed (3.2.3.3)
        self.unacked_ce = 0  # packets with CE since the last ACK (3.2.2.5.1)
        self.per_ack = 0  # the mean of segments that an ACK acknowledges, 6 bits after the point
        # the option
        self.opt_seen = 0  # what was seen of the peer's (tcpi_accecn_opt_seen)
        self.opt_off = False  # we send none any more
        self.opt_due = 0  # accecn.FIRST_*: options due whatever the counters say
        self.opt_dups = 0  # duplicates in a row behind an ACK with the option (3.2.3.2.2)
        self.opt_last = False  # the last ACK had it
        # 3.2.1: the counters begin with values that are not zero, so that zeroing shows. r_ are ours as a receiver, s_ the sender's
        # copies, and told_ what our option said last: packets with CE, and bytes under ECT(0), CE and ECT(1)
        self.r_cep = 5
        self.r_e0b = self.r_e1b = 1
        self.r_ceb = 0
        self.s_cep = 5
        self.s_e0b = self.s_e1b = 1
        self.s_ceb = 0
        self.told_e0b = self.told_e1b = 1
        self.told_ceb = 0
