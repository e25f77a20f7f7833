"""The queue between the layers: order, growth, and the ring's seam."""

import random
from collections import deque

from pystack_c.base.fifo import Fifo


def test_it_is_a_queue_whatever_the_order_of_calls():
    r = random.Random(7)
    fifo, model = Fifo(), deque()
    for n in range(5000):
        if r.random() < (0.6 if n < 2500 else 0.4) or not model:
            fifo.append(n)
            model.append(n)
        else:
            assert fifo.first() == model[0]
            assert fifo.popleft() == model.popleft()
        assert len(fifo) == fifo.count == len(model)
        if n % 500 == 0:
            assert list(fifo) == list(model)
    fifo.clear()
    assert list(fifo) == [] and not fifo


def test_what_was_taken_is_not_kept():
    fifo = Fifo()
    for _ in range(9):
        fifo.append(object())
    for _ in range(9):
        fifo.popleft()
    assert all(slot is None for slot in fifo.slots)
