/* A typical wrong answer: the length in the byte order of the machine. */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 7002
#define LONGEST 65507

static unsigned char data[LONGEST], answer[2 + LONGEST];

int main(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};
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
        uint16_t size = (uint16_t)n;
        memcpy(answer, &size, sizeof size);
        for (ssize_t i = 0; i < n; i++)
            answer[2 + i] = data[n - 1 - i];
        if (sendto(fd, answer, 2 + (size_t)n, 0, (struct sockaddr *)&client, room) < 0)
            perror("sendto"); /* For example, the answer is too long. Others still get theirs. */
    }
}
