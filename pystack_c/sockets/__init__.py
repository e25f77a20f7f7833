"""Endpoints other than TCP's: ports, socket options, UDP and raw sockets."""
