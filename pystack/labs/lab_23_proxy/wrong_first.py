"""A typical wrong answer: the client is in front of the earlier proxies."""


def forward(fields, client):
    """Return the fields for the server."""
    ends_here = {"connection", "keep-alive", "x-forwarded-for"}
    chain = []
    for name, value in fields:
        if name.lower() == "connection":
            ends_here.update(part.strip().lower() for part in value.split(","))
        if name.lower() == "x-forwarded-for":
            chain.append(value)
    passed = [(name, value) for name, value in fields if name.lower() not in ends_here]
    return [*passed, ("X-Forwarded-For", ", ".join([client, *chain]))]
