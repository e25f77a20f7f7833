"""Lab 4: write what a host does with an ARP packet.

`receive` gets the host's cache (a dict: IP address -> MAC address), the host's own addresses,
and the packet: whether it is a request, the sender's IP and MAC addresses, and the IP address
about which the packet is. It changes the cache as RFC 826 says, and returns the IP and MAC
address of the station that gets a reply, as a pair, or None if the host sends no reply.

RFC 826: if the sender is in the cache, put its new MAC address there. If the packet is about
the own address, put the sender in the cache even if it was not there, and answer if it is a
request.
"""


def receive(cache, own_ip, request, sender_ip, sender_mac, target_ip):
    """Change the cache. Return (ip, mac) of the station that gets a reply, or None."""
    return None
