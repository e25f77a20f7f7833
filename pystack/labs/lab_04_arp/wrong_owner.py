"""A typical wrong answer: it answers for all addresses in its cache."""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    known = target_ip in cache
    if sender_ip in cache or target_ip == own_ip:
        cache[sender_ip] = sender_mac
    if request and (target_ip == own_ip or known):
        return sender_ip, sender_mac
    return None
