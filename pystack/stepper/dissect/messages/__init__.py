"""The messages of programs in a TCP stream: HTTP/1.1, HTTP/2, WebSocket, server-sent events, PostgreSQL and MongoDB.

    talk = TalkReader()
    for message in talk.take(0, b"GET / HTTP/1.1\\r\\n\\r\\n"):
        print(message.line)

A message may be in several segments, and a segment may have several messages, so the bytes of each side are taken in order.
No bytes raise an exception: a message "malformed: ..." is the last one of its side. The fields have Wireshark's names.
"""

from pystack.stepper.dissect.messages.base import StreamMessage
from pystack.stepper.dissect.messages.talk import CHOICES, TalkReader

__all__ = ["CHOICES", "StreamMessage", "TalkReader"]
