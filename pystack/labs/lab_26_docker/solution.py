"""Lab 26: listen on all addresses of the container, publish the web service only, and translate."""

SERVICES = {
    "app": {"listen": "0.0.0.0", "port": 80, "publish": ["8080:80"], "proxy": False},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": [], "proxy": False},
}
