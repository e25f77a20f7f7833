"""Lab 22: give the messages of each stream to the program in order.

`deliver` gets what arrives, in the order of the times: (time, stream, number). The numbers of a
stream begin with 0, and count its messages. It returns what the program gets: (time, stream,
number), in the order in which it gets them.

The messages of a stream must come in order and without gaps, each once. A message that must
wait for an earlier one of its stream is given to the program at the moment at which the gap is
closed, after the one that closes it. Streams do not wait for each other. A message may arrive
twice.
"""


def deliver(arrivals):
    """Return what the program gets, and when."""
    return list(arrivals)
