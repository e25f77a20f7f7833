"""The variables of accurate ECN (RFC 9768). A connection has them once both sides agree on it."""


class AccEcn:
    """The state of one connection: handshake, detected failures, and counters. See accecn.py."""

    def __init__(self) -> None:
        # The handshake.
        self.syn = 0  # IP-ECN of the last SYN, which the SYN-ACK reports
        self.again = False  # another SYN arrived (3.1.5)
        self.answer = -1  # IP-ECN of the SYN-ACK as a handshake code, to send on a pure ACK (3.2.2.1)
        self.counted = False  # the CE mark of the SYN-ACK was counted
        self.respond = False  # the handshake was marked: respond in ESTABLISHED
        self.skip = False  # the next ACE field is a handshake code, not a counter
        self.first = True  # the next ACE field is the first counter, in which 0 is suspect (3.2.2.4)
        self.newer = False  # this ACK has a newer timestamp than all before (A.1)
        # Detected failures.
        self.no_ect = False  # do not send ECT any more
        self.deaf = False  # the ACE field is unreliable, so ignore it
        self.fail = 0  # the sum of the accecn.*_FAIL_* bits (tcpi_accecn_fail_mode)
        # The arrivals.
        self.last = 0  # IP-ECN of the last packet
        self.last_data = 0  # IP-ECN of the last packet with data
        self.switched = 0  # options still due because last_data changed (3.2.3.3)
        self.unacked_ce = 0  # packets with CE since the last ACK (3.2.2.5.1)
        self.per_ack = 0  # the mean number of segments per ACK, with 6 fraction bits
        # The option.
        self.opt_seen = 0  # what the peer's options showed (tcpi_accecn_opt_seen)
        self.opt_off = False  # we do not send the option any more
        self.opt_due = 0  # accecn.FIRST_*: options due regardless of the counters
        self.opt_dups = 0  # consecutive duplicates after an ACK with the option (3.2.3.2.2)
        self.opt_last = False  # the last ACK had the option
        # The counters of 3.2.1: packets with CE, and bytes with ECT(0), CE and ECT(1). r_* are our counters as a receiver,
        # s_* are the sender's copies, and told_* are the values in our last option. They do not start at zero, so that a
        # middlebox that clears them is detected.
        self.r_cep = 5
        self.r_e0b = self.r_e1b = 1
        self.r_ceb = 0
        self.s_cep = 5
        self.s_e0b = self.s_e1b = 1
        self.s_ceb = 0
        self.told_e0b = self.told_e1b = 1
        self.told_ceb = 0
