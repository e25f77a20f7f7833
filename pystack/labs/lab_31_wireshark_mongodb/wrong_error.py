"""A typical wrong answer: errors are not looked at."""


def read_all(collection, size):
    """Return all documents."""
    extra = {} if size is None else {"batchSize": size}
    command = {"find": collection, **extra}
    documents = []
    while True:
        reply = yield command
        cursor = reply["cursor"]
        documents += cursor["firstBatch"] if "find" in command else cursor["nextBatch"]
        if cursor["id"] == 0:
            return documents
        command = {"getMore": cursor["id"], "collection": collection, **extra}
