"""Small internet services inside the core: no thread, no socket, no call from outside (docs/explanation/architecture.md).

`serve.stream` and `serve.datagram` start one by its name; it answers in the same poll_transmit in which a driver takes
what the received frame caused. So it runs compiled, in the simulator and in recordings as well.
"""
