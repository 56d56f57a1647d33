/* The socket back end against a peer that says what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "nsm/ops.h"

#define REQUEST "\x69GetRandom"

enum { WAIT_MS = 30500 };

/* What the peer does with a connection: reads this many bytes, then says this, then closes it (or keeps it for the
 * next of the same connection). */
struct turn {
	size_t reads;
	struct bytes says;
	bool closes;
	bool stays_silent; /* until the test is over */
};

struct peer {
	char dir[32], path[64];
	int listener, done[2];
	const struct turn *turns;
	size_t n_turns;
	unsigned connections;
	uint8_t read[8192];
	size_t n_read;
	pthread_t thread;
};

static size_t read_some(struct peer *p, int fd, size_t n)
{
	size_t got = 0;
	while (got < n) {
		const ssize_t r = recv(fd, p->read + p->n_read, n - got, 0);
		if (r <= 0)
			break;
		got += (size_t)r;
		p->n_read += (size_t)r;
	}
	return got;
}

static void *serve(void *arg)
{
	struct peer *p = arg;
	int fd = -1;
	uint8_t b;
	for (size_t i = 0; i < p->n_turns; i++) {
		const struct turn *t = &p->turns[i];
		if (fd < 0) {
			fd = accept(p->listener, NULL, NULL);
			p->connections++;
		}
		read_some(p, fd, t->reads);
		if (t->says.n > 0)
			(void)!send(fd, t->says.p, t->says.n, MSG_NOSIGNAL);
		if (t->stays_silent)
			(void)!read(p->done[0], &b, 1);
		if (t->closes) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int64_t now_us(void *ctx)
{
	int64_t *calls = ctx; /* NULL: real time */
	if (calls == NULL)
		return clock_system().mono_us(NULL);
	return ++*calls > 3 ? INT64_C(1000) * WAIT_MS : 0;
}

static void start(struct peer *p, const struct turn *turns, size_t n)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	*p = (struct peer){.dir = "/tmp/attestd-nsm-XXXXXX", .turns = turns, .n_turns = n};
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof p->path, "%s/s", p->dir);
	memcpy(to.sun_path, p->path, strlen(p->path) + 1);
	p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(listen(p->listener, 4), 0);
	assert_int_equal(pipe(p->done), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void finish(struct peer *p)
{
	close(p->done[1]);
	pthread_join(p->thread, NULL);
	close(p->done[0]);
	close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
}

static enum err open_at(const char *path, const struct clock *clock, void **state, struct why *w)
{
	const struct nsm_env env = {.clock = clock, .timeout_ms = WAIT_MS};
	return nsm_socket.open(state, &env, path, w);
}

/* One call; its reply in `reply`. */
static enum err ask(void *state, struct buf *reply, struct why *w)
{
	buf_reset(reply);
	return nsm_socket.call(state, BYTES_LIT(REQUEST), reply, w);
}

enum { FRAME = 4 + sizeof REQUEST - 1 };

/* ---- frames ---- */

static void a_frame_begins_with_its_length(void **s)
{
	(void)s;
	static const uint8_t most[NSM_REPLY_MAX + 1];
	struct buf b = BUF_INIT(NSM_FRAME_HEAD + NSM_REPLY_MAX);
	nsm_frame_begin(&b);
	assert_false(nsm_frame_end(&b));
	buf_put_str(&b, "hello");
	assert_true(nsm_frame_end(&b));
	assert_true(bytes_equal(buf_bytes(&b), BYTES_LIT("\0\0\0\5hello")));
	buf_reset(&b);
	nsm_frame_begin(&b);
	buf_put(&b, most, NSM_REPLY_MAX);
	assert_true(nsm_frame_end(&b));
	assert_memory_equal(b.p, "\0\0\x40\0", 4);
	assert_int_equal(nsm_frame_length(b.p), NSM_REPLY_MAX);
	assert_int_equal(nsm_frame_length((const uint8_t *)"\xfe\xdc\xba\x98"), 0xfedcba98);
	buf_free(&b);
	nsm_frame_begin(&b);
	buf_put(&b, most, NSM_REPLY_MAX + 1);
	assert_false(nsm_frame_end(&b));
	buf_free(&b);
}

/* ---- replies ---- */

static void requests_and_replies_follow_each_other_on_one_connection(void **s)
{
	(void)s;
	const struct turn turns[] = {{FRAME, BYTES_LIT("\0\0\0\5hello"), false, false},
				     {FRAME, BYTES_LIT("\0\0\0\1!"), false, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 2);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "hello"));
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "!"));
	nsm_socket.close(state);
	finish(&p);
	assert_int_equal(p.connections, 1);
	assert_true(bytes_equal(bytes_of(p.read, p.n_read), BYTES_LIT("\0\0\0\x0a" REQUEST "\0\0\0\x0a" REQUEST)));
	nsm_socket.close(NULL);
	buf_free(&reply);
}

static void the_largest_request_and_reply_pass(void **s)
{
	(void)s;
	static uint8_t request[NSM_REQUEST_MAX + 1], says[4 + NSM_REPLY_MAX];
	memset(says, 'r', sizeof says);
	memcpy(says, "\0\0\x40\0", 4);
	const struct turn turns[] = {{4 + NSM_REQUEST_MAX, bytes_of(says, sizeof says), false, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 1);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(nsm_socket.call(state, bytes_of(request, 0), &reply, &w), ERR_INTERNAL);
	assert_int_equal(nsm_socket.call(state, bytes_of(request, NSM_REQUEST_MAX + 1), &reply, &w), ERR_INTERNAL);
	assert_int_equal(nsm_socket.call(state, bytes_of(request, NSM_REQUEST_MAX), &reply, &w), ERR_OK);
	assert_int_equal(reply.n, NSM_REPLY_MAX);
	assert_int_equal(reply.p[NSM_REPLY_MAX - 1], 'r');
	nsm_socket.close(state);
	finish(&p);
	assert_int_equal(p.n_read, 4 + NSM_REQUEST_MAX);
	buf_free(&reply);
}

/* The first call meets `turns`, and the second one is answered. */
static void fails_with(const struct turn *turns, size_t n, unsigned connections, const char *text)
{
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w = {0};
	void *state = NULL;
	start(&p, turns, n);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_NSM);
	char want[WHY_TEXT_MAX];
	(void)snprintf(want, sizeof want, "the NSM on unix:%s %s", p.path, text);
	assert_string_equal(w.text, want);
	assert_int_equal(reply.n, 0);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "ok"));
	nsm_socket.close(state);
	finish(&p);
	assert_int_equal(p.connections, connections);
	buf_free(&reply);
}

static void a_bad_reply_is_told_precisely_and_ends_its_connection(void **s)
{
	(void)s;
	static const struct {
		struct bytes says;
		const char *text;
	} cases[] = {
		{BYTES_LIT(""), "ended the connection after 0 of 4 bytes of a reply's length"},
		{BYTES_LIT("\0\0"), "ended the connection after 2 of 4 bytes of a reply's length"},
		{BYTES_LIT("\0\0\0\5"), "ended the connection after 0 of 5 bytes of a reply"},
		{BYTES_LIT("\0\0\0\5hell"), "ended the connection after 4 of 5 bytes of a reply"},
		{BYTES_LIT("\0\0\0\0"),
		 "announced a reply of 0 bytes, and one has 1 to 16384: is that `attestd simulate`?"},
		{BYTES_LIT("\0\0\x40\1"),
		 "announced a reply of 16385 bytes, and one has 1 to 16384: is that `attestd simulate`?"},
		{BYTES_LIT("HTTP/1.1 400"),
		 "announced a reply of 1213486160 bytes, and one has 1 to 16384: is that `attestd simulate`?"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct turn turns[] = {{FRAME, cases[i].says, true, false},
					     {FRAME, BYTES_LIT("\0\0\0\2ok"), false, false}};
		fails_with(turns, 2, 2, cases[i].text);
	}
}

static void what_comes_unasked_is_of_no_reply(void **s)
{
	(void)s;
	const struct turn turns[] = {{FRAME, BYTES_LIT("\0\0\0\1a\0\0\0\1b"), true, false},
				     {FRAME, BYTES_LIT("\0\0\0\2ok"), false, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 2);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "a"));
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "ok"));
	nsm_socket.close(state);
	finish(&p);
	buf_free(&reply);
}

/* ---- connections ---- */

static void a_connection_that_was_closed_meanwhile_is_made_anew(void **s)
{
	(void)s;
	const struct turn turns[] = {{0, BYTES_LIT(""), true, false}, {FRAME, BYTES_LIT("\0\0\0\2ok"), false, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 2);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	/* Whether the other side has closed by now or not: the request was not read. */
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "ok"));
	nsm_socket.close(state);
	finish(&p);
	assert_int_equal(p.connections, 2);
	assert_int_equal(p.n_read, FRAME);
	buf_free(&reply);
}

static void a_connection_is_made_anew_once_a_call(void **s)
{
	(void)s;
	const struct turn turns[] = {{0, BYTES_LIT(""), true, false},
				     {1, BYTES_LIT(""), true, false},
				     {FRAME, BYTES_LIT("\0\0\0\2ok"), false, false}};
	fails_with(turns, 3, 3, "ended the connection after 0 of 4 bytes of a reply's length");
}

static void a_request_that_was_read_is_not_sent_again(void **s)
{
	(void)s;
	const struct turn turns[] = {{FRAME, BYTES_LIT("\0\0\0\1a"), false, false},
				     {FRAME, BYTES_LIT(""), true, false},
				     {FRAME, BYTES_LIT("\0\0\0\2ok"), false, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 3);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_NSM);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&reply), "ok"));
	nsm_socket.close(state);
	finish(&p);
	assert_int_equal(p.n_read, 3 * FRAME);
	buf_free(&reply);
}

static void a_peer_that_does_not_answer_is_given_up_at_the_deadline(void **s)
{
	(void)s;
	static const struct bytes says[] = {BYTES_LIT(""), BYTES_LIT("\0\0"), BYTES_LIT("\0\0\0\5hell")};
	for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
		const struct turn turns[] = {{FRAME, says[i], false, true}};
		int64_t calls = 0;
		const struct clock clock = {.ctx = &calls, .mono_us = now_us};
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		struct peer p;
		struct why w;
		void *state = NULL;
		start(&p, turns, 1);
		assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
		assert_int_equal(ask(state, &reply, &w), ERR_NSM);
		assert_non_null(strstr(w.text, "did not answer within 30.5 s"));
		assert_int_equal(reply.n, 0);
		nsm_socket.close(state);
		finish(&p);
		buf_free(&reply);
	}
}

static void where_nobody_listens_it_says_what_to_start(void **s)
{
	(void)s;
	const struct clock clock = clock_system();
	struct nsm *n = NULL;
	struct why w;
	bool fell;
	const struct nsm_env env = {.clock = &clock, .timeout_ms = WAIT_MS};
	assert_int_equal(nsm_open(&n, "socket:/nonexistent/s", &env, &fell, &w), ERR_ENVIRONMENT);
	assert_string_equal(w.text, "no NSM answers on unix:/nonexistent/s (No such file or directory): start `attestd "
				    "simulate --socket /nonexistent/s`");
	assert_null(n);
}

static void a_peer_that_is_gone_fails_the_call_and_may_come_back(void **s)
{
	(void)s;
	const struct turn turns[] = {{FRAME, BYTES_LIT("\0\0\0\1a"), true, false}};
	const struct clock clock = clock_system();
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct peer p;
	struct why w;
	void *state = NULL;
	start(&p, turns, 1);
	assert_int_equal(open_at(p.path, &clock, &state, &w), ERR_OK);
	assert_int_equal(ask(state, &reply, &w), ERR_OK);
	finish(&p);
	assert_int_equal(ask(state, &reply, &w), ERR_NSM);
	assert_non_null(strstr(w.text, "start `attestd simulate --socket "));
	nsm_socket.close(state);
	buf_free(&reply);
}

static void a_path_has_1_to_107_bytes(void **s)
{
	(void)s;
	const struct clock clock = clock_system();
	char path[109];
	struct why w;
	void *state = NULL;
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[107] = '\0';
	assert_int_equal(open_at(path, &clock, &state, &w), ERR_ENVIRONMENT);
	path[107] = 'x';
	path[108] = '\0';
	assert_int_equal(open_at(path, &clock, &state, &w), ERR_CONFIG);
	assert_string_equal(w.text, "the path in socket:PATH has 108 bytes, and that of a Unix socket has 1 to 107");
	assert_int_equal(open_at("", &clock, &state, &w), ERR_CONFIG);
	assert_null(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_begins_with_its_length),
		cmocka_unit_test(requests_and_replies_follow_each_other_on_one_connection),
		cmocka_unit_test(the_largest_request_and_reply_pass),
		cmocka_unit_test(a_bad_reply_is_told_precisely_and_ends_its_connection),
		cmocka_unit_test(what_comes_unasked_is_of_no_reply),
		cmocka_unit_test(a_connection_that_was_closed_meanwhile_is_made_anew),
		cmocka_unit_test(a_connection_is_made_anew_once_a_call),
		cmocka_unit_test(a_request_that_was_read_is_not_sent_again),
		cmocka_unit_test(a_peer_that_does_not_answer_is_given_up_at_the_deadline),
		cmocka_unit_test(where_nobody_listens_it_says_what_to_start),
		cmocka_unit_test(a_peer_that_is_gone_fails_the_call_and_may_come_back),
		cmocka_unit_test(a_path_has_1_to_107_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
