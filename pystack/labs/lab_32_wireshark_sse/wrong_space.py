"""A typical wrong answer: all spaces around a value are removed."""


def events(pieces):
    """Return the events."""
    found = []
    rest, last, name = "", "", ""
    data: list[str] = []
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            field, _, value = line.partition(":")
            value = value.strip()
            if line == "":
                if data:
                    found.append((name or "message", "\n".join(data), last))
                name, data = "", []
            elif field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                last = value
    return found
