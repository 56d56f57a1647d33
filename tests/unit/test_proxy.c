/* The proxy between real sockets: ends, breaks, limits, deadlines, draining, and what it leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "proxy_fixture.h"

#include "net/proxy_parts.h"
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

/* ---- half-close ---- */

static void a_client_that_is_done_still_gets_its_answer(void **state)
{
	struct world t;
	(void)state;
	EACH_WAY(in, out)
	{
		set_up(&t, kinds[in], kinds[out]);
		const int client = join(&t);
		say(client, "question");
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		const int target = await_target(&t);
		hear(&t, target, "question");
		assert_int_equal(hear_end(&t, target), 0);
		assert_true(is_silent(&t, client));
		say(target, "answer");
		hear(&t, client, "answer");
		assert_int_equal(count(&t).open, 1);
		say(target, "!");
		assert_int_equal(close(target), 0);
		hear(&t, client, "!");
		assert_int_equal(hear_end(&t, client), 0);
		await_open(&t, 0);
		const struct proxy_counters c = count(&t);
		assert_int_equal(c.accepted, 1);
		assert_int_equal(c.connected, 1);
		assert_int_equal(c.bytes_in, 8);
		assert_int_equal(c.bytes_out, 7);
		assert_int_equal(c.failed + c.retries + c.timed_out + c.broken + c.refused_full + c.refused_source, 0);
		(void)close(client);
		tear_down(&t);
	}
}

static void a_target_that_is_done_still_gets_the_rest(void **state)
{
	struct world t;
	(void)state;
	EACH_WAY(in, out)
	{
		set_up(&t, kinds[in], kinds[out]);
		const int client = join(&t), target = await_target(&t);
		say(target, "greeting");
		assert_int_equal(shutdown(target, SHUT_WR), 0);
		hear(&t, client, "greeting");
		assert_int_equal(hear_end(&t, client), 0);
		say(client, "the");
		hear(&t, target, "the");
		assert_true(is_silent(&t, target));
		say(client, "rest");
		assert_int_equal(close(client), 0);
		hear(&t, target, "rest");
		assert_int_equal(hear_end(&t, target), 0);
		await_open(&t, 0);
		assert_int_equal(count(&t).broken, 0);
		(void)close(target);
		tear_down(&t);
	}
}

static void both_may_be_done_at_once_and_lose_nothing(void **state)
{
	struct world t;
	(void)state;
	EACH_WAY(in, out)
	{
		set_up(&t, kinds[in], kinds[out]);
		const int client = join(&t), target = await_target(&t);
		say(client, "tail one");
		say(target, "tail two");
		assert_int_equal(shutdown(client, SHUT_WR), 0);
		assert_int_equal(shutdown(target, SHUT_WR), 0);
		await_open(&t, 0);
		hear(&t, client, "tail two");
		hear(&t, target, "tail one");
		assert_int_equal(hear_end(&t, client), 0);
		assert_int_equal(hear_end(&t, target), 0);
		assert_int_equal(count(&t).broken, 0);
		(void)close(client);
		(void)close(target);
		tear_down(&t);
	}
}

static void urgent_data_is_carried_in_line(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	say(client, "be");
	assert_int_equal(send(client, "f", 1, MSG_OOB), 1);
	say(client, "ore");
	hear(&t, target, "before");
	say(client, "after");
	hear(&t, target, "after");
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

static void urgent_data_that_comes_before_it_is_accepted_is_not_lost(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t); /* accepted by the first turn, which await_target makes */
	assert_int_equal(send(client, "b", 1, MSG_OOB), 1);
	say(client, "e");
	assert_int_equal(send(client, "f", 1, MSG_OOB), 1);
	say(client, "ore");
	const int target = await_target(&t);
	hear(&t, target, "before");
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

/* ---- breaking ---- */

static void a_reset_of_one_end_resets_the_other(void **state)
{
	struct world t;
	(void)state;
	for (int by_client = 0; by_client < 2; by_client++) {
		set_up(&t, NET_TCP, NET_TCP);
		const int client = join(&t), target = await_target(&t);
		const int breaks = by_client ? client : target, other = by_client ? target : client;
		say(breaks, "half of");
		hear(&t, other, "half of");
		close_with_reset(breaks);
		assert_int_equal(hear_end(&t, other), ECONNRESET);
		await_open(&t, 0);
		assert_int_equal(count(&t).broken, 1);
		(void)close(other);
		tear_down(&t);
	}
}

static void a_reset_after_the_end_of_one_way_resets_the_other(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(hear_end(&t, target), 0);
	say(target, "half of");
	hear(&t, client, "half of");
	close_with_reset(target);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	await_open(&t, 0);
	(void)close(client);
	tear_down(&t);
}

/* A Unix socket that is closed with bytes unread is the reset that it has. */
static void a_unix_end_that_breaks_resets_the_other(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_UNIX);
	const int client = join(&t), target = await_target(&t);
	say(client, "unread");
	await(&t, target, POLLIN);
	say(target, "last words");
	assert_int_equal(close(target), 0);
	hear(&t, client, "last words");
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	(void)close(client);
	tear_down(&t);
}

static void a_unix_end_is_closed_where_the_other_breaks(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_UNIX, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	close_with_reset(target);
	assert_int_equal(hear_end(&t, client), 0);
	assert_int_equal(send(client, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	await_open(&t, 0);
	(void)close(client);
	tear_down(&t);
}

/* ---- backpressure ---- */

static void a_writer_waits_for_one_that_does_not_read(void **state)
{
	struct world t;
	static uint8_t b[64 * 1024];
	int room;
	socklen_t len = sizeof room;
	(void)state;
	set_up(&t, NET_UNIX, NET_UNIX);
	const int client = join(&t), target = await_target(&t);
	assert_int_equal(getsockopt(client, SOL_SOCKET, SO_SNDBUF, &room, &len), 0);
	const uint64_t at = fill(&t, client);
	assert_true(at <= 2 * ((uint64_t)room + 32 * 1024) + PROXY_BUFFER);
	say(target, "meanwhile"); /* the other way is free */
	hear(&t, client, "meanwhile");
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	uint64_t got = 0;
	ssize_t n;
	do {
		await(&t, target, POLLIN);
		n = recv(target, b, sizeof b, MSG_DONTWAIT);
		got += n > 0 ? (uint64_t)n : 0;
	} while (n > 0);
	assert_int_equal(n, 0);
	assert_int_equal(got, at);
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

static void a_reset_is_noticed_while_bytes_wait(void **state)
{
	struct world t;
	(void)state;
	for (int by_client = 0; by_client < 2; by_client++) {
		set_up(&t, NET_TCP, NET_TCP);
		const int client = join(&t), target = await_target(&t);
		assert_true(fill(&t, client) > PROXY_BUFFER);
		close_with_reset(by_client ? client : target);
		await_open(&t, 0);
		assert_int_equal(count(&t).broken, 1);
		assert_int_equal(hear_end(&t, by_client ? target : client), ECONNRESET);
		(void)close(by_client ? target : client);
		tear_down(&t);
	}
}

/* ---- sources ---- */

static struct source *enter(struct sources *s, const char *address, int64_t max)
{
	struct sockaddr_storage from = {.ss_family = AF_INET6};
	struct source *x = NULL;
	assert_int_equal(inet_pton(AF_INET6, address, &((struct sockaddr_in6 *)&from)->sin6_addr), 1);
	return source_enter(s, &x, -1, &from, max) ? x : NULL;
}

static void a_source_is_as_wide_as_what_its_owner_can_choose(void **state)
{
	struct sources s = {0};
	struct sockaddr_storage v4 = {.ss_family = AF_INET}, vsock = {.ss_family = AF_VSOCK};
	struct source *in, *guest[2];
	(void)state;
	struct source *a = enter(&s, "2001:db8:1:2::1", 2);
	assert_non_null(a);
	assert_ptr_equal(enter(&s, "2001:db8:1:2:ffff:ffff:ffff:ffff", 2), a);
	assert_null(enter(&s, "2001:db8:1:2::1", 2));
	struct source *b = enter(&s, "2001:db8:1:3::1", 2);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	struct source *mapped = enter(&s, "::ffff:192.0.2.1", 2);
	((struct sockaddr_in *)&v4)->sin_addr.s_addr = htonl(0xc0000201);
	assert_true(source_enter(&s, &in, -1, &v4, 2));
	assert_ptr_equal(in, mapped);
	for (unsigned i = 0; i < 2; i++) {
		((struct sockaddr_vm *)&vsock)->svm_cid = 16 + i;
		assert_true(source_enter(&s, &guest[i], -1, &vsock, 1));
		assert_false(source_enter(&s, &guest[i], -1, &vsock, 1));
	}
	source_leave(&s, a);
	assert_ptr_equal(enter(&s, "2001:db8:1:2::2", 2), a);
	struct source *const all[] = {a, a, b, mapped, in, guest[0], guest[1], NULL};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		source_leave(&s, all[i]);
	assert_null(s.root);
}

/* ---- idleness ---- */

static void a_connection_without_a_byte_is_broken_in_time(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int quiet = join(&t), quiet_target = await_target(&t);
	const int busy = join(&t), busy_target = await_target(&t);
	pass_ms(&t, IDLE_MS / 2);
	say(busy_target, "tick");
	hear(&t, busy, "tick");
	pass_ms(&t, IDLE_MS / 2 - 1);
	assert_int_equal(count(&t).open, 2);
	pass_ms(&t, 1);
	assert_int_equal(count(&t).open, 1);
	assert_int_equal(count(&t).timed_out, 1);
	assert_int_equal(hear_end(&t, quiet), ECONNRESET);
	assert_int_equal(hear_end(&t, quiet_target), ECONNRESET);
	pass_ms(&t, IDLE_MS / 2 - 1);
	assert_int_equal(count(&t).open, 1);
	pass_ms(&t, 1);
	assert_int_equal(count(&t).timed_out, 2);
	assert_int_equal(hear_end(&t, busy), ECONNRESET);
	(void)close(quiet);
	(void)close(quiet_target);
	(void)close(busy);
	(void)close(busy_target);
	tear_down(&t);
}

static void one_that_does_not_read_is_broken_in_time(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	assert_true(fill(&t, client) > PROXY_BUFFER);
	pass_ms(&t, IDLE_MS);
	assert_int_equal(count(&t).timed_out, 1);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	assert_int_equal(hear_end(&t, target), ECONNRESET);
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

/* One more byte, `ms` after the last; false if the connection is broken by then. */
static bool trickle(struct world *t, int from, int to, int64_t ms)
{
	char b;
	pass_ms(t, ms);
	if (count(t).open == 0)
		return false;
	say(from, "x");
	await(t, to, POLLIN);
	assert_int_equal(recv(to, &b, 1, MSG_DONTWAIT), 1);
	return true;
}

static void one_that_does_not_read_is_broken_in_time_whatever_it_says(void **state)
{
	struct world t;
	(void)state;
	for (int turned = 0; turned < 2; turned++) {
		set_up(&t, NET_TCP, NET_TCP);
		const int client = join(&t), target = await_target(&t);
		const int writer = turned ? target : client, talker = turned ? client : target;
		/* Nothing has moved for a while when the first byte comes that is not taken. */
		pass_ms(&t, IDLE_MS / 2);
		assert_true(fill(&t, writer) > PROXY_BUFFER);
		assert_true(trickle(&t, talker, writer, IDLE_MS / 2));
		assert_true(trickle(&t, talker, writer, IDLE_MS / 2 - 1));
		assert_false(trickle(&t, talker, writer, 1));
		assert_int_equal(count(&t).timed_out, 1);
		(void)close(client);
		(void)close(target);
		tear_down(&t);
	}
}

static void one_that_reads_slowly_may_go_on(void **state)
{
	static uint8_t b[1024 * 1024];
	struct world t;
	(void)state;
	set_up(&t, NET_UNIX, NET_UNIX);
	const int client = join(&t), target = await_target(&t);
	for (int i = 0; i < 4; i++) {
		assert_true(fill(&t, client) > 0);
		pass_ms(&t, IDLE_MS - 1);
		assert_true(recv(target, b, sizeof b, MSG_DONTWAIT) > 0);
		turns(&t, 20);
	}
	assert_int_equal(count(&t).open, 1);
	/* And what the other direction does is not held against it. */
	say(target, "?");
	hear(&t, client, "?");
	while (recv(target, b, sizeof b, MSG_DONTWAIT) > 0)
		turns(&t, 20);
	for (int i = 0; i < 4; i++)
		assert_true(trickle(&t, target, client, IDLE_MS - 1));
	pass_ms(&t, IDLE_MS);
	assert_int_equal(count(&t).timed_out, 1);
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

/* ---- limits ---- */

static void one_connection_too_many_is_refused(void **state)
{
	enum { MAX = 3 };
	struct world t;
	int client[MAX], target[MAX];
	(void)state;
	begin(&t, NET_TCP, NET_UNIX);
	t.limits.max_connections = MAX;
	go(&t);
	for (int i = 0; i < MAX; i++) {
		client[i] = join(&t);
		target[i] = await_target(&t);
	}
	int more = join(&t);
	assert_int_equal(hear_end(&t, more), ECONNRESET);
	(void)close(more);
	assert_int_equal(count(&t).open, MAX);
	assert_int_equal(count(&t).accepted, MAX);
	assert_int_equal(count(&t).refused_full, 1);
	(void)close(client[0]);
	(void)close(target[0]);
	await_open(&t, MAX - 1);
	client[0] = join(&t);
	target[0] = await_target(&t);
	for (int i = 0; i < MAX; i++) {
		(void)close(client[i]);
		(void)close(target[i]);
	}
	tear_down(&t);
}

static int join_from(struct world *t, uint32_t ip)
{
	const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&t->at.sa, t->at.len), 0);
	return fd;
}

static void one_connection_too_many_of_a_source_is_refused(void **state)
{
	enum { MAX = 2 };
	struct world t;
	int client[MAX], target[MAX];
	(void)state;
	for (int in = 0; in < 2; in++) {
		begin(&t, kinds[in], NET_UNIX);
		t.limits.max_per_source = MAX;
		go(&t);
		for (int i = 0; i < MAX; i++) {
			client[i] = join(&t);
			target[i] = await_target(&t);
		}
		const int more = join(&t);
		assert_int_equal(hear_end(&t, more), kinds[in] == NET_TCP ? ECONNRESET : 0);
		(void)close(more);
		assert_int_equal(count(&t).refused_source, 1);
		if (kinds[in] == NET_TCP) {
			const int neighbour = join_from(&t, INADDR_LOOPBACK + 2), its_target = await_target(&t);
			(void)close(neighbour);
			(void)close(its_target);
			await_open(&t, MAX);
		}
		(void)close(client[0]);
		(void)close(target[0]);
		await_open(&t, MAX - 1);
		client[0] = join(&t);
		target[0] = await_target(&t);
		assert_int_equal(count(&t).refused_source, 1);
		for (int i = 0; i < MAX; i++) {
			(void)close(client[i]);
			(void)close(target[i]);
		}
		await_open(&t, 0);
		tear_down(&t);
	}
}

static void one_pair_too_many_is_refused(void **state)
{
	struct world t;
	struct why w = {0};
	struct net_addr a;
	int fd;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	name_place(&t, &a, NET_TCP, NULL);
	for (int i = 1; i <= PROXY_PAIRS_MAX; i++) {
		assert_int_equal(net_listen(&fd, &a, &w), ERR_OK);
		const int before = descriptors();
		assert_int_equal(proxy_add(t.proxy, fd, &t.to, &w), i < PROXY_PAIRS_MAX ? ERR_OK : ERR_CONFIG);
		assert_int_equal(descriptors(), before - (i == PROXY_PAIRS_MAX));
	}
	assert_non_null(strstr(w.text, "64"));
	tear_down(&t);
}

/* ---- the end ---- */

static void on_drained(void *ctx)
{
	((struct world *)ctx)->drained++;
}

static void assert_not_listening(const struct world *t)
{
	const int fd = socket(t->at.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&t->at.sa, t->at.len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	(void)close(fd);
}

static void draining_waits_for_the_last_connection(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	proxy_drain(t.proxy, 1000, on_drained, &t);
	assert_not_listening(&t);
	say(client, "still here");
	hear(&t, target, "still here");
	pass_ms(&t, 999);
	assert_int_equal(t.drained, 0);
	(void)close(client);
	(void)close(target);
	await_open(&t, 0);
	pass_ms(&t, 0);
	assert_int_equal(t.drained, 1);
	pass_ms(&t, 5000);
	assert_int_equal(t.drained, 1);
	tear_down(&t);
}

static void draining_ends_in_time(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	const int client = join(&t), target = await_target(&t);
	proxy_drain(t.proxy, 1000, on_drained, &t);
	pass_ms(&t, 999);
	assert_int_equal(t.drained, 0);
	pass_ms(&t, 1);
	assert_int_equal(t.drained, 1);
	assert_int_equal(count(&t).open, 1);
	proxy_free(t.proxy);
	t.proxy = NULL;
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	assert_int_equal(hear_end(&t, target), ECONNRESET);
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

static void draining_nothing_takes_a_turn(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	proxy_drain(t.proxy, 1000, on_drained, &t);
	assert_int_equal(t.drained, 0);
	turns(&t, 2);
	assert_int_equal(t.drained, 1);
	tear_down(&t);
}

static void connections_leave_no_descriptor_behind(void **state)
{
	struct world t;
	(void)state;
	set_up(&t, NET_TCP, NET_UNIX);
	int before = 0;
	for (int i = 0; i < 200; i++) {
		const int client = join(&t), target = await_target(&t);
		say(client, "ping");
		hear(&t, target, "ping");
		say(target, "pong");
		hear(&t, client, "pong");
		if (i % 3 == 0)
			close_with_reset(client);
		else
			(void)close(client);
		(void)close(target);
		await_open(&t, 0);
		if (i == 0)
			before = descriptors();
	}
	assert_int_equal(descriptors(), before);
	assert_int_equal(count(&t).accepted, 200);
	tear_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_that_is_done_still_gets_its_answer),
		cmocka_unit_test(a_target_that_is_done_still_gets_the_rest),
		cmocka_unit_test(both_may_be_done_at_once_and_lose_nothing),
		cmocka_unit_test(urgent_data_is_carried_in_line),
		cmocka_unit_test(urgent_data_that_comes_before_it_is_accepted_is_not_lost),
		cmocka_unit_test(a_reset_of_one_end_resets_the_other),
		cmocka_unit_test(a_reset_after_the_end_of_one_way_resets_the_other),
		cmocka_unit_test(a_unix_end_that_breaks_resets_the_other),
		cmocka_unit_test(a_unix_end_is_closed_where_the_other_breaks),
		cmocka_unit_test(a_writer_waits_for_one_that_does_not_read),
		cmocka_unit_test(a_reset_is_noticed_while_bytes_wait),
		cmocka_unit_test(a_source_is_as_wide_as_what_its_owner_can_choose),
		cmocka_unit_test(a_connection_without_a_byte_is_broken_in_time),
		cmocka_unit_test(one_that_does_not_read_is_broken_in_time),
		cmocka_unit_test(one_that_does_not_read_is_broken_in_time_whatever_it_says),
		cmocka_unit_test(one_that_reads_slowly_may_go_on),
		cmocka_unit_test(one_connection_too_many_is_refused),
		cmocka_unit_test(one_connection_too_many_of_a_source_is_refused),
		cmocka_unit_test(one_pair_too_many_is_refused),
		cmocka_unit_test(draining_waits_for_the_last_connection),
		cmocka_unit_test(draining_ends_in_time),
		cmocka_unit_test(draining_nothing_takes_a_turn),
		cmocka_unit_test(connections_leave_no_descriptor_behind),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
