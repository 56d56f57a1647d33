/* Looking names up, and connecting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

enum { QUICK_MS = 100, LONG_MS = 20000, FILLERS = 4 };

struct world {
	struct clock clock;
	char dir[32], text[64]; /* text: where `listener` is */
	int listener, filler[FILLERS];
};

static void listen_unix(struct world *t, int backlog)
{
	struct net_addr at;
	struct why w = {0};
	*t = (struct world){.clock = clock_system(), .dir = "/tmp/attestd-dial-XXXXXX"};
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(t->text, sizeof t->text, "unix:%s/s", t->dir);
	assert_int_equal(net_parse(&at, t->text, &w), ERR_OK);
	t->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(t->listener, (struct sockaddr *)&at.sa, at.len), 0);
	assert_int_equal(listen(t->listener, backlog), 0);
}

/* host: what the target calls it. */
static void listen_ip4(struct world *t, const char *host, int backlog)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof at;
	*t = (struct world){.clock = clock_system()};
	t->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(t->listener, (struct sockaddr *)&at, n), 0);
	assert_int_equal(listen(t->listener, backlog), 0);
	assert_int_equal(getsockname(t->listener, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(t->text, sizeof t->text, "tcp:%s:%u", host, ntohs(at.sin_port));
}

static void end(struct world *t)
{
	close(t->listener);
	if (t->dir[0] != '\0') {
		unlink(t->text + strlen("unix:"));
		assert_int_equal(rmdir(t->dir), 0);
	}
}

/* Until its queue is full. */
static void fill(struct world *t)
{
	struct sockaddr_storage at = {0};
	socklen_t n = sizeof at;
	assert_int_equal(getsockname(t->listener, (struct sockaddr *)&at, &n), 0);
	for (size_t i = 0; i < FILLERS; i++) {
		t->filler[i] = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(t->filler[i], (struct sockaddr *)&at, n);
	}
}

static void empty(struct world *t)
{
	for (size_t i = 0; i < FILLERS; i++)
		close(t->filler[i]);
}

static struct net_target target(const char *text)
{
	struct net_target out;
	struct why w = {0};
	if (net_target_parse(&out, text, &w) != ERR_OK)
		fail_msg("%s: %s", text, w.text);
	return out;
}

static void must_be_ours(int fd)
{
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* ---- looking up ---- */

static void an_address_is_its_own_look_up(void **s)
{
	(void)s;
	static const char *const texts[] = {"tcp:192.0.2.1:7", "tcp:[2001:db8::1]:7", "unix:/run/x", "vsock:16:5005"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const struct net_target t = target(texts[i]);
		struct net_addr a[NET_LOOK_UP_MAX];
		struct why w = {0};
		size_t n = 0;
		assert_int_equal(net_look_up(&t, a, &n, &w), ERR_OK);
		assert_int_equal(n, 1);
		assert_int_equal(a[0].kind, t.addr.kind);
		assert_int_equal(a[0].len, t.addr.len);
		assert_memory_equal(&a[0].sa, &t.addr.sa, t.addr.len);
	}
}

static void a_name_has_addresses_with_the_targets_port(void **s)
{
	(void)s;
	/* Such names are parsed as addresses; the resolver reads them without asking anybody. */
	static const struct {
		struct net_target name;
		const char *text;
	} cases[] = {{{.host = "127.0.0.1", .port = 258}, "tcp:127.0.0.1:258"},
		     {{.host = "::1", .port = 258}, "tcp:[::1]:258"}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct net_addr a[NET_LOOK_UP_MAX];
		char text[NET_TARGET_MAX];
		struct why w = {0};
		size_t n = 0;
		assert_int_equal(net_look_up(&cases[i].name, a, &n, &w), ERR_OK);
		assert_int_equal(n, 1);
		assert_true(a[0].loopback);
		net_target_text(&(struct net_target){.addr = a[0]}, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void localhost_is_the_loopback_whatever_a_resolver_says(void **s)
{
	(void)s;
	static const char *const names[] = {"tcp:localhost:258", "tcp:LocalHost:258"};
	static const char *const texts[] = {"tcp:127.0.0.1:258", "tcp:[::1]:258"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct net_target t = target(names[i]);
		struct net_addr a[NET_LOOK_UP_MAX];
		struct why w = {0};
		size_t n = 0;
		assert_int_equal(net_look_up(&t, a, &n, &w), ERR_OK);
		assert_int_equal(n, 2);
		for (size_t j = 0; j < n; j++) {
			char text[NET_TARGET_MAX];
			net_target_text(&(struct net_target){.addr = a[j]}, text);
			assert_string_equal(text, texts[j]);
			assert_true(a[j].loopback);
		}
	}
}

static void a_name_that_nobody_knows_is_told(void **s)
{
	(void)s;
	const struct clock clock = clock_system();
	const struct net_target t = target("tcp:attestd.invalid:1");
	struct net_addr a[NET_LOOK_UP_MAX];
	struct why w = {0};
	size_t n = 99;
	int fd = -7;
	/* Where there is no network, the resolver would wait for longer. */
	assert_int_equal(setenv("RES_OPTIONS", "timeout:1 attempts:1", 1), 0);
	assert_int_equal(net_look_up(&t, a, &n, &w), ERR_ENVIRONMENT);
	assert_ptr_equal(strstr(w.text, "the host attestd.invalid cannot be looked up: "), w.text);
	assert_true(w.tell);
	assert_int_equal(n, 99);
	w = (struct why){0};
	assert_int_equal(net_dial(&fd, &t, &clock, clock_mono(&clock) + LONG_MS, &w), ERR_ENVIRONMENT);
	assert_ptr_equal(strstr(w.text, "the host attestd.invalid cannot be looked up: "), w.text);
	assert_int_equal(fd, -7);
}

/* ---- beginning ---- */

static void a_connection_begins_and_its_end_can_be_waited_for(void **s)
{
	(void)s;
	for (int unix = 0; unix < 2; unix++) {
		struct world t;
		if (unix)
			listen_unix(&t, 1);
		else
			listen_ip4(&t, "127.0.0.1", 1);
		const struct net_target to = target(t.text);
		int fd = -1, error = -1;
		bool under_way = true;
		assert_int_equal(net_begin(&fd, &under_way, &to.addr), 0);
		must_be_ours(fd);
		if (unix)
			assert_false(under_way);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		socklen_t n = sizeof error;
		assert_int_equal(poll(&p, 1, LONG_MS), 1);
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n), 0);
		assert_int_equal(error, 0);
		const int other = accept(t.listener, NULL, NULL);
		assert_true(other >= 0);
		close(other);
		close(fd);
		end(&t);
	}
}

static void what_cannot_begin_is_an_error_and_no_descriptor(void **s)
{
	(void)s;
	struct world t;
	int fd = -7;
	bool under_way = true;
	struct net_target to = target("unix:/nowhere/s");
	assert_int_equal(net_begin(&fd, &under_way, &to.addr), ENOENT);
	listen_unix(&t, 0);
	fill(&t);
	to = target(t.text);
	assert_int_equal(net_begin(&fd, &under_way, &to.addr), EAGAIN);
	empty(&t);
	close(t.listener);
	assert_int_equal(net_begin(&fd, &under_way, &to.addr), ECONNREFUSED);
	t.listener = -1;
	end(&t);
	assert_int_equal(fd, -7);
	assert_true(under_way);
}

/* ---- dialling ---- */

static void a_target_is_dialled(void **s)
{
	(void)s;
	for (int i = 0; i < 3; i++) {
		struct world t;
		struct why w = {0};
		int fd = -1;
		if (i == 0)
			listen_unix(&t, 1);
		else
			/* Where localhost is ::1 as well, nobody listens there. */
			listen_ip4(&t, i == 1 ? "127.0.0.1" : "localhost", 1);
		const struct net_target to = target(t.text);
		if (net_dial(&fd, &to, &t.clock, clock_mono(&t.clock) + LONG_MS, &w) != ERR_OK)
			fail_msg("%s", w.text);
		must_be_ours(fd);
		const int other = accept(t.listener, NULL, NULL);
		char b = 0;
		assert_int_equal(send(fd, "x", 1, 0), 1);
		assert_int_equal(recv(other, &b, 1, 0), 1);
		assert_int_equal(b, 'x');
		close(other);
		close(fd);
		end(&t);
	}
}

static void must_not_answer(const struct world *t, int64_t ms, const char *reason)
{
	const struct net_target to = target(t->text);
	char want[WHY_TEXT_MAX];
	struct why w = {0};
	int fd = -7;
	assert_int_equal(net_dial(&fd, &to, &t->clock, clock_mono(&t->clock) + ms, &w), ERR_ENVIRONMENT);
	(void)snprintf(want, sizeof want, "nothing answers at %s: %s", t->text, reason);
	assert_string_equal(w.text, want);
	assert_true(w.tell);
	assert_int_equal(fd, -7);
}

static void nobody_there_is_told(void **s)
{
	(void)s;
	struct world t;
	listen_ip4(&t, "127.0.0.1", 1);
	close(t.listener);
	must_not_answer(&t, LONG_MS, "Connection refused");
	t = (struct world){.clock = clock_system(), .text = "unix:/nowhere/s"};
	must_not_answer(&t, LONG_MS, "No such file or directory");
}

static void one_that_takes_no_connection_meets_the_deadline(void **s)
{
	(void)s;
	for (int unix = 0; unix < 2; unix++) {
		struct world t;
		if (unix)
			listen_unix(&t, 0);
		else
			listen_ip4(&t, "127.0.0.1", 0);
		fill(&t);
		must_not_answer(&t, QUICK_MS, "Connection timed out");
		must_not_answer(&t, 0, "Connection timed out");
		empty(&t);
		end(&t);
	}
}

static void *accept_all(void *arg)
{
	struct world *t = arg;
	/* Those that fill the queue, and the one that is dialled; more would be waited for in vain. */
	for (int i = 0; i < 2; i++)
		close(accept(t->listener, NULL, NULL));
	return NULL;
}

static void a_full_queue_is_tried_again_until_there_is_room(void **s)
{
	(void)s;
	struct world t;
	struct why w = {0};
	pthread_t thread;
	int fd = -1;
	listen_unix(&t, 0); /* has room for one */
	fill(&t);
	const struct net_target to = target(t.text);
	assert_int_equal(pthread_create(&thread, NULL, accept_all, &t), 0);
	if (net_dial(&fd, &to, &t.clock, clock_mono(&t.clock) + LONG_MS, &w) != ERR_OK)
		fail_msg("%s", w.text);
	pthread_join(thread, NULL);
	close(fd);
	empty(&t);
	end(&t);
}

static void a_vsock_address_is_tried(void **s)
{
	(void)s;
	const struct clock clock = clock_system();
	const struct net_target to = target("vsock:1:1");
	struct why w = {0};
	int fd = -7;
	assert_int_equal(net_dial(&fd, &to, &clock, clock_mono(&clock) + LONG_MS, &w), ERR_ENVIRONMENT);
	assert_ptr_equal(strstr(w.text, "nothing answers at vsock:1:1: "), w.text);
	assert_int_equal(fd, -7);
}

/* The kernel's own patience with vsock ends after 2 s. */
static void a_vsock_address_that_does_not_answer_has_all_of_its_time(void **s)
{
	(void)s;
	enum { LONGER_MS = 2600 };
	const struct clock clock = clock_system();
	const struct net_target to = target("vsock:77:1");
	const int64_t before = clock_mono(&clock);
	struct why w = {0};
	int fd = -7;
	assert_int_equal(net_dial(&fd, &to, &clock, before + LONGER_MS, &w), ERR_ENVIRONMENT);
	assert_int_equal(fd, -7);
	if (strcmp(w.text, "nothing answers at vsock:77:1: Connection timed out") != 0) {
		print_message("skipped: this machine's kernel says at once of vsock: %s\n", w.text);
		skip();
	}
	assert_true(clock_mono(&clock) - before >= LONGER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_its_own_look_up),
		cmocka_unit_test(a_name_has_addresses_with_the_targets_port),
		cmocka_unit_test(localhost_is_the_loopback_whatever_a_resolver_says),
		cmocka_unit_test(a_name_that_nobody_knows_is_told),
		cmocka_unit_test(a_connection_begins_and_its_end_can_be_waited_for),
		cmocka_unit_test(what_cannot_begin_is_an_error_and_no_descriptor),
		cmocka_unit_test(a_target_is_dialled),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(one_that_takes_no_connection_meets_the_deadline),
		cmocka_unit_test(a_full_queue_is_tried_again_until_there_is_room),
		cmocka_unit_test(a_vsock_address_is_tried),
		cmocka_unit_test(a_vsock_address_that_does_not_answer_has_all_of_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
