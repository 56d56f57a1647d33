/* talk.c - one end of a stream, step by step: talk PEER STEP...
 *
 * PEER is tcp:PORT (of 127.0.0.1) or vsock:CID:PORT; with `listen:` in front, one connection is taken there.
 *	say TEXT	sends TEXT and a newline
 *	hear		prints a line of what comes
 *	rest		prints all that comes, and then `end`, or the name of the error
 *	end		says that no more will be sent
 *	await FILE	waits until there is such a file
 *	reset		closes with SO_LINGER of 0
 * It closes in the end. What fails is printed by its name, and ends it with 1. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_vm vm;
};

static _Noreturn void fail(void)
{
	puts(strerrorname_np(errno));
	exit(1);
}

static socklen_t parse(union address *out, const char *text)
{
	*out = (union address){0};
	if (strncmp(text, "tcp:", 4) == 0) {
		out->in.sin_family = AF_INET;
		out->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		out->in.sin_port = htons((uint16_t)strtoul(text + 4, NULL, 10));
		return sizeof out->in;
	}
	char *rest;
	out->vm.svm_family = AF_VSOCK;
	out->vm.svm_cid = (unsigned)strtoul(text + strcspn(text, ":") + 1, &rest, 10);
	out->vm.svm_port = (unsigned)strtoul(rest + 1, NULL, 10);
	return sizeof out->vm;
}

static int take_one(const union address *a, socklen_t n)
{
	const int one = 1, l = socket(a->sa.sa_family, SOCK_STREAM, 0);
	(void)setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(l, &a->sa, n) != 0 || listen(l, 1) != 0)
		fail();
	puts("listening");
	const int fd = accept(l, NULL, NULL);
	if (fd < 0)
		fail();
	close(l);
	return fd;
}

static int open_peer(const char *text)
{
	static const char mark[] = "listen:";
	const bool listens = strncmp(text, mark, sizeof mark - 1) == 0;
	union address a;
	const socklen_t n = parse(&a, listens ? text + sizeof mark - 1 : text);
	if (listens)
		return take_one(&a, n);
	const int fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, &a.sa, n) != 0)
		fail();
	return fd;
}

static void say(int fd, const char *text)
{
	char line[4096];
	const int n = snprintf(line, sizeof line, "%s\n", text);
	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		fail();
}

/* Up to a newline, or to the end. */
static void hear(int fd, bool all)
{
	char c;
	ssize_t n;
	while ((n = recv(fd, &c, 1, 0)) == 1) {
		putchar(c);
		if (c == '\n' && !all)
			return;
	}
	if (n < 0)
		fail();
	puts("end");
}

static void await_file(const char *path)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	while (access(path, F_OK) != 0)
		nanosleep(&moment, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	const int fd = open_peer(argv[1]);
	for (int i = 2; i < argc; i++) {
		const char *step = argv[i];
		const struct linger none = {.l_onoff = 1};
		if (strcmp(step, "say") == 0 && i + 1 < argc)
			say(fd, argv[++i]);
		else if (strcmp(step, "await") == 0 && i + 1 < argc)
			await_file(argv[++i]);
		else if (strcmp(step, "hear") == 0 || strcmp(step, "rest") == 0)
			hear(fd, step[0] == 'r');
		else if (strcmp(step, "end") == 0 && shutdown(fd, SHUT_WR) != 0)
			fail();
		else if (strcmp(step, "reset") == 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	}
	close(fd);
	return 0;
}
