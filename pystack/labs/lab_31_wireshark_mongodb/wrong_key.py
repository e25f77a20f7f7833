"""A typical wrong answer: all answers are read like the first one."""


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
        documents += cursor["firstBatch"]
        if cursor["id"] == 0:
            return documents
        command = {"getMore": cursor["id"], "collection": collection, **extra}
