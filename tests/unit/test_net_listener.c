/* Taking connections, under a clock that the test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net.h"

enum { TAKEN_MAX = 2 * NET_ACCEPTS_PER_TURN };

struct world {
	int64_t mono_ms;
	struct clock clock;
	struct loop *loop;
	struct net_listener listener;
	char dir[32], text[64];
	struct net_addr at;
	int taken[TAKEN_MAX];
	size_t n, close_after; /* close_after: 0 for never */
	struct sockaddr_storage from;
	socklen_t from_n;
	unsigned failures;
	bool close_on_failure;
	struct why failure;
};

static int64_t mono_us(void *ctx)
{
	return ((struct world *)ctx)->mono_ms * 1000;
}

static void on_accepted(struct net_listener *l, int fd, const struct sockaddr_storage *from, socklen_t n)
{
	struct world *t = l->ctx;
	assert_true(t->n < TAKEN_MAX);
	t->taken[t->n++] = fd;
	t->from = *from;
	t->from_n = n;
	if (t->n == t->close_after)
		net_listener_close(l);
}

static void on_failed(struct net_listener *l, const struct why *w)
{
	struct world *t = l->ctx;
	t->failures++;
	t->failure = *w;
	if (t->close_on_failure)
		net_listener_close(l);
}

static void begin(struct world *t)
{
	struct why w = {0};
	*t = (struct world){.mono_ms = 1000, .dir = "/tmp/attestd-take-XXXXXX"};
	t->clock = (struct clock){t, mono_us, mono_us, mono_us};
	t->listener = (struct net_listener){.accepted = on_accepted, .failed = on_failed, .ctx = t};
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->text, sizeof t->text, "unix:%s/s", t->dir);
	assert_int_equal(net_parse(&t->at, t->text, &w), ERR_OK);
	assert_int_equal(loop_new(&t->loop, &t->clock, 1, 1, &w), ERR_OK);
	t->listener.loop = t->loop;
}

static void open_listener(struct world *t)
{
	struct why w = {0};
	int fd = -1;
	assert_int_equal(net_listen(&fd, &t->at, &w), ERR_OK);
	assert_int_equal(net_listener_open(&t->listener, fd, &w), ERR_OK);
	assert_int_equal(t->listener.io.fd, fd);
}

static void end(struct world *t)
{
	for (size_t i = 0; i < t->n; i++)
		close(t->taken[i]);
	net_listener_close(&t->listener);
	loop_free(t->loop);
	unlink(t->text + strlen("unix:"));
	assert_int_equal(rmdir(t->dir), 0);
}

static int join(const struct net_addr *at)
{
	const int fd = socket(at->sa.ss_family, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&at->sa, at->len), 0);
	return fd;
}

static void join_many(const struct world *t, int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd[i] = join(&t->at);
}

static void leave(const int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fd[i]);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void a_connection_is_handed_over_with_where_it_is_from(void **s)
{
	(void)s;
	struct world t;
	struct why w = {0};
	struct net_addr at;
	int listening = -1;
	begin(&t);
	assert_int_equal(net_parse(&at, "tcp:127.0.0.1:0", &w), ERR_OK);
	assert_int_equal(net_listen(&listening, &at, &w), ERR_OK);
	assert_int_equal(net_bound(&at, listening, &w), ERR_OK);
	assert_int_equal(net_listener_open(&t.listener, listening, &w), ERR_OK);
	loop_turn(t.loop, 0);
	assert_int_equal(t.n, 0);
	const int fd = join(&at);
	struct sockaddr_in mine = {0};
	socklen_t n = sizeof mine;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &n), 0);
	loop_turn(t.loop, 1000);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.from_n, sizeof mine);
	assert_memory_equal(&t.from, &mine, sizeof mine);
	assert_true((fcntl(t.taken[0], F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(t.taken[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(t.failures, 0);
	close(fd);
	end(&t);
}

static void a_turn_takes_64_and_leaves_the_65th_to_the_next(void **s)
{
	(void)s;
	struct world t;
	int fd[NET_ACCEPTS_PER_TURN + 1];
	begin(&t);
	open_listener(&t);
	join_many(&t, fd, NET_ACCEPTS_PER_TURN + 1);
	loop_turn(t.loop, 0);
	assert_int_equal(t.n, NET_ACCEPTS_PER_TURN);
	loop_turn(t.loop, 0);
	assert_int_equal(t.n, NET_ACCEPTS_PER_TURN + 1);
	leave(fd, NET_ACCEPTS_PER_TURN + 1);
	end(&t);
}

static void it_may_be_closed_from_within_and_opened_again(void **s)
{
	(void)s;
	struct world t;
	int fd[4];
	begin(&t);
	open_listener(&t);
	const int listening = t.listener.io.fd;
	t.close_after = 2;
	join_many(&t, fd, 4);
	for (int i = 0; i < 3; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.listener.io.fd, -1);
	assert_false(is_open(listening));
	assert_int_equal(t.failures, 0);
	net_listener_close(&t.listener);
	leave(fd, 4);
	open_listener(&t);
	fd[0] = join(&t.at);
	loop_turn(t.loop, 0);
	assert_int_equal(t.n, 3);
	close(fd[0]);
	end(&t);
}

static void one_that_was_never_opened_closes_nothing(void **s)
{
	(void)s;
	struct net_listener zero = {0};
	const bool before = is_open(0);
	net_listener_close(&zero);
	assert_int_equal(is_open(0), before);
}

static void a_descriptor_that_cannot_be_waited_for_is_closed(void **s)
{
	(void)s;
	struct world t;
	struct why w = {0};
	begin(&t);
	const int fd = open(t.dir, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(net_listener_open(&t.listener, fd, &w), ERR_ENVIRONMENT);
	assert_false(is_open(fd));
	assert_int_equal(t.listener.io.fd, -1);
	end(&t);
}

/* Under valgrind there always is a descriptor. */
static void skip_under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	if (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL)
		return;
	print_message("valgrind has the kernel accept beyond the limit and closes what it got\n");
	skip();
}

/* Has a client wait, and not a descriptor left for it. */
static int join_without_descriptors(const struct world *t, struct rlimit *old)
{
	const int fd = join(&t->at);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
	struct rlimit few = *old;
	few.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return fd;
}

static void without_descriptors_it_says_so_and_tries_again_after_the_pause(void **s)
{
	(void)s;
	struct world t;
	struct rlimit old;
	skip_under_valgrind();
	begin(&t);
	open_listener(&t);
	const int fd = join_without_descriptors(&t, &old);
	for (int i = 0; i < 5; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.failures, 1);
	assert_int_equal(t.failure.err, ERR_ENVIRONMENT);
	assert_string_equal(t.failure.text, "no connection can be accepted: Too many open files");
	t.mono_ms += NET_PAUSE_MS;
	for (int i = 0; i < 5; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.failures, 1); /* that it lasts is no news */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	t.mono_ms += NET_PAUSE_MS - 1;
	for (int i = 0; i < 5; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.n, 0);
	t.mono_ms++;
	for (int i = 0; i < 2; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.n, 1);
	assert_int_equal(t.failures, 1);
	const int again = join_without_descriptors(&t, &old);
	loop_turn(t.loop, 0);
	assert_int_equal(t.failures, 2); /* and this is */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(again);
	close(fd);
	end(&t);
}

static void it_may_be_closed_while_it_pauses_and_when_it_fails(void **s)
{
	(void)s;
	skip_under_valgrind();
	for (int at_once = 0; at_once < 2; at_once++) {
		struct world t;
		struct rlimit old;
		begin(&t);
		open_listener(&t);
		t.close_on_failure = at_once;
		const int fd = join_without_descriptors(&t, &old);
		loop_turn(t.loop, 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		net_listener_close(&t.listener);
		t.mono_ms += NET_PAUSE_MS;
		for (int i = 0; i < 3; i++)
			loop_turn(t.loop, 0);
		assert_int_equal(t.failures, 1);
		assert_int_equal(t.n, 0);
		close(fd);
		end(&t);
	}
}

static void a_pause_that_cannot_end_is_prolonged(void **s)
{
	(void)s;
	struct world t;
	struct rlimit old;
	skip_under_valgrind();
	begin(&t);
	open_listener(&t);
	const int fd = join_without_descriptors(&t, &old), kept = t.listener.io.fd;
	loop_turn(t.loop, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* For a moment a descriptor that epoll refuses is in its place. */
	const int aside = dup(kept), dir = open(t.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(dup2(dir, kept), kept);
	for (int i = 0; i < 2; i++) {
		t.mono_ms += NET_PAUSE_MS;
		for (int j = 0; j < 3; j++)
			loop_turn(t.loop, 0);
		assert_int_equal(t.n, 0);
	}
	assert_int_equal(dup2(aside, kept), kept);
	t.mono_ms += NET_PAUSE_MS;
	for (int i = 0; i < 2; i++)
		loop_turn(t.loop, 0);
	assert_int_equal(t.failures, 1);
	assert_int_equal(t.n, 1);
	close(aside);
	close(dir);
	close(fd);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_handed_over_with_where_it_is_from),
		cmocka_unit_test(a_turn_takes_64_and_leaves_the_65th_to_the_next),
		cmocka_unit_test(it_may_be_closed_from_within_and_opened_again),
		cmocka_unit_test(one_that_was_never_opened_closes_nothing),
		cmocka_unit_test(a_descriptor_that_cannot_be_waited_for_is_closed),
		cmocka_unit_test(without_descriptors_it_says_so_and_tries_again_after_the_pause),
		cmocka_unit_test(it_may_be_closed_while_it_pauses_and_when_it_fails),
		cmocka_unit_test(a_pause_that_cannot_end_is_prolonged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
