"""TCP (RFC 9293). The rooms below hold the buffers, loss recovery, ECN, congestion control and the handshake."""
