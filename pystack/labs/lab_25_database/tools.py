"""A real PostgreSQL and psql on kernel hosts, with pystack's firewall between them, by the real clock."""

import time
from typing import Any

from pystack.labs.hosts import LIMIT, postgres, said
from pystack.sim.network import MS, Network

CLIENT, DATABASE, OTHER = "10.0.0.1", "10.0.1.2", "10.0.1.3"
ANSWER, REFUSED, TIMEOUT = 0, 1, 2
RULES = """
flush ruleset
table ip guard {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {}
    }}
}}"""
TO_DATABASE = "ip saddr 10.0.0.1 tcp dport 5432"


def network() -> Network:
    """Build the network: the client, a router with the firewall, and the database's host, which has two addresses."""
    net = Network(1)
    client, router, database = net.kernel("client"), net.router("firewall"), net.kernel("database")
    net.link(client, router, delay=MS, addrs=(f"{CLIENT}/24", "10.0.0.254/24"))
    net.link(database, router, delay=MS, addrs=(f"{DATABASE}/24", "10.0.1.254/24"))
    database.addr(f"{OTHER}/24")
    client.route("default", via="10.0.0.254")
    database.route("default", via="10.0.1.254")
    return net


def asked(client: Any, address: str = DATABASE, patience: int = 20) -> int:
    """Ask for a row. psql waits so many seconds for a connection. Returns what it says: ANSWER, REFUSED, TIMEOUT, or -1 for anything else."""
    text = said(
        client,
        "psql",
        "-X",
        "-A",
        "-t",
        f"host={address} user=postgres dbname=postgres connect_timeout={patience}",
        "-c",
        "select 42",
    )
    if text.strip() == "42":
        return ANSWER
    return REFUSED if "Connection refused" in text else TIMEOUT if "timeout expired" in text else -1


def outcomes() -> list[int]:
    """Ask for a row with four networks: the client is allowed, rejected, dropped, and the server does not listen on the address."""
    with network() as net, postgres(net.kernels["database"], DATABASE):
        client, router = net.kernels["client"], net.hosts["firewall"]
        end = time.monotonic() + LIMIT
        while asked(client) != ANSWER and time.monotonic() < end:
            time.sleep(0.1)  # the database is starting
        found = []
        for decision in ("accept", "reject with tcp reset"):
            router.nft(RULES.format(f"{TO_DATABASE} {decision}"))
            found.append(asked(client))
        router.nft(RULES.format(f"{TO_DATABASE} drop"))
        found.append(asked(client, patience=2))  # there is no answer, however long it waits
        router.nft("flush ruleset")
        return [*found, asked(client, OTHER)]
