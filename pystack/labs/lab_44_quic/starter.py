"""Lab 44: from a log of packets, compute when each stream is complete, over QUIC and over TCP.

A log has the packets in the order in which they were sent: `(arrived, frames)`. `arrived` is
the time at which the packet arrived, or None if it was lost. `frames` says whose data is in the
packet: `(stream, number)`, where the frames of a stream have the numbers 0, 1, 2, ... The
frames of a lost packet are repeated in a later packet, perhaps together with other frames. Each
frame arrives at least once, and some arrive twice, because a sender may believe that a packet
was lost although it was not.

A stream is complete when all its frames have been given to the program. Both functions return a
dict: stream -> this time.

- Over QUIC, the order holds in each stream.
- Over TCP, the same frames are one sequence, in the order in which they were sent for the first
  time, and the order holds in this sequence.
"""


def over_quic(log):
    """Return when each stream is complete over QUIC."""
    return {}


def over_tcp(log):
    """Return when each stream is complete over TCP."""
    return {}
