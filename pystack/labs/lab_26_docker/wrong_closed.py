"""A typical wrong answer: the database listens in its own container only, so the web service cannot reach it."""

SERVICES = {
    "app": {"listen": "0.0.0.0", "port": 80, "publish": ["8080:80"], "proxy": False},
    "db": {"listen": "127.0.0.1", "port": 5432, "publish": [], "proxy": False},
}
