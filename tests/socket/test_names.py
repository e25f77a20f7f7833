"""Names without DNS: the calls agree with glibc's, and a stack knows its table, its own name and its network's hosts."""

import asyncio
import socket as std
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pystack import patch, socket
from pystack.running import up
from pystack.sim import MS, Network
from pystack.sockets.resolve import Names
from pystack.sockets.services import TABLE, name_of, port_of
from tests.support import names


def code(call, *args):
    """The number of the error that a call raises."""
    with pytest.raises((std.gaierror, std.herror)) as caught:
        call(*args)
    return caught.value.errno


def test_calls_with_addresses_and_wrong_arguments_are_glibcs():
    theirs, mine = (names.ask(module, names.NUMERIC_CALLS) for module in (std, socket))
    different = [row for row in zip(names.NUMERIC_CALLS, theirs, mine) if row[1] != row[2]]
    assert different == []
    assert len({str(each) for each in mine}) > 40  # control: they do have different results


def test_usual_services_need_no_file(monkeypatch):
    for name, (port, protocols) in TABLE.items():
        for protocol in protocols:
            assert (std.getservbyname(name, protocol), std.getservbyport(port, protocol)) == (port, name)
    monkeypatch.setattr("_socket.getservbyname", lambda *args: pytest.fail("a file was read"))
    assert (port_of("www", "tcp"), port_of("tftp", "udp"), name_of(443, "tcp")) == (80, 69, "https")


def test_a_stack_knows_its_table_and_its_own_name():
    hosts = {"db": "10.0.0.5", "Pool": ["10.0.0.7", "10.0.0.6"]}
    with up(tap=None, name="Me.lan", hosts=hosts) as stack:
        assert socket.gethostbyname("DB.") == "10.0.0.5"
        assert socket.gethostbyname_ex("pool") == ("Pool", [], ["10.0.0.7", "10.0.0.6"])
        assert socket.gethostbyaddr("10.0.0.6") == ("Pool", [], ["10.0.0.6"])
        assert socket.gethostbyname("x.localhost") == "127.0.0.1"
        assert socket.gethostname() == "Me.lan"
        assert socket.getaddrinfo("me.LAN", 80, type=1, flags=socket.AI_CANONNAME)[0][3:] == (
            "Me.lan",
            ("127.0.0.1", 80),
        )
        socket.sethostname("other")
        assert (
            socket.gethostbyname("other") == "127.0.0.1" and code(socket.gethostbyname, "me.lan") == socket.EAI_NONAME
        )
        assert stack.host.names.table is not Names().table


def test_the_own_name_has_the_stacks_addresses():
    net = Network()
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    a.addr("10.0.0.9/24")

    def program():
        assert socket.gethostbyname_ex("a") == ("a", [], ["10.0.0.1", "10.0.0.9"])
        assert socket.gethostbyaddr("10.0.0.9")[0] == socket.getfqdn() == "a"
        assert socket.gethostbyaddr("10.0.0.2") == ("b", [], ["10.0.0.2"])
        assert socket.getnameinfo(("10.0.0.2", 80), 0) == ("b", "http")
        assert code(socket.gethostbyaddr, "10.0.0.3") == 1

    net.run({a: program})


def test_a_host_is_reached_by_its_name_without_a_question():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.headers["Host"].encode())

        def log_message(self, *args):
            pass

    net = Network(hosts={"mirror": "10.0.0.2"})
    client, web = net.host("client"), net.host("web")
    net.link(client, web, delay=MS, addrs=("10.0.0.1/24", "10.0.0.2/24"))

    def server():
        with HTTPServer(("web", 80), Handler) as httpd:
            httpd.serve_forever()

    async def ask():
        reader, writer = await asyncio.open_connection("web", 80)
        writer.write(b"GET / HTTP/1.0\r\nHost: async\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.splitlines()[-1]

    def get():
        return [urllib.request.urlopen(f"http://{host}/").read() for host in ("web", "mirror")]

    results = net.run({client: [get, ask]}, background={web: server})
    assert results == {client: [[b"web", b"mirror"], b"async"]}
    assert client.counters.UdpOutDatagrams == 0


def test_the_order_of_addresses_is_for_each_host():
    """RFC 6724 rule 9: the addresses of the own subnet come first, and those with more bits in common before others."""
    net = Network(hosts={"all": ["10.1.0.9", "10.0.0.200", "10.0.0.77", "192.0.2.1"]})
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.65/24", "10.0.0.194/24"))
    b.route("default", via="10.0.0.65")

    def program():
        return [entry[4][0] for entry in socket.getaddrinfo("all", 80, type=socket.SOCK_STREAM)]

    assert net.run({a: program, b: program}) == {
        # a has no route to the others: they cannot be used (rule 1), and keep their order (rule 10)
        a: ["10.0.0.77", "10.0.0.200", "10.1.0.9", "192.0.2.1"],
        b: ["10.0.0.200", "10.0.0.77", "10.1.0.9", "192.0.2.1"],
    }
    assert net.run({b: lambda: socket.gethostbyname_ex("all")[2][0]}) == {b: "10.1.0.9"}  # this call does not sort


def test_threads_of_a_patched_program_use_the_stacks_names():
    found = []
    with up(tap=None, hosts={"db": "10.0.0.5"}), patch():
        thread = threading.Thread(target=lambda: found.append(std.gethostbyname("db")))
        thread.start()
        thread.join(10)
    assert found == ["10.0.0.5"]


def test_wrong_names_are_refused():
    for hosts in ({"db": "10.0.0.1 x"}, {"db": ["::1"]}, {"db": "elsewhere"}):
        with pytest.raises(ValueError, match="is not an IPv4 address"):
            up(tap=None, hosts=hosts)
    with pytest.raises(FileNotFoundError):
        up(tap=None, hosts="/nowhere/hosts")
    with pytest.raises(ValueError, match="search domains are for DNS"):
        up(tap=None, search=["example"])
