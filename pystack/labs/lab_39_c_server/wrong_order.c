/* A typical wrong answer: the length in the byte order of the machine. */

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7000
#define LONGEST (1u << 20)

/* Read `size` bytes. Returns how many came before the end of the stream. */
static size_t read_all(int fd, unsigned char *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, to + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

/* Write `size` bytes. Returns 0 if the client is gone. */
static int write_all(int fd, const void *from, size_t size)
{
    const unsigned char *at = from;
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return 0;
        at += n;
        size -= (size_t)n;
    }
    return 1;
}

/* Answer each message of a client, and at the end say how many there were. */
static void serve(int fd)
{
    unsigned char *data = malloc(LONGEST);
    uint32_t header, count = 0;
    size_t got;
    if (data == NULL)
        return;
    while ((got = read_all(fd, (unsigned char *)&header, sizeof header)) == sizeof header) {
        size_t size = header;
        if (size > LONGEST || read_all(fd, data, size) != size)
            return;
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char byte = data[i];
            data[i] = data[size - 1 - i];
            data[size - 1 - i] = byte;
        }
        if (!write_all(fd, &header, sizeof header) || !write_all(fd, data, size))
            return;
        count++;
    }
    if (got == 0) { /* The client has closed its half. Ours is still open. */
        write_all(fd, &count, sizeof count);
    }
}

int main(void)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 128) < 0) {
        perror("server");
        return 1;
    }
    signal(SIGCHLD, SIG_IGN); /* The kernel removes children that have ended. */
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) {
            close(listener);
            serve(fd);
            close(fd);
            _exit(0);
        }
        close(fd);
    }
}
