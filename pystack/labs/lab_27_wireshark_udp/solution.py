"""Lab 27: two headers of IPv4, each with its own length."""


def offender(packet):
    """Return (source, port, destination, port), or None."""
    error = packet[(packet[0] & 15) * 4 :]
    if packet[9] != 1 or error[0] != 3:
        return None
    quoted = error[8:]
    header = (quoted[0] & 15) * 4
    if quoted[9] != 17:
        return None
    ports = [int.from_bytes(quoted[at : at + 2], "big") for at in (header, header + 2)]
    source, destination = (".".join(map(str, quoted[at : at + 4])) for at in (12, 16))
    return source, ports[0], destination, ports[1]
