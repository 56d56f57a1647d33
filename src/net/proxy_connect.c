/* proxy_connect.c - the way to a target: look-up, its addresses in turn, and again until the time is over. */
#include "proxy_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* One at a time for a route, however many of its connections wait for it: those that come and go cannot fill the queue
 * in which other routes wait for theirs. It outlives them where the resolver takes longer. */
struct look_up {
	struct loop_job job;
	struct route *route;
	struct conn_list waiting;
	size_t refs; /* the job, and the connections that wait for it or have its addresses */
	struct net_target target;
	struct net_addr addr[NET_LOOK_UP_MAX];
	size_t n;
	enum err e;
	struct why w;
};

static int left_ms(const struct conn *c)
{
	return clock_left_ms(c->proxy->clock, c->until_ms);
}

/* ---- the log ---- */

/* A line when the target goes and one when it comes back, not one a connection. */
static void tell_target(struct conn *c, bool down, const char *text)
{
	char target[NET_TARGET_MAX];
	if (c->route->down == down)
		return;
	c->route->down = down;
	net_target_text(&c->route->to, target);
	if (down)
		log_event(c->proxy->log, LOG_WARN, "target_unreachable", LOG_S("target", target), LOG_S("text", text));
	else
		log_event(c->proxy->log, LOG_INFO, "target_reachable", LOG_S("target", target));
}

/* ---- one try ---- */

static void release_look_up(struct look_up *u)
{
	if (--u->refs == 0)
		free(u);
}

static void forget_look_up(struct conn *c)
{
	if (c->look_up == NULL)
		return;
	if (c->state == CONN_LOOKS_UP)
		TAILQ_REMOVE(&c->look_up->waiting, c, wait_link);
	release_look_up(c->look_up);
	c->look_up = NULL;
}

/* text: what is wrong with the target; NULL where nothing is known to be. */
static void fail_try(struct conn *c, const char *text)
{
	struct proxy *p = c->proxy;
	const int left = left_ms(c);
	forget_look_up(c);
	c->state = CONN_PAUSES;
	/* The first failure may pass: a queue that was full for a moment. */
	if (text != NULL && (c->tries > 1 || left == 0))
		tell_target(c, true, text);
	if (left == 0) {
		p->count.failed++;
		conn_end(c, true);
		return;
	}
	loop_timer_arm(p->loop, &c->timer, c->pause_ms < left ? c->pause_ms : left);
	c->pause_ms = c->pause_ms * 2 < PROXY_RETRY_LAST_MS ? c->pause_ms * 2 : PROXY_RETRY_LAST_MS;
}

static void succeed(struct conn *c)
{
	tell_target(c, false, NULL);
	conn_opened(c);
}

/* `error` is that of the address before. */
static void try_next(struct conn *c, int error)
{
	/* The last try begins when the time is over, and so needs an answer at once. */
	while (c->next_addr < c->n_addr && (c->next_addr == 0 || left_ms(c) > 0)) {
		const struct net_addr *a = &c->addr[c->next_addr++];
		bool under_way = false;
		struct why w = {0};
		int fd;
		if ((error = net_begin(&fd, &under_way, a)) != 0)
			continue;
		if (conn_open_end(c, TARGET, fd, a->kind == NET_TCP, &w) != ERR_OK) {
			conn_close_end(c, TARGET, true);
			fail_try(c, w.text);
			return;
		}
		c->state = CONN_CONNECTS;
		if (under_way) /* an address that swallows what is sent to it must leave time for the others */
			loop_timer_arm(c->proxy->loop, &c->timer, left_ms(c) / (int64_t)(c->n_addr - c->next_addr + 1));
		else
			succeed(c);
		return;
	}
	fail_try(c, strerror(error));
}

void connect_ready(struct conn *c, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof error;
	if ((events & EPOLLOUT) == 0)
		return;
	if (getsockopt(c->stream.end[TARGET].io.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0) {
		succeed(c);
		return;
	}
	conn_close_end(c, TARGET, true);
	try_next(c, error);
}

/* ---- names ---- */

static void run_look_up(struct loop_job *j)
{
	struct look_up *u = (struct look_up *)j;
	u->e = net_look_up(&u->target, u->addr, &u->n, &u->w);
}

static void fail_look_up(struct conn *c, const struct why *w)
{
	/* It was not even begun, which is not the target's fault. */
	fail_try(c, w->err == ERR_BUSY ? NULL : w->text);
}

static void look_up_done(struct loop_job *j)
{
	struct look_up *u = (struct look_up *)j;
	struct conn *c;
	u->route->look_up = NULL;
	while ((c = TAILQ_FIRST(&u->waiting)) != NULL) {
		TAILQ_REMOVE(&u->waiting, c, wait_link);
		c->state = CONN_PAUSES;
		if (u->e != ERR_OK) {
			fail_look_up(c, &u->w);
			continue;
		}
		c->addr = u->addr;
		c->n_addr = u->n;
		try_next(c, 0);
	}
	release_look_up(u);
}

static enum err begin_look_up(struct route *r, struct why *w)
{
	struct look_up *u = malloc(sizeof *u);
	if (u == NULL)
		return why_set(w, ERR_MEMORY, "no memory to look its name up");
	u->job = (struct loop_job){.run = run_look_up, .done = look_up_done};
	u->route = r;
	TAILQ_INIT(&u->waiting);
	u->refs = 1;
	u->target = r->to;
	u->n = 0;
	u->w = (struct why){0};
	u->e = why_set(&u->w, ERR_BUSY, "the look-up of its name was not begun");
	const enum err e = loop_submit(r->proxy->loop, LANE_CPU, &u->job, w);
	if (e == ERR_OK)
		r->look_up = u;
	else
		free(u);
	return e;
}

static void await_look_up(struct conn *c)
{
	struct route *r = c->route;
	struct why w = {0};
	if (r->look_up == NULL && begin_look_up(r, &w) != ERR_OK) {
		fail_look_up(c, &w);
		return;
	}
	c->look_up = r->look_up;
	c->look_up->refs++;
	TAILQ_INSERT_TAIL(&c->look_up->waiting, c, wait_link);
	c->state = CONN_LOOKS_UP;
	loop_timer_arm(c->proxy->loop, &c->timer, left_ms(c));
}

/* ---- all of them ---- */

static void begin_try(struct conn *c)
{
	c->proxy->count.retries += c->tries++ > 0;
	c->next_addr = 0;
	if (c->route->to.host[0] != '\0') {
		await_look_up(c);
		return;
	}
	c->addr = &c->route->to.addr;
	c->n_addr = 1;
	try_next(c, 0);
}

static void on_timer(struct loop_timer *t)
{
	struct conn *c = t->ctx;
	if (c->state == CONN_CONNECTS) {
		conn_close_end(c, TARGET, true);
		try_next(c, ETIMEDOUT);
	} else if (c->state == CONN_LOOKS_UP) {
		fail_try(c, "its name could not be looked up in time");
	} else {
		begin_try(c);
	}
}

void connect_start(struct conn *c)
{
	c->timer = (struct loop_timer){.fire = on_timer, .ctx = c};
	c->until_ms = clock_mono(c->proxy->clock) + c->proxy->limits.connect_ms;
	c->pause_ms = PROXY_RETRY_FIRST_MS;
	begin_try(c);
}

void connect_forget(struct conn *c)
{
	loop_timer_disarm(c->proxy->loop, &c->timer);
	forget_look_up(c);
}
