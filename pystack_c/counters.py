"""Counters, under the names that `nstat` gives them on Linux, and every drop by its reason."""

NAMES = (
    "IpInReceives IpInHdrErrors IpInAddrErrors IpForwDatagrams IpInUnknownProtos IpInDiscards IpInDelivers "
    "IpOutRequests IpOutDiscards IpOutNoRoutes IpReasmTimeout IpReasmReqds IpReasmOKs IpReasmFails "
    "IpFragOKs IpFragFails IpFragCreates "
    "IcmpInMsgs IcmpInErrors IcmpInCsumErrors IcmpInDestUnreachs IcmpInTimeExcds IcmpInParmProbs "
    "IcmpInRedirects IcmpInEchos IcmpInEchoReps IcmpOutMsgs IcmpOutErrors IcmpOutRateLimitGlobal "
    "IcmpOutDestUnreachs IcmpOutTimeExcds IcmpOutParmProbs IcmpOutEchos IcmpOutEchoReps "
    "UdpInDatagrams UdpNoPorts UdpInErrors UdpOutDatagrams UdpRcvbufErrors UdpInCsumErrors "
    "TcpActiveOpens TcpPassiveOpens TcpAttemptFails TcpEstabResets TcpCurrEstab TcpInSegs TcpOutSegs "
    "TcpRetransSegs TcpInErrs TcpOutRsts TcpInCsumErrors "
    "TcpExtListenOverflows TcpExtListenDrops TcpExtTW TcpExtDelayedACKs TcpExtDelayedACKLocked "
    "TcpExtTCPLostRetransmit TcpExtTCPFastRetrans TcpExtTCPSlowStartRetrans TcpExtTCPTimeouts "
    "TcpExtTCPRenoRecovery TcpExtTCPSackRecovery TcpExtTCPSACKReneging TcpExtTCPDSACKOldSent "
    "TcpExtTCPDSACKOfoSent TcpExtTCPDSACKRecv TcpExtTCPAbortOnData TcpExtTCPAbortOnClose "
    "TcpExtTCPAbortOnMemory TcpExtTCPAbortOnTimeout TcpExtTCPAbortOnLinger TcpExtTCPOFOQueue "
    "TcpExtTCPOFODrop TcpExtTCPOFOMerge TcpExtTCPChallengeACK TcpExtTCPSYNChallenge "
    "TcpExtPAWSActive TcpExtPAWSEstab TcpExtTCPKeepAlive TcpExtTCPWinProbe TcpExtTCPOrigDataSent "
    "TcpExtTCPHPHits TcpExtTCPPureAcks TcpExtTCPRcvQDrop TcpExtTCPRcvCollapsed "
    "TcpExtTCPFromZeroWindowAdv TcpExtTCPToZeroWindowAdv TcpExtTCPWantZeroWindowAdv "
    "TcpExtTCPSynRetrans TcpExtTCPTimeWaitOverflow TcpExtTCPReqQFullDrop TcpExtTCPAckCompressed "
    "TcpExtTCPSpuriousRTOs TcpExtTCPLossProbes TcpExtTCPLossUndo TcpExtTCPFullUndo TcpExtTCPPartialUndo "
    "ArpInRequests ArpInReplies ArpOutRequests ArpOutReplies ArpTableOverflow"
).split()


class Counters:
    """One attribute a counter (see NAMES), plus `drops`: a count for every reason a frame or segment was dropped."""

    def __init__(self):
        for name in NAMES:
            setattr(self, name, 0)
        self.drops = {}

    def drop(self, reason: str) -> None:
        """Count one drop."""
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def nonzero(self) -> dict:  # python
        """All counters that moved, by name, in the order of NAMES."""
        values = ((name, getattr(self, name)) for name in NAMES)
        return {name: value for name, value in values if value}
