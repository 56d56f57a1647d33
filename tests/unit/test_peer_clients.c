#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

enum { LIFETIME_MS = 3600 * 1000 };

struct fixture {
	int64_t boot, wall;
	struct clock clock;
	struct peer_clients *c;
	struct why w;
};

#define OK(call) assert_int_equal((call), ERR_OK)

static int64_t boot_ms(void *ctx)
{
	return ((struct fixture *)ctx)->boot;
}

/* Set back by an hour at each look. */
static int64_t wall_ms(void *ctx)
{
	struct fixture *f = ctx;
	return f->wall -= LIFETIME_MS;
}

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.boot = 5000};
	f.clock = (struct clock){.ctx = &f, .boot_ms = boot_ms, .wall_ms = wall_ms};
	OK(peer_clients_new(&f.c, &f.clock, &f.w));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	peer_clients_free(((struct fixture *)*state)->c);
	return 0;
}

static struct peer_facts facts(uint32_t key, const char *module_id)
{
	struct peer_facts f = {.lifetime_ms = LIFETIME_MS, .pcrs = 1};
	memcpy(f.key_hash + SHA256_SIZE - sizeof key, &key, sizeof key);
	(void)snprintf(f.module_id, sizeof f.module_id, "%s", module_id);
	return f;
}

static void keep(struct fixture *f, uint32_t key, const char *module_id)
{
	const struct peer_facts x = facts(key, module_id);
	OK(peer_client_keep(f->c, &x, &f->w));
}

/* The module's id, or "" if the key is refused. */
static const char *find(struct fixture *f, uint32_t key)
{
	const struct peer_facts x = facts(key, ""), *found = NULL;
	const enum err e = peer_client_find(f->c, x.key_hash, &found, &f->w);
	if (e == ERR_OK)
		return found->module_id;
	assert_int_equal(e, ERR_UNATTESTED);
	assert_true(f->w.tell);
	assert_null(found);
	return "";
}

static void a_client_is_found_by_its_key(void **state)
{
	struct fixture *f = *state;
	assert_string_equal(find(f, 1), "");
	keep(f, 1, "one");
	keep(f, 2, "two");
	assert_string_equal(find(f, 1), "one");
	assert_string_equal(find(f, 2), "two");
	assert_string_equal(find(f, 3), "");
}

static void a_client_is_known_for_its_time_and_no_longer(void **state)
{
	struct fixture *f = *state;
	keep(f, 1, "one");
	f->boot += LIFETIME_MS - 1;
	assert_string_equal(find(f, 1), "one");
	f->boot += 1;
	assert_string_equal(find(f, 1), "");
	f->boot -= 1;
	assert_string_equal(find(f, 1), "");
}

static void what_was_verified_last_of_a_key_counts(void **state)
{
	struct fixture *f = *state;
	keep(f, 1, "one");
	keep(f, 2, "two");
	f->boot += LIFETIME_MS / 2;
	keep(f, 1, "again");
	assert_string_equal(find(f, 1), "again");
	f->boot += LIFETIME_MS / 2;
	assert_string_equal(find(f, 2), "");
	assert_string_equal(find(f, 1), "again");
	keep(f, 1, "alone");
	keep(f, 3, "three");
	assert_string_equal(find(f, 1), "alone");
	assert_string_equal(find(f, 3), "three");
}

static void as_many_as_the_limit_are_kept_and_one_more_takes_the_place_of_the_oldest(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 0; i < PEER_CLIENTS_MAX; i++)
		keep(f, i, "some");
	keep(f, 0, "again"); /* takes its own place, as the newest */
	assert_string_equal(find(f, 1), "some");
	keep(f, PEER_CLIENTS_MAX, "more");
	assert_string_equal(find(f, 1), "");
	assert_string_equal(find(f, 0), "again");
	for (uint32_t i = 2; i < PEER_CLIENTS_MAX; i++)
		assert_string_equal(find(f, i), "some");
	assert_string_equal(find(f, PEER_CLIENTS_MAX), "more");
}

static void the_last_of_the_list_may_go(void **state)
{
	struct fixture *f = *state;
	keep(f, 1, "one");
	f->boot += LIFETIME_MS;
	assert_string_equal(find(f, 1), "");
	keep(f, 2, "two");
	keep(f, 3, "three");
	keep(f, 3, "again");
	keep(f, 4, "four");
	assert_string_equal(find(f, 2), "two");
	assert_string_equal(find(f, 3), "again");
	assert_string_equal(find(f, 4), "four");
	peer_clients_free(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_client_is_found_by_its_key),
		TEST(a_client_is_known_for_its_time_and_no_longer),
		TEST(what_was_verified_last_of_a_key_counts),
		TEST(as_many_as_the_limit_are_kept_and_one_more_takes_the_place_of_the_oldest),
		TEST(the_last_of_the_list_may_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
