#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/encode.h"

static void bytes_compare_by_content_and_length(void **state)
{
	(void)state;
	assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("", 0)));
	assert_true(bytes_equal(BYTES_LIT("a\0b"), bytes_of("a\0b", 3)));
	assert_false(bytes_equal(BYTES_LIT("a\0b"), BYTES_LIT("a\0c")));
	assert_false(bytes_equal(BYTES_LIT("ab"), BYTES_LIT("abc")));
	assert_true(bytes_is(BYTES_LIT("abc"), "abc"));
	assert_false(bytes_is(BYTES_LIT("abc"), "ab"));
	assert_false(bytes_is(BYTES_LIT("a\0"), "a"));
	assert_true(bytes_is_zero(BYTES_LIT("\0\0\0")));
	assert_true(bytes_is_zero(bytes_of(NULL, 0)));
	assert_false(bytes_is_zero(BYTES_LIT("\0\0\1")));
	assert_int_equal(bytes_str("abc").n, 3);
}

static void printable_is_ascii_from_space_to_tilde(void **state)
{
	(void)state;
	assert_true(bytes_printable(bytes_of(NULL, 0)));
	assert_true(bytes_printable(BYTES_LIT(" ~aZ09\"\\")));
	for (int c = 0; c < 256; c++) {
		const uint8_t text[] = {'a', (uint8_t)c};
		assert_true(bytes_printable(bytes_of(text, sizeof text)) == (c >= 0x20 && c <= 0x7e));
	}
}

static void buf_takes_its_maximum_and_not_one_byte_more(void **state)
{
	static const size_t limits[] = {1, 63, 64, 65, 127, 128, 1000, 4097};
	struct why w;

	(void)state;
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct buf b = BUF_INIT(limits[i]);

		for (size_t n = 0; n < limits[i]; n++)
			buf_put_u8(&b, (uint8_t)n);
		assert_int_equal(buf_check(&b, &w), ERR_OK);
		assert_int_equal(b.n, limits[i]);
		assert_true(b.cap <= b.max);
		for (size_t n = 0; n < limits[i]; n++)
			assert_int_equal(b.p[n], (uint8_t)n);
		assert_non_null(buf_cstr(&b));
		buf_put_u8(&b, 0);
		assert_int_equal(b.n, limits[i]);
		assert_int_equal(buf_check(&b, &w), ERR_MEMORY);
		assert_false(w.tell);
		buf_free(&b);
		assert_int_equal(b.max, limits[i]);
		assert_int_equal(buf_check(&b, &w), ERR_OK);
	}
}

static void buf_grows_by_doubling_from_256_bytes(void **state)
{
	struct buf b = BUF_INIT(1200);

	(void)state;
	buf_put_u8(&b, 1);
	assert_int_equal(b.cap, 256);
	assert_non_null(buf_reserve(&b, 256));
	assert_int_equal(b.cap, 512);
	assert_non_null(buf_reserve(&b, 799));
	assert_int_equal(b.cap, 1024);
	assert_non_null(buf_reserve(&b, 1199));
	assert_int_equal(b.cap, 1200);
	assert_null(buf_reserve(&b, 1200));
	buf_free(&b);
	buf_free(NULL);
}

static void buf_keeps_its_contents_when_its_pages_move(void **state)
{
	(void)state;
	enum { MIB = 1024 * 1024, MOST = 40 * MIB };
	struct buf b = BUF_INIT(MOST);
	static uint8_t block[MIB];
	for (unsigned i = 0; i < MOST / MIB; i++) {
		memset(block, (int)i + 1, sizeof block);
		buf_put(&b, block, sizeof block);
	}
	assert_int_equal(b.n, MOST);
	assert_string_equal((const char *)memchr(buf_cstr(&b), '\0', MOST + 1), "");
	for (size_t i = 0; i < MOST; i++)
		if (b.p[i] != i / MIB + 1)
			fail_msg("byte %zu is %u", i, b.p[i]);
	assert_null(buf_reserve(&b, 1));
	buf_free(&b);
	assert_null(b.p);
}

static void buf_failure_is_sticky_until_reset(void **state)
{
	struct buf b = BUF_INIT(4);
	struct why w;

	(void)state;
	buf_put_str(&b, "abc");
	buf_put_str(&b, "de");
	buf_put_str(&b, "f");
	assert_true(bytes_is(buf_bytes(&b), "abc"));
	assert_null(buf_cstr(&b));
	assert_null(buf_reserve(&b, 0));
	assert_int_equal(buf_check(&b, &w), ERR_MEMORY);
	buf_reset(&b);
	assert_int_equal(buf_check(&b, &w), ERR_OK);
	buf_put_bytes(&b, BYTES_LIT("wxyz"));
	assert_string_equal(buf_cstr(&b), "wxyz");
	buf_free(&b);
}

static void buf_refuses_sizes_that_would_wrap(void **state)
{
	struct buf b = BUF_INIT(SIZE_MAX);
	static const uint8_t one = 0;

	(void)state;
	buf_put_u8(&b, 1);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
	buf_reset(&b);
	buf_put_hex(&b, bytes_of(&one, SIZE_MAX / 2 + 1));
	assert_true(b.failed);
	buf_reset(&b);
	buf_put_base64(&b, bytes_of(&one, SIZE_MAX / 2 + 1));
	assert_true(b.failed);
	buf_free(&b);
}

static void buf_reset_wipes_and_keeps_the_memory(void **state)
{
	struct buf b = BUF_INIT(100);
	uint8_t *p;

	(void)state;
	buf_put_str(&b, "secret");
	p = b.p;
	buf_reset(&b);
	assert_ptr_equal(b.p, p);
	assert_int_equal(b.n, 0);
	assert_true(bytes_is_zero(bytes_of(p, 6)));
	buf_free(&b);
	assert_null(b.p);
}

static void buf_printf_takes_one_kibibyte_a_call(void **state)
{
	struct buf b = BUF_INIT(10000);

	(void)state;
	buf_printf(&b, "%d-%s", 7, "x");
	assert_string_equal(buf_cstr(&b), "7-x");
	buf_reset(&b);
	buf_printf(&b, "%1024d", 1);
	assert_int_equal(b.n, 1024);
	assert_false(b.failed);
	buf_printf(&b, "%1025d", 1);
	assert_int_equal(b.n, 1024);
	assert_true(b.failed);
	buf_free(&b);
}

static void empty_buffer_has_an_empty_string(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_put(&b, NULL, 0);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void mem_wipe_leaves_zeros(void **state)
{
	uint8_t x[9] = "12345678";

	(void)state;
	mem_wipe(x, 8);
	assert_true(bytes_is_zero(bytes_of(x, 9)));
	mem_wipe(NULL, 0);
}

static void every_fault_has_a_status_a_code_and_a_title(void **state)
{
	(void)state;
	for (int e = 0; e < ERR_COUNT; e++) {
		assert_true(err_status((enum err)e) >= 200 && err_status((enum err)e) < 600);
		assert_true(strlen(err_code((enum err)e)) > 0);
		assert_true(strlen(err_title((enum err)e)) > 0);
	}
	assert_int_equal(err_status(ERR_OK), 200);
	assert_int_equal(err_status(ERR_REPLAY), 409);
	assert_string_equal(err_code(ERR_SESSION), "session_unknown");
	assert_int_equal(err_status((enum err)9999), 500);
}

static void only_a_told_text_is_public(void **state)
{
	struct why w;

	(void)state;
	assert_int_equal(why_set(&w, ERR_STORE, "disk %d is full", 3), ERR_STORE);
	assert_string_equal(w.text, "disk 3 is full");
	assert_string_equal(w.field, "");
	assert_int_equal(w.retry_after_s, 0);
	assert_string_equal(why_public(&w), err_title(ERR_STORE));
	assert_int_equal(why_tell(&w, ERR_INVALID, "nonce", "too long by %s", "one"), ERR_INVALID);
	assert_string_equal(w.field, "nonce");
	assert_string_equal(why_public(&w), "too long by one");
	assert_int_equal(why_tell(&w, ERR_INVALID, NULL, "%s", ""), ERR_INVALID);
	assert_string_equal(why_public(&w), err_title(ERR_INVALID));
}

static void why_may_quote_itself(void **state)
{
	struct why w;

	(void)state;
	(void)why_tell(&w, ERR_CONFIG, "key", "inner");
	(void)why_tell(&w, ERR_CONFIG, w.field, "outer: %s", w.text);
	assert_string_equal(w.text, "outer: inner");
	assert_string_equal(w.field, "key");
}

static void why_replaces_controls_and_malformed_text(void **state)
{
	struct why w;

	(void)state;
	(void)why_set(&w, ERR_CONFIG, "%s",
		      "a\nb\tc\x7f"
		      "d\xc2\x9b"
		      "e\xff"
		      "f\xed\xa0\x80"
		      "g \xe2\x82\xac");
	assert_string_equal(w.text, "a?b?c?d?e?f???g \xe2\x82\xac");
	(void)why_tell(&w, ERR_CONFIG, "x\r\ny", "t");
	assert_string_equal(w.field, "x??y");
	/* a malformed tail that was not cut here is shown as such */
	(void)why_set(&w, ERR_CONFIG, "%s", "a\xe2\x82");
	assert_string_equal(w.text, "a??");
}

static void why_cuts_between_characters(void **state)
{
	char in[WHY_TEXT_MAX * 4 + 1];
	struct why w;

	(void)state;
	for (size_t lead = 0; lead < 8; lead++) {
		for (size_t len = 1; len <= 4; len++) {
			static const char *const chars[] = {"", "x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
			size_t n = lead;

			memset(in, 'x', lead);
			while (n < WHY_TEXT_MAX + 20) {
				memcpy(in + n, chars[len], len);
				n += len;
			}
			in[n] = '\0';
			(void)why_tell(&w, ERR_CONFIG, in, "%s", in);
			assert_true(strlen(w.text) < WHY_TEXT_MAX && strlen(w.text) > WHY_TEXT_MAX - 1 - len);
			assert_true(strlen(w.field) < WHY_FIELD_MAX && strlen(w.field) > WHY_FIELD_MAX - 1 - len);
			assert_memory_equal(w.text, in, strlen(w.text));
			assert_memory_equal(w.field, in, strlen(w.field));
			assert_true(utf8_valid(bytes_str(w.text)) && utf8_valid(bytes_str(w.field)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_compare_by_content_and_length),
		cmocka_unit_test(printable_is_ascii_from_space_to_tilde),
		cmocka_unit_test(buf_takes_its_maximum_and_not_one_byte_more),
		cmocka_unit_test(buf_grows_by_doubling_from_256_bytes),
		cmocka_unit_test(buf_keeps_its_contents_when_its_pages_move),
		cmocka_unit_test(buf_failure_is_sticky_until_reset),
		cmocka_unit_test(buf_refuses_sizes_that_would_wrap),
		cmocka_unit_test(buf_reset_wipes_and_keeps_the_memory),
		cmocka_unit_test(buf_printf_takes_one_kibibyte_a_call),
		cmocka_unit_test(empty_buffer_has_an_empty_string),
		cmocka_unit_test(mem_wipe_leaves_zeros),
		cmocka_unit_test(every_fault_has_a_status_a_code_and_a_title),
		cmocka_unit_test(only_a_told_text_is_public),
		cmocka_unit_test(why_may_quote_itself),
		cmocka_unit_test(why_replaces_controls_and_malformed_text),
		cmocka_unit_test(why_cuts_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
