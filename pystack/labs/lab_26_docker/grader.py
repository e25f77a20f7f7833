"""Grades SERVICES: sets the containers up, and asks from the internet and from one container to the other."""

import errno
from types import ModuleType
from typing import Any

from pystack.labs.lab_26_docker.experiment import published
from pystack.labs.lab_26_docker.world import CLIENT, HOST, Docker
from pystack.labs.values import WrongAnswer

HINTS = [
    "Follow a SYN of a client: to which address and port does it come, what is written over these, and which socket takes it?",
    "Whatever has to be asked from another container must listen on an address that is not the loopback's. What must be asked from the internet must be published.",
    'The web service: listen on "0.0.0.0", publish "8080:80", no proxy. The database: publish nothing.',
]
WRONG = {
    "wrong_loopback.py": "The host translates the client's SYN, and the container of the web service answers with a reset. Does the program listen on an address that others can reach?",
    "wrong_ports.py": "Nothing is at port 8080 of the host. The outer port comes first: OUTER:INNER.",
    "wrong_proxy.py": "The log of the web service has 172.17.0.1 instead of the client's address. Who makes the connection that it accepts?",
    "wrong_closed.py": "The web service does not reach the database. A container has its own loopback interface, which others cannot reach.",
    "wrong_open.py": "The database is open to the internet. The web service needs no published port, because it is on the same bridge.",
}


def prepare() -> None:
    """Load what the containers' resolver and the proxy need, which a learner's file may not do."""
    published(proxy=True)


def outer(service: Any) -> list[str]:
    """Return the ports of the host that a service is published at."""
    return [str(ports).rpartition(":")[0].rpartition(":")[2] for ports in service["publish"]]


def setup(services: Any) -> tuple[Docker, list[str]]:
    """Start the services as the learner's file says. Returns the network, and the log of the web service."""
    world = Docker()
    log: list[str] = []
    for name, host in (("app", world.c1), ("db", world.c2)):
        try:
            one = services[name]
            peers = world.serve(host, one["port"], one["listen"])
            for ports in one["publish"]:
                world.docker.publish(ports, host, proxy=one["proxy"])
        except (KeyError, TypeError):
            raise WrongAnswer("SERVICES has another form than in the starter file. Change only the values.") from None
        except (ValueError, OSError) as error:
            raise WrongAnswer(f"The setup of {name} fails: {error}") from None
        log = peers if name == "app" else log
    return world, log


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    services: Any = getattr(answer, "SERVICES", None)
    world, log = setup(services)
    if (services["app"]["port"], services["db"]["port"]) != (80, 5432):
        raise WrongAnswer("The programs' own ports, 80 and 5432, cannot be changed.")
    found = world.ask(world.client, HOST, 8080)
    if found != b"hello":
        if "8080" not in outer(services["app"]):
            raise WrongAnswer(WRONG["wrong_ports.py"])
        if found in (errno.ECONNREFUSED, errno.ECONNRESET):
            raise WrongAnswer(WRONG["wrong_loopback.py"])
        raise WrongAnswer("The client gets no answer from port 8080 of the host.")
    if log[-1] != CLIENT:
        raise WrongAnswer(WRONG["wrong_proxy.py"])
    if world.ask(world.c1, "172.17.0.3", 5432) != b"hello":
        raise WrongAnswer(WRONG["wrong_closed.py"])
    ports = [int(port) for port in outer(services["db"])]
    if any(world.ask(world.client, HOST, port) == b"hello" for port in [*ports, 5432]):
        raise WrongAnswer(WRONG["wrong_open.py"])
