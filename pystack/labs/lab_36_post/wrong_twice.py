"""A typical wrong answer: each photo goes over two connections, so that the faster one decides."""

NAME = "shop.test"
CONNECTIONS = 4


def upload(phone, photos, head):
    """Send all photos. Returns the answers, in the order of the photos."""
    address = yield from phone.lookup(NAME)
    answers = [None] * len(photos)

    def worker(mine):
        sock = yield from phone.connect(address)
        for number in mine:
            if answers[number] is None:
                yield sock.sendall(head(number, photos[number]) + photos[number])
                answers[number] = yield sock.recv_exactly(16)
        sock.close()

    order = list(range(len(photos)))
    orders = [order[first:] + order[:first] for first in range(0, len(photos), len(photos) // CONNECTIONS)]
    workers = [phone.start(worker(one)) for one in orders]
    yield from workers
    return answers
