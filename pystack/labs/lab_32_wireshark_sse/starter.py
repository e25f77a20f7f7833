"""Lab 32: get events out of a stream.

`events` gets the pieces of a stream as they arrive, texts of any length, and returns a list of
(event, data, id).

- A line ends with a newline. An empty line ends an event. An event that has not ended when the
  stream ends does not count.
- A line is `field: value` or `field:value`: one space after the colon does not belong to the
  value, and more do. A line that begins with a colon is a comment.
- `data` adds a line to the data. Several lines have a newline between them. An event without
  data is not returned.
- `event` is the name of the event, which is "message" if the event has none.
- `id` sets the identifier. It stays for the events that follow, until another one comes. It is
  "" at the start.
- Other fields are ignored.
"""


def events(pieces):
    """Return the events."""
    found = []
    for piece in pieces:
        found.append(("message", piece.strip().removeprefix("data: "), ""))
    return found
