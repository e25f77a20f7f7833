"""A typical wrong answer: a proxy hides the clients."""

SERVICES = {
    "app": {"listen": "0.0.0.0", "port": 80, "publish": ["8080:80"], "proxy": True},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": [], "proxy": False},
}
