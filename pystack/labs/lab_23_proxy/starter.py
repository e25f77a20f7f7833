"""Lab 23: forward the fields of a request.

`forward` gets the fields of a client's request as a list of pairs of a name and a value, and
the client's address. It returns the list of the fields that the proxy sends to the server, in
the same order. Names may be written in any case, and keep their form.

- Fields that are only for the connection between client and proxy do not pass: Connection
  itself, Keep-Alive, and each field that Connection names (RFC 9110, section 7.6.1). There is
  at most one Connection, with commas between the names.
- The server must learn the client's address. If there are fields X-Forwarded-For, other proxies
  have been there before. Remove these, and add one field ("X-Forwarded-For", ...) at the end,
  whose value has theirs and then the client's address, with ", " between them.
"""


def forward(fields, client):
    """Return the fields for the server."""
    return [*fields, ("X-Forwarded-For", client)]
