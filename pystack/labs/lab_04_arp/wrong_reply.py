"""A typical wrong answer: it answers replies, too."""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    if sender_ip in cache or target_ip == own_ip:
        cache[sender_ip] = sender_mac
    return (sender_ip, sender_mac) if target_ip == own_ip else None
