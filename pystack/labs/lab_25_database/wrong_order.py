"""A typical wrong answer: the rule that rejects comes first."""

RULES = """
table ip guard {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        tcp dport 5432 reject with tcp reset
        ip saddr 10.0.0.1 tcp dport 5432 accept
    }
}
"""
