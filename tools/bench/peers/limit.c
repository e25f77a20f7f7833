/* The limit: the speed of the TAP itself, with the smallest TCP that a kernel client accepts.
 *
 *   limit TAP tso|plain
 *
 * 10.77.0.2 answers ARP and pings. Port 9 reads everything and acknowledges each frame (without offload: each sixteenth).
 * Port 19 sends as fast as the client's window allows. There is one connection at a time, with no options but MSS and window
 * scale, and one timer: after 200 ms without an acknowledgement, all unacknowledged data is retransmitted.
 * This is not a real TCP. It shows what a real one could reach at best.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SINK = 9, SOURCE = 19, MSS = 1460, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, SCALE = 8, WINDOW = 4 << 20 };
enum { VNET = sizeof(struct virtio_net_hdr), CHUNK = 44 * MSS };

static int tap, tso, vnet;
static uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
static uint8_t in[VNET + 70000], data[CHUNK]; /* all zeros, which do not change a checksum */
static struct {
    int open, port, pending, closing;
    uint8_t peer_mac[6];
    uint32_t saddr, daddr;
    uint16_t sport;
    uint32_t rcv, una, nxt, limit;
    int wscale;
} c;

static uint32_t sum(const void *p, int n, uint32_t s) {
    const uint8_t *b = p;
    for (; n > 1; n -= 2, b += 2)
        s += b[0] << 8 | b[1];
    return n ? s + (b[0] << 8) : s;
}

static uint16_t fold(uint32_t s) {
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s;
}

static void put16(uint8_t *p, uint16_t v) { p[0] = v >> 8, p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16), put16(p + 2, v); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }
static uint16_t get16(const uint8_t *p) { return p[0] << 8 | p[1]; }

/* Send one segment, or a group if it is longer than the MSS. The kernel computes the checksums if it accepts offload. */
static void segment(int flags, uint32_t seq, int n) {
    uint8_t h[14 + 20 + 28] = {0};
    int opt = flags & SYN ? 8 : 0, thl = 20 + opt, len = 20 + thl + n;
    struct virtio_net_hdr v = {0};
    memcpy(h, c.peer_mac, 6), memcpy(h + 6, mac, 6), put16(h + 12, 0x0800);
    uint8_t *ip = h + 14, *t = ip + 20;
    ip[0] = 0x45, put16(ip + 2, len), put16(ip + 6, 0x4000), ip[8] = 64, ip[9] = 6;
    put32(ip + 12, c.daddr), put32(ip + 16, c.saddr);
    put16(ip + 10, ~fold(sum(ip, 20, 0)));
    put16(t, c.port), put16(t + 2, c.sport), put32(t + 4, seq), put32(t + 8, c.rcv);
    t[12] = thl << 2, t[13] = flags, put16(t + 14, flags & SYN ? 65535 : WINDOW >> SCALE);
    if (opt) {
        t[20] = 2, t[21] = 4, put16(t + 22, MSS);
        t[24] = 1, t[25] = 3, t[26] = 3, t[27] = SCALE;
    }
    uint32_t s = sum(ip + 12, 8, 6 + thl + n);
    if (tso) {
        put16(t + 16, fold(s));
        v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, v.csum_start = 34, v.csum_offset = 16;
        if (n > MSS)
            v.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, v.gso_size = MSS, v.hdr_len = 34 + thl;
    } else {
        put16(t + 16, ~fold(sum(t, thl, s)));
    }
    struct iovec parts[3] = {{&v, vnet}, {h, 34 + thl}, {data, n}};
    if (writev(tap, parts, 3) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EIO)
        perror("writev");
}

static void arp(uint8_t *f, int n) {
    uint8_t out[VNET + 42] = {0}, *a = out + vnet;
    if (n < 42 || get16(f + 20) != 1 || get32(f + 38) != 0x0a4d0002)
        return;
    memcpy(a, f + 6, 6), memcpy(a + 6, mac, 6), put16(a + 12, 0x0806);
    memcpy(a + 14, f + 14, 6), put16(a + 20, 2);
    memcpy(a + 22, mac, 6), memcpy(a + 28, f + 38, 4), memcpy(a + 32, f + 22, 10);
    if (write(tap, out, vnet + 42) < 0)
        perror("write");
}

/* Turn an echo request into its reply: swap the addresses, and adjust the checksum for the type. */
static void ping(uint8_t *f, int n) {
    uint8_t out[2000] = {0}, *a = out + vnet;
    if (n > (int)sizeof out - vnet || f[34] != 8)
        return;
    memcpy(a, f, n);
    memcpy(a, f + 6, 6), memcpy(a + 6, mac, 6), memcpy(a + 26, f + 30, 4), memcpy(a + 30, f + 26, 4);
    a[34] = 0, put16(a + 36, 0), put16(a + 36, ~fold(sum(a + 34, n - 34, 0)));
    if (write(tap, out, vnet + n) < 0)
        perror("write");
}

static void opened(uint8_t *f, uint8_t *t, int thl) {
    memset(&c, 0, sizeof c);
    memcpy(c.peer_mac, f + 6, 6);
    c.saddr = get32(f + 26), c.daddr = get32(f + 30), c.sport = get16(t), c.port = get16(t + 2);
    c.rcv = get32(t + 4) + 1, c.open = 1, c.una = c.nxt = 1000;
    for (int i = 20; i < thl && t[i];)
        if (t[i] == 1) {
            i++;
        } else {
            if (t[i] == 3)
                c.wscale = t[i + 2];
            if (t[i + 1] < 2)
                break;
            i += t[i + 1];
        }
    segment(SYN | ACK, c.nxt++, 0);
}

static void receive(uint8_t *f, int n) {
    if (n >= 14 && get16(f + 12) == 0x0806)
        arp(f, n);
    if (n >= 42 && get16(f + 12) == 0x0800 && f[23] == 1)
        ping(f, n);
    if (n < 54 || get16(f + 12) != 0x0800 || f[23] != 6)
        return;
    uint8_t *t = f + 14 + (f[14] & 15) * 4;
    int thl = (t[12] >> 4) * 4, len = get16(f + 16) - (f[14] & 15) * 4 - thl, flags = t[13], port = get16(t + 2);
    if (flags & SYN) {
        if (port == SINK || port == SOURCE)
            opened(f, t, thl);
        return;
    }
    if (!c.open || get16(t) != c.sport || port != c.port)
        return;
    if (flags & RST) {
        c.open = 0;
        return;
    }
    uint32_t ack = get32(t + 8);
    if ((int32_t)(ack - c.una) > 0)
        c.una = ack;
    c.limit = ack + ((uint32_t)get16(t + 14) << c.wscale);
    if (get32(t + 4) != c.rcv) {
        if (len > 0 || flags & FIN)
            segment(ACK, c.nxt, 0);
        return;
    }
    c.rcv += len + (flags & FIN);
    c.pending += len > 0 ? 1 : 0;
    if (flags & FIN) {
        segment(ACK | FIN, c.nxt, 0);
        c.open = 0;
    } else if (c.pending && (tso || flags & PSH || c.pending >= 16)) {
        segment(ACK, c.nxt, 0);
        c.pending = 0;
    }
}

static void produce(void) {
    int n = tso ? CHUNK : MSS;
    for (int i = 0; i < 16 && c.open && c.port == SOURCE && (int32_t)(c.limit - c.nxt) >= n; i++, c.nxt += n)
        segment(ACK, c.nxt, n);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    tso = !strcmp(argv[2], "tso"), vnet = tso ? VNET : 0;
    if (tso)
        r.ifr_flags |= IFF_VNET_HDR;
    strncpy(r.ifr_name, argv[1], IFNAMSIZ - 1);
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0 ||
        (tso && ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)) {
        perror("tap");
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct pollfd p = {.fd = tap, .events = POLLIN};
        int sending = c.open && c.port == SOURCE && c.nxt != c.una;
        if (poll(&p, 1, sending ? 200 : -1) == 0)
            c.nxt = c.una;
        for (int i = 0; i < 64; i++) {
            int n = read(tap, in, sizeof in);
            if (n <= 0)
                break;
            receive(in + vnet, n - vnet);
        }
        if (c.pending) {
            segment(ACK, c.nxt, 0);
            c.pending = 0;
        }
        produce();
    }
}
