"""A typical wrong answer: the body is read at once."""


def serve(sock, files):
    """Serve one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += yield sock.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    method, path, _ = line.split()
    fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}
    if method == "PUT":
        if fields.get("expect") == "100-continue":
            yield sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        missing = int(fields["content-length"]) - len(body)
        if missing:
            body += yield sock.recv(missing)
        files[path] = body
        yield sock.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    elif path in files:
        yield sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(files[path]) + files[path])
    else:
        yield sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
