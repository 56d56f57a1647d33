/* nsm_server.c - a simulator offered on a Unix socket. */
#include "nsm_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd.h"
#include "frame.h"

struct conn {
	struct nsm_server *server;
	struct loop_io io; /* fd is -1 where there is no connection */
	uint32_t events;   /* that io waits for */
	/* Closes a connection whose request or reply takes too long; while `due`, lets the reply go. */
	struct loop_timer timer;
	bool due;
	struct frame in;
	struct buf out;
	size_t sent; /* of out */
};

struct nsm_server {
	struct loop *loop;
	struct simulator *simulator;
	int64_t delay_ms;
	struct net_addr address;
	struct loop_io listener;
	struct conn conns[NSM_SERVER_CONNECTIONS_MAX];
};

static void conn_close(struct conn *c)
{
	if (c->io.fd < 0)
		return;
	loop_timer_disarm(c->server->loop, &c->timer);
	loop_io_del(c->server->loop, &c->io);
	(void)close(c->io.fd);
	c->io.fd = -1;
	buf_free(&c->out);
}

static void wait_for(struct conn *c, uint32_t events)
{
	struct why w = {0};
	if (c->events == events)
		return;
	c->events = events;
	if (loop_io_mod(c->server->loop, &c->io, events, &w) != ERR_OK)
		conn_close(c);
}

static void arm(struct conn *c, int64_t ms)
{
	loop_timer_arm(c->server->loop, &c->timer, ms);
}

static void send_some(struct conn *c)
{
	while (c->sent < c->out.n) {
		const ssize_t n = send(c->io.fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
		if (n >= 0) {
			c->sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!c->timer.armed)
				arm(c, NSM_SERVER_FRAME_MS);
			wait_for(c, EPOLLOUT);
			return;
		} else if (errno != EINTR) {
			conn_close(c);
			return;
		}
	}
	loop_timer_disarm(c->server->loop, &c->timer);
	buf_reset(&c->out);
	c->sent = c->in.n = 0;
	wait_for(c, EPOLLIN);
}

static void answer(struct conn *c)
{
	struct why w = {0};
	frame_begin(&c->out);
	const enum err e = simulator_call(c->server->simulator, frame_request(&c->in), &c->out, &w);
	if (e != ERR_OK)
		(void)cmd_fail(&w);
	if (e == ERR_OK && frame_end(&c->out))
		send_some(c);
	else
		conn_close(c);
}

static void read_some(struct conn *c)
{
	size_t more;
	while (frame_wants(&c->in, &more) && more > 0) {
		const ssize_t n = recv(c->io.fd, c->in.b + c->in.n, more, 0);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			conn_close(c);
			return;
		}
		if (c->in.n == 0)
			arm(c, NSM_SERVER_FRAME_MS);
		c->in.n += (size_t)n;
	}
	if (!frame_wants(&c->in, &more)) {
		conn_close(c);
		return;
	}
	loop_timer_disarm(c->server->loop, &c->timer);
	if (c->server->delay_ms == 0) {
		answer(c);
		return;
	}
	c->due = true;
	arm(c, c->server->delay_ms);
	wait_for(c, 0);
}

static void on_timer(struct loop_timer *t)
{
	struct conn *c = t->ctx;
	if (!c->due) {
		conn_close(c);
		return;
	}
	c->due = false;
	answer(c);
}

static void on_conn(struct loop_io *io, uint32_t events)
{
	struct conn *c = io->ctx;
	(void)events;
	if (c->due) /* only the end of a connection wakes one that waits */
		conn_close(c);
	else if (c->out.n > 0)
		send_some(c);
	else
		read_some(c);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
	struct nsm_server *s = io->ctx;
	struct why w = {0};
	(void)events;
	const int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	struct conn *c = s->conns, *end = s->conns + NSM_SERVER_CONNECTIONS_MAX;
	while (c < end && c->io.fd >= 0)
		c++;
	if (c == end) {
		(void)close(fd);
		return;
	}
	*c = (struct conn){.server = s,
			   .io = {.fd = fd, .ready = on_conn, .ctx = c},
			   .events = EPOLLIN,
			   .timer = {.fire = on_timer, .ctx = c},
			   .out = BUF_INIT(FRAME_REPLY_MAX)};
	if (loop_io_add(s->loop, &c->io, c->events, &w) != ERR_OK)
		conn_close(c);
}

enum err nsm_server_open(struct nsm_server **out, struct loop *l, struct simulator *simulator,
			 const struct net_addr *at, int64_t delay_ms, struct why *w)
{
	struct nsm_server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the simulator's connections");
	s->loop = l;
	s->simulator = simulator;
	s->delay_ms = delay_ms;
	s->address = *at;
	for (size_t i = 0; i < NSM_SERVER_CONNECTIONS_MAX; i++)
		s->conns[i].io.fd = -1;
	s->listener = (struct loop_io){.fd = -1, .ready = on_listener, .ctx = s};
	enum err e = net_listen(&s->listener.fd, at, w);
	if (e == ERR_OK)
		e = loop_io_add(l, &s->listener, EPOLLIN, w);
	if (e != ERR_OK) {
		nsm_server_close(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void nsm_server_close(struct nsm_server *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < NSM_SERVER_CONNECTIONS_MAX; i++)
		conn_close(&s->conns[i]);
	if (s->listener.fd >= 0) {
		loop_io_del(s->loop, &s->listener);
		net_unlisten(s->listener.fd, &s->address);
		(void)close(s->listener.fd);
	}
	free(s);
}
