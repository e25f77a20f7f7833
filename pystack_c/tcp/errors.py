"""The errors of user calls, with the texts of BSD sockets."""

import errno


def error(code: int) -> OSError:
    """Return an OSError for the errno `code`. Python chooses the subclass."""
    return OSError(code, ERROR_TEXT.get(code, errno.errorcode.get(code, "error")))


ERROR_TEXT = {
    errno.EADDRINUSE: "Address already in use",
    errno.EADDRNOTAVAIL: "Cannot assign requested address",
    errno.ECONNREFUSED: "Connection refused",
    errno.ECONNRESET: "Connection reset by peer",
    errno.EPIPE: "Broken pipe",
    errno.ENOTCONN: "Transport endpoint is not connected",
    errno.EISCONN: "Transport endpoint is already connected",
    errno.EINVAL: "Invalid argument",
    errno.ENETUNREACH: "Network is unreachable",
    errno.EHOSTUNREACH: "No route to host",
    errno.ETIMEDOUT: "Connection timed out",
    errno.EALREADY: "Operation already in progress",
    errno.EINPROGRESS: "Operation now in progress",
    errno.ECONNABORTED: "Software caused connection abort",
    errno.ENOPROTOOPT: "Protocol not available",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EACCES: "Permission denied",
    errno.ENOBUFS: "No buffer space available",
}
