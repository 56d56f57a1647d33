/* nsm_call.c - one request to /dev/nsm as it is: nsm_call HEX [LENGTH [ROOM]]. The request is HEX and zeros up to
 * LENGTH bytes; the reply is printed in hex, at most ROOM bytes of it, or the name of the error. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { MOST = 32 * 1024 };

struct iovec64 {
	uint64_t address, length;
};
struct raw {
	struct iovec64 request, reply;
};

int main(int argc, char **argv)
{
	static uint8_t request[MOST], reply[MOST];
	size_t n = 0;
	if (argc < 2)
		return 2;
	for (const char *hex = argv[1]; hex[0] != '\0' && hex[1] != '\0' && n < sizeof request; hex += 2) {
		const char digits[] = {hex[0], hex[1], '\0'};
		request[n++] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (argc > 2)
		n = strtoul(argv[2], NULL, 10);
	const size_t room = argc > 3 ? strtoul(argv[3], NULL, 10) : sizeof reply;
	if (n > sizeof request || room > sizeof reply)
		return 2;

	const int fd = open("/dev/nsm", O_RDWR | O_CLOEXEC);
	struct raw raw = {{(uintptr_t)request, n}, {(uintptr_t)reply, room}};
	if (fd < 0 || ioctl(fd, _IOWR(0x0A, 0, struct raw), &raw) != 0) {
		puts(strerrorname_np(errno));
		return 1;
	}
	for (size_t i = 0; i < raw.reply.length && i < room; i++)
		printf("%02x", reply[i]);
	putchar('\n');
	return 0;
}
