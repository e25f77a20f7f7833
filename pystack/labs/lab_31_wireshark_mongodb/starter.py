"""Lab 31: read a whole collection through a cursor.

`read_all` is a program: `reply = yield command` sends a command and gets the server's answer,
both as dicts. It returns all documents.

- The first command is {"find": collection}. Its answer is {"cursor": {"firstBatch": [...],
  "id": 7, "ns": "shop.things"}, "ok": 1.0}.
- {"getMore": 7, "collection": collection} gets more from the cursor 7. Its answer has
  "nextBatch" instead of "firstBatch". A batch may be empty.
- When nothing is left, the cursor's id is 0. There is no such cursor, so a getMore for it is an
  error.
- If `size` is not None, each command has "batchSize": size, too.
- If something went wrong, the answer is {"ok": 0.0, "errmsg": "..."}. Raise RuntimeError with
  this text then.
"""


def read_all(collection, size):
    """Return all documents."""
    reply = yield {"find": collection}
    return reply["cursor"]["firstBatch"]
