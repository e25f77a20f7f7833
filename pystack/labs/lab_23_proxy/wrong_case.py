"""A typical wrong answer: it compares the names as they are written."""


def forward(fields, client):
    """Return the fields for the server."""
    ends_here = {"Connection", "Keep-Alive", "X-Forwarded-For"}
    chain = []
    for name, value in fields:
        if name == "Connection":
            ends_here.update(part.strip() for part in value.split(","))
        if name == "X-Forwarded-For":
            chain.append(value)
    passed = [(name, value) for name, value in fields if name not in ends_here]
    return [*passed, ("X-Forwarded-For", ", ".join([*chain, client]))]
