"""Lab 24: choose a backend for a flow, without a table.

A large balancer consists of many machines, and any of them may get the next packet of a
connection. They share no table. So `choose` computes the backend from the flow alone, and each
machine computes the same. It gets the flow, (client's address, client's port, server's address,
server's port), and the list of the backends that are alive, such as ["10.0.1.2", "10.0.2.2"].
The machines learn the list in different orders.

- All packets of a flow go to the same backend, on each machine.
- The flows are spread evenly, also if all come from one client.
- If a backend dies, only its own flows move. The others stay where they are, or else their
  connections break.

`number` turns a text into a large number that looks like chance, and is the same each time.
"""

import hashlib


def number(text):
    """Return a number for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(flow, backends):
    """Return one of the backends."""
    return backends[0]
