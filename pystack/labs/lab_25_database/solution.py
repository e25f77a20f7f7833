"""Lab 25: what is open, then what is allowed, then a reset for the rest of this port."""

RULES = """
table ip guard {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        ip saddr 10.0.0.1 tcp dport 5432 accept
        tcp dport 5432 reject with tcp reset
    }
}
"""
