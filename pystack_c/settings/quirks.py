"""Quirks: settings that exist only so that a profile behaves as Linux or FreeBSD does where it differs from the RFCs.

By default a quirk follows the RFCs, or the stack's own behaviour. The profiles of the packetdrill runner
(pystack/pkt/settings.py) set the quirks, because its public scripts expect the exact behaviour of one kernel.
"""

from pystack_c.settings.service import ServiceSettings


class QuirkSettings(ServiceSettings):
    """The last group of a Config's settings."""

    def __init__(self) -> None:
        super().__init__()
        self._opening_quirks()
        self._reset_quirks()
        self._icmp_quirks()
        self._window_quirks()
        self._ack_quirks()
        self._timer_quirks()
        self._loss_quirks()
        self._ecn_quirks()
        self._buffer_quirks()

    def _opening_quirks(self) -> None:  # python
        """Opening a connection"""
        #: The stack drops segments with both SYN and FIN: with 0 never, with 1 at listeners, with 2 always.
        #: Unit: mode. Source: Linux (1); FreeBSD drop_synfin (2).
        self.tcp_drop_synfin = 1
        #: The stack refuses a SYN,ACK with a RST if it echoes a timestamp that the stack never sent.
        #: Source: Linux tcp_rcv_synsent_state_process.
        self.tcp_syn_ts_check = False
        #: The third retransmission of a SYN, and those after it, offer no option but the MSS.
        #: Source: FreeBSD rexmit_drop_options.
        self.tcp_syn_drop_options = False
        #: The stack acknowledges the SYN,ACK of a simultaneous open
        #: at once. RFC 9293 3.5, figure 7 does without that ACK.
        #: Source: Linux.
        self.tcp_crossed_ack = False
        #: What the stack keeps of a SYN that crosses its own: with
        #: 1 the text, with 2 the FIN, with 3 both, with 0 neither.
        #: Unit: mode. Source: RFC 9293 3.10.7.3 (3); FreeBSD (1); Linux (0).
        self.tcp_crossed_text = 3
        #: The stack gives up an opening that is not answered in this time, however often it sent the SYN. With 0, only
        #: the number of retransmissions counts.
        #: Source: FreeBSD keepinit.
        self.tcp_keepinit = 0
        #: The MSS that the stack announces follows the path MTU that an ICMP error reported.
        #: Source: Linux.
        self.tcp_advmss_pmtu = False

    def _reset_quirks(self) -> None:  # python
        """Resets, closing and TIME-WAIT"""
        #: Any RST in the window resets the connection, as before RFC 5961.
        #: Source: FreeBSD insecure_rst.
        self.tcp_insecure_rst = False
        #: Any SYN in the window resets the connection, as before RFC 5961.
        #: Source: FreeBSD insecure_syn.
        self.tcp_insecure_syn = False
        #: A RST means ECONNRESET in every state, also in CLOSING and LAST-ACK.
        #: Source: FreeBSD.
        self.tcp_reset_error = False
        #: A RST carries the TOS and the TTL of a socket that is bound to the port but neither listens nor is connected.
        #: Source: FreeBSD.
        self.tcp_reset_bound = False
        #: A listener answers a SYN,ACK with a RST.
        #: Source: RFC 9293 3.10.7.2; FreeBSD drops the segment.
        self.tcp_listen_reset = True
        #: The ACK of a FIN that crosses the stack's own FIN carries that FIN again.
        #: Source: FreeBSD.
        self.tcp_closing_fin = False
        #: In TIME-WAIT the stack drops segments without ACK, and answers all others but a plain duplicate ACK.
        #: Source: FreeBSD.
        self.tcp_tw_answer = False

    def _icmp_quirks(self) -> None:  # python
        """ICMP errors about TCP"""
        #: Every ICMP error ends an opening, also host unreachable and time exceeded.
        #: Source: Linux.
        self.tcp_icmp_opening = False
        #: Every ICMP error that ends an opening means ECONNREFUSED, and time exceeded ends an opening, too.
        #: Source: FreeBSD.
        self.tcp_icmp_refused = False
        #: An ICMP error may end an opening.
        #: Source: RFC 9293 SHLD-26; FreeBSD icmp_may_rst.
        self.tcp_icmp_may_rst = True

    def _window_quirks(self) -> None:  # python
        """Receive windows"""
        #: The announced window begins with this size and grows by two segments for each that arrives. With 0, the whole
        #: free buffer is announced.
        #: Unit: bytes. Source: Linux rcv_ssthresh.
        self.tcp_window_start = 0
        #: The stack announces every free byte, not only worthwhile steps.
        #: Source: FreeBSD; Linux with a window scale.
        self.tcp_exact_window = False
        #: The whole receive buffer counts as the window, even if the header cannot express its size.
        #: Source: FreeBSD.
        self.tcp_buffer_window = False
        #: The stack sends a window update after two segments and a
        #: quarter of the buffer, instead of when the window doubles.
        #: Source: FreeBSD.
        self.tcp_update_quarter = False

    def _ack_quirks(self) -> None:  # python
        """Acknowledgements"""
        #: The stack answers an ACK of data that it never sent. Linux drops it in silence on an open connection.
        #: Source: RFC 5961 5.2.
        self.tcp_ack_unsent = True
        #: The ACK of an old duplicate that ends at RCV.NXT counts.
        #: Source: Linux; FreeBSD.
        self.tcp_old_ack = False
        #: A second segment forces an ACK, whatever its size.
        #: Source: FreeBSD.
        self.tcp_delack_any_size = False
        #: The ACK of a FIN waits for data to carry it, or for the application to close.
        #: Source: Linux.
        self.tcp_delack_fin = False

    def _timer_quirks(self) -> None:  # python
        """Timers"""
        #: The time that the stack adds to every retransmission timeout, except to the first one of a SYN.
        #: Source: FreeBSD rexmit_slop.
        self.tcp_rto_slop = 0
        #: The time that the stack adds to the loss probe and reordering timers. Linux cuts these to clock ticks.
        #: Source: Linux TCP_TIMEOUT_MIN (2 ms).
        self.tcp_timeout_slack = 0
        #: If the RTO is due before the loss probe, the probe takes its place.
        #: Source: RFC 8985 7.2, in Linux's reading.
        self.tcp_tlp_at_rto = False
        #: The stack sends keep-alives on every connection. RFC 9293 MUST-25 has them off by default.
        #: Source: FreeBSD always_keepalive.
        self.tcp_always_keepalive = False

    def _loss_quirks(self) -> None:  # python
        """Losses and congestion control"""
        #: A SACK block counts only for segments that it covers as a whole.
        #: Source: Linux.
        self.tcp_sack_whole = False
        #: The congestion window grows by the data that an ACK reports as delivered, so SACKed data counts once, when
        #: the SACK block arrives.
        #: Source: Linux.
        self.tcp_grow_delivered = False
        #: CUBIC reduces its window from cwnd instead of from the flight size.
        #: Source: RFC 9438 4.6 allows it; Linux.
        self.tcp_ssthresh_cwnd = False
        #: CUBIC uses Linux's arithmetic: slow start ends at once when
        #: the delay grows, and the window grows by whole segments.
        #: Source: Linux tcp_cubic.
        self.tcp_cubic_linux = False
        #: The first probe of a search for the path MTU has the largest size of all, because an outage is no black hole.
        #: If this is off, the first probe has the middle size, as Linux's.
        #: Source: RFC 4821 7.3.
        self.tcp_mtu_probe_largest = True

    def _ecn_quirks(self) -> None:  # python
        """ECN"""
        #: AccECN works as in Linux: ECT is on every packet, every segment carries the option after the peer sent one,
        #: the option comes before SACK, and the counter of ECT(1) is the first in it.
        #: Source: Linux.
        self.tcp_accecn_linux = False
        #: The response to a congestion mark is spread over a round trip by PRR, instead of being taken at once.
        #: Source: Linux (its state CWR).
        self.tcp_prr_ecn = False
        #: The number of retransmissions of a SYN that still ask for ECN.
        #: Unit: retransmissions. Source: RFC 3168 6.1.1.1 (0); FreeBSD ecn.maxretries.
        self.tcp_ecn_retries = 0

    def _buffer_quirks(self) -> None:  # python
        """Buffers"""
        #: The stack rounds SO_RCVBUF up to whole segments when a connection is made.
        #: Source: FreeBSD.
        self.tcp_round_buffers = False
        #: SO_RCVBUF and SO_SNDBUF of stream sockets read as twice
        #: the size of the buffer. FreeBSD reports the size itself.
        #: Source: Linux socket(7).
        self.tcp_tell_double = True
        #: The write queue is kept in pieces as in Linux, with Linux's count of SO_SNDBUF, which is doubled.
        #: Source: Linux tcp_sendmsg.
        self.tcp_linux_queue = False
        #: The smallest number of segments for which Linux's offload builds a piece. It has an effect only with
        #: `tcp_linux_queue`.
        #: Unit: segments. Source: Linux tcp_min_tso_segs.
        self.tcp_min_tso_segs = 2
