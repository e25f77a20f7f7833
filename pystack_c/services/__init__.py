"""Small internet services inside the core, without threads, sockets or calls (docs/explanation/architecture.md).

`serve.stream` and `serve.datagram` start a service by its name. It answers in the same
poll_transmit call in which a driver takes the other results of the received frame. So
a service runs compiled, and works in the simulator and in recordings as well.
"""
