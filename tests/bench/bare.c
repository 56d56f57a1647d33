/* bare.c - libmicrohttpd in our loop mode with a fixed reply and nothing else: what attestd's speed is a ratio of.
 *
 *     bare REPLY_SIZE
 *
 * Says `listening on http://127.0.0.1:PORT` on stderr and serves until it is killed. Any request, once its body has
 * been read and thrown away, gets the same REPLY_SIZE bytes. Mode and options are those of src/http/server.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "http.h"
#include "loop.h"

enum { REPLY_MAX = 64 << 20, CONNECTIONS = 4096 + 16, ACCEPTS_PER_TURN = 64, WAIT_MAX_MS = 60000 };

static void die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *data, size_t *n, void **slot)
{
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	/* A reply on the first call would end the connection. */
	if (*slot == NULL) {
		*slot = cls;
		return MHD_YES;
	}
	if (*n > 0) {
		*n = 0;
		return MHD_YES;
	}
	return MHD_queue_response(c, MHD_HTTP_OK, cls);
}

static PRINTF_LIKE(2, 0) void mute(void *cls, const char *fmt, va_list ap)
{
	(void)cls;
	(void)fmt;
	(void)ap;
}

static struct MHD_Response *fixed(size_t n)
{
	char *text = malloc(n + 1);
	if (text == NULL)
		die("no memory for the reply");
	memset(text, 'x', n);
	struct MHD_Response *r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
	if (r == NULL || MHD_add_response_header(r, "Content-Type", "application/json") != MHD_YES)
		die("no memory for the reply");
	return r;
}

static int listening(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof at;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		die("listening on 127.0.0.1");
	fprintf(stderr, "listening on http://127.0.0.1:%u\n", (unsigned)ntohs(at.sin_port));
	return fd;
}

static void watch(int ep, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0)
		die("epoll_ctl");
}

static void take(struct MHD_Daemon *d, int listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_in from;
		socklen_t n = sizeof from;
		const int fd = accept4(listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		(void)MHD_add_connection(d, fd, (const struct sockaddr *)&from, n); /* closes fd when it fails */
	}
}

int main(int argc, char **argv)
{
	char *end = NULL;
	const unsigned long size = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
	if (end == NULL || end == argv[1] || *end != '\0' || size > REPLY_MAX) {
		fprintf(stderr, "usage: bare REPLY_SIZE (at most %d)\n", REPLY_MAX);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		answer, fixed(size), MHD_OPTION_EXTERNAL_LOGGER, mute, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_POOL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		0u, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
	if (d == NULL)
		die("libmicrohttpd did not start");
	const int ep = epoll_create1(EPOLL_CLOEXEC), listener = listening();
	if (ep < 0)
		die("epoll_create1");
	watch(ep, listener);
	watch(ep, MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	for (;;) {
		struct epoll_event e[LOOP_EVENTS_PER_TURN];
		MHD_UNSIGNED_LONG_LONG ms;
		const bool soon = MHD_get_timeout(d, &ms) == MHD_YES && ms < WAIT_MAX_MS;
		const int n = epoll_wait(ep, e, LOOP_EVENTS_PER_TURN, soon ? (int)ms : WAIT_MAX_MS);
		for (int i = 0; i < n; i++)
			if (e[i].data.fd == listener)
				take(d, listener);
		(void)MHD_run(d);
	}
}
