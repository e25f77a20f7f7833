"""A typical wrong answer: it asks until a batch is empty, although the cursor is closed."""


def read_all(collection, size):
    """Return all documents."""
    extra = {} if size is None else {"batchSize": size}
    command = {"find": collection, **extra}
    documents = []
    while True:
        reply = yield command
        if not reply["ok"]:
            raise RuntimeError(reply["errmsg"])
        cursor = reply["cursor"]
        batch = cursor["firstBatch"] if "find" in command else cursor["nextBatch"]
        documents += batch
        if not batch:
            return documents
        command = {"getMore": cursor["id"], "collection": collection, **extra}
