/* proxy.c - routes, limits, and what all connections have in common: idleness, turns, the end. */
#include "proxy_parts.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- timers ---- */

static void on_idle(struct loop_timer *t)
{
	struct proxy *p = t->ctx;
	const int64_t now = loop_now_ms(p->loop);
	struct direction *d;
	while ((d = TAILQ_FIRST(&p->directions)) != NULL) {
		const int64_t left = d->active_ms + p->limits.idle_ms - now;
		if (left > 0) {
			loop_timer_arm(p->loop, t, left);
			return;
		}
		p->count.timed_out++;
		conn_end(d->conn, true);
	}
}

static void on_again(struct loop_timer *t)
{
	struct proxy *p = t->ctx;
	struct conn_list all = TAILQ_HEAD_INITIALIZER(all);
	struct conn *c;
	p->again_soon = false;
	TAILQ_CONCAT(&all, &p->again, again_link);
	while ((c = TAILQ_FIRST(&all)) != NULL) {
		TAILQ_REMOVE(&all, c, again_link);
		c->again = false;
		conn_move(c);
	}
}

void proxy_again(struct proxy *p, struct conn *c, bool soon)
{
	if (!c->again)
		TAILQ_INSERT_TAIL(&p->again, c, again_link);
	c->again = true;
	if (!p->again_timer.armed || (soon && !p->again_soon))
		loop_timer_arm(p->loop, &p->again_timer, soon ? 0 : NET_PAUSE_MS);
	p->again_soon = p->again_soon || soon;
}

static void on_drain_over(struct loop_timer *t)
{
	struct proxy *p = t->ctx;
	void (*drained)(void *ctx) = p->drained;
	p->drained = NULL;
	drained(p->drained_ctx);
}

void proxy_ended_one(struct proxy *p)
{
	if (p->drained != NULL && p->count.open == 0)
		loop_timer_arm(p->loop, &p->drain_timer, 0);
}

/* ---- accepting ---- */

static void refuse(int fd, bool tcp)
{
	const struct linger none = {.l_onoff = 1};
	if (tcp)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	(void)close(fd);
}

static void on_accepted(struct net_listener *l, int fd, const struct sockaddr_storage *from, socklen_t n)
{
	struct route *r = l->ctx;
	struct proxy *p = r->proxy;
	const bool tcp = from->ss_family == AF_INET || from->ss_family == AF_INET6;
	struct source *source = NULL;
	(void)n;
	if (p->count.open >= (uint64_t)p->limits.max_connections) {
		p->count.refused_full++;
		refuse(fd, tcp);
		return;
	}
	if (p->limits.max_per_source > 0 && !source_enter(&p->sources, &source, fd, from, p->limits.max_per_source)) {
		p->count.refused_source++;
		refuse(fd, tcp);
		return;
	}
	p->count.accepted++;
	conn_start(r, fd, tcp, source);
}

static void on_failed(struct net_listener *l, const struct why *w)
{
	const struct route *r = l->ctx;
	log_why(r->proxy->log, LOG_WARN, "accept", w);
}

/* ---- the contract ---- */

enum err proxy_new(struct proxy **out, struct loop *l, const struct clock *clock, struct log *log,
		   const struct proxy_limits *limits, struct why *w)
{
	struct proxy *p = calloc(1, sizeof *p);
	if (p == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the proxy");
	p->loop = l;
	p->clock = clock;
	p->log = log;
	p->limits = *limits;
	TAILQ_INIT(&p->conns);
	TAILQ_INIT(&p->directions);
	TAILQ_INIT(&p->again);
	p->idle_timer = (struct loop_timer){.fire = on_idle, .ctx = p};
	p->again_timer = (struct loop_timer){.fire = on_again, .ctx = p};
	p->drain_timer = (struct loop_timer){.fire = on_drain_over, .ctx = p};
	*out = p;
	return ERR_OK;
}

enum err proxy_add(struct proxy *p, int fd, const struct net_target *to, struct why *w)
{
	if (p->n_routes == PROXY_PAIRS_MAX) {
		(void)close(fd);
		return why_set(w, ERR_CONFIG, "a proxy has at most %d pairs of a listener and a target",
			       PROXY_PAIRS_MAX);
	}
	const int one = 1;
	struct route *r = &p->route[p->n_routes];
	/* What it accepts inherits this, so that no urgent byte is lost that comes before it is accepted. Where it
	 * fails there is no such thing. */
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
	r->proxy = p;
	r->to = *to;
	r->listener = (struct net_listener){.loop = p->loop, .accepted = on_accepted, .failed = on_failed, .ctx = r};
	const enum err e = net_listener_open(&r->listener, fd, w);
	if (e == ERR_OK)
		p->n_routes++;
	return e;
}

static void close_listeners(struct proxy *p)
{
	for (size_t i = 0; i < p->n_routes; i++)
		net_listener_close(&p->route[i].listener);
}

void proxy_drain(struct proxy *p, int64_t drain_ms, void (*drained)(void *ctx), void *ctx)
{
	close_listeners(p);
	p->drained = drained;
	p->drained_ctx = ctx;
	loop_timer_arm(p->loop, &p->drain_timer, p->count.open == 0 ? 0 : drain_ms);
}

void proxy_free(struct proxy *p)
{
	struct conn *c;
	if (p == NULL)
		return;
	close_listeners(p);
	p->drained = NULL;
	while ((c = TAILQ_FIRST(&p->conns)) != NULL)
		conn_end(c, true);
	loop_timer_disarm(p->loop, &p->idle_timer);
	loop_timer_disarm(p->loop, &p->again_timer);
	loop_timer_disarm(p->loop, &p->drain_timer);
	buffers_free(&p->buffers);
	free(p);
}

void proxy_count(const struct proxy *p, struct proxy_counters *out)
{
	*out = p->count;
}
