"""A typical wrong answer: the database is published."""

SERVICES = {
    "app": {"listen": "0.0.0.0", "port": 80, "publish": ["8080:80"], "proxy": False},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": ["5432:5432"], "proxy": False},
}
