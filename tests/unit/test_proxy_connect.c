/* The proxy's way to a target: down, silent, busy, under a name; and clients that do not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netdb.h>
#include <netinet/in.h>
#include <semaphore.h>

#include "proxy_fixture.h"

/* ---- connecting ---- */

static void a_target_that_is_down_is_tried_until_it_is_up(void **state)
{
	struct world t;
	(void)state;
	EACH_WAY(in, out)
	{
		set_up(&t, kinds[in], kinds[out]);
		target_down(&t);
		const int client = join(&t), other = join(&t);
		say(client, "early");
		assert_int_equal(shutdown(client, SHUT_WR), 0); /* which is not to go away */
		turns(&t, 8);
		assert_int_equal(count(&t).open, 2);
		assert_int_equal(count(&t).retries, 0);
		assert_int_equal(logged(&t, "unreachable"), 0);
		pass_ms(&t, PROXY_RETRY_FIRST_MS - 1);
		assert_int_equal(count(&t).retries, 0);
		pass_ms(&t, 1);
		assert_int_equal(count(&t).retries, 2);
		assert_int_equal(logged(&t, "target_unreachable"), 1);
		pass_ms(&t, 2 * PROXY_RETRY_FIRST_MS - 1);
		assert_int_equal(count(&t).retries, 2);
		pass_ms(&t, 1);
		assert_int_equal(count(&t).retries, 4);
		target_up(&t);
		pass_ms(&t, PROXY_RETRY_LAST_MS);
		const int target = await_target(&t);
		hear(&t, target, "early");
		assert_int_equal(hear_end(&t, target), 0);
		assert_int_equal(count(&t).connected, 2);
		assert_int_equal(logged(&t, "unreachable"), 1);
		assert_int_equal(logged(&t, "target_reachable"), 1);
		(void)close(client);
		(void)close(other);
		(void)close(target);
		tear_down(&t);
	}
}

static void a_client_waits_for_a_target_no_longer_than_its_time(void **state)
{
	struct world t;
	(void)state;
	begin(&t, NET_TCP, NET_UNIX);
	target_down(&t);
	go(&t);
	const int client = join(&t);
	turns(&t, 4);
	for (int64_t ms = 0; ms < CONNECT_MS - 1; ms++)
		pass_ms(&t, 1);
	assert_true(is_silent(&t, client));
	assert_int_equal(count(&t).failed, 0);
	pass_ms(&t, 1);
	assert_int_equal(count(&t).failed, 1);
	assert_int_equal(count(&t).open, 0);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	/* 50, 150, 350, 750, 1550, 2550, 3550, 4550, and when the time is over. */
	assert_int_equal(count(&t).retries, 9);
	assert_int_equal(logged(&t, "target_unreachable"), 1);
	(void)close(client);
	tear_down(&t);
}

static void a_target_that_does_not_answer_fails_in_time(void **state)
{
	struct world t;
	int full[3];
	(void)state;
	for (int out = 0; out < 2; out++) {
		set_up(&t, NET_TCP, kinds[out]);
		overfill(t.listener, &t.target, full);
		const int client = join(&t);
		turns(&t, 8);
		pass_ms(&t, CONNECT_MS - 1);
		assert_int_equal(count(&t).open, 1);
		assert_int_equal(count(&t).connected, 0);
		pass_ms(&t, 1);
		assert_int_equal(count(&t).failed, 1);
		assert_int_equal(hear_end(&t, client), ECONNRESET);
		for (int i = 0; i < 3; i++)
			(void)close(full[i]);
		(void)close(client);
		tear_down(&t);
	}
}

static void a_client_that_goes_away_ends_the_attempt(void **state)
{
	struct world t;
	(void)state;
	for (int in = 0; in < 2; in++) {
		set_up(&t, kinds[in], NET_UNIX);
		target_down(&t);
		const int client = join(&t);
		turns(&t, 8);
		assert_int_equal(count(&t).open, 1);
		close_with_reset(client);
		await_open(&t, 0);
		assert_int_equal(count(&t).broken, 1);
		tear_down(&t);
	}
}

static void what_a_client_left_behind_is_delivered(void **state)
{
	struct world t;
	(void)state;
	EACH_WAY(in, out)
	{
		set_up(&t, kinds[in], kinds[out]);
		target_down(&t);
		const int client = join(&t);
		say(client, "will");
		assert_int_equal(close(client), 0);
		turns(&t, 8);
		target_up(&t);
		pass_ms(&t, PROXY_RETRY_FIRST_MS);
		const int target = await_target(&t);
		hear(&t, target, "will");
		assert_int_equal(hear_end(&t, target), 0);
		assert_int_equal(close(target), 0);
		await_open(&t, 0);
		tear_down(&t);
	}
}

/* ---- names ---- */

/* The resolver's place is taken, so that a name has the addresses that a test needs. */
static sem_t slow_may_end;

struct answer {
	struct addrinfo info;
	struct sockaddr_in sa;
};

static struct addrinfo *answer(uint32_t ip, const char *port, struct addrinfo *next)
{
	struct answer *a = calloc(1, sizeof *a);
	a->sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	a->sa.sin_addr.s_addr = htonl(ip);
	a->info = (struct addrinfo){.ai_family = AF_INET,
				    .ai_socktype = SOCK_STREAM,
				    .ai_addrlen = sizeof a->sa,
				    .ai_addr = (struct sockaddr *)&a->sa,
				    .ai_next = next};
	return &a->info;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	(void)hints;
	if (strcmp(node, "slow.test") == 0)
		(void)sem_wait(&slow_may_end);
	else if (strcmp(node, "one.test") != 0 && strcmp(node, "two.test") != 0)
		return EAI_NONAME;
	*out = answer(INADDR_LOOPBACK, service, NULL);
	if (strcmp(node, "two.test") == 0)
		*out = answer(INADDR_LOOPBACK + 1, service, *out);
	return 0;
}

void freeaddrinfo(struct addrinfo *all)
{
	for (struct addrinfo *next; all != NULL; all = next) {
		next = all->ai_next;
		free(all); /* the first member of its struct answer */
	}
}

static void use_name(struct world *t, const char *name)
{
	t->to = (struct net_target){.addr = {.kind = NET_TCP}};
	(void)snprintf(t->to.host, sizeof t->to.host, "%s", name);
	t->to.port = ntohs(((const struct sockaddr_in *)&t->target.sa)->sin_port);
}

static void await_look_up(struct world *t)
{
	for (int i = 0; i < PATIENCE_TURNS && loop_jobs(t->loop, LANE_CPU) > 0; i++) {
		turns(t, 1);
		(void)poll(NULL, 0, i > 50);
	}
	assert_int_equal(loop_jobs(t->loop, LANE_CPU), 0);
	turns(t, 4);
}

static void set_up_name(struct world *t, const char *name)
{
	begin(t, NET_TCP, NET_TCP);
	use_name(t, name);
	go(t);
}

static void a_name_is_looked_up_and_its_addresses_tried_in_turn(void **state)
{
	static const char *const names[] = {"one.test", "two.test"};
	struct world t;
	(void)state;
	for (int i = 0; i < 2; i++) {
		set_up_name(&t, names[i]);
		const int client = join(&t), target = await_target(&t);
		say(client, "hello");
		hear(&t, target, "hello");
		assert_int_equal(count(&t).retries, 0);
		(void)close(client);
		(void)close(target);
		tear_down(&t);
	}
}

static void an_address_that_does_not_answer_leaves_time_for_the_next(void **state)
{
	struct world t;
	struct why w = {0};
	int full[3], listener;
	(void)state;
	struct net_addr silent;
	for (int tries = 0;; tries++) { /* until a port is free on both addresses */
		assert_true(tries < 100);
		set_up_name(&t, "two.test");
		silent = t.target;
		((struct sockaddr_in *)&silent.sa)->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
		if (net_listen(&listener, &silent, &w) == ERR_OK)
			break;
		tear_down(&t);
	}
	overfill(listener, &silent, full);
	const int client = join(&t);
	await_accepted(&t, 1);
	await_look_up(&t);
	pass_ms(&t, CONNECT_MS / 2 - 1);
	assert_int_equal(count(&t).connected, 0);
	pass_ms(&t, 1);
	const int target = await_target(&t);
	assert_int_equal(count(&t).connected, 1);
	for (int i = 0; i < 3; i++)
		(void)close(full[i]);
	(void)close(listener);
	(void)close(client);
	(void)close(target);
	tear_down(&t);
}

static void a_name_that_is_not_known_is_looked_up_until_the_time_is_over(void **state)
{
	struct world t;
	(void)state;
	set_up_name(&t, "none.test");
	const int client = join(&t);
	await_accepted(&t, 1);
	for (int i = 0; i < PATIENCE_TURNS && count(&t).failed == 0; i++) {
		await_look_up(&t);
		pass_ms(&t, PROXY_RETRY_LAST_MS);
	}
	assert_int_equal(count(&t).failed, 1);
	assert_in_range(count(&t).retries, CONNECT_MS / PROXY_RETRY_LAST_MS, CONNECT_MS / PROXY_RETRY_LAST_MS + 1);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	assert_int_equal(logged(&t, "none.test cannot be looked up"), 1);
	(void)close(client);
	tear_down(&t);
}

static void a_look_up_that_takes_too_long_is_given_up(void **state)
{
	struct world t;
	(void)state;
	set_up_name(&t, "slow.test");
	const int client = join(&t);
	await_accepted(&t, 1);
	pass_ms(&t, CONNECT_MS - 1);
	assert_int_equal(count(&t).failed, 0);
	pass_ms(&t, 1);
	assert_int_equal(count(&t).failed, 1);
	assert_int_equal(count(&t).open, 0);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	assert_int_equal(sem_post(&slow_may_end), 0);
	await_look_up(&t);
	(void)close(client);
	tear_down(&t);
}

static void a_look_up_may_end_after_its_connection(void **state)
{
	struct world t;
	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		set_up_name(&t, "slow.test");
		const int client = join(&t), waiting = join(&t); /* which is in the queue behind it */
		await_accepted(&t, 2);
		close_with_reset(client);
		await_open(&t, 1);
		assert_int_equal(sem_post(&slow_may_end), 0);
		assert_int_equal(sem_post(&slow_may_end), 0);
		if (ends) {
			const int target = await_target(&t);
			assert_int_equal(count(&t).connected, 1);
			(void)close(target);
		}
		(void)close(waiting);
		tear_down(&t);
		while (sem_trywait(&slow_may_end) == 0)
			;
	}
}

static void a_route_has_its_name_looked_up_once_for_all_that_wait(void **state)
{
	enum { MANY = 20 };
	struct world t;
	int client[MANY];
	(void)state;
	set_up_name(&t, "slow.test");
	for (int i = 0; i < MANY; i++)
		client[i] = join(&t);
	await_accepted(&t, MANY);
	assert_int_equal(loop_jobs(t.loop, LANE_CPU), 1);
	/* Those that have gone, one of them the first, leave no work behind, and take nothing from the others. */
	for (int i = 0; i < MANY - 2; i++)
		close_with_reset(client[i]);
	await_open(&t, 2);
	assert_int_equal(loop_jobs(t.loop, LANE_CPU), 1);
	assert_int_equal(sem_post(&slow_may_end), 0);
	for (int i = MANY - 2; i < MANY; i++)
		(void)close(await_target(&t));
	assert_int_equal(count(&t).connected, 2);
	assert_int_equal(loop_jobs(t.loop, LANE_CPU), 0);
	/* It is looked up anew for whoever comes later. */
	const int later = join(&t);
	await_accepted(&t, MANY + 1);
	assert_int_equal(loop_jobs(t.loop, LANE_CPU), 1);
	assert_int_equal(sem_post(&slow_may_end), 0);
	(void)close(await_target(&t));
	assert_int_equal(count(&t).connected, 3);
	for (int i = MANY - 2; i < MANY; i++)
		(void)close(client[i]);
	(void)close(later);
	tear_down(&t);
}

static void a_look_up_that_is_not_begun_says_nothing_of_the_target(void **state)
{
	struct world t;
	(void)state;
	set_up_name(&t, "one.test");
	loop_end_jobs(t.loop); /* which takes none from now on, as with a full queue */
	const int client = join(&t);
	await_accepted(&t, 1);
	for (int i = 0; i < PATIENCE_TURNS && count(&t).failed == 0; i++)
		pass_ms(&t, PROXY_RETRY_LAST_MS);
	assert_int_equal(count(&t).failed, 1);
	assert_in_range(count(&t).retries, 2, CONNECT_MS / PROXY_RETRY_FIRST_MS);
	assert_int_equal(hear_end(&t, client), ECONNRESET);
	assert_int_equal(logged(&t, "unreachable"), 0);
	(void)close(client);
	tear_down(&t);
}

/* ---- the end ---- */

static void connections_in_every_state_are_let_go(void **state)
{
	struct world t;
	struct why w = {0};
	struct net_target to[3];
	struct net_addr at[3];
	int full[3], client[5];
	const int before = descriptors();
	(void)state;
	set_up(&t, NET_TCP, NET_TCP);
	client[0] = join(&t); /* open, and holds bytes */
	const int target = await_target(&t);
	(void)fill(&t, client[0]);
	client[4] = join(&t); /* open */
	const int idle_target = await_target(&t);

	name_place(&t, &to[0].addr, NET_UNIX, "nobody");
	to[0].host[0] = '\0';
	to[1] = t.to; /* its queue is full */
	overfill(t.listener, &t.target, full);
	use_name(&t, "slow.test");
	to[2] = t.to;
	for (int i = 0; i < 3; i++) {
		int fd;
		name_place(&t, &at[i], NET_TCP, NULL);
		assert_int_equal(net_listen(&fd, &at[i], &w), ERR_OK);
		assert_int_equal(net_bound(&at[i], fd, &w), ERR_OK);
		assert_int_equal(proxy_add(t.proxy, fd, &to[i], &w), ERR_OK);
		client[1 + i] = reach(&at[i]);
	}
	for (int i = 0; i < PATIENCE_TURNS && count(&t).accepted < 5; i++)
		turns(&t, 1);
	assert_int_equal(count(&t).open, 5);
	assert_int_equal(sem_post(&slow_may_end), 0);
	for (int i = 0; i < 5; i++)
		(void)close(client[i]);
	for (int i = 0; i < 3; i++)
		(void)close(full[i]);
	(void)close(target);
	(void)close(idle_target);
	tear_down(&t);
	assert_int_equal(descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_that_is_down_is_tried_until_it_is_up),
		cmocka_unit_test(a_client_waits_for_a_target_no_longer_than_its_time),
		cmocka_unit_test(a_target_that_does_not_answer_fails_in_time),
		cmocka_unit_test(a_client_that_goes_away_ends_the_attempt),
		cmocka_unit_test(what_a_client_left_behind_is_delivered),
		cmocka_unit_test(a_name_is_looked_up_and_its_addresses_tried_in_turn),
		cmocka_unit_test(an_address_that_does_not_answer_leaves_time_for_the_next),
		cmocka_unit_test(a_name_that_is_not_known_is_looked_up_until_the_time_is_over),
		cmocka_unit_test(a_look_up_that_takes_too_long_is_given_up),
		cmocka_unit_test(a_look_up_may_end_after_its_connection),
		cmocka_unit_test(a_route_has_its_name_looked_up_once_for_all_that_wait),
		cmocka_unit_test(a_look_up_that_is_not_begun_says_nothing_of_the_target),
		cmocka_unit_test(connections_in_every_state_are_let_go),
	};
	signal(SIGPIPE, SIG_IGN);
	if (sem_init(&slow_may_end, 0, 0) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
