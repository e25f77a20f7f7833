"""A typical wrong answer: it drops, so others wait for their timeout."""

RULES = """
table ip guard {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        ip saddr 10.0.0.1 tcp dport 5432 accept
        tcp dport 5432 drop
    }
}
"""
