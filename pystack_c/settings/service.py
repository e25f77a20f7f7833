"""Settings of the services (pystack_c/services and pystack/services; docs/reference/limits.md explains them)."""

from pystack_c.settings.limits import S
from pystack_c.settings.tcp import TcpSettings


class ServiceSettings(TcpSettings):
    """The third group of a Config's settings."""

    def __init__(self) -> None:
        super().__init__()
        self._services()

    def _services(self) -> None:  # python
        """Services"""
        #: A service closes a connection on which nothing moves for this time. With 0, there is no limit.
        self.service_idle_time = 300 * S
        #: The head of a request has to be complete this long after its first byte. With 0, there is no limit.
        self.service_head_time = 30 * S
        #: A service resets a connection whose peer takes data more slowly than `service_min_rate` for this time, or for
        #: a quarter of it under memory pressure. With 0, there is no limit.
        self.service_stall_time = 60 * S
        #: The slowest rate at which a peer may take a response or send the body of a request.
        #: Unit: bytes per second.
        self.service_min_rate = 500
        #: The longest time for which a service keeps a connection. With 0, there is no limit.
        self.service_total_time = 14400 * S
        #: The number of connections that one service may have. One peer may have as many as are still free.
        #: Unit: connections.
        self.service_max_conns = 262144
