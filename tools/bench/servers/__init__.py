"""The server programs in Python: the same source on pystack's sockets and on the kernel's."""
