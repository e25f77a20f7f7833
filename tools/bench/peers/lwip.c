/* lwIP (Debian's liblwip) on a TAP, frame by frame: the services of the benchmark in its raw API, one thread, no locks.
 *
 *   lwip TAP
 *
 * It is tuned as far as the library's build allows: the receive window of 64 KiB is compiled in, the send buffer is
 * raised to 1 MiB, and Nagle's algorithm is off.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"
#include "netif/ethernet.h"

static int tap;
static char pattern[65536];
static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world.\n";

static err_t output(struct netif *netif, struct pbuf *p) {
    static char frame[2000];
    (void)netif;
    const void *data = p->payload;
    if (p->len != p->tot_len) {
        pbuf_copy_partial(p, frame, p->tot_len, 0);
        data = frame;
    }
    return write(tap, data, p->tot_len) < 0 ? ERR_IF : ERR_OK;
}

static err_t tap_init(struct netif *netif) {
    static const u8_t mac[6] = {2, 0, 0, 0, 0, 7};
    memcpy(netif->hwaddr, mac, 6);
    netif->hwaddr_len = 6, netif->mtu = 1500;
    netif->name[0] = 't', netif->name[1] = 'p';
    netif->output = etharp_output, netif->linkoutput = output;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static err_t finish(struct tcp_pcb *pcb, struct pbuf *p) {
    if (p)
        pbuf_free(p);
    tcp_recv(pcb, NULL), tcp_sent(pcb, NULL), tcp_poll(pcb, NULL, 0);
    if (tcp_close(pcb) != ERR_OK) {
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    return ERR_OK;
}

static err_t discard(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    (void)arg, (void)err;
    if (!p)
        return finish(pcb, p);
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t echo(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    (void)arg, (void)err;
    if (!p)
        return finish(pcb, p);
    if (tcp_sndbuf(pcb) < p->tot_len)
        return ERR_MEM; /* refused, so lwIP offers the data again */
    for (struct pbuf *q = p; q; q = q->next)
        tcp_write(pcb, q->payload, q->len, TCP_WRITE_FLAG_COPY);
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    tcp_output(pcb);
    return ERR_OK;
}

static err_t http(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    (void)arg, (void)err;
    if (!p)
        return finish(pcb, p);
    /* The benchmark's clients send one request per segment. */
    if (pbuf_memfind(p, "\r\n\r\n", 4, 0) != 0xffff)
        tcp_write(pcb, page, sizeof page - 1, 0);
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    tcp_output(pcb);
    return ERR_OK;
}

static err_t fill(void *arg, struct tcp_pcb *pcb, u16_t len) {
    (void)arg, (void)len;
    for (;;) {
        u32_t room = tcp_sndbuf(pcb);
        u16_t n = room < 16 * TCP_MSS ? room / TCP_MSS * TCP_MSS : 16 * TCP_MSS;
        if (n == 0 || tcp_write(pcb, pattern, n, 0) != ERR_OK)
            break;
    }
    return tcp_output(pcb);
}

static err_t refill(void *arg, struct tcp_pcb *pcb) { return fill(arg, pcb, 0); }

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err) {
    if (err != ERR_OK || !pcb)
        return ERR_VAL;
    tcp_nagle_disable(pcb);
    pcb->snd_buf = 1 << 20;
    tcp_recv(pcb, arg ? (tcp_recv_fn)arg : discard);
    if (!arg) {
        tcp_sent(pcb, fill);
        tcp_poll(pcb, refill, 1);
        fill(NULL, pcb, 0);
    }
    return ERR_OK;
}

static void udp_echo(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr, u16_t port) {
    (void)arg;
    udp_sendto(pcb, p, addr, port);
    pbuf_free(p);
}

static void serve(int port, tcp_recv_fn fn) {
    struct tcp_pcb *pcb = tcp_new();
    tcp_bind(pcb, IP_ADDR_ANY, port);
    pcb = tcp_listen_with_backlog(pcb, 255);
    tcp_arg(pcb, (void *)fn);
    tcp_accept(pcb, accepted);
}

static void receive(struct netif *netif) {
    static char frame[2000];
    for (int i = 0; i < 64; i++) {
        int n = read(tap, frame, sizeof frame);
        if (n <= 0)
            return;
        struct pbuf *p = pbuf_alloc(PBUF_RAW, n, PBUF_RAM);
        if (!p)
            return;
        pbuf_take(p, frame, n);
        if (netif->input(p, netif) != ERR_OK)
            pbuf_free(p);
    }
}

int main(int argc, char **argv) {
    struct netif netif;
    ip4_addr_t addr, mask, gateway;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    if (argc != 2)
        return 2;
    strncpy(r.ifr_name, argv[1], IFNAMSIZ - 1);
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0) {
        perror("tap");
        return 1;
    }
    lwip_init();
    IP4_ADDR(&addr, 10, 77, 0, 2), IP4_ADDR(&mask, 255, 255, 0, 0), IP4_ADDR(&gateway, 10, 77, 0, 1);
    netif_add(&netif, &addr, &mask, &gateway, NULL, tap_init, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    serve(7, echo), serve(9, discard), serve(19, NULL), serve(80, http), serve(99, discard);
    struct udp_pcb *udp = udp_new();
    udp_bind(udp, IP_ADDR_ANY, 7);
    udp_recv(udp, udp_echo, NULL);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        u32_t wait = sys_timeouts_sleeptime();
        struct pollfd p = {.fd = tap, .events = POLLIN};
        if (poll(&p, 1, wait > 1000 ? 1000 : (int)wait) > 0)
            receive(&netif);
        sys_check_timeouts();
    }
}
