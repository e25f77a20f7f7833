/* A typical wrong answer: one message for each read, and the rest of the buffer is forgotten. */

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
    unsigned char *data = malloc(LONGEST + 4), header[4];
    uint32_t count = 0;
    for (;;) {
        size_t got = 0, size = LONGEST;
        while (got < 4 || got < 4 + size) {
            ssize_t n = read(fd, data + got, LONGEST + 4 - got);
            if (n <= 0) {
                count = htonl(count);
                write_all(fd, &count, sizeof count);
                return;
            }
            got += (size_t)n;
            if (got >= 4)
                size = (size_t)data[0] << 24 | (size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3];
            if (size > LONGEST)
                return;
        }
        for (int i = 0; i < 4; i++)
            header[i] = data[i];
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char byte = data[4 + i];
            data[4 + i] = data[4 + size - 1 - i];
            data[4 + size - 1 - i] = byte;
        }
        if (!write_all(fd, header, sizeof header) || !write_all(fd, data + 4, size))
            return;
        count++; /* What was read behind this message is forgotten. */
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
