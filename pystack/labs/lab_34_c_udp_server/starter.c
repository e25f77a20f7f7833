/* Lab 34: write a UDP server in C.

   It listens on UDP port 7002. Each datagram is a message, and its answer is one datagram: the
   number of the message's bytes (2 bytes, in network byte order), and then the bytes of the
   message in reverse order. A message may have any bytes and any length, also none. If its answer
   does not fit into a datagram, which has at most 65,507 bytes, the message gets no answer.

   Messages come from many clients. The answer goes to the one that has asked, and it comes from
   port 7002, because a client that has called connect() gets nothing from other ports. No client
   ends the server. Write what you want to see to stderr. */

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7002

int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};
    char data[100];
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("server");
        return 1;
    }
    for (;;) {
        struct sockaddr_in client;
        socklen_t room = sizeof client;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&client, &room);
        if (n < 0)
            continue;
        if (sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&client, room) < 0)
            perror("sendto");
    }
}
