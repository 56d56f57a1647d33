/* loop.c - turns: descriptors, timers, signals, and the guest. */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "pool.h"

enum { SIGNALS_MAX = 8, WAIT_MAX_MS = 60 * 1000 };

struct signal_hook {
	int signo;
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	const struct clock *clock;
	int ep;
	int64_t now_ms;
	bool stopping;
	struct loop_guest guest;
	struct loop_timer *timers; /* soonest first */
	struct loop_timer *timers_last;
	uint64_t round; /* of firing: tells timers that were armed during it */
	struct pool *pool;
	struct loop_io wake, signals;
	sigset_t signal_set;
	struct signal_hook hook[SIGNALS_MAX];
	size_t n_hooks;
	/* The turn's events, so that loop_io_del can take back those of a descriptor that is going away. */
	struct epoll_event event[LOOP_EVENTS_PER_TURN];
	int n_events;
};

static void call_done(struct loop *l, struct loop_job *jobs)
{
	for (struct loop_job *j = jobs, *next; j != NULL; j = next) {
		next = j->next;
		pool_settle(l->pool, j->lane);
		j->done(j);
	}
}

static void on_wake(struct loop_io *io, uint32_t events)
{
	struct loop *l = io->ctx;
	uint64_t count;
	(void)events;
	(void)!read(io->fd, &count, sizeof count);
	call_done(l, pool_finished(l->pool));
}

static void on_signals(struct loop_io *io, uint32_t events)
{
	struct loop *l = io->ctx;
	struct signalfd_siginfo si;
	(void)events;
	while (read(io->fd, &si, sizeof si) == (ssize_t)sizeof si)
		for (size_t i = 0; i < l->n_hooks; i++)
			if (l->hook[i].signo == (int)si.ssi_signo)
				l->hook[i].fn(l->hook[i].ctx, l->hook[i].signo);
}

enum err loop_new(struct loop **out, const struct clock *clock, unsigned workers, unsigned nsm_queue, struct why *w)
{
	struct loop *l = calloc(1, sizeof *l);
	if (l == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the event loop");
	enum err e = ERR_OK;
	l->clock = clock;
	l->now_ms = clock_mono(clock);
	l->wake = (struct loop_io){.fd = -1, .ready = on_wake, .ctx = l};
	l->signals = (struct loop_io){.fd = -1, .ready = on_signals, .ctx = l};
	sigemptyset(&l->signal_set);
	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->ep < 0) {
		e = why_set(w, ERR_ENVIRONMENT, "epoll_create1: %s", strerror(errno));
		goto out;
	}
	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0) {
		e = why_set(w, ERR_ENVIRONMENT, "eventfd: %s", strerror(errno));
		goto out;
	}
	if ((e = loop_io_add(l, &l->wake, EPOLLIN, w)) != ERR_OK)
		goto out;
	if ((e = pool_new(&l->pool, l->wake.fd, workers, nsm_queue, w)) != ERR_OK)
		goto out;
	*out = l;
	l = NULL;
out:
	loop_free(l);
	return e;
}

void loop_end_jobs(struct loop *l)
{
	if (l->pool != NULL)
		call_done(l, pool_stop(l->pool));
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	loop_end_jobs(l);
	pool_free(l->pool);
	if (l->signals.fd >= 0)
		close(l->signals.fd);
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->ep >= 0)
		close(l->ep);
	free(l);
}

void loop_set_guest(struct loop *l, struct loop_guest g)
{
	l->guest = g;
}

static enum err control(struct loop *l, int op, struct loop_io *io, uint32_t events, struct why *w)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};
	if (epoll_ctl(l->ep, op, io->fd, &ev) != 0)
		return why_set(w, ERR_ENVIRONMENT, "epoll_ctl on descriptor %d: %s", io->fd, strerror(errno));
	return ERR_OK;
}

enum err loop_io_add(struct loop *l, struct loop_io *io, uint32_t events, struct why *w)
{
	return control(l, EPOLL_CTL_ADD, io, events, w);
}

enum err loop_io_mod(struct loop *l, struct loop_io *io, uint32_t events, struct why *w)
{
	return control(l, EPOLL_CTL_MOD, io, events, w);
}

void loop_io_del(struct loop *l, struct loop_io *io)
{
	epoll_ctl(l->ep, EPOLL_CTL_DEL, io->fd, NULL);
	for (int i = 0; i < l->n_events; i++)
		if (l->event[i].data.ptr == io)
			l->event[i].data.ptr = NULL;
}

void loop_timer_disarm(struct loop *l, struct loop_timer *t)
{
	if (!t->armed)
		return;
	*(t->prev != NULL ? &t->prev->next : &l->timers) = t->next;
	*(t->next != NULL ? &t->next->prev : &l->timers_last) = t->prev;
	t->prev = t->next = NULL;
	t->armed = false;
}

/* Searched from the far end: most timers have the same delay, and then this is an append. */
void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t delay_ms)
{
	loop_timer_disarm(l, t);
	t->at_ms = clock_mono(l->clock) + delay_ms;
	t->round = l->round;
	struct loop_timer *before = l->timers_last;
	while (before != NULL && before->at_ms > t->at_ms)
		before = before->prev;
	t->prev = before;
	t->next = before != NULL ? before->next : l->timers;
	*(t->prev != NULL ? &t->prev->next : &l->timers) = t;
	*(t->next != NULL ? &t->next->prev : &l->timers_last) = t;
	t->armed = true;
}

enum err loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx, struct why *w)
{
	if (l->n_hooks == SIGNALS_MAX)
		return why_set(w, ERR_INTERNAL, "more than %d signal hooks", SIGNALS_MAX);
	sigset_t set = l->signal_set;
	sigaddset(&set, signo);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return why_set(w, ERR_ENVIRONMENT, "pthread_sigmask for signal %d failed", signo);
	const bool first = l->signals.fd < 0;
	int fd = signalfd(l->signals.fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return why_set(w, ERR_ENVIRONMENT, "signalfd: %s", strerror(errno));
	l->signals.fd = fd;
	if (first) {
		enum err e = loop_io_add(l, &l->signals, EPOLLIN, w);
		if (e != ERR_OK)
			return e;
	}
	l->signal_set = set;
	l->hook[l->n_hooks++] = (struct signal_hook){signo, fn, ctx};
	return ERR_OK;
}

enum err loop_submit(struct loop *l, enum loop_lane lane, struct loop_job *j, struct why *w)
{
	return pool_submit(l->pool, lane, j, w);
}

size_t loop_jobs(const struct loop *l, enum loop_lane lane)
{
	return pool_jobs(l->pool, lane);
}

int64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

int64_t loop_now_us(const struct loop *l)
{
	return l->clock->mono_us(l->clock->ctx);
}

static int wait_ms(const struct loop *l, int64_t max_wait_ms)
{
	int64_t ms = max_wait_ms >= 0 && max_wait_ms < WAIT_MAX_MS ? max_wait_ms : WAIT_MAX_MS;
	if (l->guest.wait_ms != NULL) {
		const int64_t g = l->guest.wait_ms(l->guest.ctx);
		if (g >= 0 && g < ms)
			ms = g;
	}
	if (l->timers != NULL && ms > 0) {
		const int64_t left = l->timers->at_ms - clock_mono(l->clock);
		if (left < ms)
			ms = left < 0 ? 0 : left;
	}
	return (int)ms;
}

static void fire_timers(struct loop *l)
{
	l->round++;
	for (struct loop_timer *t = l->timers; t != NULL && t->at_ms <= l->now_ms;) {
		/* One armed by a timer that fires waits for the next turn, or a zero delay would never let go. */
		if (t->round == l->round) {
			t = t->next;
			continue;
		}
		loop_timer_disarm(l, t);
		t->fire(t); /* which may free what it is embedded in, and change the list */
		t = l->timers;
	}
}

void loop_turn(struct loop *l, int64_t max_wait_ms)
{
	int n = epoll_wait(l->ep, l->event, LOOP_EVENTS_PER_TURN, wait_ms(l, max_wait_ms));
	l->n_events = n > 0 ? n : 0;
	l->now_ms = clock_mono(l->clock);
	for (int i = 0; i < l->n_events; i++) {
		struct loop_io *io = l->event[i].data.ptr;
		if (io != NULL)
			io->ready(io, l->event[i].events);
	}
	l->n_events = 0;
	fire_timers(l);
	for (int pass = 0; pass < LOOP_PASSES && l->guest.run != NULL; pass++) {
		l->guest.run(l->guest.ctx);
		if (!l->guest.end_turn(l->guest.ctx))
			break;
	}
	if (l->guest.flush != NULL)
		l->guest.flush(l->guest.ctx);
}

void loop_run(struct loop *l)
{
	while (!l->stopping)
		loop_turn(l, -1);
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}
