/* server.c - connections: a line in, a reply out, each in its time; accepting, and the end. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024, REFUSAL_MAX = 1024, REFUSALS_MS = 10 * 1000 };

/* ---- life ---- */

static void drain_over(struct vsock_server *s)
{
	void (*drained)(void *) = s->drained;
	if (drained == NULL)
		return;
	s->drained = NULL;
	loop_timer_disarm(s->loop, &s->drain);
	drained(s->drained_ctx);
}

static void conn_close(struct vsock_conn *c)
{
	struct vsock_server *s = c->server;
	if (c->op != NULL)
		vsock_op_drop(c->op);
	loop_timer_disarm(s->loop, &c->timer);
	loop_io_del(s->loop, &c->io);
	(void)close(c->io.fd);
	*(c->prev != NULL ? &c->prev->next : &s->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
	s->count.connections_open--;
	if (s->count.connections_open == 0)
		drain_over(s);
}

/* False when it is gone. */
static bool wait_for(struct vsock_conn *c, uint32_t events)
{
	struct why w = {0};
	if (c->events == events)
		return true;
	c->events = events;
	if (loop_io_mod(c->server->loop, &c->io, events, &w) == ERR_OK)
		return true;
	log_why(c->server->log, LOG_WARN, "vsock", &w);
	conn_close(c);
	return false;
}

/* ---- the reply ---- */

/* Closing a socket with unread bytes may take the reply from a peer that has not read it yet. */
static void linger(struct vsock_conn *c)
{
	buf_free(&c->out);
	if (c->ended || shutdown(c->io.fd, SHUT_WR) != 0) {
		conn_close(c);
		return;
	}
	c->state = VSOCK_LINGERING;
	loop_timer_arm(c->server->loop, &c->timer, VSOCK_LINGER_MS);
	(void)wait_for(c, EPOLLIN);
}

static void send_some(struct vsock_conn *c)
{
	while (c->sent < c->out.n) {
		const ssize_t n = send(c->io.fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
		if (n >= 0) {
			c->sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			(void)wait_for(c, EPOLLOUT);
			return;
		} else if (errno != EINTR) {
			conn_close(c);
			return;
		}
	}
	linger(c);
}

void vsock_reply(struct vsock_conn *c, const char *code, struct buf *reply)
{
	struct vsock_server *s = c->server;
	buf_free(&c->in);
	buf_put_u8(reply, '\n');
	log_event(s->log, LOG_INFO, "vsock", LOG_S("command", c->command), LOG_S("code", code),
		  LOG_I("bytes_out", reply->n), LOG_I("us", loop_now_us(s->loop) - c->started_us));
	c->out = *reply;
	*reply = BUF_INIT(0);
	if (c->out.failed) {
		conn_close(c);
		return;
	}
	c->state = VSOCK_WRITING;
	loop_timer_arm(s->loop, &c->timer, s->options.request_ms);
	send_some(c);
}

void vsock_fail(struct vsock_conn *c, const char *prefix, const struct why *w)
{
	struct buf b = BUF_INIT(VSOCK_REPLY_MAX);
	/* Whoever asks too often must not fill the log as well. */
	const bool load = w->tell && (w->err == ERR_BUSY || w->err == ERR_RATE || w->err == ERR_KEYS_FULL);
	const bool ours = err_status(w->err) >= 500 && !load;
	if (!w->tell || ours || load)
		log_why(c->server->log, ours ? LOG_WARN : LOG_DEBUG, "vsock", w);
	c->server->count.failed++;
	vsock_put_error(&b, prefix, w);
	vsock_reply(c, err_code(w->err), &b);
}

/* All that epoll may tell of a vsock peer that has left is that it sends no more, which is true as well of one that has
 * said its all and waits. To send nothing does nothing to a peer that is there, and fails where none is. */
bool vsock_gone(struct vsock_conn *c)
{
	if (send(c->io.fd, "", 0, MSG_NOSIGNAL) >= 0 || errno != EPIPE)
		return false;
	conn_close(c);
	return true;
}

void vsock_await(struct vsock_conn *c, int64_t ms)
{
	loop_timer_arm(c->server->loop, &c->timer, ms);
}

/* ---- the request ---- */

static void fail_long(struct vsock_conn *c)
{
	struct why w = {0};
	(void)why_tell(&w, ERR_TOO_LARGE, NULL, "The request is longer than %d bytes.", VSOCK_REQUEST_MAX);
	vsock_fail(c, "", &w);
}

static void fail_late(struct vsock_conn *c)
{
	struct why w = {0};
	if (c->in.n == 0 && !c->in.failed) {
		conn_close(c);
		return;
	}
	(void)why_tell(&w, ERR_MALFORMED, NULL, "The request was not complete within %lld s.",
		       (long long)(c->server->options.request_ms / 1000));
	vsock_fail(c, "", &w);
}

static void take(struct vsock_conn *c, struct bytes piece)
{
	c->ended = piece.n == 0;
	if (c->ended && c->in.n == 0 && !c->in.failed) {
		conn_close(c);
		return;
	}
	const enum vsock_line line = vsock_line_take(&c->in, piece);
	if (line == VSOCK_LINE_TOO_LONG) {
		fail_long(c);
	} else if (line == VSOCK_LINE_WHOLE || c->ended) {
		c->state = VSOCK_WORKING;
		loop_timer_disarm(c->server->loop, &c->timer);
		/* Who leaves is told of as a hangup, always, or on vsock as one who sends no more. */
		if (wait_for(c, EPOLLRDHUP | EPOLLET))
			vsock_command(c);
	}
}

static void discard(struct vsock_conn *c, size_t n)
{
	c->discarded += n;
	if (n == 0 || c->discarded >= VSOCK_DISCARD_MAX)
		conn_close(c);
}

/* Once a call, so that nobody keeps the loop from the others. */
static void read_some(struct vsock_conn *c)
{
	uint8_t piece[READ_SIZE];
	const ssize_t n = recv(c->io.fd, piece, sizeof piece, 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			conn_close(c);
	} else if (c->state == VSOCK_READING) {
		take(c, bytes_of(piece, (size_t)n));
		mem_wipe(piece, (size_t)n);
	} else {
		discard(c, (size_t)n);
	}
}

static void on_conn(struct loop_io *io, uint32_t events)
{
	struct vsock_conn *c = io->ctx;
	switch (c->state) {
	case VSOCK_READING:
	case VSOCK_LINGERING:
		read_some(c);
		break;
	case VSOCK_WORKING: /* where it may be new in this turn, which has older events to tell */
		if ((events & (EPOLLHUP | EPOLLERR)) != 0)
			conn_close(c);
		else
			(void)vsock_gone(c);
		break;
	case VSOCK_WRITING:
		send_some(c);
		break;
	}
}

static void on_timer(struct loop_timer *t)
{
	struct vsock_conn *c = t->ctx;
	struct why w = {0};
	c->server->count.timeouts += c->state != VSOCK_LINGERING;
	switch (c->state) {
	case VSOCK_READING:
		fail_late(c);
		break;
	case VSOCK_WORKING:
		(void)why_tell(&w, ERR_NSM, NULL, "The document was not ready in time; try again.");
		vsock_op_late(c, &w);
		break;
	case VSOCK_WRITING:
	case VSOCK_LINGERING:
		conn_close(c);
		break;
	}
}

/* ---- accepting ---- */

/* A flood must not fill the log as well: a line when it begins, and one now and then while it lasts. */
static void tell_refusals(struct vsock_server *s)
{
	const int64_t now = loop_now_ms(s->loop);
	if (now < s->refusals_ms)
		return;
	s->refusals_ms = now + REFUSALS_MS;
	log_event(s->log, LOG_WARN, "vsock_refused", LOG_I("connections", s->count.connections_refused - s->refused),
		  LOG_I("open", s->count.connections_open));
	s->refused = s->count.connections_refused;
}

/* Said without waiting: whoever floods gets no more of us than this. */
static void refuse(struct vsock_server *s, int fd, const struct why *w)
{
	struct buf b = BUF_INIT(REFUSAL_MAX);
	uint8_t unread[VSOCK_REQUEST_MAX];
	s->count.connections_refused++;
	tell_refusals(s);
	vsock_put_error(&b, "", w);
	buf_put_u8(&b, '\n');
	if (!b.failed)
		(void)!send(fd, b.p, b.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* What lies unread when a socket is closed may take the reply with it. */
	(void)!recv(fd, unread, sizeof unread, MSG_DONTWAIT);
	(void)close(fd);
	buf_free(&b);
}

static enum err admit(struct vsock_server *s, struct why *w)
{
	if (s->count.connections_open >= (uint64_t)s->options.max_connections)
		return why_tell(w, ERR_CONNS_FULL, NULL, "Too many connections are open; try again shortly.");
	const unsigned wait_s = bucket_take(&s->bucket, loop_now_ms(s->loop));
	if (wait_s > 0)
		return why_tell(w, ERR_RATE, NULL, "More than %lld requests a second were made; try again in %u s.",
				(long long)s->options.rate, wait_s);
	return ERR_OK;
}

static enum err begin(struct vsock_server *s, int fd, struct why *w)
{
	struct vsock_conn *c = calloc(1, sizeof *c);
	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a connection");
	c->server = s;
	c->io = (struct loop_io){.fd = fd, .ready = on_conn, .ctx = c};
	c->timer = (struct loop_timer){.fire = on_timer, .ctx = c};
	c->events = EPOLLIN;
	c->in = BUF_INIT(VSOCK_REQUEST_MAX);
	c->command = "-";
	c->started_us = loop_now_us(s->loop);
	const enum err e = loop_io_add(s->loop, &c->io, c->events, w);
	if (e != ERR_OK) {
		log_why(s->log, LOG_WARN, "vsock", w);
		free(c);
		return why_tell(w, ERR_CONNS_FULL, NULL, "No connection can be taken now; try again shortly.");
	}
	c->next = s->conns;
	if (s->conns != NULL)
		s->conns->prev = c;
	s->conns = c;
	s->count.connections_open++;
	s->count.connections_total++;
	loop_timer_arm(s->loop, &c->timer, s->options.request_ms);
	return ERR_OK;
}

static void on_accepted(struct net_listener *l, int fd, const struct sockaddr_storage *from, socklen_t n)
{
	struct vsock_server *s = l->ctx;
	struct why w = {0};
	(void)from;
	(void)n;
	if (admit(s, &w) != ERR_OK || begin(s, fd, &w) != ERR_OK)
		refuse(s, fd, &w);
}

static void on_accept_failed(struct net_listener *l, const struct why *w)
{
	struct vsock_server *s = l->ctx;
	log_why(s->log, LOG_WARN, "accept", w);
}

/* ---- the end ---- */

/* What the clients of jobs under way get is said at once, because nobody waits any more. */
static void on_drain_end(struct loop_timer *t)
{
	struct vsock_server *s = t->ctx;
	struct why w = {0};
	(void)why_tell(&w, ERR_BUSY, NULL, "The server is stopping.");
	for (struct vsock_conn *c = s->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->state == VSOCK_WORKING)
			vsock_op_late(c, &w);
	}
	drain_over(s);
}

void vsock_drain(struct vsock_server *s, int64_t drain_ms, void (*drained)(void *ctx), void *ctx)
{
	if (s->draining)
		return;
	s->draining = true;
	net_listener_close(&s->listener);
	/* What has come is answered; whoever has said nothing is not waited for. */
	for (struct vsock_conn *c = s->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->state == VSOCK_READING)
			read_some(c);
	}
	for (struct vsock_conn *c = s->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->state == VSOCK_READING && c->in.n == 0)
			conn_close(c);
	}
	s->drained = drained;
	s->drained_ctx = ctx;
	if (s->count.connections_open == 0)
		drain_over(s);
	else
		loop_timer_arm(s->loop, &s->drain, drain_ms);
}

/* ---- the server ---- */

enum err vsock_new(struct vsock_server **out, struct loop *l, struct log *log, const struct clock *clock,
		   const struct vsock_options *o, struct nsm *nsm, struct crypto *crypto, struct attest *attest,
		   struct keys *keys, struct budget *budget, struct why *w)
{
	struct vsock_server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the vsock server");
	s->loop = l;
	s->log = log;
	s->clock = clock;
	s->options = *o;
	s->nsm = nsm;
	s->crypto = crypto;
	s->attest = attest;
	s->keys = keys;
	s->budget = budget;
	s->listener = (struct net_listener){
		.loop = l, .accepted = on_accepted, .failed = on_accept_failed, .ctx = s, .io = {.fd = -1}};
	s->started_ms = loop_now_ms(l);
	s->drain = (struct loop_timer){.fire = on_drain_end, .ctx = s};
	bucket_init(&s->bucket, o->rate, o->burst, s->started_ms);
	*out = s;
	return ERR_OK;
}

enum err vsock_listen(struct vsock_server *s, int fd, unsigned port, struct why *w)
{
	s->port = port;
	return net_listener_open(&s->listener, fd, w);
}

void vsock_free(struct vsock_server *s)
{
	if (s == NULL)
		return;
	s->drained = NULL;
	net_listener_close(&s->listener);
	loop_timer_disarm(s->loop, &s->drain);
	for (struct vsock_conn *c = s->conns, *next; c != NULL; c = next) {
		next = c->next;
		conn_close(c);
	}
	free(s);
}

void vsock_count(const struct vsock_server *s, struct vsock_counters *out)
{
	*out = s->count;
}
