"""Opening a connection: the handshake, SYN cookies and TCP Fast Open."""
