/* proxy_fixture.h - a proxy between real sockets, under a clock that the test sets. */
#ifndef ATTESTD_TEST_PROXY_FIXTURE_H
#define ATTESTD_TEST_PROXY_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy.h"

enum { PATIENCE_TURNS = 10000, CONNECT_MS = 5000, IDLE_MS = 60000 };

struct world {
	int64_t now_us;
	struct clock clock;
	char dir[32];
	int log_fd;
	struct log *log;
	struct loop *loop;
	struct proxy *proxy;
	struct proxy_limits limits;
	struct net_addr at;	/* where the proxy listens */
	struct net_addr target; /* where it connects to */
	struct net_target to;	/* the same */
	int listener;		/* the target's; -1: it is down */
	int drained;
};

static const enum net_kind kinds[] = {NET_TCP, NET_UNIX};
#define EACH_WAY(in, out)              \
	for (int in = 0; in < 2; in++) \
		for (int out = 0; out < 2; out++)

static inline int64_t world_us(void *ctx)
{
	return ((struct world *)ctx)->now_us;
}

static inline int64_t world_ms(void *ctx)
{
	return world_us(ctx) / 1000;
}

static inline void turns(struct world *t, int n)
{
	for (int i = 0; i < n; i++)
		loop_turn(t->loop, 0);
}

static inline void pass_ms(struct world *t, int64_t ms)
{
	t->now_us += ms * 1000;
	turns(t, 4);
}

static inline struct proxy_counters count(const struct world *t)
{
	struct proxy_counters c;
	proxy_count(t->proxy, &c);
	return c;
}

static inline void name_place(const struct world *t, struct net_addr *out, enum net_kind kind, const char *name)
{
	char text[64] = "127.0.0.1:0";
	struct why w = {0};
	if (kind == NET_UNIX)
		(void)snprintf(text, sizeof text, "unix:%s/%s", t->dir, name);
	assert_int_equal(net_parse(out, text, &w), ERR_OK);
}

/* The target comes up, where it was before if it was up before. */
static inline void target_up(struct world *t)
{
	struct why w = {0};
	assert_int_equal(net_listen(&t->listener, &t->target, &w), ERR_OK);
	assert_int_equal(net_bound(&t->target, t->listener, &w), ERR_OK);
}

static inline void target_down(struct world *t)
{
	net_unlisten(t->listener, &t->target);
	assert_int_equal(close(t->listener), 0);
	t->listener = -1;
}

static inline void begin(struct world *t, enum net_kind in, enum net_kind out)
{
	*t = (struct world){.now_us = 5000000, .dir = "/tmp/attestd-proxy-XXXXXX"};
	t->clock = (struct clock){t, world_us, world_ms, world_ms};
	assert_non_null(mkdtemp(t->dir));
	t->limits = (struct proxy_limits){1000, 0, CONNECT_MS, IDLE_MS};
	struct why w = {0};
	t->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_new(&t->log, t->log_fd, LOG_INFO, LOG_TEXT, &t->clock, &w), ERR_OK);
	assert_int_equal(loop_new(&t->loop, &t->clock, 1, 1, &w), ERR_OK);
	name_place(t, &t->at, in, "in");
	name_place(t, &t->target, out, "out");
	target_up(t);
	t->to.addr = t->target;
}

/* The limits are as the test has set them. */
static inline void go(struct world *t)
{
	struct why w = {0};
	int fd;
	assert_int_equal(proxy_new(&t->proxy, t->loop, &t->clock, t->log, &t->limits, &w), ERR_OK);
	assert_int_equal(net_listen(&fd, &t->at, &w), ERR_OK);
	assert_int_equal(net_bound(&t->at, fd, &w), ERR_OK);
	assert_int_equal(proxy_add(t->proxy, fd, &t->to, &w), ERR_OK);
}

static inline void set_up(struct world *t, enum net_kind in, enum net_kind out)
{
	begin(t, in, out);
	go(t);
}

static inline void tear_down(struct world *t)
{
	char path[64];
	loop_end_jobs(t->loop);
	proxy_free(t->proxy);
	loop_free(t->loop);
	log_free(t->log);
	(void)close(t->log_fd);
	if (t->listener >= 0)
		target_down(t);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", t->dir, i == 0 ? "in" : "out");
		(void)unlink(path);
	}
	assert_int_equal(rmdir(t->dir), 0);
}

/* ---- who talks through it ---- */

static inline int reach(const struct net_addr *a)
{
	const int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a->sa, a->len), 0);
	return fd;
}

static inline int join(struct world *t)
{
	return reach(&t->at);
}

/* Turns until the descriptor has one of the events. */
static inline void await(struct world *t, int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	for (int i = 0; i < PATIENCE_TURNS; i++) {
		turns(t, 1);
		if (poll(&p, 1, 0) == 1)
			return;
		(void)poll(NULL, 0, i > 50);
	}
	fail_msg("nothing came");
}

static inline int await_target(struct world *t)
{
	await(t, t->listener, POLLIN);
	const int fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	turns(t, 4);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Exactly that. */
static inline void hear(struct world *t, int fd, const char *text)
{
	char b[64];
	size_t n = 0;
	assert_true(strlen(text) < sizeof b);
	while (n < strlen(text)) {
		await(t, fd, POLLIN);
		const ssize_t got = recv(fd, b + n, strlen(text) - n, MSG_DONTWAIT);
		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(b, text, n);
}

static inline bool is_silent(struct world *t, int fd)
{
	char b;
	turns(t, 8);
	return recv(fd, &b, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* What recv comes to after all that was sent before: 0 an orderly end, else the error. */
static inline int hear_end(struct world *t, int fd)
{
	static uint8_t b[64 * 1024];
	ssize_t n;
	do {
		await(t, fd, POLLIN);
		n = recv(fd, b, sizeof b, MSG_DONTWAIT);
	} while (n > 0);
	return n == 0 ? 0 : errno;
}

static inline void close_with_reset(int fd)
{
	const struct linger none = {.l_onoff = 1};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
	assert_int_equal(close(fd), 0);
}

static inline void await_open(struct world *t, uint64_t n)
{
	for (int i = 0; i < PATIENCE_TURNS && count(t).open != n; i++) {
		turns(t, 1);
		(void)poll(NULL, 0, i > 50);
	}
	assert_int_equal(count(t).open, n);
}

/* How often the log says it. */
static inline int logged(struct world *t, const char *what)
{
	static char b[64 * 1024];
	int found = 0;
	log_flush(t->log);
	const ssize_t n = pread(t->log_fd, b, sizeof b - 1, 0);
	assert_true(n >= 0);
	b[n] = '\0';
	for (const char *p = b; (p = strstr(p, what)) != NULL; p++)
		found++;
	return found;
}

static inline int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

/* Writes until nothing goes on; returns how much it got rid of. */
static inline uint64_t fill(struct world *t, int fd)
{
	static uint8_t b[32 * 1024];
	uint64_t at = 0, before;
	do {
		before = at;
		ssize_t n;
		while ((n = send(fd, b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
			at += (uint64_t)n;
		turns(t, 20);
	} while (at > before);
	return at;
}

/* Fills the target's queue, so that it answers nothing: TCP drops what comes, a Unix socket refuses it for now. */
static inline void overfill(int listener, const struct net_addr *a, int full[3])
{
	assert_int_equal(listen(listener, 0), 0);
	for (int i = 0; i < 3; i++) {
		full[i] = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(full[i], (const struct sockaddr *)&a->sa, a->len);
	}
}

static inline void await_accepted(struct world *t, uint64_t n)
{
	for (int i = 0; i < PATIENCE_TURNS && count(t).accepted < n; i++)
		turns(t, 1);
	assert_int_equal(count(t).accepted, n);
}

#endif
