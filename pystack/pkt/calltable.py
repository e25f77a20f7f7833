"""The system calls by name."""

from pystack.pkt import call_misc as misc
from pystack.pkt import call_open as opening
from pystack.pkt import call_poll as poll
from pystack.pkt import call_sendto as sendto
from pystack.pkt import call_stream as stream
from pystack.pkt.calls import Handler

TABLE: dict[str, Handler] = {
    "socket": opening.call_socket,
    "bind": opening.call_bind,
    "listen": opening.call_listen,
    "accept": opening.call_accept,
    "accept4": opening.call_accept,
    "connect": opening.call_connect,
    "read": stream.call_read,
    "readv": stream.call_readv,
    "recv": stream.call_read,
    "recvfrom": stream.call_read,
    "recvmsg": stream.call_recvmsg,
    "write": stream.call_write,
    "writev": stream.call_writev,
    "send": stream.call_write,
    "sendto": sendto.call_sendto,
    "sendmsg": sendto.call_sendmsg,
    "close": misc.call_close,
    "shutdown": misc.call_shutdown,
    "setsockopt": misc.call_setsockopt,
    "getsockopt": misc.call_getsockopt,
    "fcntl": misc.call_fcntl,
    "ioctl": misc.call_ioctl,
    "open": misc.call_open,
    "sendfile": misc.call_sendfile,
    "pipe": misc.call_pipe,
    "splice": misc.call_splice,
    "poll": poll.call_poll,
    "epoll_create": poll.call_epoll_create,
    "epoll_create1": poll.call_epoll_create,
    "epoll_ctl": poll.call_epoll_ctl,
    "epoll_wait": poll.call_epoll_wait,
}
