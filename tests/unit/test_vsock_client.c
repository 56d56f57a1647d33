/* The asking side of the vsock protocol against a server that does what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vsock.h"

#define PING "{\"command\": \"ping\"}\n"
#define PONG "{\"success\": true, \"message\": \"pong\"}"

enum { QUICK_MS = 200, LONG_MS = 20000 };

struct server {
	char dir[40], text[80];
	struct net_target at;
	int listener, done[2];
	/* What it does with the one connection that it takes. */
	struct bytes says;
	bool byte_by_byte, deaf, stays;
	struct buf heard;
	pthread_t thread;
};

static void hear(struct server *p, int fd)
{
	while (!p->deaf && (p->heard.n == 0 || p->heard.p[p->heard.n - 1] != '\n')) {
		uint8_t *to = buf_reserve(&p->heard, 4096);
		const ssize_t n = recv(fd, to, 4096, 0);
		if (n <= 0)
			return;
		p->heard.n += (size_t)n;
	}
}

static void say(const struct server *p, int fd)
{
	const size_t step = p->byte_by_byte ? 1 : p->says.n;
	for (size_t i = 0; i < p->says.n; i += step)
		(void)!send(fd, p->says.p + i, step, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	struct server *p = arg;
	uint8_t b;
	const int fd = accept(p->listener, NULL, NULL);
	hear(p, fd);
	say(p, fd);
	if (p->stays)
		(void)!read(p->done[0], &b, 1);
	(void)close(fd);
	return NULL;
}

static void listen_on(struct server *p)
{
	struct why w = {0};
	memcpy(p->dir, "/tmp/attestd-client-XXXXXX", 27);
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->text, sizeof p->text, "unix:%s/s", p->dir);
	assert_int_equal(net_target_parse(&p->at, p->text, &w), ERR_OK);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(bind(p->listener, (const struct sockaddr *)&p->at.addr.sa, p->at.addr.len), 0);
	assert_int_equal(listen(p->listener, 1), 0);
}

static void stop_listening(struct server *p)
{
	(void)close(p->listener);
	(void)unlink(p->text + strlen("unix:"));
	(void)rmdir(p->dir);
}

/* One exchange with a server that was set up. */
static enum err ask(struct server *p, int64_t timeout_ms, struct buf *reply, struct why *w)
{
	const struct clock clock = clock_system();
	listen_on(p);
	p->heard = BUF_INIT(4096 * 4);
	assert_int_equal(pipe(p->done), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
	const enum err e = vsock_ask(&p->at, BYTES_LIT(PING), &clock, timeout_ms, reply, w);
	(void)close(p->done[1]);
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	(void)close(p->done[0]);
	stop_listening(p);
	if (!p->deaf)
		assert_true(bytes_is(buf_bytes(&p->heard), PING));
	buf_free(&p->heard);
	return e;
}

static void gets(struct server p, const char *want)
{
	struct buf reply = BUF_INIT(0);
	struct why w = {0};
	if (ask(&p, LONG_MS, &reply, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_true(bytes_is(buf_bytes(&reply), want));
	buf_free(&reply);
}

static void refuses(struct server p, int64_t timeout_ms, const char *want)
{
	struct buf reply = BUF_INIT(7);
	struct why w = {0};
	assert_int_equal(ask(&p, timeout_ms, &reply, &w), ERR_ENVIRONMENT);
	assert_true(w.tell);
	if (strstr(w.text, want) == NULL || strstr(w.text, p.text) == NULL)
		fail_msg("%s", w.text);
	assert_null(reply.p);
	assert_int_equal(reply.max, 7);
}

static void a_reply_ends_with_its_newline(void **s)
{
	(void)s;
	gets((struct server){.says = BYTES_LIT(PONG "\n")}, PONG);
	gets((struct server){.says = BYTES_LIT(PONG "\n"), .stays = true}, PONG);
	gets((struct server){.says = BYTES_LIT(PONG "\nwhat follows it")}, PONG);
	gets((struct server){.says = BYTES_LIT("\n")}, "");
}

static void a_reply_may_come_in_pieces(void **s)
{
	(void)s;
	gets((struct server){.says = BYTES_LIT(PONG "\n"), .byte_by_byte = true}, PONG);
}

static void an_object_may_end_with_the_stream(void **s)
{
	(void)s;
	gets((struct server){.says = BYTES_LIT(PONG)}, PONG);
	gets((struct server){.says = BYTES_LIT(PONG " \t\r")}, PONG " \t\r");
}

static void a_reply_that_is_cut_off_is_none(void **s)
{
	(void)s;
	refuses((struct server){.says = BYTES_LIT("{\"success\": tr")}, LONG_MS, "in the middle of its reply");
	refuses((struct server){.says = {NULL, 0}}, LONG_MS, "closed the connection without a reply");
	refuses((struct server){.says = BYTES_LIT(" ")}, LONG_MS, "closed the connection without a reply");
}

/* What was said before is heard, although the request was not. */
static void an_early_answer_counts(void **s)
{
	(void)s;
	gets((struct server){.says = BYTES_LIT(PONG "\n"), .deaf = true, .stays = true}, PONG);
}

static void a_reply_has_its_limit(void **s)
{
	struct buf text = BUF_INIT(VSOCK_REPLY_MAX + 2);
	(void)s;
	for (size_t i = 0; i < VSOCK_REPLY_MAX; i++)
		buf_put_u8(&text, 'x');
	buf_put_str(&text, "\n");
	char *want = malloc(VSOCK_REPLY_MAX + 1);
	assert_non_null(want);
	memset(want, 'x', VSOCK_REPLY_MAX);
	want[VSOCK_REPLY_MAX] = '\0';
	gets((struct server){.says = buf_bytes(&text)}, want);
	text.p[VSOCK_REPLY_MAX] = 'x';
	buf_put_str(&text, "\n");
	refuses((struct server){.says = buf_bytes(&text), .stays = true}, LONG_MS, "more than 65536 bytes");
	text.p[VSOCK_REPLY_MAX + 1] = 'x';
	refuses((struct server){.says = buf_bytes(&text), .stays = true}, LONG_MS, "more than 65536 bytes");
	free(want);
	buf_free(&text);
}

static void nobody_is_waited_for_longer_than_was_said(void **s)
{
	(void)s;
	refuses((struct server){.stays = true}, QUICK_MS, "did not answer within 0.2 s");
	refuses((struct server){.says = BYTES_LIT("{"), .stays = true}, QUICK_MS, "did not answer within 0.2 s");
}

static void that_nobody_is_there_is_said(void **s)
{
	struct net_target to;
	struct why w = {0};
	struct buf reply = BUF_INIT(0);
	const struct clock clock = clock_system();
	(void)s;
	assert_int_equal(net_target_parse(&to, "unix:/nonexistent/socket", &w), ERR_OK);
	assert_int_equal(vsock_ask(&to, BYTES_LIT(PING), &clock, LONG_MS, &reply, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "unix:/nonexistent/socket"));
	assert_null(reply.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_ends_with_its_newline),
		cmocka_unit_test(a_reply_may_come_in_pieces),
		cmocka_unit_test(an_object_may_end_with_the_stream),
		cmocka_unit_test(a_reply_that_is_cut_off_is_none),
		cmocka_unit_test(an_early_answer_counts),
		cmocka_unit_test(a_reply_has_its_limit),
		cmocka_unit_test(nobody_is_waited_for_longer_than_was_said),
		cmocka_unit_test(that_nobody_is_there_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
