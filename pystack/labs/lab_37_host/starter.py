r"""Lab 37: a small web server for curl.

`serve` is a program of the simulated network. It gets a connected socket and a dict of files,
such as {"/data": b"..."}, and serves one request. The caller closes the connection afterwards.
A request begins with a line such as "PUT /data HTTP/1.1" and lines such as "Content-Length:
10", which end with "\r\n". An empty line ends the head. The names of fields may be in capital
or small letters.

- GET: answer with "HTTP/1.1 200 OK", a Content-Length and the file, or with "HTTP/1.1 404 Not
  Found" and no body.
- PUT: Content-Length bytes follow the head. Put them into `files`, and answer with "HTTP/1.1
  201 Created" and no body.
- If a PUT has the field "Expect: 100-continue", the client waits for b"HTTP/1.1 100
  Continue\r\n\r\n" before it sends the body. Otherwise it does not.

`yield sock.recv(65_536)` gets the bytes that are there, at most so many, `yield
sock.recv_exactly(10)` waits for ten, and `yield sock.sendall(data)` sends.
"""


def serve(sock, files):
    """Serve one request."""
    head = yield sock.recv(65_536)
    data = files.get(head.decode().split()[1], b"")
    yield sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
