/* The socket that `attestd simulate` offers: frames, deadlines, connections. */
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/frame.h"
#include "cmd/nsm_server.h"

#define RANDOM "\0\0\0\x0a\x69GetRandom"

/* ---- frames ---- */

static void feed(struct frame *f, struct bytes x)
{
	memcpy(f->b + f->n, x.p, x.n);
	f->n += x.n;
}

static void a_request_is_read_up_to_its_end_and_no_further(void **s)
{
	(void)s;
	struct frame f = {.n = 0};
	size_t more;
	assert_true(frame_wants(&f, &more));
	assert_int_equal(more, 4);
	feed(&f, BYTES_LIT("\0\0\0"));
	assert_true(frame_wants(&f, &more));
	assert_int_equal(more, 1);
	feed(&f, BYTES_LIT("\5"));
	assert_true(frame_wants(&f, &more));
	assert_int_equal(more, 5);
	feed(&f, BYTES_LIT("hell"));
	assert_true(frame_wants(&f, &more));
	assert_int_equal(more, 1);
	feed(&f, BYTES_LIT("o"));
	assert_true(frame_wants(&f, &more));
	assert_int_equal(more, 0);
	assert_true(bytes_is(frame_request(&f), "hello"));
}

static void a_request_has_1_to_4096_bytes(void **s)
{
	(void)s;
	static const struct {
		struct bytes head;
		size_t more; /* 0: refused */
	} cases[] = {
		{BYTES_LIT("\0\0\0\0"), 0},   {BYTES_LIT("\0\0\0\1"), 1}, {BYTES_LIT("\0\0\x10\0"), NSM_REQUEST_MAX},
		{BYTES_LIT("\0\0\x10\1"), 0}, {BYTES_LIT("\1\0\0\1"), 0}, {BYTES_LIT("\xff\xff\xff\xff"), 0}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frame f = {.n = 0};
		size_t more = 0;
		feed(&f, cases[i].head);
		assert_int_equal(frame_wants(&f, &more), cases[i].more > 0);
		assert_int_equal(more, cases[i].more);
	}
}

static void a_reply_gets_its_length_in_front(void **s)
{
	(void)s;
	static const uint8_t most[NSM_REPLY_MAX + 1];
	struct buf b = BUF_INIT(FRAME_REPLY_MAX);
	frame_begin(&b);
	assert_false(frame_end(&b));
	buf_put_str(&b, "hello");
	assert_true(frame_end(&b));
	assert_true(bytes_equal(buf_bytes(&b), BYTES_LIT("\0\0\0\5hello")));
	buf_reset(&b);
	frame_begin(&b);
	buf_put(&b, most, NSM_REPLY_MAX);
	assert_true(frame_end(&b));
	assert_memory_equal(b.p, "\0\0\x40\0", 4);
	buf_free(&b);
	frame_begin(&b);
	buf_put(&b, most, NSM_REPLY_MAX + 1);
	assert_false(frame_end(&b));
	buf_free(&b);
}

/* ---- the server ---- */

struct world {
	struct clock clock;
	int64_t mono_ms;
	char dir[32], path[64];
	struct crypto *crypto;
	struct simulator *simulator;
	struct loop *loop;
	struct nsm_server *server;
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
	assert_int_equal(nsm_server_open(&t->server, t->loop, t->simulator, &t->at, delay_ms, &w), ERR_OK);
}

static void close_server(struct world *t)
{
	nsm_server_close(t->server);
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
	static uint8_t b[FRAME_REPLY_MAX];
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

static void a_length_that_no_request_has_ends_the_connection(void **s)
{
	(void)s;
	struct world t;
	open_server(&t, 0);
	const int other = join(&t), zero = join(&t), large = join(&t);
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
	t.mono_ms += NSM_SERVER_FRAME_MS - 2;
	say(&t, body, BYTES_LIT("Ran")); /* more of it does not put the end off */
	assert_int_equal(waiting(head), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(head), 0);
	assert_int_equal(waiting(body), -1);
	t.mono_ms += 1;
	turns(&t);
	assert_int_equal(waiting(body), 0);
	t.mono_ms += 10 * NSM_SERVER_FRAME_MS;
	say(&t, idle, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(idle)));
	/* the deadline of one request is not the next one's */
	t.mono_ms += NSM_SERVER_FRAME_MS;
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
	t.mono_ms += NSM_SERVER_FRAME_MS - 1;
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

static void the_65th_connection_is_closed_until_another_ends(void **s)
{
	(void)s;
	struct world t;
	int fd[NSM_SERVER_CONNECTIONS_MAX + 1];
	open_server(&t, 0);
	for (size_t i = 0; i < sizeof fd / sizeof fd[0]; i++)
		fd[i] = join(&t);
	assert_int_equal(waiting(fd[NSM_SERVER_CONNECTIONS_MAX]), 0);
	close(fd[NSM_SERVER_CONNECTIONS_MAX]);
	say(&t, fd[NSM_SERVER_CONNECTIONS_MAX - 1], BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(fd[NSM_SERVER_CONNECTIONS_MAX - 1])));
	close(fd[0]);
	turns(&t);
	fd[0] = join(&t);
	say(&t, fd[0], BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(fd[0])));
	for (size_t i = 0; i < NSM_SERVER_CONNECTIONS_MAX; i++)
		close(fd[i]);
	close_server(&t);
}

static void a_socket_that_answers_is_left_alone(void **s)
{
	(void)s;
	struct world t;
	struct nsm_server *second = NULL;
	struct why w;
	open_server(&t, 0);
	assert_int_equal(nsm_server_open(&second, t.loop, t.simulator, &t.at, 0, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "another process answers there"));
	assert_null(second);
	nsm_server_close(NULL);
	const int fd = join(&t);
	say(&t, fd, BYTES_LIT(RANDOM));
	assert_true(is_reply(waiting(fd)));
	close(fd);
	close_server(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_up_to_its_end_and_no_further),
		cmocka_unit_test(a_request_has_1_to_4096_bytes),
		cmocka_unit_test(a_reply_gets_its_length_in_front),
		cmocka_unit_test(requests_of_a_connection_are_answered_in_turn),
		cmocka_unit_test(a_length_that_no_request_has_ends_the_connection),
		cmocka_unit_test(a_request_that_has_begun_must_be_whole_in_30_seconds),
		cmocka_unit_test(a_reply_must_be_taken_in_30_seconds),
		cmocka_unit_test(a_slow_reply_holds_up_nobody_else),
		cmocka_unit_test(the_65th_connection_is_closed_until_another_ends),
		cmocka_unit_test(a_socket_that_answers_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
