"""A typical wrong answer: it looks only at packets about its own address, and so it misses that a neighbour has moved."""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    if target_ip != own_ip:
        return None
    cache[sender_ip] = sender_mac
    return (sender_ip, sender_mac) if request else None
