"""A typical wrong answer: there is one getMore at most."""


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
        documents += cursor["firstBatch"] if "find" in command else cursor["nextBatch"]
        if cursor["id"] == 0 or "getMore" in command:
            return documents
        command = {"getMore": cursor["id"], "collection": collection, **extra}
