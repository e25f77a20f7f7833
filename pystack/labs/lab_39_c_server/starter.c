/* Lab 39: write a TCP server in C.

   It listens on port 7000. A message is a length of 4 bytes, in network byte order, and then as
   many bytes. The answer to a message has the same form, and the bytes of the message in reverse
   order. When a client has closed its half of the connection, the server sends it the number of
   its messages (4 bytes, in network byte order), and closes the connection. A message of more than
   1 MiB ends the connection without an answer.

   Several clients may be connected at the same time, and none waits for another. Let at least 16
   connections wait in the backlog. Write what you want to see to stderr. */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7000
#define LONGEST (1u << 20)

/* Serve one client. */
static void serve(int fd)
{
    unsigned char data[1024];
    ssize_t n = read(fd, data, sizeof data);
    if (n > 0 && write(fd, data, (size_t)n) < 0)
        perror("write");
}

int main(void)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0) {
        perror("server");
        return 1;
    }
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve(fd);
        close(fd);
    }
}
