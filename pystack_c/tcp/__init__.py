"""TCP (RFC 9293). The subpackages hold the buffers, loss recovery, ECN, congestion control and the handshake."""
