/* simulate_server.c - a simulator offered on a Unix socket. */
#include "simulate_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd.h"

/* A request on its way in. */
struct frame {
	size_t n;
	uint8_t b[NSM_FRAME_HEAD + NSM_REQUEST_MAX];
};

struct conn {
	struct simulate_server *server;
	struct loop_io io; /* fd is -1 where there is no connection */
	uint32_t events;   /* that io waits for */
	/* Closes a connection whose request, reply or silence takes too long; while `due`, lets the reply go. */
	struct loop_timer timer;
	bool due;
	int64_t idle_since_ms; /* where nothing is under way */
	struct frame in;
	struct buf out;
	size_t sent; /* of out */
};

struct simulate_server {
	struct loop *loop;
	struct simulator *simulator;
	int64_t delay_ms;
	struct net_addr address;
	struct net_listener listener;
	struct conn conns[SIMULATE_SERVER_CONNECTIONS_MAX];
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

static bool is_idle(const struct conn *c)
{
	return c->io.fd >= 0 && c->in.n == 0 && c->out.n == 0;
}

static void become_idle(struct conn *c)
{
	c->idle_since_ms = loop_now_ms(c->server->loop);
	arm(c, SIMULATE_SERVER_IDLE_MS);
	wait_for(c, EPOLLIN);
}

static void send_some(struct conn *c)
{
	while (c->sent < c->out.n) {
		const ssize_t n = send(c->io.fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
		if (n >= 0) {
			c->sent += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!c->timer.armed)
				arm(c, SIMULATE_SERVER_FRAME_MS);
			wait_for(c, EPOLLOUT);
			return;
		} else if (errno != EINTR) {
			conn_close(c);
			return;
		}
	}
	buf_reset(&c->out);
	c->sent = c->in.n = 0;
	become_idle(c);
}

static void answer(struct conn *c)
{
	struct why w = {0};
	nsm_frame_begin(&c->out);
	const struct bytes request = bytes_of(c->in.b + NSM_FRAME_HEAD, c->in.n - NSM_FRAME_HEAD);
	const enum err e = simulator_call(c->server->simulator, request, &c->out, &w);
	if (e != ERR_OK)
		(void)cmd_fail(&w);
	if (e == ERR_OK && nsm_frame_end(&c->out))
		send_some(c);
	else
		conn_close(c);
}

/* *more: the bytes to be read next, never beyond this request; 0 when it is whole. False when it announces a length
 * that no request may have: nothing that follows can be understood. */
static bool wants(const struct frame *f, size_t *more)
{
	if (f->n < NSM_FRAME_HEAD) {
		*more = NSM_FRAME_HEAD - f->n;
		return true;
	}
	const size_t n = nsm_frame_length(f->b);
	if (n == 0 || n > NSM_REQUEST_MAX)
		return false;
	*more = NSM_FRAME_HEAD + n - f->n;
	return true;
}

static void read_some(struct conn *c)
{
	size_t more;
	while (wants(&c->in, &more) && more > 0) {
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
			arm(c, SIMULATE_SERVER_FRAME_MS);
		c->in.n += (size_t)n;
	}
	if (!wants(&c->in, &more)) {
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

/* A connection that is open for nothing must not keep out one that has something to ask. */
static struct conn *find_place(struct simulate_server *s)
{
	struct conn *idlest = NULL;
	for (struct conn *c = s->conns; c < s->conns + SIMULATE_SERVER_CONNECTIONS_MAX; c++) {
		if (c->io.fd < 0)
			return c;
		if (is_idle(c) && (idlest == NULL || c->idle_since_ms < idlest->idle_since_ms))
			idlest = c;
	}
	if (idlest != NULL)
		conn_close(idlest);
	return idlest;
}

static void on_accepted(struct net_listener *l, int fd, const struct sockaddr_storage *from, socklen_t n)
{
	struct simulate_server *s = l->ctx;
	struct why w = {0};
	(void)from;
	(void)n;
	struct conn *c = find_place(s);
	if (c == NULL) {
		(void)close(fd);
		return;
	}
	*c = (struct conn){.server = s,
			   .io = {.fd = fd, .ready = on_conn, .ctx = c},
			   .events = EPOLLIN,
			   .timer = {.fire = on_timer, .ctx = c},
			   .out = BUF_INIT(NSM_FRAME_HEAD + NSM_REPLY_MAX)};
	if (loop_io_add(s->loop, &c->io, c->events, &w) != ERR_OK)
		conn_close(c);
	else
		become_idle(c);
}

static void on_accept_failed(struct net_listener *l, const struct why *w)
{
	(void)l;
	(void)cmd_fail(w);
}

enum err simulate_server_open(struct simulate_server **out, struct loop *l, struct simulator *simulator,
			      const struct net_addr *at, int64_t delay_ms, struct why *w)
{
	struct simulate_server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the simulator's connections");
	s->loop = l;
	s->simulator = simulator;
	s->delay_ms = delay_ms;
	s->address = *at;
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++)
		s->conns[i].io.fd = -1;
	s->listener = (struct net_listener){
		.loop = l, .accepted = on_accepted, .failed = on_accept_failed, .ctx = s, .io = {.fd = -1}};
	int fd;
	enum err e = net_listen(&fd, at, w);
	if (e == ERR_OK)
		e = net_listener_open(&s->listener, fd, w);
	if (e != ERR_OK) {
		simulate_server_close(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

void simulate_server_close(struct simulate_server *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++)
		conn_close(&s->conns[i]);
	net_unlisten(s->listener.io.fd, &s->address);
	net_listener_close(&s->listener);
	free(s);
}
