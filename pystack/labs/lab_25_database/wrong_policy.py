"""A typical wrong answer: it closes all ports."""

RULES = """
table ip guard {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ip saddr 10.0.0.1 tcp dport 5432 accept
        tcp dport 5432 reject with tcp reset
    }
}
"""
