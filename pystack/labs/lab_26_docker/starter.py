"""Lab 26: repair the setup of two containers.

`app` is a web service, whose program listens on port 80. `db` is a database with port 5432.
Change addresses, ports and options so that

- a client on the internet reaches the web service at port 8080 of the host,
- the log of the web service has the address of each client,
- the web service reaches the database at port 5432 of its container, and nobody on the internet
  can.

"listen" is the address on which the program in the container listens. "publish" is a list of
"OUTER:INNER": the port OUTER of the host becomes the port INNER of the container. "proxy" says
whether a program on the host carries the connections of these ports, instead of the address
translation.
"""

SERVICES = {
    "app": {"listen": "127.0.0.1", "port": 80, "publish": ["80:8080"], "proxy": True},
    "db": {"listen": "0.0.0.0", "port": 5432, "publish": ["5432:5432"], "proxy": False},
}
