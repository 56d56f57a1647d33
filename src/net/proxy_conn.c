/* proxy_conn.c - a connection: its two ends, and how it ends. */
#include "proxy_parts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

_Static_assert(sizeof(struct conn) <= PROXY_CONN_MAX, "an idle connection is to stay small");

/* All that can happen is asked for once: where nothing can be done about it, an edge costs one look and no more. */
#define EDGES (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)

/* ---- events ---- */

/* Whether a client that has hung up left bytes behind, for which it is worth to go on. */
static bool has_bytes(const struct end *x)
{
	char next;
	return recv(x->io.fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_end(struct loop_io *io, uint32_t events)
{
	struct conn *c = io->ctx;
	const int i = io == &c->stream.end[CLIENT].io ? CLIENT : TARGET;
	struct end *x = &c->stream.end[i];
	/* splice(2) stops for good at a byte of urgent data. */
	if ((events & EPOLLPRI) != 0)
		c->stream.half[i].copies = true;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		events |= EPOLLIN | EPOLLOUT; /* the call will tell which of the two it ends */
	if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) != 0)
		x->readable = true;
	if ((events & EPOLLOUT) != 0)
		x->writable = true;
	if (c->state == CONN_OPEN) {
		x->failed = x->failed || (events & EPOLLERR) != 0;
		conn_move(c);
	} else if (i == TARGET) {
		connect_ready(c, events);
	} else if ((events & EPOLLERR) != 0 || ((events & EPOLLHUP) != 0 && !has_bytes(x))) {
		c->proxy->count.broken++;
		conn_end(c, true);
	}
}

enum err conn_open_end(struct conn *c, int end, int fd, bool tcp, struct why *w)
{
	const int one = 1;
	struct end *x = &c->stream.end[end];
	*x = (struct end){.io = {.fd = fd, .ready = on_end, .ctx = c}, .tcp = tcp};
	/* Where they fail there is no such thing. */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
	if (tcp)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return loop_io_add(c->proxy->loop, &x->io, EDGES, w);
}

void conn_close_end(struct conn *c, int end, bool reset)
{
	const struct linger none = {.l_onoff = 1};
	struct end *x = &c->stream.end[end];
	if (x->io.fd < 0)
		return;
	loop_io_del(c->proxy->loop, &x->io);
	if (reset && x->tcp)
		(void)setsockopt(x->io.fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	(void)close(x->io.fd);
	x->io.fd = -1;
}

/* ---- from beginning to end ---- */

void conn_start(struct route *r, int fd, bool tcp, struct source *source)
{
	struct proxy *p = r->proxy;
	struct why w = {0};
	struct conn *c = calloc(1, sizeof *c);
	if (c == NULL) {
		source_leave(&p->sources, source);
		(void)close(fd);
		p->count.failed++;
		return;
	}
	c->proxy = p;
	c->route = r;
	c->source = source;
	c->state = CONN_PAUSES;
	c->stream.end[TARGET].io.fd = -1;
	TAILQ_INSERT_TAIL(&p->conns, c, link);
	p->count.open++;
	if (conn_open_end(c, CLIENT, fd, tcp, &w) == ERR_OK) {
		connect_start(c);
		return;
	}
	log_why(p->log, LOG_WARN, "accept", &w);
	p->count.failed++;
	conn_end(c, true);
}

static void touch(struct conn *c, int i)
{
	struct proxy *p = c->proxy;
	struct direction *d = &c->direction[i];
	const int64_t now = loop_now_ms(p->loop);
	if (d->active_ms == now)
		return;
	d->active_ms = now;
	TAILQ_REMOVE(&p->directions, d, link);
	TAILQ_INSERT_TAIL(&p->directions, d, link);
}

void conn_opened(struct conn *c)
{
	struct proxy *p = c->proxy;
	connect_forget(c);
	c->state = CONN_OPEN;
	for (int i = 0; i < ENDS; i++) {
		c->direction[i] = (struct direction){.conn = c, .active_ms = loop_now_ms(p->loop)};
		TAILQ_INSERT_TAIL(&p->directions, &c->direction[i], link);
	}
	c->stream.end[TARGET].writable = true;
	if (!p->idle_timer.armed)
		loop_timer_arm(p->loop, &p->idle_timer, p->limits.idle_ms);
	p->count.connected++;
	conn_move(c);
}

void conn_move(struct conn *c)
{
	struct proxy *p = c->proxy;
	struct stream *s = &c->stream;
	uint64_t *const count[ENDS] = {&p->count.bytes_in, &p->count.bytes_out};
	bool broken = s->end[CLIENT].failed || s->end[TARGET].failed, more = false, starved = false;
	/* What came before the break is still passed on. */
	for (int i = 0; i < ENDS; i++) {
		uint64_t moved = 0;
		const bool held = s->half[i].held != NULL;
		const enum flow flow = stream_move(&p->buffers, s, i, &moved);
		*count[i] += moved;
		if (moved > 0 || (!held && s->half[i].held != NULL))
			touch(c, i);
		if (moved > 0 && s->half[!i].held == NULL)
			touch(c, !i);
		if (flow == FLOW_BROKEN)
			broken = s->end[CLIENT].failed = s->end[TARGET].failed = true;
		more = more || flow == FLOW_MORE;
		starved = starved || flow == FLOW_STARVED;
	}
	if (broken) {
		p->count.broken++;
		conn_end(c, true);
	} else if (s->half[CLIENT].done && s->half[TARGET].done) {
		conn_end(c, false);
	} else if (more || starved) {
		proxy_again(p, c, more);
	}
}

void conn_end(struct conn *c, bool reset)
{
	struct proxy *p = c->proxy;
	connect_forget(c);
	for (int i = 0; i < ENDS; i++)
		conn_close_end(c, i, reset);
	stream_clear(&p->buffers, &c->stream);
	source_leave(&p->sources, c->source);
	TAILQ_REMOVE(&p->conns, c, link);
	for (int i = 0; i < ENDS && c->state == CONN_OPEN; i++)
		TAILQ_REMOVE(&p->directions, &c->direction[i], link);
	if (c->again)
		TAILQ_REMOVE(&p->again, c, again_link);
	free(c);
	p->count.open--;
	proxy_ended_one(p);
}
