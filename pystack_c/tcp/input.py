"""Segment arrival: RFC 9293 section 3.10.7, in the RFC's own order."""


def segment_arrives(core, pkt):
    """A checked IPv4 packet with protocol 6 arrived (pkt.l4_off .. pkt.l4_end). Filled in soon."""
    raise NotImplementedError
