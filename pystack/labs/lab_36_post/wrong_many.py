"""A typical wrong answer: a connection for each photo, all at the same time."""

NAME = "shop.test"


def upload(phone, photos, head):
    """Send all photos. Returns the answers, in the order of the photos."""
    address = yield from phone.lookup(NAME)
    answers = [None] * len(photos)

    def worker(number):
        sock = yield from phone.connect(address)
        yield sock.sendall(head(number, photos[number]) + photos[number])
        answers[number] = yield sock.recv_exactly(16)
        sock.close()

    workers = [phone.start(worker(number)) for number in range(len(photos))]
    yield from workers
    return answers
