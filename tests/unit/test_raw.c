#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "attest.h"
#include "base/utf8.h"

static bool passes(struct bytes text)
{
	struct why w = {0};
	enum err e;
	/* Of its own size, so that a sanitizer sees every byte that is read beyond it. */
	uint8_t *copy = text.n > 0 ? malloc(text.n) : NULL;

	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	e = attest_raw_check(bytes_of(copy, text.n), &w);
	free(copy);
	if (e == ERR_OK)
		return true;
	assert_int_equal(e, ERR_INVALID);
	assert_true(w.tell);
	assert_string_equal(w.field, "user_data");
	return false;
}

/* Behind 0 to 3 harmless bytes and in front of as many. */
static void assert_all_around(struct bytes part, bool pass)
{
	for (size_t before = 0; before < 4; before++)
		for (size_t after = 0; after < 4; after++) {
			uint8_t text[16];
			size_t n = before + part.n + after;

			memset(text, 'x', sizeof text);
			memcpy(text + before, part.p, part.n);
			assert_int_equal(passes(bytes_of(text, n)), pass);
		}
}

static size_t utf8(uint32_t c, uint8_t out[4])
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)(0xf00 >> n | c);
	return n;
}

static void every_byte_alone_is_judged_by_the_rule(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 256; b++) {
		const uint8_t text[1] = {(uint8_t)b};

		assert_all_around(bytes_of(text, 1), b >= 0x20 && b != 0x7b);
	}
}

static void every_two_bytes_are_judged_each_by_itself(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 0x10000; b++) {
		const uint8_t text[2] = {(uint8_t)(b >> 8), (uint8_t)b};
		const bool pass = text[0] >= 0x20 && text[0] != 0x7b && text[1] >= 0x20 && text[1] != 0x7b;

		assert_int_equal(passes(bytes_of(text, 2)), pass);
	}
}

static void every_character_alone_is_judged_by_the_rule(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		uint8_t text[4];
		uint32_t read = 0;
		const size_t n = utf8(c, text);

		/* Surrogates have no UTF-8; their bytes hold nothing that the rule is about. */
		assert_true((c >= 0xd800 && c < 0xe000) || (utf8_next(text, n, &read) == n && read == c));
		if (passes(bytes_of(text, n)) != (c != 0x7b && c >= 0x20 && c != 0xfeff))
			fail_msg("U+%04X", c);
	}
}

static void a_byte_order_mark_counts_wherever_it_stands(void **state)
{
	(void)state;
	assert_all_around(BYTES_LIT("\xef\xbb\xbf"), false);
	assert_all_around(BYTES_LIT("\xef\xef\xbb\xbf"), false);
	/* Pieces of one, also at the very end, and its neighbours. */
	assert_all_around(BYTES_LIT("\xef\xbb"), true);
	assert_all_around(BYTES_LIT("\xbb\xbf"), true);
	assert_all_around(BYTES_LIT("\xef\xbb\xbe"), true);
	assert_all_around(BYTES_LIT("\xef\xbc\xbf"), true);
	assert_all_around(BYTES_LIT("\xef\xbb\xef\xbf"), true);
	/* Those of UTF-16 and UTF-32, which are no UTF-8, are nothing without a `{`. */
	assert_all_around(BYTES_LIT("\xff\xfe"), true);
	assert_all_around(BYTES_LIT("\xff\xfe{\0"), false);
}

static void a_claim_passes_in_no_encoding(void **state)
{
	static const char claim[] = "{\"purpose\":\"key-exchange\"}";

	(void)state;
	for (size_t size = 1; size <= 4; size *= 2)
		for (size_t at = 0; at < size; at++) { /* where in its 1, 2 or 4 bytes a character stands */
			uint8_t text[4 * sizeof claim] = {0};

			for (size_t i = 0; i < sizeof claim - 1; i++)
				text[i * size + at] = (uint8_t)claim[i];
			assert_false(passes(bytes_of(text, size * (sizeof claim - 1))));
		}
}

static void the_longest_user_data_passes_and_one_byte_more_does_not(void **state)
{
	uint8_t text[NSM_USER_DATA_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof text);
	assert_true(passes(bytes_of(NULL, 0)));
	assert_true(passes(bytes_of(text, NSM_USER_DATA_MAX)));
	assert_false(passes(bytes_of(text, NSM_USER_DATA_MAX + 1)));
	/* The last byte is looked at, too. */
	text[NSM_USER_DATA_MAX - 1] = '{';
	assert_false(passes(bytes_of(text, NSM_USER_DATA_MAX)));
}

static void a_refusal_says_what_and_where(void **state)
{
	struct why w = {0};

	(void)state;
	assert_int_equal(attest_raw_check(BYTES_LIT("ab{"), &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "`{` at byte 3;"));
	assert_int_equal(attest_raw_check(BYTES_LIT("\n"), &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "a control character at byte 1;"));
	assert_int_equal(attest_raw_check(BYTES_LIT("a\xef\xbb\xbf"), &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "U+FEFF at byte 2;"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_alone_is_judged_by_the_rule),
		cmocka_unit_test(every_two_bytes_are_judged_each_by_itself),
		cmocka_unit_test(every_character_alone_is_judged_by_the_rule),
		cmocka_unit_test(a_byte_order_mark_counts_wherever_it_stands),
		cmocka_unit_test(a_claim_passes_in_no_encoding),
		cmocka_unit_test(the_longest_user_data_passes_and_one_byte_more_does_not),
		cmocka_unit_test(a_refusal_says_what_and_where),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
