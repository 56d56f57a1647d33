/* tls_front.c - connections from their acceptance to the end of the handshake, and their end. */
#include "tls_front_parts.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum err tls_front_new(struct tls_front **out, struct loop *l, struct log *log, struct tls_server *server,
		       const struct tls_front_limits *limits, void (*secured)(void *ctx, int fd, struct tls_peer *peer),
		       void *ctx, struct why *w)
{
	struct tls_front *f = calloc(1, sizeof *f);

	if (f == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a TLS listener");
	f->loop = l;
	f->log = log;
	f->server = server;
	f->limits = *limits;
	f->secured = secured;
	f->ctx = ctx;
	*out = f;
	return ERR_OK;
}

/* ---- the end of a connection ---- */

static void free_conn(struct tls_front_conn *c)
{
	*(c->prev != NULL ? &c->prev->next : &c->front->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->front->count.open--;
	tls_free(c->tls);
	if (c->outer.fd >= 0)
		(void)close(c->outer.fd);
	free(c);
}

static void handshake_over(struct tls_front_conn *c)
{
	if (c->handshaking)
		c->front->count.handshaking--;
	c->handshaking = false;
}

void tls_front_close(struct tls_front_conn *c)
{
	struct loop *l = c->front->loop;

	if (c->dead)
		return;
	c->dead = true;
	if (c->handshaking)
		c->front->count.failed++;
	handshake_over(c);
	loop_timer_disarm(l, &c->timer);
	loop_io_del(l, &c->outer);
	if (c->inner.fd >= 0) {
		loop_io_del(l, &c->inner);
		(void)close(c->inner.fd);
	}
	tls_front_rest_free(&c->in);
	tls_front_rest_free(&c->out);
	/* A worker may be using the TLS connection and its socket. */
	if (!c->working)
		free_conn(c);
}

/* ---- the handshake ---- */

static void run_handshake(struct loop_job *j)
{
	struct tls_front_conn *c = (struct tls_front_conn *)((char *)j - offsetof(struct tls_front_conn, job));
	c->step = tls_handshake(c->tls, &c->why);
}

/* Waits without being told of a hang-up over and over while a worker has the connection. */
static void await(struct tls_front_conn *c, uint32_t events)
{
	struct why w = {0};
	if (loop_io_mod(c->front->loop, &c->outer, events | EPOLLONESHOT, &w) != ERR_OK)
		tls_front_close(c);
}

static enum err make_inner(struct tls_front_conn *c, int *theirs, struct why *w)
{
	struct loop *l = c->front->loop;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return why_set(w, ERR_ENVIRONMENT, "a pair of sockets for a TLS connection: %s", strerror(errno));
	c->inner = (struct loop_io){.fd = pair[0], .ready = tls_front_on_inner, .ctx = c};
	c->inner_events = EPOLLIN;
	const enum err e = loop_io_add(l, &c->inner, c->inner_events, w);
	if (e != ERR_OK) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		c->inner.fd = -1;
		return e;
	}
	*theirs = pair[1];
	return ERR_OK;
}

static void secure(struct tls_front_conn *c)
{
	struct tls_front *f = c->front;
	struct tls_peer *peer = NULL;
	struct why w = {0};
	int theirs = -1;
	enum err e;

	if ((e = tls_peer_of(c->tls, &peer, &w)) != ERR_OK || (e = make_inner(c, &theirs, &w)) != ERR_OK) {
		log_why(f->log, LOG_WARN, "tls", &w);
		tls_peer_free(peer);
		tls_front_close(c);
		return;
	}
	handshake_over(c);
	f->count.handshakes++;
	loop_timer_disarm(f->loop, &c->timer);
	c->outer.ready = tls_front_on_outer;
	c->outer_events = EPOLLIN;
	if (loop_io_mod(f->loop, &c->outer, c->outer_events, &w) != ERR_OK) {
		(void)close(theirs);
		tls_peer_free(peer);
		tls_front_close(c);
		return;
	}
	f->secured(f->ctx, theirs, peer);
	/* Its first bytes may have come with the handshake's last, and then nothing would tell of them. */
	tls_front_pump(c);
}

static void handshake_done(struct loop_job *j)
{
	struct tls_front_conn *c = (struct tls_front_conn *)((char *)j - offsetof(struct tls_front_conn, job));

	c->working = false;
	if (c->dead) {
		free_conn(c);
		return;
	}
	switch (c->step) {
	case TLS_DONE:
		secure(c);
		return;
	case TLS_WANT_READ:
		await(c, EPOLLIN);
		return;
	case TLS_WANT_WRITE:
		await(c, EPOLLOUT);
		return;
	case TLS_ENDED:
	case TLS_BROKEN:
		break;
	}
	if (log_wants(c->front->log, LOG_DEBUG))
		log_why(c->front->log, LOG_DEBUG, "tls_handshake", &c->why);
	tls_front_close(c);
}

static void on_handshake(struct loop_io *io, uint32_t events)
{
	struct tls_front_conn *c = io->ctx;
	struct why w = {0};
	(void)events;
	if (c->working)
		return;
	c->job.run = run_handshake;
	c->job.done = handshake_done;
	if (loop_submit(c->front->loop, LANE_CPU, &c->job, &w) != ERR_OK) {
		tls_front_close(c);
		return;
	}
	c->working = true;
}

static void on_timer(struct loop_timer *t)
{
	struct tls_front_conn *c = t->ctx;
	if (!c->handshaking && !c->inner_ended && !c->inner_gone) {
		tls_front_pump(c);
		return;
	}
	if (c->handshaking)
		c->front->count.timed_out++;
	tls_front_close(c);
}

void tls_front_take(struct tls_front *f, int fd)
{
	const int one = 1;
	struct why w = {0};

	if (f->draining || f->count.handshaking >= (uint64_t)f->limits.max_handshakes) {
		f->count.refused++;
		(void)close(fd);
		return;
	}
	struct tls_front_conn *c = calloc(1, sizeof *c);
	if (c == NULL || tls_accept(f->server, fd, &c->tls, &w) != ERR_OK) {
		f->count.refused++;
		free(c);
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* where it is TCP */
	c->front = f;
	c->outer = (struct loop_io){.fd = fd, .ready = on_handshake, .ctx = c};
	c->inner.fd = -1;
	c->timer = (struct loop_timer){.fire = on_timer, .ctx = c};
	c->handshaking = true;
	c->next = f->conns;
	if (f->conns != NULL)
		f->conns->prev = c;
	f->conns = c;
	f->count.open++;
	f->count.handshaking++;
	loop_timer_arm(f->loop, &c->timer, f->limits.handshake_ms);
	if (loop_io_add(f->loop, &c->outer, EPOLLIN | EPOLLONESHOT, &w) != ERR_OK)
		tls_front_close(c);
}

/* ---- the front as a whole ---- */

void tls_front_count(const struct tls_front *f, struct tls_front_counters *out)
{
	*out = f->count;
}

void tls_front_drain(struct tls_front *f)
{
	struct tls_front_conn *next;

	f->draining = true;
	for (struct tls_front_conn *c = f->conns; c != NULL; c = next) {
		next = c->next;
		if (c->handshaking)
			tls_front_close(c);
	}
}

void tls_front_free(struct tls_front *f)
{
	if (f == NULL)
		return;
	while (f->conns != NULL)
		tls_front_close(f->conns);
	free(f);
}
