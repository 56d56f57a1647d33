/* The socket that `attestd simulate` offers: requests, deadlines, connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/simulate_server.h"

#define RANDOM "\0\0\0\x0a\x69GetRandom"

struct world {
	struct clock clock;
	int64_t mono_ms;
	char dir[32], path[64];
	struct crypto *crypto;
	struct simulator *simulator;
	struct loop *loop;
	struct simulate_server *server;
	struct net_addr at;
};

static int64_t mono_us(void *ctx)
{
	return ((struct world *)ctx)->mono_ms * 1000;
}

static int64_t wall_ms(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400000);
}

static void open_server(struct world *t, int64_t delay_ms)
{
	struct why w = {0};
	char address[80];
	*t = (struct world){.dir = "/tmp/attestd-sim-XXXXXX"};
	t->clock = (struct clock){t, mono_us, wall_ms, wall_ms};
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->path, sizeof t->path, "%s/s", t->dir);
	(void)snprintf(address, sizeof address, "unix:%s", t->path);
	assert_int_equal(net_parse(&t->at, address, &w), ERR_OK);
	assert_int_equal(crypto_new(&t->crypto, &w), ERR_OK);
	const struct simulator_options o = {
		.crypto = t->crypto, .clock = &t->clock, .random = crypto_random(t->crypto)};
	assert_int_equal(simulator_new(&t->simulator, &o, &w), ERR_OK);
	assert_int_equal(loop_new(&t->loop, &t->clock, 1, 1, &w), ERR_OK);
	assert_int_equal(simulate_server_open(&t->server, t->loop, t->simulator, &t->at, delay_ms, &w), ERR_OK);
}

static void close_server(struct world *t)
{
	simulate_server_close(t->server);
	loop_free(t->loop);
	simulator_free(t->simulator);
	crypto_free(t->crypto);
	assert_int_equal(rmdir(t->dir), 0); /* the socket is gone */
}

static void turns(struct world *t)
{
	for (int i = 0; i < 6; i++)
		loop_turn(t->loop, 0);
}

static int join(struct world *t)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&t->at.sa, t->at.len), 0);
	turns(t);
	return fd;
}

static void say(struct world *t, int fd, struct bytes x)
{
	assert_int_equal(send(fd, x.p, x.n, MSG_NOSIGNAL), (ssize_t)x.n);
	turns(t);
}

/* Bytes that wait there: 0 when the connection was closed, -1 when there are none yet. */
static ssize_t waiting(int fd)
{
	static uint8_t b[NSM_FRAME_HEAD + NSM_REPLY_MAX];
	const ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
	return n < 0 && errno == ECONNRESET ? 0 : n;
}

/* By the other side, whatever may still be read. */
static bool is_closed(int fd)
{
	struct pollfd p = {.fd = fd};
	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

static bool is_reply(ssize_t n)
{
	return n > NSM_RANDOM_MAX && n < NSM_RANDOM_MAX + 40;
}

static void requests_of_a_connection_are_answered_in_turn(void **s)
{
	(void)s;
	struct world t;
	struct stat st;
	open_server(&t, 0);
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT("\0\0"));
	assert_int_equal(waiting(fd), -1);
	say(&t, fd, BYTES_LIT("\0\x0a\x69GetRan"));
	assert_int_equal(waiting(fd), -1);
	say(&t, fd, BYTES_LIT("dom"));
	const ssize_t one = waiting(fd);
	assert_true(is_reply(one));
	say(&t, fd, BYTES_LIT(RANDOM RANDOM));
	assert_int_equal(waiting(fd), 2 * one);
	close(fd);
	turns(&t);
	close_server(&t);
}

static void a_request_is_read_up_to_its_end_and_no_further(void **s)
{
	(void)s;
	static const char request[] = RANDOM;
	struct world t;
	open_server(&t, 0);
	const int fd = join(&t);
	for (size_t i = 0; i < 2 * (sizeof request - 1); i++) {
		assert_int_equal(waiting(fd), -1);
		say(&t, fd, bytes_of(request + i % (sizeof request - 1), 1));
		if (i % (sizeof request - 1) == sizeof request - 2)
			assert_true(is_reply(waiting(fd)));
	}
	close(fd);
	close_server(&t);
}

static void a_length_that_no_request_has_ends_the_connection(void **s)
{
	(void)s;
	struct world t;
	static uint8_t most[NSM_FRAME_HEAD + NSM_REQUEST_MAX] = {0, 0, 0x10, 0};
	open_server(&t, 0);
	const int other = join(&t), zero = join(&t), large = join(&t);
	say(&t, other, bytes_of(most, sizeof most));
	assert_true(waiting(other) > 0);
	say(&t, zero, BYTES_LIT("\0\0\0\0"));
	assert_int_equal(waiting(zero), 0);
	say(&t, large, BYTES_LIT("\0\0\x10\1"));
	assert_int_equal(waiting(large), 0);
	say(&t, other, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(other)));
	close(zero);
	close(large);
	close(other);
	close_server(&t);
}

static void a_request_that_has_begun_must_be_whole_in_30_seconds(void **s)
{
	(void)s;
	struct world t;
	open_server(&t, 0);
	const int idle = join(&t), head = join(&t), body = join(&t);
	say(&t, head, BYTES_LIT("\0"));
	t.mono_ms += 1;
	say(&t, body, BYTES_LIT("\0\0\0\x0a\x69Get"));
	t.mono_ms += SIMULATE_SERVER_FRAME_MS - 2;
	say(&t, body, BYTES_LIT("Ran")); /* more of it does not put the end off */
	assert_int_equal(waiting(head), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(head), 0);
	assert_int_equal(waiting(body), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(body), 0);
	t.mono_ms += 5 * SIMULATE_SERVER_FRAME_MS;
	say(&t, idle, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(idle)));
	/* the deadline of one request is not the next one's */
	t.mono_ms += SIMULATE_SERVER_FRAME_MS;
	say(&t, idle, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(idle)));
	close(idle);
	close(head);
	close(body);
	close_server(&t);
}

static void a_reply_must_be_taken_in_30_seconds(void **s)
{
	(void)s;
	struct world t;
	open_server(&t, 0);
	const int fd = join(&t);
	/* Asks until the reply's way is full. */
	for (size_t i = 0; i < 100000; i++) {
		if (send(fd, RANDOM, sizeof RANDOM - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		loop_turn(t.loop, 0);
	}
	t.mono_ms += SIMULATE_SERVER_FRAME_MS - 1;
	turns(&t);
	assert_false(is_closed(fd));
	t.mono_ms += 1;
	turns(&t);
	assert_true(is_closed(fd));
	close(fd);
	close_server(&t);
}

static void a_slow_reply_holds_up_nobody_else(void **s)
{
	(void)s;
	struct world t;
	open_server(&t, 500);
	const int first = join(&t), second = join(&t), gone = join(&t);
	say(&t, first, BYTES_LIT(RANDOM));
	say(&t, gone, BYTES_LIT(RANDOM));
	close(gone);
	t.mono_ms += 100;
	say(&t, second, BYTES_LIT(RANDOM));
	t.mono_ms += 399;
	turns(&t);
	assert_int_equal(waiting(first), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_true(is_reply(waiting(first)));
	assert_int_equal(waiting(second), -1);
	t.mono_ms += 100;
	turns(&t);
	assert_true(is_reply(waiting(second)));
	close(first);
	close(second);
	close_server(&t);
}

static void a_connection_that_asks_nothing_is_closed_after_five_minutes(void **s)
{
	(void)s;
	struct world t;
	open_server(&t, 0);
	const int silent = join(&t), asks = join(&t);
	t.mono_ms += SIMULATE_SERVER_IDLE_MS - 1;
	say(&t, asks, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(asks)));
	assert_int_equal(waiting(silent), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(silent), 0);
	t.mono_ms += SIMULATE_SERVER_IDLE_MS - 2;
	turns(&t);
	assert_int_equal(waiting(asks), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(asks), 0);
	close(silent);
	close(asks);
	close_server(&t);
}

static void the_65th_connection_takes_the_place_of_the_one_that_was_idle_longest(void **s)
{
	(void)s;
	struct world t;
	int fd[SIMULATE_SERVER_CONNECTIONS_MAX];
	open_server(&t, 0);
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++) {
		fd[i] = join(&t);
		t.mono_ms++;
	}
	say(&t, fd[0], BYTES_LIT(RANDOM)); /* no longer the first one */
	assert_true(is_reply(waiting(fd[0])));
	say(&t, fd[1], BYTES_LIT("\0")); /* not idle */
	const int one = join(&t);
	say(&t, one, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(one)));
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++)
		assert_int_equal(waiting(fd[i]), i == 2 ? 0 : -1);
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++)
		close(fd[i]);
	close(one);
	close_server(&t);
}

static void where_nobody_is_idle_one_more_is_closed_at_once(void **s)
{
	(void)s;
	struct world t;
	int fd[SIMULATE_SERVER_CONNECTIONS_MAX];
	open_server(&t, 0);
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++) {
		fd[i] = join(&t);
		say(&t, fd[i], BYTES_LIT("\0"));
	}
	const int more = join(&t);
	assert_int_equal(waiting(more), 0);
	close(more);
	say(&t, fd[0], BYTES_LIT("\0\0\x0a\x69GetRandom"));
	assert_true(is_reply(waiting(fd[0])));
	for (size_t i = 0; i < SIMULATE_SERVER_CONNECTIONS_MAX; i++)
		close(fd[i]);
	close_server(&t);
}

static void without_descriptors_it_tries_again_after_a_while_and_does_not_spin(void **s)
{
	(void)s;
	struct world t;
	struct rlimit old, few;
	const char *preloaded = getenv("LD_PRELOAD");
	if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) {
		print_message("valgrind has the kernel accept beyond the limit and closes what it got\n");
		skip();
	}
	open_server(&t, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	few = old;
	few.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&t.at.sa, t.at.len), 0);
	turns(&t);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* Asleep: a listener that is looked at would accept now. */
	say(&t, fd, BYTES_LIT(RANDOM));
	assert_int_equal(waiting(fd), -1);
	t.mono_ms += NET_PAUSE_MS;
	turns(&t);
	assert_true(is_reply(waiting(fd)));
	close(fd);
	close_server(&t);
}

static void a_socket_that_answers_is_left_alone(void **s)
{
	(void)s;
	struct world t;
	struct simulate_server *second = NULL;
	struct why w;
	open_server(&t, 0);
	assert_int_equal(simulate_server_open(&second, t.loop, t.simulator, &t.at, 0, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "another process answers there"));
	assert_null(second);
	simulate_server_close(NULL);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(fd)));
	close(fd);
	close_server(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_a_connection_are_answered_in_turn),
		cmocka_unit_test(a_request_is_read_up_to_its_end_and_no_further),
		cmocka_unit_test(a_length_that_no_request_has_ends_the_connection),
		cmocka_unit_test(a_request_that_has_begun_must_be_whole_in_30_seconds),
		cmocka_unit_test(a_reply_must_be_taken_in_30_seconds),
		cmocka_unit_test(a_slow_reply_holds_up_nobody_else),
		cmocka_unit_test(a_connection_that_asks_nothing_is_closed_after_five_minutes),
		cmocka_unit_test(the_65th_connection_takes_the_place_of_the_one_that_was_idle_longest),
		cmocka_unit_test(where_nobody_is_idle_one_more_is_closed_at_once),
		cmocka_unit_test(without_descriptors_it_tries_again_after_a_while_and_does_not_spin),
		cmocka_unit_test(a_socket_that_answers_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
