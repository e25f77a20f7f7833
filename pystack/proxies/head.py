"""The head of an HTTP/1.1 request, as strictly as RFC 9112 allows: two servers must not read the same bytes differently.

h11 reads the head, too. These checks come first, and refuse forms that h11 mends: folded lines, several lengths, a length beside chunks.
"""

from pystack.proxies.conn import ProxyConn
from pystack.proxies.message import ProxiedRequest, RefusedRequest, is_token, tokens
from pystack.proxies.settings import ProxySettings

#: what a host and port may consist of (RFC 3986 section 3.2.2, without user information)
_HOST = frozenset(b"-._~%!$&'()*+,;=:[]0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


async def read_head(conn: ProxyConn, settings: ProxySettings) -> bytes:
    """The head of the next request with the empty line behind it; b"" if the client closed before. The rest is put back.

    RefusedRequest if it is longer than allowed, or has an end of line that is not CR LF. EOFError if the stream ends inside.
    """
    data = bytearray()
    seen = 0
    began = False
    while True:
        piece = await conn.recv(4096)
        if not piece:
            if data.strip(b"\r\n"):
                raise EOFError("the stream ended inside the head of a request")
            return b""
        data += piece
        if not began and len(data) >= 2:
            began = True
            if data[:2] == b"\r\n":
                del data[:2]  # RFC 9112 section 2.2: one empty line in front is ignored
                seen = 0
        end = data.find(b"\r\n\r\n", max(0, seen - 3))
        check_lines(data, seen, len(data) if end < 0 else end + 4)
        line = data.find(b"\r\n")
        if (line if line >= 0 else len(data)) > settings.max_request_line:
            raise RefusedRequest(414, f"the request line is longer than {settings.max_request_line} bytes")
        if (end + 4 if end >= 0 else len(data)) > settings.max_head:
            raise RefusedRequest(431, f"the head is longer than {settings.max_head} bytes")
        if end >= 0:
            conn.unread(bytes(data[end + 4 :]))
            return bytes(data[: end + 4])
        seen = len(data)


def check_lines(data: bytearray, begin: int, end: int) -> None:
    """Refuse a CR or LF that stands alone in data[begin:end] (RFC 9112 section 2.2). A CR at the very end may still get its LF."""
    at = begin - 1 if begin and data[begin - 1] == 13 else begin
    while (at := _next(data, at, end)) >= 0:
        if data[at] == 10:
            raise RefusedRequest(400, "a line ends with LF alone")
        if at + 1 == end == len(data):
            return
        if data[at + 1] != 10:
            raise RefusedRequest(400, "there is a CR without LF")
        at += 2


def _next(data: bytearray, at: int, end: int) -> int:
    found = [place for place in (data.find(b"\r", at, end), data.find(b"\n", at, end)) if place >= 0]
    return min(found) if found else -1


def parse_head(head: bytes, settings: ProxySettings) -> ProxiedRequest:
    """The request of a head. RefusedRequest if a rule is violated."""
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[1] or not is_token(words[0]):
        raise RefusedRequest(400, "the request line is not: method, target, version")
    method, target, version = words
    if (
        not version.startswith(b"HTTP/")
        or len(version) != 8
        or not version[5:6].isdigit()
        or version[6:7] != b"."
        or not version[7:].isdigit()
    ):
        raise RefusedRequest(400, "the request line has no version of HTTP")
    if version[5:6] != b"1":
        raise RefusedRequest(505, "the version is not HTTP/1")
    # RFC 9110 section 2.5: a higher minor version is read as the highest that is known.
    minor = b"1.0" if version[7:] == b"0" else b"1.1"
    _check_target(target)
    _check_count(len(lines), settings)
    request = ProxiedRequest(method, target, [_field(line) for line in lines], minor)
    _framing(request)
    _host(request)
    return request


def check_request(request: ProxiedRequest, settings: ProxySettings) -> None:
    """The same rules for a request of HTTP/2, whose fields come from a library. RefusedRequest if one is violated."""
    if not is_token(request.method):
        raise RefusedRequest(400, "the method is not valid")
    if len(request.target) > settings.max_request_line:
        raise RefusedRequest(414, f"the target is longer than {settings.max_request_line} bytes")
    _check_target(request.target)
    if request.target[:1] != b"/" and (request.target != b"*" or request.method != b"OPTIONS"):
        raise RefusedRequest(400, "the target is no path")
    _check_count(len(request.headers), settings)
    if sum(len(name) + len(value) + 32 for name, value in request.headers) > settings.max_head:
        raise RefusedRequest(431, f"the head is longer than {settings.max_head} bytes")
    for name, value in request.headers:
        _check_field(name, value)
    if request.get(b"transfer-encoding"):
        raise RefusedRequest(400, "HTTP/2 has no Transfer-Encoding")
    _framing(request)
    hosts = request.get(b"host")
    if not request.host or len(hosts) > 1 or (hosts and hosts[0].lower() != request.host.lower()):
        raise RefusedRequest(400, "a request must have one host")
    if not all(byte in _HOST for byte in request.host):
        raise RefusedRequest(400, "the host is not valid")


def check_body(size: int, settings: ProxySettings) -> None:
    """Refuse a body of so many bytes if it is longer than allowed."""
    if 0 < settings.max_body < size:
        raise RefusedRequest(413, f"the body is longer than {settings.max_body} bytes")


def _check_target(target: bytes) -> None:
    if any(byte <= 32 or byte >= 127 for byte in target) or b"#" in target:
        raise RefusedRequest(400, "the target has a character that must be encoded")


def _check_count(count: int, settings: ProxySettings) -> None:
    if count > settings.max_headers:
        raise RefusedRequest(431, f"there are more than {settings.max_headers} fields")


def _check_field(name: bytes, value: bytes) -> None:
    if not is_token(name):
        raise RefusedRequest(400, "a field has no valid name")
    if any((byte < 32 and byte != 9) or byte == 127 for byte in value):
        raise RefusedRequest(400, "a field has a control character")


def _field(line: bytes) -> tuple[bytes, bytes]:
    if line[:1] in (b" ", b"\t"):
        raise RefusedRequest(400, "a line is folded")
    name, colon, value = line.partition(b":")
    _check_field(name if colon else b"", value)
    return name.lower(), value.strip(b" \t")


def _framing(request: ProxiedRequest) -> None:
    """The length of the body (RFC 9112 section 6.3), which must be given in one way, once."""
    lengths, codings = request.get(b"content-length"), request.get(b"transfer-encoding")
    if codings:
        if lengths:
            raise RefusedRequest(400, "the body has a length and is in chunks")
        if request.version == b"1.0":
            raise RefusedRequest(400, "HTTP/1.0 has no Transfer-Encoding")
        names = tokens(codings)
        if names.count(b"chunked") != 1 and b"chunked" in names or names[-1:] != [b"chunked"] and b"chunked" in names:
            raise RefusedRequest(400, "chunked must be the last transfer coding, once")
        if names != [b"chunked"] or len(codings) > 1:
            raise RefusedRequest(501, "the only transfer coding is chunked")
        request.length = None
    elif lengths:
        if len(lengths) > 1:
            raise RefusedRequest(400, "there is more than one Content-Length")
        if not lengths[0].isdigit() or len(lengths[0]) > 18:
            raise RefusedRequest(400, "Content-Length is no number")
        request.length = int(lengths[0])


def _host(request: ProxiedRequest) -> None:
    """The host for which the request is (RFC 9112 section 3.2)."""
    hosts = request.get(b"host")
    if len(hosts) > 1 or (not hosts and request.version == b"1.1"):
        raise RefusedRequest(400, "a request must have one Host field")
    request.host = hosts[0] if hosts else b""
    if request.method == b"CONNECT":
        request.host = request.target
    elif request.target[:1] != b"/" and request.target != b"*":
        scheme, separator, rest = request.target.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise RefusedRequest(400, "the target is neither a path nor a URL")
        authority, slash, path = rest.partition(b"/")
        authority, query, tail = authority.partition(b"?")
        # RFC 9112 section 3.2.2: the authority of the target replaces Host.
        request.host = authority
        request.target = b"/" + (query + tail if query else b"") if not slash else b"/" + path
        request.absolute = True
    elif request.target == b"*" and request.method != b"OPTIONS":
        raise RefusedRequest(400, "the target * is for OPTIONS")
    if not all(byte in _HOST for byte in request.host) or (not request.host and request.version == b"1.1"):
        raise RefusedRequest(400, "the host is not valid")
