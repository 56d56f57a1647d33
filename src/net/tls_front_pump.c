/* tls_front_pump.c - bytes between a TLS connection and the inner end of its socket pair. */
#include "tls_front_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* So that one connection does not keep the others waiting; epoll tells of what is left. */
enum { ROUNDS = 8 };

void tls_front_rest_free(struct tls_front_rest *r)
{
	if (r->p != NULL)
		mem_wipe(r->p, r->n);
	free(r->p);
	*r = (struct tls_front_rest){NULL, 0, 0};
}

static bool keep_rest(struct tls_front_rest *r, const uint8_t *p, size_t n)
{
	r->p = malloc(n);
	if (r->p == NULL)
		return false;
	memcpy(r->p, p, n);
	r->at = 0;
	r->n = n;
	return true;
}

/* ---- from outside to the inner end ---- */

/* How many of the bytes were taken. An inner end that reads no more may still have said something: a reply that did not
 * wait for the request's end, say. */
static size_t give_inner(struct tls_front_conn *c, const uint8_t *p, size_t n)
{
	const ssize_t sent = send(c->inner.fd, p, n, MSG_NOSIGNAL);
	if (sent >= 0)
		return (size_t)sent;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	c->inner_deaf = true;
	return n;
}

static void flush_inner(struct tls_front_conn *c)
{
	c->in.at += give_inner(c, c->in.p + c->in.at, c->in.n - c->in.at);
	if (c->in.at == c->in.n)
		tls_front_rest_free(&c->in);
}

/* False: the connection is of no more use. *more: there is more that epoll does not know of. */
static bool read_outer(struct tls_front_conn *c, bool *more)
{
	uint8_t *block = c->front->block;
	struct why w = {0};
	size_t n = 0;
	bool good = true;

	c->read_waits = false;
	switch (tls_read(c->tls, block, TLS_FRONT_BLOCK, &n, &w)) {
	case TLS_DONE: {
		const size_t sent = give_inner(c, block, n);
		good = sent == n || keep_rest(&c->in, block + sent, n - sent);
		mem_wipe(block, n);
		*more = c->in.p == NULL && tls_pending(c->tls);
		return good;
	}
	case TLS_WANT_READ:
		return true;
	case TLS_WANT_WRITE:
		c->read_waits = true;
		return true;
	case TLS_ENDED:
		c->outer_ended = true;
		return true;
	case TLS_BROKEN:
		break;
	}
	if (log_wants(c->front->log, LOG_DEBUG))
		log_why(c->front->log, LOG_DEBUG, "tls", &w);
	return false;
}

/* OpenSSL must finish a record that the socket took a part of before it begins another, and reading may want to answer.
 */
static bool takes_outer(const struct tls_front_conn *c)
{
	return c->in.p == NULL && !c->outer_ended && !c->inner_deaf && !c->write_waits;
}

static bool inwards(struct tls_front_conn *c, bool *more)
{
	if (c->in.p != NULL)
		flush_inner(c);
	if (takes_outer(c) && !read_outer(c, more))
		return false;
	if (c->in.p == NULL && c->outer_ended && !c->inner_told) {
		(void)shutdown(c->inner.fd, SHUT_WR);
		c->inner_told = true;
	}
	return true;
}

/* ---- from the inner end to outside ---- */

/* How many bytes were taken; -1: the connection is broken. */
static ssize_t give_outer(struct tls_front_conn *c, const uint8_t *p, size_t n)
{
	struct why w = {0};
	size_t done = 0;

	c->write_waits = false;
	while (done < n) {
		size_t wrote = 0;
		switch (tls_write(c->tls, bytes_of(p + done, n - done), &wrote, &w)) {
		case TLS_DONE:
			done += wrote;
			break;
		case TLS_WANT_WRITE:
			c->write_waits = true;
			return (ssize_t)done;
		case TLS_WANT_READ:
			return (ssize_t)done;
		case TLS_ENDED:
		case TLS_BROKEN:
			return -1;
		}
	}
	return (ssize_t)done;
}

static bool flush_outer(struct tls_front_conn *c)
{
	const ssize_t n = give_outer(c, c->out.p + c->out.at, c->out.n - c->out.at);
	if (n < 0)
		return false;
	c->out.at += (size_t)n;
	if (c->out.at == c->out.n)
		tls_front_rest_free(&c->out);
	return true;
}

static bool read_inner(struct tls_front_conn *c, bool *more)
{
	uint8_t *block = c->front->block;
	const ssize_t n = recv(c->inner.fd, block, TLS_FRONT_BLOCK, 0);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return true;
	/* A reset is that the inner end closed without having read all; what it said comes before that. */
	if (n <= 0) {
		c->inner_ended = true;
		if (!c->inner_gone)
			loop_timer_arm(c->front->loop, &c->timer, c->front->limits.flush_ms);
		return true;
	}
	const ssize_t sent = give_outer(c, block, (size_t)n);
	const bool good = sent >= 0 && (sent == n || keep_rest(&c->out, block + sent, (size_t)(n - sent)));
	mem_wipe(block, (size_t)n);
	*more = n == TLS_FRONT_BLOCK && c->out.p == NULL;
	return good;
}

/* The other side is told that there is no more, then has a while to take it and to say the same. */
static bool say_end(struct tls_front_conn *c)
{
	struct why w = {0};

	c->write_waits = false;
	switch (tls_end(c->tls, &w)) {
	case TLS_WANT_WRITE:
		c->write_waits = true;
		return true;
	case TLS_BROKEN:
		return false;
	case TLS_DONE:
	case TLS_WANT_READ:
	case TLS_ENDED:
		break;
	}
	c->end_sent = true;
	loop_timer_arm(c->front->loop, &c->timer, c->front->limits.linger_ms);
	(void)shutdown(c->outer.fd, SHUT_WR);
	loop_io_del(c->front->loop, &c->inner);
	(void)close(c->inner.fd);
	c->inner.fd = -1;
	tls_front_rest_free(&c->in);
	return true;
}

static bool outwards(struct tls_front_conn *c, bool *more)
{
	if (c->read_waits)
		return true;
	if (c->out.p != NULL && !flush_outer(c))
		return false;
	if (c->out.p == NULL && !c->inner_ended && !read_inner(c, more))
		return false;
	return c->out.p != NULL || !c->inner_ended || say_end(c);
}

/* Reads and throws away what a client sends after the last reply: closing with bytes unread would reset the connection,
 * and the reply might be lost with it. False at the client's end. */
static bool discard(struct tls_front_conn *c)
{
	uint8_t block[TLS_FRONT_BLOCK];
	for (int i = 0; i < ROUNDS; i++) {
		const ssize_t n = recv(c->outer.fd, block, sizeof block, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			return false;
		if (n < 0)
			break;
	}
	return true;
}

/* ---- both ---- */

static bool set_events(struct tls_front_conn *c, struct loop_io *io, uint32_t *have, uint32_t events)
{
	struct why w = {0};
	if (io->fd < 0 || *have == events)
		return true;
	/* With nothing to wait for, a hang-up would still be told of, over and over. */
	if (*have == 0 ? loop_io_add(c->front->loop, io, events, &w) != ERR_OK
		       : events != 0 && loop_io_mod(c->front->loop, io, events, &w) != ERR_OK)
		return false;
	if (events == 0)
		loop_io_del(c->front->loop, io);
	*have = events;
	return true;
}

static bool wait_for_more(struct tls_front_conn *c)
{
	uint32_t outer = 0, inner = 0;
	if (c->end_sent || (takes_outer(c) && !c->read_waits))
		outer |= EPOLLIN;
	if (c->write_waits || c->read_waits)
		outer |= EPOLLOUT;
	if (c->out.p == NULL && !c->inner_ended && !c->read_waits)
		inner |= EPOLLIN;
	else if (!c->inner_ended && !c->inner_gone)
		inner |= EPOLLRDHUP | EPOLLET; /* its end starts the time that a client has which does not read */
	if (c->in.p != NULL)
		inner |= EPOLLOUT;
	return set_events(c, &c->outer, &c->outer_events, outer) && set_events(c, &c->inner, &c->inner_events, inner);
}

/* in, out: the directions in which there may be something to do. Each ends where the kernel has no more, or is not
 * likely to: epoll tells of the rest, and asking in vain costs as much as asking. */
static bool pump_both(struct tls_front_conn *c, bool in, bool out)
{
	for (int i = 0; (in || out) && i < ROUNDS && !c->end_sent; i++) {
		bool more_in = false, more_out = false;
		const bool held = c->write_waits;
		if ((in && !inwards(c, &more_in)) || (out && !outwards(c, &more_out)))
			return false;
		in = more_in || (held && !c->write_waits);
		out = more_out;
	}
	/* epoll knows nothing of bytes that are read already and perhaps decrypted. */
	if (in && !c->inner_ended && !c->inner_gone)
		loop_timer_arm(c->front->loop, &c->timer, 0);
	return !c->end_sent || discard(c);
}

static void pump(struct tls_front_conn *c, bool in, bool out)
{
	if (!pump_both(c, in, out) || !wait_for_more(c))
		tls_front_close(c);
}

void tls_front_pump(struct tls_front_conn *c)
{
	pump(c, true, true);
}

void tls_front_on_outer(struct loop_io *io, uint32_t events)
{
	struct tls_front_conn *c = io->ctx;
	(void)events;
	pump(c, true, c->write_waits || c->read_waits || c->out.p != NULL || c->inner_ended);
}

void tls_front_on_inner(struct loop_io *io, uint32_t events)
{
	struct tls_front_conn *c = io->ctx;
	if ((c->out.p != NULL || c->read_waits) && !c->inner_gone &&
	    (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
		c->inner_gone = true;
		loop_timer_arm(c->front->loop, &c->timer, c->front->limits.flush_ms);
	}
	pump(c, c->in.p != NULL, true);
}
