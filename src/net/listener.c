/* listener.c - taking connections from a listening descriptor, also where there is nothing to take them with. */
#include "net.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Who cannot be accepted stays in the queue, which would wake the loop over and over. Not looked at at all meanwhile:
 * epoll tells of a broken socket even where it is asked for nothing. */
static void rest(struct net_listener *l)
{
	loop_io_del(l->loop, &l->io);
	loop_timer_arm(l->loop, &l->pause, NET_PAUSE_MS);
}

static void fail(struct net_listener *l, const struct why *w)
{
	rest(l);
	if (l->told)
		return;
	l->told = true;
	l->failed(l, w);
}

static void on_pause_over(struct loop_timer *t)
{
	struct net_listener *l = t->ctx;
	struct why w = {0};
	if (loop_io_add(l->loop, &l->io, EPOLLIN, &w) == ERR_OK)
		return;
	fail(l, &w);
}

/* What befell the one connection that was to be accepted, or a signal's interruption. */
static bool is_passing(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case ENONET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return true;
	default:
		return false;
	}
}

static void on_ready(struct loop_io *io, uint32_t events)
{
	struct net_listener *l = io->ctx;
	(void)events;
	/* Level triggered: what is left comes next turn. `accepted` may close the listener. */
	for (int i = 0; i < NET_ACCEPTS_PER_TURN && io->fd >= 0; i++) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof from;
		const int fd = accept4(io->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			l->told = false;
			l->accepted(l, fd, &from, n);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (!is_passing(errno)) {
			struct why w = {0};
			(void)why_set(&w, ERR_ENVIRONMENT, "no connection can be accepted: %s", strerror(errno));
			fail(l, &w);
			return;
		}
	}
}

enum err net_listener_open(struct net_listener *l, int fd, struct why *w)
{
	l->io = (struct loop_io){.fd = fd, .ready = on_ready, .ctx = l};
	l->pause = (struct loop_timer){.fire = on_pause_over, .ctx = l};
	l->told = false;
	const enum err e = loop_io_add(l->loop, &l->io, EPOLLIN, w);
	if (e != ERR_OK)
		net_listener_close(l);
	return e;
}

void net_listener_close(struct net_listener *l)
{
	/* All zeroes: it was never opened, and descriptor 0 is somebody else's. */
	if (l->io.ready == NULL || l->io.fd < 0)
		return;
	loop_timer_disarm(l->loop, &l->pause);
	loop_io_del(l->loop, &l->io);
	(void)close(l->io.fd);
	l->io.fd = -1;
}
