"""Lab 1: each header says how long it is, and the IP header says how long the packet is."""


def layers(frame):
    """Return [ethernet, ip, tcp, data], in bytes."""
    packet = frame[14:]
    ip = (packet[0] & 15) * 4
    tcp = (packet[ip + 12] >> 4) * 4
    total = int.from_bytes(packet[2:4], "big")
    return [14, ip, tcp, total - ip - tcp]
