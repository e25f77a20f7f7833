"""A typical wrong answer: the name is looked up for each photo."""

NAME = "shop.test"
CONNECTIONS = 4


def upload(phone, photos, head):
    """Send all photos. Returns the answers, in the order of the photos."""
    answers = [None] * len(photos)

    def worker(mine):
        for place, number in enumerate(mine):
            address = yield from phone.lookup(NAME)
            if place == 0:
                sock = yield from phone.connect(address)
            yield sock.sendall(head(number, photos[number]) + photos[number])
            answers[number] = yield sock.recv_exactly(16)
        sock.close()

    workers = [phone.start(worker(range(first, len(photos), CONNECTIONS))) for first in range(CONNECTIONS)]
    yield from workers
    return answers
