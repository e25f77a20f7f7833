"""Lab 25: write the rules of a firewall, in nft's language.

The database listens on 10.0.0.2, port 5432. The rules are on its own host.

- The application, 10.0.0.1, may connect to port 5432.
- Everybody else gets a reset at once, because a timeout costs hours of search.
- A connection that is open already goes on, whosever it is.
- Other ports, such as 22, stay as they are.

The rules of a chain are tried from the top. Some that you can use:

    ct state established,related accept
    ip saddr 192.0.2.1 tcp dport 80 accept
    tcp dport 80 drop
    tcp dport 80 reject with tcp reset
"""

RULES = """
table ip guard {
    chain input {
        type filter hook input priority filter; policy accept;
        tcp dport 5432 drop
    }
}
"""
