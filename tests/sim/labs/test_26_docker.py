"""A host of containers, beyond what lab 26 measures: more published ports, names, containers that are switched off, mistakes."""

import errno
import socket

import pytest

pytest.importorskip("dns")

from pystack.labs.lab_26_docker.world import CLIENT, HOST
from pystack.labs.lab_26_docker.world import Docker as Lab
from pystack.sim.network import Network


def test_addresses():
    lab = Lab()
    assert lab.docker.gateway == "172.17.0.1"
    assert [host.addresses() for host in (lab.c1, lab.c2)] == [["172.17.0.2"], ["172.17.0.3"]]
    assert [port.name for port in lab.docker.ports] == ["docker0", "eth0"]


@pytest.mark.parametrize("proxy", [False, True])
def test_a_port_is_published_once(proxy):
    lab = Lab()
    lab.docker.publish("8080:80", lab.c1, proxy=proxy)
    for again in ("8080:81", f"{HOST}:8080:80"):
        with pytest.raises(ValueError, match="the tcp port 8080 of docker is published already"):
            lab.docker.publish(again, lab.c1)
    lab.docker.publish("8080:80", lab.c1, "udp")
    lab.docker.publish("8081:80", lab.c1)
    lab.serve(lab.c1)
    assert lab.ask(lab.client, HOST, 8080) == b"hello"


def test_published_ports_of_the_host_itself_and_of_another_container():
    lab = Lab()
    peers = lab.serve(lab.c1)
    lab.docker.publish("8080:80", lab.c1)
    assert lab.ask(lab.docker, HOST, 8080) == b"hello"
    assert lab.ask(lab.c2, HOST, 8080) == b"hello"
    assert lab.ask(lab.c1, HOST, 8080) == b"hello"  # its own port: the answers come back by the same way (hairpin)
    assert peers[1:] == ["172.17.0.1", "172.17.0.1"]


def test_a_connection_of_a_container_to_the_same_port_elsewhere_is_left_alone():
    lab = Lab()
    here, there = lab.serve(lab.c1), lab.serve(lab.client, 8080)
    lab.docker.publish("8080:80", lab.c1)
    assert lab.ask(lab.c2, CLIENT, 8080) == b"hello"
    assert (here, there) == ([], [HOST])


def test_an_address_that_comes_later_and_one_that_is_named():
    lab = Lab()
    lab.serve(lab.c1)
    lab.docker.publish("8080:80", lab.c1)
    lab.docker.publish("192.0.2.11:8081:80", lab.c1)
    lab.docker.addr("192.0.2.11/24")
    answers = [lab.ask(lab.client, f"192.0.2.{last}", port) for last in (10, 11) for port in (8080, 8081)]
    assert answers == [b"hello", errno.ECONNREFUSED, b"hello", b"hello"]


def test_names_by_the_embedded_resolver():
    lab = Lab()
    frames = []
    lab.c1.port().taps.append(lambda time, way, frame: frames.append(frame))

    def look():
        found = [socket.gethostbyname("c2"), socket.gethostbyname("c1"), socket.gethostbyaddr("172.17.0.3")[0]]
        for name in ("client", "nowhere"):  # a host outside is no container
            with pytest.raises(socket.gaierror):
                socket.gethostbyname(name)
        return found

    assert lab.net.run({lab.c1: look}) == {lab.c1: ["172.17.0.3", "172.17.0.2", "c2"]}
    assert frames == []  # the resolver is in the container, so nothing was on the wire


def test_the_resolver_asks_a_server_for_other_names():
    import dns.message
    import dns.rrset

    net = Network(seed=26)
    docker = net.container_host("docker", dns=["192.0.2.53"])
    c1 = docker.container("c1")
    server = net.host("server")
    net.link(docker, server, addrs=(f"{HOST}/24", "192.0.2.53/24"))

    def serve():
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("", 53))
            while True:
                data, peer = sock.recvfrom(4096)
                assert peer[0] == HOST  # the question left the container, and was masqueraded
                query = dns.message.from_wire(data)
                reply = dns.message.make_response(query)
                if query.question[0].rdtype == 1:
                    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "203.0.113.9"))
                sock.sendto(reply.to_wire(), peer)

    def look():
        return socket.gethostbyname("www.example.com"), socket.gethostbyname("c1")

    assert net.run({c1: look}, background={server: serve}) == {c1: ("203.0.113.9", "172.17.0.2")}


def test_a_container_that_is_switched_off_and_on():
    lab = Lab()
    lab.c1.crash()
    lab.c1.boot()
    assert lab.net.run({lab.c1: lambda: socket.gethostbyname("c2")}) == {lab.c1: "172.17.0.3"}
    lab.serve(lab.c1)
    lab.docker.publish("8080:80", lab.c1)
    lab.docker.publish("8081:80", lab.c1, proxy=True)
    assert lab.ask(lab.client, HOST, 8081) == b"hello"
    lab.docker.crash()
    lab.docker.boot()
    lab.c2.crash()
    lab.c2.boot()
    assert lab.ask(lab.client, HOST, 8080) == lab.ask(lab.client, HOST, 8081) == b"hello"


def test_mistakes():
    lab = Lab()
    with pytest.raises(ValueError, match="write OUTER:INNER or ADDRESS:OUTER:INNER"):
        lab.docker.publish("8080", lab.c1)
    with pytest.raises(ValueError, match="is no container of docker"):
        lab.docker.publish("8080:80", lab.client)
    with pytest.raises(ValueError, match="the proxy carries TCP only"):
        lab.docker.publish("53:53", lab.c1, "udp", proxy=True)
    with pytest.raises(ValueError, match="is not a free address"):
        lab.docker.container("c3", address="172.17.0.2")
    with pytest.raises(ValueError, match="at most 29 bits"):
        lab.net.container_host("small", subnet="10.0.0.0/30")
    assert lab.docker.container("c4", address="172.17.0.4").addresses() == ["172.17.0.4"]
    assert lab.docker.container("c5").addresses() == ["172.17.0.5"]


def test_options_of_the_host():
    docker = Network(seed=1).container_host("docker", profile="lab", subnet="10.5.0.0/24", tcp_rmem=65_536)
    assert docker.stack.config.tcp_rmem == 65_536
    assert docker.container("c").addresses() == ["10.5.0.2"]
