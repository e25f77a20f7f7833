"""Counters with the names that `nstat` gives them on Linux, and a count of every drop by its reason."""

NAMES = (
    "IpInReceives IpInHdrErrors IpInAddrErrors IpForwDatagrams IpForwMssClamped IpInUnknownProtos IpInDelivers "
    "IpOutRequests IpOutDiscards IpOutNoRoutes IpReasmTimeout IpReasmReqds IpReasmOKs IpReasmFails IpFragOKs "
    "IpFragFails IpFragCreates IpOutTransmits IcmpInMsgs IcmpInErrors IcmpInCsumErrors IcmpInDestUnreachs "
    "IcmpInTimeExcds IcmpInParmProbs IcmpInRedirects IcmpInSrcQuenchs IcmpInTimestamps IcmpInTimestampReps "
    "IcmpInAddrMasks IcmpInAddrMaskReps IcmpInEchos IcmpInEchoReps IcmpOutMsgs IcmpOutErrors IcmpOutRateLimitGlobal "
    "IcmpOutRateLimitHost IcmpOutDestUnreachs IcmpOutTimeExcds IcmpOutParmProbs IcmpOutSrcQuenchs IcmpOutRedirects IcmpOutTimestamps "
    "IcmpOutTimestampReps IcmpOutAddrMasks IcmpOutAddrMaskReps IcmpOutEchos IcmpOutEchoReps UdpInDatagrams UdpNoPorts "
    "UdpInErrors UdpOutDatagrams UdpRcvbufErrors UdpInCsumErrors UdpIgnoredMulti TcpActiveOpens TcpPassiveOpens "
    "TcpAttemptFails TcpEstabResets TcpCurrEstab TcpInSegs TcpOutSegs TcpRetransSegs TcpInErrs TcpOutRsts "
    "TcpInCsumErrors TcpExtListenOverflows TcpExtListenDrops TcpExtTW TcpExtTWRecycled TcpExtDelayedACKs "
    "TcpExtTCPLostRetransmit TcpExtTCPFastRetrans TcpExtTCPSlowStartRetrans TcpExtTCPTimeouts TcpExtTCPRenoRecovery "
    "TcpExtTCPSackRecovery TcpExtTCPSACKReneging TcpExtTCPDSACKOldSent TcpExtTCPDSACKOfoSent TcpExtTCPDSACKRecv "
    "TcpExtTCPAbortOnData TcpExtTCPAbortOnClose TcpExtTCPAbortOnTimeout TcpExtTCPAbortOnLinger TcpExtTCPOFOQueue "
    "TcpExtTCPOFODrop TcpExtTCPChallengeACK TcpExtTCPSYNChallenge TcpExtOutOfWindowIcmps TcpExtPAWSEstab "
    "TcpExtTCPKeepAlive TcpExtTCPWinProbe TcpExtTCPOrigDataSent TcpExtTCPMinTTLDrop TcpExtTCPRcvQDrop "
    "TcpExtPruneCalled TcpExtOfoPruned TcpExtTCPAbortOnMemory TcpExtTCPMemoryPressures TcpExtTCPMemoryPressuresChrono "
    "TcpExtTCPFromZeroWindowAdv TcpExtTCPToZeroWindowAdv TcpExtTCPSynRetrans TcpExtTCPMTUPFail TcpExtTCPMTUPSuccess "
    "TcpExtTCPTimeWaitOverflow TcpExtTCPReqQFullDrop TcpExtTCPSpuriousRTOs TcpExtTCPLossProbes TcpExtTCPLossUndo "
    "TcpExtTCPFullUndo TcpExtTCPPartialUndo TcpExtSyncookiesSent TcpExtSyncookiesRecv TcpExtSyncookiesFailed "
    "TcpExtTCPFastOpenActive TcpExtTCPFastOpenActiveFail TcpExtTCPFastOpenPassive TcpExtTCPFastOpenPassiveFail "
    "TcpExtTCPFastOpenCookieReqd TcpExtTCPFastOpenListenOverflow TcpExtEmbryonicRsts TcpExtRcvPruned TcpExtPAWSActive "
    "TcpExtPAWSOldAck TcpExtPAWSTimewait TcpExtBeyondWindow TcpExtDelayedACKLost TcpExtTCPPureAcks "
    "TcpExtTCPSACKReorder TcpExtTCPRenoReorder TcpExtTCPTSReorder TcpExtTCPDSACKUndo TcpExtTCPRenoFailures "
    "TcpExtTCPSackFailures TcpExtTCPLossFailures TcpExtTCPRenoRecoveryFail TcpExtTCPSackRecoveryFail "
    "TcpExtTCPLossProbeRecovery TcpExtTCPDSACKOfoRecv TcpExtTCPDSACKRecvSegs TcpExtTCPDSACKIgnoredOld "
    "TcpExtTCPDSACKIgnoredNoUndo TcpExtTCPDSACKIgnoredDubious TcpExtTCPSACKDiscard TcpExtTCPDeferAcceptDrop "
    "TcpExtTCPReqQFullDoCookies TcpExtTCPRetransFail TcpExtTCPRcvCoalesce TcpExtTCPOFOMerge "
    "TcpExtTCPFastOpenBlackhole TcpExtTCPWantZeroWindowAdv TcpExtTCPHystartDelayDetect TcpExtTCPHystartDelayCwnd "
    "TcpExtTCPACKSkippedSynRecv TcpExtTCPACKSkippedPAWS TcpExtTCPACKSkippedSeq TcpExtTCPACKSkippedFinWait2 "
    "TcpExtTCPACKSkippedTimeWait TcpExtTCPACKSkippedChallenge TcpExtTCPDelivered TcpExtTCPDeliveredCE "
    "TcpExtTCPZeroWindowDrop IpExtInCEPkts IpExtInNoRoutes IpExtInTruncatedPkts IpExtInMcastPkts IpExtOutMcastPkts "
    "IpExtInBcastPkts IpExtOutBcastPkts IpExtInOctets IpExtOutOctets IpExtInMcastOctets IpExtOutMcastOctets "
    "IpExtInBcastOctets IpExtOutBcastOctets IpExtInCsumErrors IpExtInNoECTPkts IpExtInECT1Pkts IpExtInECT0Pkts "
    "IpExtReasmOverlaps ArpInRequests ArpInReplies ArpOutRequests ArpOutReplies ArpTableOverflow"
).split()


class Counters:
    """One attribute for each counter in NAMES; `drops`, the number of drops by reason; and `icmp_msg`, the number of
    ICMP messages by type (such as IcmpMsgInType8).
    """

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
    IpOutTransmits: int
    IcmpInMsgs: int
    IcmpInErrors: int
    IcmpInCsumErrors: int
    IcmpInDestUnreachs: int
    IcmpInTimeExcds: int
    IcmpInParmProbs: int
    IcmpInRedirects: int
    IcmpInSrcQuenchs: int
    IcmpInTimestamps: int
    IcmpInTimestampReps: int
    IcmpInAddrMasks: int
    IcmpInAddrMaskReps: int
    IcmpInEchos: int
    IcmpInEchoReps: int
    IcmpOutMsgs: int
    IcmpOutErrors: int
    IcmpOutRateLimitGlobal: int
    IcmpOutRateLimitHost: int
    IcmpOutDestUnreachs: int
    IcmpOutTimeExcds: int
    IcmpOutParmProbs: int
    IcmpOutSrcQuenchs: int
    IcmpOutRedirects: int
    IcmpOutTimestamps: int
    IcmpOutTimestampReps: int
    IcmpOutAddrMasks: int
    IcmpOutAddrMaskReps: int
    IcmpOutEchos: int
    IcmpOutEchoReps: int
    UdpInDatagrams: int
    UdpNoPorts: int
    UdpInErrors: int
    UdpOutDatagrams: int
    UdpRcvbufErrors: int
    UdpInCsumErrors: int
    UdpIgnoredMulti: int
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
    TcpExtTCPSYNChallenge: int
    TcpExtOutOfWindowIcmps: int
    TcpExtPAWSEstab: int
    TcpExtTCPKeepAlive: int
    TcpExtTCPWinProbe: int
    TcpExtTCPOrigDataSent: int
    TcpExtTCPMinTTLDrop: int
    TcpExtTCPRcvQDrop: int
    TcpExtPruneCalled: int
    TcpExtOfoPruned: int
    TcpExtTCPAbortOnMemory: int
    TcpExtTCPMemoryPressures: int
    TcpExtTCPMemoryPressuresChrono: int
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
    TcpExtSyncookiesSent: int
    TcpExtSyncookiesRecv: int
    TcpExtSyncookiesFailed: int
    TcpExtTCPFastOpenActive: int
    TcpExtTCPFastOpenActiveFail: int
    TcpExtTCPFastOpenPassive: int
    TcpExtTCPFastOpenPassiveFail: int
    TcpExtTCPFastOpenCookieReqd: int
    TcpExtTCPFastOpenListenOverflow: int
    TcpExtEmbryonicRsts: int
    TcpExtRcvPruned: int
    TcpExtPAWSActive: int
    TcpExtPAWSOldAck: int
    TcpExtPAWSTimewait: int
    TcpExtBeyondWindow: int
    TcpExtDelayedACKLost: int
    TcpExtTCPPureAcks: int
    TcpExtTCPSACKReorder: int
    TcpExtTCPRenoReorder: int
    TcpExtTCPTSReorder: int
    TcpExtTCPDSACKUndo: int
    TcpExtTCPRenoFailures: int
    TcpExtTCPSackFailures: int
    TcpExtTCPLossFailures: int
    TcpExtTCPRenoRecoveryFail: int
    TcpExtTCPSackRecoveryFail: int
    TcpExtTCPLossProbeRecovery: int
    TcpExtTCPDSACKOfoRecv: int
    TcpExtTCPDSACKRecvSegs: int
    TcpExtTCPDSACKIgnoredOld: int
    TcpExtTCPDSACKIgnoredNoUndo: int
    TcpExtTCPDSACKIgnoredDubious: int
    TcpExtTCPSACKDiscard: int
    TcpExtTCPDeferAcceptDrop: int
    TcpExtTCPReqQFullDoCookies: int
    TcpExtTCPRetransFail: int
    TcpExtTCPRcvCoalesce: int
    TcpExtTCPOFOMerge: int
    TcpExtTCPFastOpenBlackhole: int
    TcpExtTCPWantZeroWindowAdv: int
    TcpExtTCPHystartDelayDetect: int
    TcpExtTCPHystartDelayCwnd: int
    TcpExtTCPACKSkippedSynRecv: int
    TcpExtTCPACKSkippedPAWS: int
    TcpExtTCPACKSkippedSeq: int
    TcpExtTCPACKSkippedFinWait2: int
    TcpExtTCPACKSkippedTimeWait: int
    TcpExtTCPACKSkippedChallenge: int
    TcpExtTCPDelivered: int
    TcpExtTCPDeliveredCE: int
    TcpExtTCPZeroWindowDrop: int
    IpExtInCEPkts: int
    IpExtInNoRoutes: int
    IpExtInTruncatedPkts: int
    IpExtInMcastPkts: int
    IpExtOutMcastPkts: int
    IpExtInBcastPkts: int
    IpExtOutBcastPkts: int
    IpExtInOctets: int
    IpExtOutOctets: int
    IpExtInMcastOctets: int
    IpExtOutMcastOctets: int
    IpExtInBcastOctets: int
    IpExtOutBcastOctets: int
    IpExtInCsumErrors: int
    IpExtInNoECTPkts: int
    IpExtInECT1Pkts: int
    IpExtInECT0Pkts: int
    IpExtReasmOverlaps: int
    ArpInRequests: int
    ArpInReplies: int
    ArpOutRequests: int
    ArpOutReplies: int
    ArpTableOverflow: int
    drops: dict[str, int]
    icmp_msg: dict[str, int]

    def __init__(self) -> None:
        for name in NAMES:
            setattr(self, name, 0)
        self.drops = {}
        self.icmp_msg = {}

    def drop(self, reason: str) -> None:
        """Count one drop under its reason."""
        self.drops[reason] = self.drops.get(reason, 0) + 1

    def message(self, way: str, icmp_type: int) -> None:
        """Count an ICMP message by its type. `way` is "In" or "Out"."""
        name = f"IcmpMsg{way}Type{icmp_type}"
        self.icmp_msg[name] = self.icmp_msg.get(name, 0) + 1

    def nonzero(self) -> dict[str, int]:  # python
        """Return all counters that are not zero by name, in the order of NAMES, then the ICMP messages by type."""
        values = ((name, getattr(self, name)) for name in NAMES)
        return {name: value for name, value in values if value} | self.icmp_msg
