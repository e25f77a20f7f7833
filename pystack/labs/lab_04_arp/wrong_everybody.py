"""A typical wrong answer: it learns every sender, so that one station can fill the cache with what nobody asked for."""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    cache[sender_ip] = sender_mac
    if request and target_ip == own_ip:
        return sender_ip, sender_mac
    return None
