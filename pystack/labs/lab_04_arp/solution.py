"""Lab 4: merge, then learn, then answer."""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    if sender_ip in cache or target_ip == own_ip:
        cache[sender_ip] = sender_mac
    if request and target_ip == own_ip:
        return sender_ip, sender_mac
    return None
