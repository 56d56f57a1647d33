#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "peer.h"

struct fixture {
	int64_t boot, wall;
	uint32_t drawn; /* the key and challenges so far: each is its number, repeated */
	bool dry;
	struct clock clock;
	struct crypto *crypto;
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
	OK(crypto_new(&f.crypto, &f.w));
	OK(peer_challenges_new(&f.c, f.crypto, (struct random){&f, draw}, &f.clock, &f.w));
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	peer_challenges_free(f->c);
	crypto_free(f->crypto);
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
	struct given g = give(f), zeros = {{0}};
	struct why same;
	assert_false(take(f, &zeros));
	same = f->w;
	assert_int_equal(peer_challenge_take(f->c, bytes_of(g.b, sizeof g.b - 1), &f->w), ERR_CHALLENGE);
	assert_string_equal(f->w.text, same.text);
	assert_int_equal(peer_challenge_take(f->c, bytes_of(NULL, 0), &f->w), ERR_CHALLENGE);
	assert_string_equal(f->w.text, same.text);
	assert_true(take(f, &g));
	assert_false(take(f, &g));
	assert_string_equal(f->w.text, same.text);
}

/* Another time, other random bytes, another MAC: whichever bit it is. */
static void one_that_was_altered_is_refused_and_takes_nothing_from_the_right_one(void **state)
{
	struct fixture *f = *state;
	const struct given g = give(f);
	for (size_t bit = 0; bit < 8 * sizeof g.b; bit++) {
		struct given other = g;
		other.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(take(f, &other));
	}
	assert_true(take(f, &g));
}

static void one_of_another_run_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct given g = give(f);
	peer_challenges_free(f->c);
	OK(peer_challenges_new(&f->c, f->crypto, (struct random){f, draw}, &f->clock, &f->w));
	assert_false(take(f, &g));
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

static void a_flood_of_them_takes_nothing_from_the_first(void **state)
{
	struct fixture *f = *state;
	const struct given first = give(f);
	for (size_t i = 0; i < 2 * PEER_CHALLENGES_MAX; i++)
		(void)give(f);
	assert_true(take(f, &first));
}

static void as_many_as_the_limit_are_used_at_once_and_one_more_waits_for_the_oldest(void **state)
{
	struct fixture *f = *state;
	const struct given oldest = give(f);
	f->boot += 1500;
	const struct given again = give(f);
	assert_true(take(f, &again)); /* in another order than they were given */
	assert_true(take(f, &oldest));
	for (size_t i = 2; i < PEER_CHALLENGES_MAX; i++) {
		const struct given g = give(f);
		assert_true(take(f, &g));
	}
	const struct given more = give(f);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(peer_challenge_take(f->c, bytes_of(more.b, sizeof more.b), &f->w), ERR_BUSY);
		assert_true(f->w.tell);
		assert_int_equal(f->w.retry_after_s, 59); /* 58.5, rounded up */
	}
	assert_false(take(f, &again)); /* a used one is so all the same */
	f->boot += PEER_CHALLENGE_MS - 1500 - 1;
	assert_int_equal(peer_challenge_take(f->c, bytes_of(more.b, sizeof more.b), &f->w), ERR_BUSY);
	assert_int_equal(f->w.retry_after_s, 1);
	f->boot += 1; /* the oldest's time is over */
	assert_true(take(f, &more));
	assert_false(take(f, &more));
	assert_false(take(f, &again));
	assert_false(take(f, &oldest));
}

static void without_randomness_there_is_no_challenge(void **state)
{
	struct fixture *f = *state;
	struct peer_challenges *none = NULL;
	struct given g = {{0}}, zeros = g;
	f->dry = true;
	assert_int_equal(peer_challenge_give(f->c, g.b, &f->w), ERR_CRYPTO);
	assert_memory_equal(g.b, zeros.b, sizeof g.b);
	assert_int_equal(peer_challenges_new(&none, f->crypto, (struct random){f, draw}, &f->clock, &f->w), ERR_CRYPTO);
	assert_null(none);
	peer_challenges_free(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_challenge_is_good_for_one_report),
		TEST(one_that_never_was_or_has_another_size_is_refused_alike),
		TEST(one_that_was_altered_is_refused_and_takes_nothing_from_the_right_one),
		TEST(one_of_another_run_is_refused),
		TEST(a_challenge_lives_for_its_time_and_no_longer),
		TEST(a_flood_of_them_takes_nothing_from_the_first),
		TEST(as_many_as_the_limit_are_used_at_once_and_one_more_waits_for_the_oldest),
		TEST(without_randomness_there_is_no_challenge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
