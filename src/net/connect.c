/* connect.c - looking names up, and connecting. */
#include "connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <unistd.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "host.h"

enum {
	RETRY_MS = 20,
	VSOCK_CONNECT_MS = 60 * 1000, /* where the caller does not say: it has timers of its own */
};

/* RFC 6761 section 6.3. Where /etc/hosts does not tell, a resolver would be asked, and the parent's answers what it
 * likes. */
static size_t name_loopback(uint16_t port, struct net_addr out[NET_LOOK_UP_MAX])
{
	const struct host_split both[] = {{.host = BYTES_LIT("127.0.0.1")},
					  {.host = BYTES_LIT("::1"), .brackets = true}};
	for (size_t i = 0; i < sizeof both / sizeof both[0]; i++)
		(void)host_read(&out[i], &both[i], port);
	return sizeof both / sizeof both[0];
}

const char *connect_look_up(const struct net_target *t, struct net_addr out[NET_LOOK_UP_MAX], size_t *n)
{
	/* Without AI_ADDRCONFIG, which would hide ::1 and 127.0.0.1 from machines that have no other addresses. */
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *all = NULL;
	char port[8];
	size_t found = 0;
	if (t->host[0] == '\0') {
		out[0] = t->addr;
		*n = 1;
		return NULL;
	}
	if (strcasecmp(t->host, "localhost") == 0) {
		*n = name_loopback(t->port, out);
		return NULL;
	}
	(void)snprintf(port, sizeof port, "%u", t->port);
	const int failed = getaddrinfo(t->host, port, &hints, &all);
	if (failed != 0)
		return failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed);
	for (const struct addrinfo *a = all; a != NULL && found < NET_LOOK_UP_MAX; a = a->ai_next) {
		struct net_addr *o = &out[found];
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		*o = (struct net_addr){.kind = NET_TCP, .len = a->ai_addrlen};
		memcpy(&o->sa, a->ai_addr, a->ai_addrlen);
		o->loopback = host_is_loopback(&o->sa);
		found++;
	}
	freeaddrinfo(all);
	if (found == 0)
		return "it has no IP address";
	*n = found;
	return NULL;
}

enum err net_look_up(const struct net_target *t, struct net_addr out[NET_LOOK_UP_MAX], size_t *n, struct why *w)
{
	const char *reason = connect_look_up(t, out, n);
	if (reason == NULL)
		return ERR_OK;
	return why_tell(w, ERR_ENVIRONMENT, NULL, "the host %s cannot be looked up: %s", t->host, reason);
}

/* vsock is the one family whose kernel gives a connection up early, after 2 s unless it is told another time. Where
 * that cannot be told, the 2 s remain. */
static void set_time(int fd, sa_family_t family, int64_t ms)
{
	/* A little longer than whoever waits does, so that it is their time that counts. */
	const struct timeval t = {.tv_sec = ms / 1000 + 2};
	if (family == AF_VSOCK)
		(void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &t, sizeof t);
}

static int begin(int *out, bool *under_way, const struct net_addr *to, int64_t ms)
{
	const int fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	set_time(fd, to->sa.ss_family, ms);
	const int error = connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 ? 0 : errno;
	if (error != 0 && error != EINPROGRESS && error != EINTR) {
		(void)close(fd);
		return error;
	}
	*out = fd;
	*under_way = error != 0;
	return 0;
}

int net_begin(int *out, bool *under_way, const struct net_addr *to)
{
	return begin(out, under_way, to, VSOCK_CONNECT_MS);
}

/* ---- to the end, blocking ---- */

/* 0, or the error that a connection under way ends in. */
static int finish(int fd, const struct clock *clock, int64_t until_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof error;
	for (int left; (left = clock_left_ms(clock, until_ms)) > 0;)
		if (poll(&p, 1, left) > 0)
			return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
	return ETIMEDOUT;
}

static int connect_to(int *out, const struct net_addr *to, const struct clock *clock, int64_t until_ms)
{
	bool under_way = false;
	int fd, error;
	while ((error = begin(&fd, &under_way, to, clock_left_ms(clock, until_ms))) == EAGAIN) {
		const int left = clock_left_ms(clock, until_ms);
		if (left == 0)
			return ETIMEDOUT;
		(void)poll(NULL, 0, left < RETRY_MS ? left : RETRY_MS);
	}
	if (error != 0)
		return error;
	if (under_way && (error = finish(fd, clock, until_ms)) != 0) {
		(void)close(fd);
		return error;
	}
	*out = fd;
	return 0;
}

int connect_until(int *fd, const struct net_addr *a, size_t n, const struct clock *clock, int64_t until_ms)
{
	int first = ETIMEDOUT;
	for (size_t i = 0; i < n; i++) {
		/* An address that swallows what is sent to it must leave time for the others. */
		const int error = connect_to(fd, &a[i], clock,
					     clock_mono(clock) + clock_left_ms(clock, until_ms) / (int64_t)(n - i));
		if (error == 0)
			return 0;
		if (i == 0)
			first = error;
	}
	return first;
}

enum err net_dial(int *fd, const struct net_target *to, const struct clock *clock, int64_t until_ms, struct why *w)
{
	struct net_addr a[NET_LOOK_UP_MAX];
	char text[NET_TARGET_MAX];
	size_t n = 0;
	const enum err e = net_look_up(to, a, &n, w);
	if (e != ERR_OK)
		return e;
	const int error = connect_until(fd, a, n, clock, until_ms);
	if (error == 0)
		return ERR_OK;
	net_target_text(to, text);
	return why_tell(w, ERR_ENVIRONMENT, NULL, "nothing answers at %s: %s", text, strerror(error));
}
