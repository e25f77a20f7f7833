"""The DHCP client (RFC 2131 section 4.4): a machine with the states of figure 5.

    INIT -> SELECTING -> REQUESTING -> BOUND -> RENEWING -> REBINDING -> INIT
    INIT-REBOOT -> REBOOTING -> BOUND

While the client checks with ARP whether the address is free, it is still in REQUESTING or REBOOTING. If no server answers, it takes a
link-local address (RFC 3927) and continues to look for a server. Differences from the RFC: the client does not wait for 1 to 10 s before
its first message (section 4.4.1), because one host alone causes no crowd (`ClientSettings.desync` changes this); and it takes the first offer.
"""

from dataclasses import dataclass, field

from pystack.dhcp import message as m
from pystack.dhcp.actions import BROADCAST, Configure, Deconfigure, Machine, S, SendArp, SendMessage
from pystack.dhcp.check import ANNOUNCE_INTERVAL, Check, LinkLocal, Probing
from pystack.dhcp.lease import Lease, lease_of
from pystack.dhcp.message import DhcpMessage

INIT, INIT_REBOOT, SELECTING, REQUESTING, REBOOTING = "INIT", "INIT-REBOOT", "SELECTING", "REQUESTING", "REBOOTING"
BOUND, RENEWING, REBINDING = "BOUND", "RENEWING", "REBINDING"
#: the first and the longest pause before a retransmission, each +- 1 s at random (RFC 2131 section 4.1), and how often a REQUEST is sent
FIRST_WAIT, LONGEST_WAIT, SPREAD = 4 * S, 64 * S, 1 * S
REQUESTS = 4
#: the shortest pause before a REQUEST is retransmitted in RENEWING and REBINDING (section 4.4.5)
RENEW_WAIT = 60 * S
#: the pause after a DECLINE (section 3.1 (5)), and after a NAK; after each further NAK it doubles
DECLINE_WAIT = 10 * S
NAK_WAIT, LONGEST_NAK_WAIT = 1 * S, 64 * S
#: what the client asks for (RFC 2132 section 9.8)
WANTED = bytes((m.SUBNET_MASK, m.ROUTES, m.ROUTER, m.DNS, m.DOMAIN_NAME, m.MTU, m.T1, m.T2))


@dataclass(frozen=True)
class ClientSettings:
    """How a client behaves. Times are in nanoseconds.

    host_name  the name that it gives to the server, or ""
    client_id  the option client identifier, or b"": the MAC address identifies it
    request    the address that it had before (number of 32 bits), for which it asks in INIT-REBOOT; 0: none
    probing    how it checks an address with ARP
    desync     the longest random wait before the first message (RFC 2131 section 4.4.1 says 10 s)
    fallback   how long no server answers before it takes a link-local address; None: it takes none
    timeout    how long `pystack.up` waits for an address, in seconds
    """

    host_name: str = ""
    client_id: bytes = b""
    request: int = 0
    probing: Probing = field(default_factory=Probing)
    desync: int = 0
    fallback: int | None = 10 * S
    timeout: float = 30.0


class Client(Machine):
    """One interface's client. Start it with `start`."""

    def __init__(self, mac: int, seed: object, settings: ClientSettings | None = None):
        super().__init__(f"{seed}/{mac:012x}/dhcp")
        self.mac = mac
        self.settings = settings or ClientSettings()
        self.state = INIT
        self.lease: Lease | None = None
        #: the options of the answer to `inform`
        self.informed: dict[int, bytes] = {}
        self.local: LinkLocal | None = None
        self._link_seed = f"{seed}"
        self._offer: Lease | None = None
        self._check: Check | None = None
        #: addresses and times of the lease that is checked, or is in use: when it was asked for (the lease begins then)
        self._asked = 0
        self._began = 0
        self._lease_began = 0
        self._xid = 0
        self._sent = 0
        self._tries = 0
        self._naks = 0
        self._announce: int | None = None
        self._inform = 0
        self._fall: int | None = None
        self._timer: int | None = None
        self._running = False

    # -- the user's calls --------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """Ask for an address: the former one (INIT-REBOOT), or any."""
        self._running = True
        wanted = self.settings.request
        self._enter(INIT_REBOOT if wanted else INIT, "the client starts", "RFC 2131 4.4.1")
        self._begin(now, self.spread(0, self.settings.desync))

    def release(self, now: int) -> None:
        """Give the address back, and stop (section 4.4.6)."""
        lease, bound = self.lease, self.state in (BOUND, RENEWING, REBINDING)
        if lease is not None and bound:
            self._new_xid()
            request = self._base(m.RELEASE, now)
            request.ciaddr = lease.addr
            request.options[m.SERVER_ID] = m.addr_bytes(lease.server)
            self._send(request, lease.addr, lease.server, "the user gives the address back", "RFC 2131 4.4.6")
        self._drop_lease()
        self._stop_local()
        self._enter(INIT, "the client stops", "RFC 2131 4.4.6")
        self._running = False
        self._timer = self._check = self._announce = self._fall = None
        self._settle()

    def inform(self, addr: int, now: int) -> None:
        """Ask for the options alone, with an address that the host has from elsewhere (section 3.4). The answer is in `informed`."""
        self._new_xid()
        self._inform = self._xid
        request = self._base(m.INFORM, now)
        request.ciaddr = addr
        self._send(request, addr, BROADCAST, "the host has an address and asks for the options", "RFC 2131 3.4")

    # -- what arrives ------------------------------------------------------------------------------------------------

    def message(self, data: bytes, src: int, now: int) -> None:
        """Machine.message: a datagram for port 68."""
        reply = self.read(data)
        if reply is None:
            return
        if reply.op != m.BOOTREPLY or reply.chaddr != self.mac.to_bytes(6, "big") or reply.xid != self._xid:
            self.drop("not-ours", "the message answers another client or another request", "RFC 2131 4.4.1")
            return
        if self._inform == reply.xid and reply.kind == m.ACK:
            self.informed, self._inform = reply.options, 0
            self.note("dhcp.message", "the server answers with the options", "RFC 2131 3.4", type="ACK")
        elif self.state == SELECTING and reply.kind == m.OFFER:
            self._offered(reply, now)
        elif reply.kind == m.NAK and self.state in (REQUESTING, REBOOTING, RENEWING, REBINDING):
            self._refused(reply, now)
        elif reply.kind == m.ACK and self.state in (REQUESTING, REBOOTING, RENEWING, REBINDING):
            self._acknowledged(reply, now)
        else:
            self.drop("wrong-state", f"{reply.name} means nothing in the state {self.state}", "RFC 2131 4.4")
        self._settle()

    def arp(self, sender: int, mac: int, target: int, now: int) -> None:
        """Machine.arp."""
        if self._check is not None and self._check.arp(sender, mac, target):
            self._decline(now)
        if self.local is not None:
            self.local.arp(sender, mac, target, now)
        self._settle()

    def timeout(self, now: int) -> None:
        """Machine.timeout."""
        if self._announce is not None and now >= self._announce:
            self._announce = None
            if self.lease is not None:
                self.actions.append(SendArp(self.lease.addr, self.lease.addr))
        if self.local is not None:
            self.local.timeout(now)
        if self._fall is not None and now >= self._fall:
            self._fall = None
            self.local = LinkLocal(self.mac, self._link_seed, self.settings.probing)
            self.note(
                "dhcp.message",
                "no server answers, so the client takes a link-local address",
                "RFC 3927 1.9",
                type="FALLBACK",
            )
            self.local.start(now)
        if self._check is not None:
            if self._check.step(now):
                self._check = None
                self._bind(now)
        elif self._timer is not None and now >= self._timer:
            self._expired(now)
        self._settle()

    def _settle(self) -> None:
        """Take the actions of the link-local machine, and find the next deadline."""
        local = self.local
        if local is not None:
            self.actions += local.take()
        times = [self._timer if self._check is None else self._check.due, self._announce, self._fall]
        times.append(None if local is None else local.deadline)
        known = [time for time in times if time is not None]
        self.deadline = min(known) if known else None

    # -- sending -----------------------------------------------------------------------------------------------------

    def _base(self, kind: int, now: int) -> DhcpMessage:
        """A message with what each has (table 5)."""
        settings = self.settings
        request = DhcpMessage(xid=self._xid, chaddr=self.mac.to_bytes(6, "big"))
        request.options[m.MESSAGE_TYPE] = bytes((kind,))
        if settings.client_id:
            request.options[m.CLIENT_ID] = settings.client_id
        if kind in (m.DISCOVER, m.REQUEST, m.INFORM):
            request.secs = min((now - self._began) // S, 0xFFFF)
            request.options[m.PARAMETERS] = WANTED
            request.options[m.MAX_SIZE] = (1500).to_bytes(2, "big")
            if settings.host_name:
                request.options[m.HOST_NAME] = settings.host_name.encode()[:255]
        return request

    def _send(self, request: DhcpMessage, src: int, dst: int, reason: str, rfc: str) -> None:
        self.note("dhcp.message", reason, rfc, type=request.name)
        self.actions.append(
            SendMessage(m.write(request), src, dst, m.CLIENT_PORT, m.SERVER_PORT, link=dst == BROADCAST)
        )

    def _new_xid(self) -> None:
        self._xid = self.rng.keyed_hash(b"xid" + self._sent.to_bytes(8, "big")) & 0xFFFFFFFF
        self._sent += 1

    def _pause(self, now: int) -> None:
        """Set the timer for a retransmission (section 4.1)."""
        wait = min(FIRST_WAIT << min(self._tries, 4), LONGEST_WAIT)
        self._timer = now + wait + self.spread(-SPREAD, SPREAD)
        self._tries += 1

    # -- the states --------------------------------------------------------------------------------------------------

    def _enter(self, state: str, reason: str, rfc: str) -> None:
        if state != self.state or not self._running:
            offer, fields = self._offer, {}
            if offer is not None and state in (REQUESTING, BOUND):
                fields = {
                    "addr": offer.addr,
                    "server": offer.server,
                    "time": offer.time,
                    "t1": offer.t1,
                    "t2": offer.t2,
                }
            self.note("dhcp.state", reason, rfc, old=self.state, new=state, **fields)
        self.state = state

    def _begin(self, now: int, wait: int) -> None:
        """Wait in INIT or INIT-REBOOT, and then send the first message."""
        self._offer = self._check = None
        self._tries = 0
        self._timer = now + wait
        if self._fall is None and self.local is None and self.settings.fallback is not None:
            self._fall = now + wait + self.settings.fallback
        if wait == 0:
            self._expired(now)
        self._settle()

    def _expired(self, now: int) -> None:
        """The timer of the state has fired."""
        lease = self.lease
        if self.state in (INIT, INIT_REBOOT):
            self._new_xid()
            self._began = now
            again = self.state == INIT_REBOOT
            self._enter(REBOOTING if again else SELECTING, "the first message is sent", "RFC 2131 4.4.1")
            self._reboot(now) if again else self._discover(now)
        elif self.state == SELECTING:
            self._discover(now)
        elif self.state in (REQUESTING, REBOOTING) and self._tries < REQUESTS:
            self._reboot(now) if self.state == REBOOTING else self._request(now)
        elif lease is not None and self.state in (BOUND, RENEWING, REBINDING):
            self._renew(lease, now)
        else:
            self._enter(INIT, f"no server answered {REQUESTS} REQUESTs", "RFC 2131 3.1 (5)")
            self._begin(now, 0)

    def _discover(self, now: int) -> None:
        request = self._base(m.DISCOVER, now)
        if self.settings.request:
            request.options[m.REQUESTED_ADDR] = m.addr_bytes(self.settings.request)
        self._send(request, 0, BROADCAST, "the client looks for servers", "RFC 2131 4.4.1")
        self._pause(now)

    def _reboot(self, now: int) -> None:
        self._asked = now
        request = self._base(m.REQUEST, now)
        request.options[m.REQUESTED_ADDR] = m.addr_bytes(self.settings.request)
        self._send(request, 0, BROADCAST, "the client asks for its former address", "RFC 2131 4.4.2")
        self._pause(now)

    def _request(self, now: int) -> None:
        offer = self._offer
        assert offer is not None
        self._asked = now
        request = self._base(m.REQUEST, now)
        request.options[m.REQUESTED_ADDR] = m.addr_bytes(offer.addr)
        request.options[m.SERVER_ID] = m.addr_bytes(offer.server)
        self._send(
            request,
            0,
            BROADCAST,
            "the client chose this offer; other servers learn that theirs was not chosen",
            "RFC 2131 4.4.1",
        )
        self._pause(now)

    def _offered(self, reply: DhcpMessage, now: int) -> None:
        found = lease_of(reply)
        if isinstance(found, str):
            self.drop("bad-offer", found, "RFC 2131 4.4.1")
            return
        self._offer = found
        self._tries = 0
        self._enter(REQUESTING, "the client takes the first offer", "RFC 2131 4.4.1")
        self._request(now)

    def _acknowledged(self, reply: DhcpMessage, now: int) -> None:
        found = lease_of(reply)
        expected = self._offer or self.lease
        if isinstance(found, str):
            self.drop("bad-ack", found, "RFC 2131 4.4.1")
            return
        if (
            self.state == REQUESTING
            and expected is not None
            and (found.addr, found.server) != (expected.addr, expected.server)
        ):
            self.drop(
                "spoofed", "the ACK is for another address or from another server than the offer", "RFC 2131 4.4.1"
            )
            return
        known = self.settings.request if self.state == REBOOTING else expected.addr if expected is not None else 0
        if found.addr != known:
            self.drop("spoofed", "the ACK is for another address than the one that was asked for", "RFC 2131 4.3.2")
            return
        self._offer = found
        if self.state in (REQUESTING, REBOOTING) and self.settings.probing.count:
            self.note(
                "dhcp.message",
                "the server gives the address; ARP probes check that it is free",
                "RFC 2131 4.4.1",
                type="ACK",
            )
            self._check = Check(self, self.mac, found.addr, self.settings.probing, now)
            self._fall = None
            return
        self.note("dhcp.message", "the server gives the address", "RFC 2131 4.4.1", type="ACK")
        self._bind(now)

    def _bind(self, now: int) -> None:
        """Use the address, until T1, T2 and the end of the lease (section 4.4.5)."""
        lease, old = self._offer, self.lease
        assert lease is not None
        self._enter(BOUND, "the address may be used", "RFC 2131 4.4.1")
        self._offer = self._fall = None
        self._naks = 0
        self._stop_local()
        if old is None or old._replace(time=0, t1=0, t2=0) != lease._replace(time=0, t1=0, t2=0):
            if old is not None:
                self.actions.append(Deconfigure(old))
            self.actions.append(Configure(lease))
            self.actions.append(SendArp(lease.addr, lease.addr))
            self._announce = now + ANNOUNCE_INTERVAL
        else:
            self.actions.append(Configure(lease))  # the same, for a longer time
        self.lease = lease
        self._timer = lease.after(lease.t1, self._asked)

    def _renew(self, lease: Lease, now: int) -> None:
        """T1, T2, the end of the lease, or a retransmission between them."""
        start = self._asked if self.state == BOUND else self._lease_began
        t2, end = lease.after(lease.t2, start), lease.after(lease.time, start)
        assert t2 is not None and end is not None
        if now >= end:
            self._drop_lease()
            self._enter(INIT, "the lease has ended, so the address must not be used any more", "RFC 2131 4.4.5")
            self._begin(now, 0)
            return
        if self.state == BOUND:
            self._lease_began = start
            self._began = now
            self._new_xid()
        if now >= t2:
            self._enter(REBINDING, "T2 has passed, so any server may extend the lease", "RFC 2131 4.4.5")
        else:
            self._enter(RENEWING, "T1 has passed, so the server is asked to extend the lease", "RFC 2131 4.4.5")
        limit = end if now >= t2 else t2
        self._asked = now
        request = self._base(m.REQUEST, now)
        request.ciaddr = lease.addr
        far = BROADCAST if now >= t2 else lease.server
        self._send(request, lease.addr, far, "the client asks for more time", "RFC 2131 4.4.5")
        # Section 4.4.5: after half of the time that is left, but not sooner than after 60 s
        self._timer = min(limit, now + max((limit - now) // 2, RENEW_WAIT))

    def _refused(self, reply: DhcpMessage, now: int) -> None:
        """A NAK: begin again."""
        server = reply.number(m.SERVER_ID)
        expected = self._offer.server if self._offer else self.lease.server if self.lease else None
        if self.state in (REQUESTING, RENEWING) and server != expected:
            self.drop("spoofed", "the NAK comes from another server", "RFC 2131 4.4.1")
            return
        if self._check is not None:
            self.drop("wrong-state", "the server has already given the address", "RFC 2131 4.4.1")
            return
        self.note("dhcp.message", "the server refuses the address", "RFC 2131 3.2 (3)", type="NAK")
        self._drop_lease()
        wait = min(NAK_WAIT << min(self._naks, 6), LONGEST_NAK_WAIT)
        self._naks += 1
        self._enter(INIT, "the server refuses the address", "RFC 2131 4.4")
        self._begin(now, wait)

    def _decline(self, now: int) -> None:
        """Another host has the address (section 4.4.4)."""
        offer = self._offer
        assert offer is not None
        self._new_xid()
        request = self._base(m.DECLINE, now)
        request.options[m.REQUESTED_ADDR] = m.addr_bytes(offer.addr)
        request.options[m.SERVER_ID] = m.addr_bytes(offer.server)
        self._send(request, 0, BROADCAST, "another host answers for the address", "RFC 2131 4.4.4")
        self._drop_lease()
        self._enter(INIT, "another host has the address", "RFC 2131 3.1 (5)")
        self._begin(now, DECLINE_WAIT)

    def _drop_lease(self) -> None:
        if self.lease is not None:
            self.actions.append(Deconfigure(self.lease))
            self.lease = None

    def _stop_local(self) -> None:
        if self.local is not None:
            self.local.stop()
            self.actions += self.local.take()
            self.local = None
