"""A typical wrong answer: it forgets the fields that Connection names."""


def forward(fields, client):
    """Return the fields for the server."""
    ends_here = {"connection", "keep-alive", "x-forwarded-for"}
    chain = []
    for name, value in fields:
        if name.lower() == "connection":
            continue
        if name.lower() == "x-forwarded-for":
            chain.append(value)
    passed = [(name, value) for name, value in fields if name.lower() not in ends_here]
    return [*passed, ("X-Forwarded-For", ", ".join([*chain, client]))]
