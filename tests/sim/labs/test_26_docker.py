"""Lab 26: Docker networking. Bridge, masquerade, published ports by translation and by a proxy, names, and their controls."""

import errno
import socket

import pytest

pytest.importorskip("dns")

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream

HOST, CLIENT, SERVER = "192.0.2.10", "198.51.100.7", "198.51.100.80"


class Lab:
    """c1 (.2) and c2 (.3) on docker0 of a host (192.0.2.10), a router, and a client outside (198.51.100.7)."""

    def __init__(self, masquerade: bool = True):
        self.net = net = Network(seed=26)
        self.docker = net.container_host("docker", masquerade=masquerade)
        self.c1, self.c2 = self.docker.container("c1"), self.docker.container("c2")
        self.router, self.client = net.router("internet"), net.host("client")
        net.link(self.docker, self.router, addrs=(f"{HOST}/24", "192.0.2.1/24"), delay=MS)
        net.link(self.client, self.router, addrs=(f"{CLIENT}/24", "198.51.100.1/24"), delay=10 * MS)
        self.docker.route("default", via="192.0.2.1")
        self.client.route("default", via="198.51.100.1")
        #: (source, TTL) of each packet that arrived at a host, by its name
        self.arrived: dict[str, list[tuple[str, int]]] = {}
        for host in (self.c1, self.c2, self.client):
            host.port().taps.append(self._tap(host.name))

    def _tap(self, name: str):
        packets = self.arrived.setdefault(name, [])

        def tap(time, direction, frame):
            if direction == 1 and frame[12:14] == b"\x08\x00" and frame[23] == 6:
                packets.append((".".join(map(str, frame[26:30])), frame[22]))

        return tap

    def serve(self, host, port: int = 80, address: str = "") -> list[str]:
        """Answer connections with "hello". Returns the list of the addresses of those that connect."""
        peers: list[str] = []
        sock = stream(host)
        sock.bind(address, port)
        sock.listen()

        def answer():
            while True:
                found = yield sock.accept()
                peers.append(".".join(str(byte) for byte in found.endpoint.raddr.to_bytes(16, "big")[12:]))
                yield found.sendall(b"hello")
                found.close()

        spawn(self.net, answer())
        return peers

    def ask(self, host, address: str, port: int = 80):
        """Connect. What was received, or the errno; "" if there was no answer within 3 s."""

        def program():
            sock = stream(host)
            try:
                yield sock.within(sock.connect(address, port), 3 * S)
                return (yield sock.within(sock.recv_all(), 3 * S))
            except OSError as error:
                return error.errno
            finally:
                sock.close()

        proc = spawn(self.net, program())
        self.net.run_until(proc.finished, limit=self.net.now + 20 * S)
        return proc.value


def test_addresses():
    lab = Lab()
    assert lab.docker.gateway == "172.17.0.1"
    assert [host.addresses() for host in (lab.c1, lab.c2)] == [["172.17.0.2"], ["172.17.0.3"]]
    assert [port.name for port in lab.docker.ports] == ["docker0", "eth0"]


def test_containers_reach_each_other_through_the_bridge():
    lab = Lab()
    lab.serve(lab.c2)
    flooded = []
    bridge = lab.docker.bridge
    deliver = bridge.deliver

    def watch(port, frame):
        before = bridge.flooded
        deliver(port, frame)
        flooded.append(bridge.flooded > before)

    bridge.deliver = watch
    assert lab.ask(lab.c1, "172.17.0.3") == b"hello"
    assert set(lab.arrived["c2"]) == {
        ("172.17.0.2", 64)
    }  # no router decremented the TTL, and nobody translated the source
    assert flooded[:2] == [True, False]  # c1's ARP request, and the reply
    assert flooded.count(True) == 1
    assert len(bridge.fdb.entries) == 2


def test_a_container_and_the_world_outside():
    lab = Lab()
    peers = lab.serve(lab.client)
    assert lab.ask(lab.c1, CLIENT) == b"hello"
    assert peers == [HOST]
    # The container sends with 64, and two routers are on the way: 63 leaves the host.
    assert set(lab.arrived["client"]) == {(HOST, 62)}


def test_63_leaves_the_host():
    lab = Lab()
    seen = []
    lab.docker.port("eth0").taps.append(lambda time, way, frame: seen.append((way, frame[26:30], frame[22])))
    lab.serve(lab.client)
    assert lab.ask(lab.c1, CLIENT) == b"hello"
    assert {ttl for way, source, ttl in seen if way == 2 and source == bytes([192, 0, 2, 10])} == {63}


def test_control_without_masquerade():
    lab = Lab(masquerade=False)
    peers = lab.serve(lab.client)
    assert lab.ask(lab.c1, CLIENT) == errno.ETIMEDOUT
    assert peers == []
    assert {source for source, _ in lab.arrived["client"]} == {"172.17.0.2"}  # the SYN leaves with c1's own address
    assert lab.arrived["c1"] == []  # and no SYN-ACK returns


@pytest.mark.parametrize(("proxy", "seen"), [(False, CLIENT), (True, "172.17.0.1")])
def test_a_published_port(proxy, seen):
    lab = Lab()
    peers = lab.serve(lab.c1)
    lab.docker.publish("8080:80", lab.c1, proxy=proxy)
    assert lab.ask(lab.client, HOST, 8080) == b"hello"
    assert peers == [seen]
    assert {source for source, _ in lab.arrived["c1"]} == {seen}
    assert lab.ask(lab.client, HOST, 8081) == errno.ECONNREFUSED  # the control: another port of the host


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


@pytest.mark.parametrize("proxy", [False, True])
def test_a_service_on_the_loopback_of_a_container(proxy):
    lab = Lab()
    peers = lab.serve(lab.c1, address="127.0.0.1")
    lab.docker.publish("8080:80", lab.c1, proxy=proxy)
    assert lab.ask(lab.client, HOST, 8080) in ((errno.ECONNRESET,) if proxy else (errno.ECONNREFUSED,))
    assert peers == []
    assert lab.ask(lab.c1, "127.0.0.1") == b"hello"  # it does listen


def test_a_container_cannot_be_reached_directly_from_outside():
    lab = Lab()
    lab.serve(lab.c1)
    errors = []
    lab.client.port().taps.append(lambda time, way, frame: errors.append(frame[26:36]) if frame[23] == 1 else None)
    assert lab.ask(lab.client, "172.17.0.2") == errno.ETIMEDOUT  # (connect() waits for another way: RFC 1122 4.2.3.9)
    assert lab.arrived["c1"] == []
    # The router says that the network is unreachable.
    assert {(".".join(map(str, error[:4])), error[8], error[9]) for error in errors} == {("198.51.100.1", 3, 0)}


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
