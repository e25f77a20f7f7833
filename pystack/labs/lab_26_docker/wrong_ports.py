"""A typical wrong answer: the ports are in the wrong order."""

SERVICES = {
    "app": {"listen": "0.0.0.0", "port": 80, "publish": ["80:8080"], "proxy": False},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": [], "proxy": False},
}
