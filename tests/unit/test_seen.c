#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "session/internal.h"

enum { UNIVERSE = 100, ROUNDS = 4000, KEYS = 200 };

static uint64_t seed;

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static struct hash_key make_key(uint64_t from)
{
	struct hash_key k;

	seed = from;
	for (size_t i = 0; i <= HASH_WORDS; i++)
		k.k[i] = draw();
	return k;
}

static void iv_of(uint32_t i, uint8_t iv[AEAD_IV_SIZE])
{
	memset(iv, 0, AEAD_IV_SIZE);
	memcpy(iv + AEAD_IV_SIZE - sizeof i, &i, sizeof i);
}

static void an_empty_set_costs_nothing_and_holds_nothing(void **state)
{
	struct hash_key k = make_key(1);
	uint8_t iv[AEAD_IV_SIZE] = {0};
	struct seen s = {0};

	(void)state;
	assert_false(seen_has(&s, &k, iv));
	iv[0] = 1;
	assert_false(seen_has(&s, &k, iv));
	assert_int_equal(seen_count(&s), 0);
	seen_clear(&s);
}

static void the_all_zero_iv_is_an_iv_like_any_other(void **state)
{
	struct hash_key k = make_key(2);
	uint8_t zero[AEAD_IV_SIZE] = {0}, one[AEAD_IV_SIZE] = {1};
	struct seen s = {0};
	struct why w;

	(void)state;
	assert_int_equal(seen_add(&s, &k, one, &w), ERR_OK);
	assert_false(seen_has(&s, &k, zero));
	assert_int_equal(seen_add(&s, &k, zero, &w), ERR_OK);
	assert_true(seen_has(&s, &k, zero));
	assert_int_equal(seen_count(&s), 2);
	for (uint32_t i = 2; i < 100; i++) {
		uint8_t iv[AEAD_IV_SIZE];

		iv_of(i, iv);
		assert_int_equal(seen_add(&s, &k, iv, &w), ERR_OK);
	}
	assert_true(seen_has(&s, &k, zero));
	seen_remove(&s, &k, zero);
	assert_false(seen_has(&s, &k, zero));
	assert_true(seen_has(&s, &k, one));
	assert_int_equal(seen_count(&s), 99);
	seen_clear(&s);
}

/* The key of the last run is zero: all IVs collide, which is the worst that a user could bring about. */
static void additions_and_removals_agree_with_a_naive_set(void **state)
{
	(void)state;
	for (uint64_t run = 0; run < KEYS; run++) {
		struct hash_key k = make_key(run + 3);
		bool naive[UNIVERSE] = {false};
		struct seen s = {0};
		uint32_t n = 0;
		struct why w;

		if (run == KEYS - 1)
			memset(&k, 0, sizeof k);
		for (int i = 0; i < ROUNDS; i++) {
			uint8_t iv[AEAD_IV_SIZE];
			uint32_t pick = (uint32_t)(draw() % UNIVERSE);

			iv_of(pick, iv);
			assert_int_equal(seen_has(&s, &k, iv), naive[pick]);
			if (naive[pick]) {
				seen_remove(&s, &k, iv);
				n--;
			} else {
				assert_int_equal(seen_add(&s, &k, iv, &w), ERR_OK);
				n++;
			}
			naive[pick] = !naive[pick];
			assert_int_equal(seen_count(&s), n);
		}
		for (uint32_t i = 0; i < UNIVERSE; i++) {
			uint8_t iv[AEAD_IV_SIZE];

			iv_of(i, iv);
			assert_int_equal(seen_has(&s, &k, iv), naive[i]);
		}
		seen_clear(&s);
	}
}

static void undoing_in_reverse_leaves_exactly_what_was_there(void **state)
{
	struct hash_key k = make_key(7);
	struct seen s = {0};
	uint8_t iv[AEAD_IV_SIZE];
	struct why w;

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		iv_of(i, iv);
		assert_int_equal(seen_add(&s, &k, iv, &w), ERR_OK);
	}
	for (uint32_t i = 4999; i >= 1000; i--) {
		iv_of(i, iv);
		seen_remove(&s, &k, iv);
	}
	assert_int_equal(seen_count(&s), 1000);
	for (uint32_t i = 0; i < 5000; i++) {
		iv_of(i, iv);
		assert_int_equal(seen_has(&s, &k, iv), i < 1000);
	}
	seen_clear(&s);
}

static void every_bit_of_an_iv_counts(void **state)
{
	struct hash_key k = make_key(8);
	uint8_t iv[AEAD_IV_SIZE];
	struct seen s = {0};
	struct why w;

	(void)state;
	memset(iv, 0x5a, sizeof iv);
	assert_int_equal(seen_add(&s, &k, iv, &w), ERR_OK);
	for (size_t bit = 0; bit < 8 * AEAD_IV_SIZE; bit++) {
		iv[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(seen_has(&s, &k, iv));
		iv[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(seen_has(&s, &k, iv));
	seen_clear(&s);
}

static void the_hash_depends_on_its_key_and_on_every_byte(void **state)
{
	struct hash_key a = make_key(9), b = make_key(10);
	uint8_t id[SESSION_ID_SIZE] = {0};
	uint32_t h = hash_bytes(&a, id, sizeof id);

	(void)state;
	assert_int_not_equal(h, hash_bytes(&b, id, sizeof id));
	for (size_t i = 0; i < sizeof id; i++) {
		id[i] = 1;
		assert_int_not_equal(h, hash_bytes(&a, id, sizeof id));
		id[i] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_costs_nothing_and_holds_nothing),
		cmocka_unit_test(the_all_zero_iv_is_an_iv_like_any_other),
		cmocka_unit_test(additions_and_removals_agree_with_a_naive_set),
		cmocka_unit_test(undoing_in_reverse_leaves_exactly_what_was_there),
		cmocka_unit_test(every_bit_of_an_iv_counts),
		cmocka_unit_test(the_hash_depends_on_its_key_and_on_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
