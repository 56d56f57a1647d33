#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "peer.h"

struct fixture {
	int64_t boot, wall;
	uint32_t drawn; /* challenges so far: each is its number, repeated */
	bool dry;
	struct clock clock;
	struct peer_challenges *c;
	struct why w;
};

#define OK(call) assert_int_equal((call), ERR_OK)

static int64_t boot_ms(void *ctx)
{
	return ((struct fixture *)ctx)->boot;
}

/* The enclave's wall clock is the parent's word: nothing may hang on it. */
static int64_t wall_ms(void *ctx)
{
	struct fixture *f = ctx;
	return f->wall += INT64_C(1000) * PEER_CHALLENGE_MS;
}

static enum err draw(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	struct fixture *f = ctx;
	if (f->dry)
		return why_set(w, ERR_CRYPTO, "no randomness");
	f->drawn++;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(f->drawn >> 8 * (i % 4));
	return ERR_OK;
}

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.boot = 5000};
	f.clock = (struct clock){.ctx = &f, .boot_ms = boot_ms, .wall_ms = wall_ms};
	OK(peer_challenges_new(&f.c, (struct random){&f, draw}, &f.clock, &f.w));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	peer_challenges_free(((struct fixture *)*state)->c);
	return 0;
}

struct given {
	uint8_t b[PEER_CHALLENGE_SIZE];
};

static struct given give(struct fixture *f)
{
	struct given g;
	OK(peer_challenge_give(f->c, g.b, &f->w));
	return g;
}

static bool take(struct fixture *f, const struct given *g)
{
	const enum err e = peer_challenge_take(f->c, bytes_of(g->b, sizeof g->b), &f->w);
	if (e == ERR_OK)
		return true;
	assert_int_equal(e, ERR_CHALLENGE);
	assert_true(f->w.tell);
	return false;
}

static void a_challenge_is_good_for_one_report(void **state)
{
	struct fixture *f = *state;
	const struct given a = give(f), b = give(f);
	assert_true(take(f, &a));
	assert_false(take(f, &a));
	assert_true(take(f, &b));
	assert_false(take(f, &b));
}

static void one_that_never_was_or_has_another_size_is_refused_alike(void **state)
{
	struct fixture *f = *state;
	struct given g = give(f), other = g;
	struct why same;
	other.b[PEER_CHALLENGE_SIZE - 1] ^= 1;
	assert_false(take(f, &other));
	same = f->w;
	assert_int_equal(peer_challenge_take(f->c, bytes_of(g.b, sizeof g.b - 1), &f->w), ERR_CHALLENGE);
	assert_string_equal(f->w.text, same.text);
	assert_int_equal(peer_challenge_take(f->c, bytes_of(NULL, 0), &f->w), ERR_CHALLENGE);
	assert_string_equal(f->w.text, same.text);
	assert_true(take(f, &g));
	assert_false(take(f, &g));
	assert_string_equal(f->w.text, same.text);
}

static void a_challenge_lives_for_its_time_and_no_longer(void **state)
{
	struct fixture *f = *state;
	const struct given a = give(f);
	f->boot += 1;
	const struct given b = give(f);
	f->boot += PEER_CHALLENGE_MS - 2;
	const struct given c = give(f);
	f->boot += 1; /* a has lived for all of it, b for one millisecond less */
	assert_false(take(f, &a));
	assert_true(take(f, &b));
	assert_true(take(f, &c));
}

static void as_many_as_the_limit_are_open_and_one_more_takes_the_place_of_the_oldest(void **state)
{
	struct fixture *f = *state;
	static struct given g[PEER_CHALLENGES_MAX + 1];
	for (size_t i = 0; i < PEER_CHALLENGES_MAX; i++)
		g[i] = give(f);
	assert_true(take(f, &g[7])); /* makes room for one */
	g[7] = give(f);
	g[PEER_CHALLENGES_MAX] = give(f);
	assert_false(take(f, &g[0]));
	for (size_t i = 1; i <= PEER_CHALLENGES_MAX; i++)
		assert_true(take(f, &g[i]));
}

static void those_whose_time_is_over_make_room_first(void **state)
{
	struct fixture *f = *state;
	static struct given g[PEER_CHALLENGES_MAX];
	const struct given old = give(f);
	f->boot += PEER_CHALLENGE_MS;
	for (size_t i = 0; i < PEER_CHALLENGES_MAX; i++)
		g[i] = give(f);
	assert_false(take(f, &old));
	for (size_t i = 0; i < PEER_CHALLENGES_MAX; i++)
		assert_true(take(f, &g[i]));
}

static void without_randomness_there_is_no_challenge(void **state)
{
	struct fixture *f = *state;
	struct given g = {{0}}, zeros = g;
	f->dry = true;
	assert_int_equal(peer_challenge_give(f->c, g.b, &f->w), ERR_CRYPTO);
	assert_false(take(f, &zeros));
	peer_challenges_free(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_challenge_is_good_for_one_report),
		TEST(one_that_never_was_or_has_another_size_is_refused_alike),
		TEST(a_challenge_lives_for_its_time_and_no_longer),
		TEST(as_many_as_the_limit_are_open_and_one_more_takes_the_place_of_the_oldest),
		TEST(those_whose_time_is_over_make_room_first),
		TEST(without_randomness_there_is_no_challenge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
