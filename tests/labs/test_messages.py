"""The messages of lab 31 are those of MongoDB: its own library reads and writes the same BSON."""

import pytest

from pystack.labs.lab_31_wireshark_mongodb.messages import HEAD, OP_MSG, bson, message, read

theirs = pytest.importorskip("bson", reason="pip install pymongo")
DOCUMENT = {"text": "Grüße", "small": -5, "large": 7 << 32, "ok": 1.0, "list": [{"_id": 1}, {}], "empty": []}


def test_documents_are_those_of_the_library():
    assert bson(DOCUMENT) == theirs.encode(DOCUMENT)
    assert read(theirs.encode(DOCUMENT)) == DOCUMENT


def test_a_message_has_a_header_with_its_length_and_a_document():
    data = message(DOCUMENT, 8, 7)
    assert HEAD.unpack_from(data) == (len(data), 8, 7, OP_MSG)
    assert read(data, HEAD.size + 5) == DOCUMENT
