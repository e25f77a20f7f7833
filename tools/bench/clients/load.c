/* The client of every measurement, on plain kernel sockets. Each run does one job and prints one line of JSON.
 *
 *   load send ADDR PORT SECONDS CC       bulk to a discard service; ends when the service has closed
 *   load recv ADDR PORT SECONDS CC       bulk from a chargen service
 *   load rr   ADDR PORT SECONDS SIZE     request and response on one connection, one at a time
 *   load crc  ADDR PORT SECONDS SIZE     connect, request, response, close, one after the other
 *   load udp  ADDR PORT SECONDS SIZE     datagrams to an echo service, 16 under way
 *   load idle ADDR PORT COUNT SOURCES    opens COUNT connections from SOURCES addresses (the one before ADDR, and those
 *                                        after it), reports it, and holds them until stdin ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        die(text);
    return a;
}

/* Return a connected socket. A lost SYN or a dropped connection must not hang the run. */
static int dial(struct sockaddr_in *to, int type, const char *cc) {
    struct timeval limit = {.tv_sec = type == SOCK_DGRAM ? 0 : 10, .tv_usec = 200000};
    int one = 1, fd = socket(AF_INET, type, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (cc && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc)) < 0)
        die(cc);
    if (connect(fd, (struct sockaddr *)to, sizeof *to) < 0)
        die("connect");
    return fd;
}

static void result(double count, double seconds, const char *name) {
    printf("{\"%s\": %.0f, \"seconds\": %.6f, \"cpu\": %.6f}\n", name, count, seconds, cpu());
}

static void bulk_send(struct sockaddr_in *to, double seconds, const char *cc) {
    int fd = dial(to, SOCK_STREAM, cc);
    double start = now(), total = 0;
    while (now() - start < seconds) {
        ssize_t n = send(fd, buffer, 256 << 10, 0);
        if (n < 0)
            die("send");
        total += n;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, buffer, sizeof buffer) < 0)
        die("waiting for the service to have read everything");
    result(total, now() - start, "bytes");
}

static void bulk_recv(struct sockaddr_in *to, double seconds, const char *cc) {
    int fd = dial(to, SOCK_STREAM, cc);
    double start = now(), total = 0;
    while (now() - start < seconds) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            die("read");
        total += n;
    }
    result(total, now() - start, "bytes");
}

static void exchange(int fd, int size) {
    int got = 0;
    if (send(fd, buffer, size, 0) != size)
        die("send");
    while (got < size) {
        ssize_t n = read(fd, buffer, size - got);
        if (n <= 0)
            die("read");
        got += n;
    }
}

static void request_response(struct sockaddr_in *to, double seconds, int size) {
    int fd = dial(to, SOCK_STREAM, NULL);
    for (int i = 0; i < 100; i++)
        exchange(fd, size);
    double start = now(), count = 0;
    while (now() - start < seconds) {
        for (int i = 0; i < 10; i++)
            exchange(fd, size);
        count += 10;
    }
    result(count, now() - start, "count");
}

static void connections(struct sockaddr_in *to, double seconds, int size) {
    double start = now(), count = 0;
    while (now() - start < seconds) {
        int fd = dial(to, SOCK_STREAM, NULL);
        exchange(fd, size);
        close(fd);
        count++;
    }
    result(count, now() - start, "count");
}

static void datagrams(struct sockaddr_in *to, double seconds, int size) {
    int fd = dial(to, SOCK_DGRAM, NULL), under_way = 0;
    double start = now(), count = 0, lost = 0;
    while (now() - start < seconds) {
        for (; under_way < 16; under_way++)
            if (send(fd, buffer, size, 0) != size)
                die("send");
        if (read(fd, buffer, sizeof buffer) == size) {
            count++;
            under_way--;
        } else {
            lost += under_way;
            under_way = 0;
        }
    }
    printf("{\"count\": %.0f, \"lost\": %.0f, \"seconds\": %.6f, \"cpu\": %.6f}\n", count, lost, now() - start, cpu());
}

/* Open many idle connections, at most 64 of them at the same time. */
static void idle(struct sockaddr_in *to, int count, int sources) {
    struct rlimit files = {.rlim_cur = count + 64, .rlim_max = count + 64};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("RLIMIT_NOFILE");
    struct pollfd *wait = calloc(64, sizeof *wait);
    uint32_t first = ntohl(to->sin_addr.s_addr);
    int made = 0, pending = 0, one = 1;
    double start = now();
    while (made < count) {
        while (pending < 64 && made + pending < count) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            struct sockaddr_in from = {.sin_family = AF_INET};
            int k = (made + pending) % sources;
            from.sin_addr.s_addr = htonl(k == 0 ? first - 1 : first + k);
            setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
            if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
                die("bind");
            if (connect(fd, (struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS)
                die("connect");
            wait[pending++] = (struct pollfd){.fd = fd, .events = POLLOUT};
        }
        if (poll(wait, pending, 10000) <= 0)
            die("poll");
        for (int i = 0; i < pending;) {
            if (wait[i].revents & (POLLERR | POLLHUP)) {
                fprintf(stderr, "connection %d failed\n", made);
                exit(1);
            } else if (wait[i].revents) {
                made++;
                wait[i] = wait[--pending];
            } else {
                i++;
            }
        }
    }
    result(made, now() - start, "count");
    fflush(stdout);
    while (read(0, buffer, sizeof buffer) > 0)
        ;
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: load send|recv|rr|crc|udp|idle ADDR PORT ...; see the head of load.c\n");
        return 2;
    }
    struct sockaddr_in to = address(argv[2], atoi(argv[3]));
    double seconds = atof(argv[4]);
    if (!strcmp(argv[1], "send"))
        bulk_send(&to, seconds, argv[5]);
    else if (!strcmp(argv[1], "recv"))
        bulk_recv(&to, seconds, argv[5]);
    else if (!strcmp(argv[1], "rr"))
        request_response(&to, seconds, atoi(argv[5]));
    else if (!strcmp(argv[1], "crc"))
        connections(&to, seconds, atoi(argv[5]));
    else if (!strcmp(argv[1], "udp"))
        datagrams(&to, seconds, atoi(argv[5]));
    else if (!strcmp(argv[1], "idle"))
        idle(&to, atoi(argv[4]), atoi(argv[5]));
    else
        return 2;
    return 0;
}
