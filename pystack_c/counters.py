"""Counters, under the names that `nstat` gives them on Linux, and every drop by its reason."""

NAMES = (
    "IpInReceives IpInHdrErrors IpInAddrErrors IpForwDatagrams IpForwMssClamped IpInUnknownProtos IpInDelivers "
    "IpOutRequests IpOutDiscards IpOutNoRoutes IpReasmTimeout IpReasmReqds IpReasmOKs IpReasmFails "
    "IpFragOKs IpFragFails IpFragCreates "
    "IcmpInMsgs IcmpInErrors IcmpInCsumErrors IcmpInDestUnreachs IcmpInTimeExcds IcmpInParmProbs "
    "IcmpInRedirects IcmpInEchos IcmpInEchoReps IcmpOutMsgs IcmpOutErrors IcmpOutRateLimitGlobal "
    "IcmpOutDestUnreachs IcmpOutTimeExcds IcmpOutParmProbs IcmpOutEchos IcmpOutEchoReps "
    "UdpInDatagrams UdpNoPorts UdpInErrors UdpOutDatagrams UdpRcvbufErrors UdpInCsumErrors "
    "TcpActiveOpens TcpPassiveOpens TcpAttemptFails TcpEstabResets TcpCurrEstab TcpInSegs TcpOutSegs "
    "TcpRetransSegs TcpInErrs TcpOutRsts TcpInCsumErrors "
    "TcpExtListenOverflows TcpExtListenDrops TcpExtTW TcpExtTWRecycled TcpExtDelayedACKs "
    "TcpExtTCPLostRetransmit TcpExtTCPFastRetrans TcpExtTCPSlowStartRetrans TcpExtTCPTimeouts "
    "TcpExtTCPRenoRecovery TcpExtTCPSackRecovery TcpExtTCPSACKReneging TcpExtTCPDSACKOldSent "
    "TcpExtTCPDSACKOfoSent TcpExtTCPDSACKRecv TcpExtTCPAbortOnData TcpExtTCPAbortOnClose "
    "TcpExtTCPAbortOnTimeout TcpExtTCPAbortOnLinger TcpExtTCPOFOQueue "
    "TcpExtTCPOFODrop TcpExtTCPChallengeACK TcpExtTCPSYNChallenge TcpExtOutOfWindowIcmps "
    "TcpExtPAWSEstab TcpExtTCPKeepAlive TcpExtTCPWinProbe TcpExtTCPOrigDataSent "
    "TcpExtTCPMinTTLDrop TcpExtTCPRcvQDrop TcpExtPruneCalled TcpExtOfoPruned TcpExtTCPAbortOnMemory "
    "TcpExtTCPMemoryPressures TcpExtTCPMemoryPressuresChrono "
    "TcpExtTCPFromZeroWindowAdv TcpExtTCPToZeroWindowAdv "
    "TcpExtTCPSynRetrans TcpExtTCPMTUPFail TcpExtTCPMTUPSuccess TcpExtTCPTimeWaitOverflow TcpExtTCPReqQFullDrop "
    "TcpExtTCPSpuriousRTOs TcpExtTCPLossProbes TcpExtTCPLossUndo TcpExtTCPFullUndo TcpExtTCPPartialUndo "
    "TcpExtSyncookiesSent TcpExtSyncookiesRecv TcpExtSyncookiesFailed TcpExtTCPFastOpenActive TcpExtTCPFastOpenActiveFail "
    "TcpExtTCPFastOpenPassive TcpExtTCPFastOpenPassiveFail TcpExtTCPFastOpenCookieReqd TcpExtTCPFastOpenListenOverflow "
    "IpExtInCEPkts ArpInRequests ArpInReplies ArpOutRequests ArpOutReplies ArpTableOverflow"
).split()


class Counters:
    """One attribute a counter (see NAMES), plus `drops`: a count for every reason a frame or segment was dropped."""

    IpInReceives: int
    IpInHdrErrors: int
    IpInAddrErrors: int
    IpForwDatagrams: int
    IpForwMssClamped: int
    IpInUnknownProtos: int
    IpInDelivers: int
    IpOutRequests: int
    IpOutDiscards: int
    IpOutNoRoutes: int
    IpReasmTimeout: int
    IpReasmReqds: int
    IpReasmOKs: int
    IpReasmFails: int
    IpFragOKs: int
    IpFragFails: int
    IpFragCreates: int
    IcmpInMsgs: int
    IcmpInErrors: int
    IcmpInCsumErrors: int
    IcmpInDestUnreachs: int
    IcmpInTimeExcds: int
    IcmpInParmProbs: int
    IcmpInRedirects: int
    IcmpInEchos: int
    IcmpInEchoReps: int
    IcmpOutMsgs: int
    IcmpOutErrors: int
    IcmpOutRateLimitGlobal: int
    IcmpOutDestUnreachs: int
    IcmpOutTimeExcds: int
    IcmpOutParmProbs: int
    IcmpOutEchos: int
    IcmpOutEchoReps: int
    UdpInDatagrams: int
    UdpNoPorts: int
    UdpInErrors: int
    UdpOutDatagrams: int
    UdpRcvbufErrors: int
    UdpInCsumErrors: int
    TcpActiveOpens: int
    TcpPassiveOpens: int
    TcpAttemptFails: int
    TcpEstabResets: int
    TcpCurrEstab: int
    TcpInSegs: int
    TcpOutSegs: int
    TcpRetransSegs: int
    TcpInErrs: int
    TcpOutRsts: int
    TcpInCsumErrors: int
    TcpExtListenOverflows: int
    TcpExtListenDrops: int
    TcpExtTW: int
    TcpExtTWRecycled: int
    TcpExtDelayedACKs: int
    TcpExtTCPLostRetransmit: int
    TcpExtTCPFastRetrans: int
    TcpExtTCPSlowStartRetrans: int
    TcpExtTCPTimeouts: int
    TcpExtTCPRenoRecovery: int
    TcpExtTCPSackRecovery: int
    TcpExtTCPSACKReneging: int
    TcpExtTCPDSACKOldSent: int
    TcpExtTCPDSACKOfoSent: int
    TcpExtTCPDSACKRecv: int
    TcpExtTCPAbortOnData: int
    TcpExtTCPAbortOnClose: int
    TcpExtTCPAbortOnTimeout: int
    TcpExtTCPAbortOnLinger: int
    TcpExtTCPOFOQueue: int
    TcpExtTCPOFODrop: int
    TcpExtTCPChallengeACK: int
    TcpExtOutOfWindowIcmps: int
    TcpExtTCPSYNChallenge: int
    TcpExtPAWSEstab: int
    TcpExtTCPKeepAlive: int
    TcpExtTCPWinProbe: int
    TcpExtTCPOrigDataSent: int
    TcpExtTCPRcvQDrop: int
    TcpExtTCPMinTTLDrop: int
    TcpExtTCPMemoryPressures: int
    TcpExtTCPMemoryPressuresChrono: int
    TcpExtPruneCalled: int
    TcpExtOfoPruned: int
    TcpExtTCPAbortOnMemory: int
    TcpExtTCPFromZeroWindowAdv: int
    TcpExtTCPToZeroWindowAdv: int
    TcpExtTCPSynRetrans: int
    TcpExtTCPMTUPFail: int
    TcpExtTCPMTUPSuccess: int
    TcpExtTCPTimeWaitOverflow: int
    TcpExtTCPReqQFullDrop: int
    TcpExtTCPSpuriousRTOs: int
    TcpExtTCPLossProbes: int
    TcpExtTCPLossUndo: int
    TcpExtTCPFullUndo: int
    TcpExtTCPPartialUndo: int
    ArpInRequests: int
    ArpInReplies: int
    ArpOutRequests: int
    ArpOutReplies: int
    ArpTableOverflow: int
    drops: dict[str, int]

    def __init__(self) -> None:
        for name in NAMES:
            setattr(self, name, 0)
        self.drops = {}

    def drop(self, reason: str) -> None:
        """Count one drop."""
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def nonzero(self) -> dict[str, int]:  # python
        """All counters that moved, by name, in the order of NAMES."""
        values = ((name, getattr(self, name)) for name in NAMES)
        return {name: value for name, value in values if value}
