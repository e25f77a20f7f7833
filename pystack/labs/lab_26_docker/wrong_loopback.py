"""A typical wrong answer: the web service listens in its own container only."""

SERVICES = {
    "app": {"listen": "127.0.0.1", "port": 80, "publish": ["8080:80"], "proxy": False},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": [], "proxy": False},
}
