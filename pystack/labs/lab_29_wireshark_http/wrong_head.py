"""A typical wrong answer: an answer to HEAD has a body."""


def answers(stream, methods):
    """Return the answers."""
    found = []
    for _ in methods:
        head, _, stream = stream.partition(b"\r\n\r\n")
        line, *rest = head.split(b"\r\n")
        status = int(line.split()[1])
        fields = {}
        for field in rest:
            name, _, value = field.partition(b":")
            fields[name.lower()] = value.strip()
        body = b""
        if status in (204, 304):
            pass
        elif fields.get(b"transfer-encoding") == b"chunked":
            size = -1
            while size:
                text, _, stream = stream.partition(b"\r\n")
                size = int(text, 16)
                body += stream[:size]
                stream = stream[size + 2 :]
        else:
            size = int(fields.get(b"content-length", len(stream)))
            body, stream = stream[:size], stream[size:]
        found.append((status, body))
    return found
