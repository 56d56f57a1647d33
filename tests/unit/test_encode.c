#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

static const struct {
	const char *plain, *base64, *base64url, *hex;
} rfc4648[] = {
	{"", "", "", ""},
	{"f", "Zg==", "Zg", "66"},
	{"fo", "Zm8=", "Zm8", "666f"},
	{"foo", "Zm9v", "Zm9v", "666f6f"},
	{"foob", "Zm9vYg==", "Zm9vYg", "666f6f62"},
	{"fooba", "Zm9vYmE=", "Zm9vYmE", "666f6f6261"},
	{"foobar", "Zm9vYmFy", "Zm9vYmFy", "666f6f626172"},
	{"\xfb\xff\xbf", "+/+/", "-_-_", "fbffbf"},
};

static void encodings_have_the_values_of_rfc_4648(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rfc4648 / sizeof rfc4648[0]; i++) {
		struct bytes in = bytes_str(rfc4648[i].plain);
		char out[32];
		uint8_t back[32];
		size_t n = 99;

		assert_int_equal(strlen(rfc4648[i].base64), BASE64_SIZE(in.n));
		base64_encode(in, out);
		assert_memory_equal(out, rfc4648[i].base64, BASE64_SIZE(in.n));
		assert_int_equal(strlen(rfc4648[i].base64url), BASE64URL_SIZE(in.n));
		base64url_encode(in, out);
		assert_memory_equal(out, rfc4648[i].base64url, BASE64URL_SIZE(in.n));
		hex_encode(in, out);
		assert_memory_equal(out, rfc4648[i].hex, HEX_SIZE(in.n));
		assert_true(base64_decode(bytes_str(rfc4648[i].base64), back, &n));
		assert_true(bytes_equal(bytes_of(back, n), in));
		assert_true(hex_decode(bytes_str(rfc4648[i].hex), back, &n));
		assert_true(bytes_equal(bytes_of(back, n), in));
	}
}

static void base64_refuses_everything_that_is_not_strict(void **state)
{
	static const char *const bad[] = {
		"Z",	    "Zg",	"Zg=",	    "Zm9vZ",	"=",	    "==",	   "====",
		"Z===",	    "Zg==Zg==", "Zm8=Zm8=", "Zh==",	"Zm9=",	    " Zg==",	   "Zg== ",
		"Zg\n=",    "Zm9v\n",	"-_-_",	    "Zg=a",	"Zg==\n",   "Z=g=",	   "=Zg=",
		"Zm9v====", "Zm9\x80",	"Zm9*",	    "Zm9vYg=x", "Zm9vY=Fy", "Zm9\xffYmFy", "Zm\xf6v",
	};
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		size_t n = 99;

		assert_false(base64_decode(bytes_str(bad[i]), out, &n));
		assert_int_equal(n, 0);
	}
	assert_false(base64_decode(BYTES_LIT("Zm9\0"), out, (size_t[]){0}));
}

static void every_byte_in_every_place_is_base64_or_not(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (size_t at = 0; at < 8; at++) {
		for (int c = 0; c < 256; c++) {
			uint8_t in[8], out[6];
			size_t n = 0;
			bool good = c != 0 && strchr(digits, c) != NULL;

			memset(in, 'A', sizeof in);
			in[at] = (uint8_t)c;
			good = good || (c == '=' && at == 7);
			assert_int_equal(base64_decode(bytes_of(in, 8), out, &n), good);
			assert_int_equal(n, !good ? 0 : c == '=' ? 5 : 6);
		}
	}
}

static void unused_bits_under_the_padding_must_be_zero(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (int i = 0; i < 64; i++) {
		char one[4] = {'A', digits[i], '=', '='}, two[4] = {'A', 'A', digits[i], '='};
		uint8_t out[3];
		size_t n;

		assert_int_equal(base64_decode(bytes_of(one, 4), out, &n), i % 16 == 0);
		assert_int_equal(base64_decode(bytes_of(two, 4), out, &n), i % 4 == 0);
	}
}

static void every_length_round_trips_within_its_stated_size(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		/* exact heap blocks, so that a sanitizer sees one byte too many */
		uint8_t *in = malloc(n + 1), *back = malloc(BASE64_DECODED_MAX(BASE64_SIZE(n)) + 1);
		char *text = malloc(BASE64_SIZE(n) + 1), *hex = malloc(HEX_SIZE(n) + 1);
		struct bytes x = bytes_of(in + 1, n);
		size_t got = 0;

		assert_true(in != NULL && back != NULL && text != NULL && hex != NULL);
		for (size_t i = 0; i <= n; i++)
			in[i] = (uint8_t)(i * 167 + n);
		base64_encode(x, text + 1);
		assert_true(base64_decode(bytes_of(text + 1, BASE64_SIZE(n)), back + 1, &got));
		assert_true(bytes_equal(bytes_of(back + 1, got), x));
		hex_encode(x, hex + 1);
		assert_true(hex_decode(bytes_of(hex + 1, HEX_SIZE(n)), back + 1, &got));
		assert_true(bytes_equal(bytes_of(back + 1, got), x));
		base64url_encode(x, text + 1);
		free(in);
		free(back);
		free(text);
		free(hex);
	}
}

static void hex_takes_both_cases_and_nothing_else(void **state)
{
	uint8_t out[4];
	size_t n = 0;

	(void)state;
	assert_true(hex_decode(BYTES_LIT("aBFf09"), out, &n));
	assert_true(bytes_equal(bytes_of(out, n), BYTES_LIT("\xab\xff\x09")));
	assert_false(hex_decode(BYTES_LIT("abc"), out, &n));
	assert_int_equal(n, 0);
	for (int c = 0; c < 256; c++) {
		uint8_t high[2] = {(uint8_t)c, '0'}, low[2] = {'0', (uint8_t)c};
		bool good = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;

		assert_int_equal(hex_decode(bytes_of(high, 2), out, &n), good);
		assert_int_equal(hex_decode(bytes_of(low, 2), out, &n), good);
	}
}

static void buffers_take_encoded_bytes(void **state)
{
	struct buf b = BUF_INIT(16);

	(void)state;
	buf_put_hex(&b, BYTES_LIT("\x01\xfe"));
	buf_put_base64(&b, BYTES_LIT("fo"));
	buf_put_base64(&b, BYTES_LIT(""));
	assert_string_equal(buf_cstr(&b), "01feZm8=");
	buf_put_base64(&b, BYTES_LIT("foobar"));
	assert_int_equal(b.n, 16);
	assert_false(b.failed);
	buf_put_hex(&b, BYTES_LIT("x"));
	assert_true(b.failed);
	buf_free(&b);
}

static void what_a_terminal_would_act_on_is_escaped(void **s)
{
	(void)s;
	struct buf out = BUF_INIT(1024);
	buf_put_plain(&out, BYTES_LIT(" a~\\\"\0\x1b\x7f\n\xc2\x9b\xc3\xbc\xe2\x80\xae\xf0\x9f\x98\x80\xff\xe2\x80"));
	assert_string_equal(buf_cstr(&out),
			    " a~\\\"\\u{0}\\u{1b}\\u{7f}\\u{a}\\u{9b}\\u{fc}\\u{202e}\\u{1f600}\\xff\\xe2\\x80");
	buf_free(&out);
}

static void what_a_terminal_would_act_on_is_masked(void **s)
{
	(void)s;
	char text[] = " a~\\\"\x01\x1b\x7f\n\xc3\xbcz", empty[] = "";
	assert_string_equal(text_mask(text), " a~\\\"??????z");
	assert_ptr_equal(text_mask(text), text);
	assert_string_equal(text_mask(empty), "");
}

static void utf8_is_taken_as_rfc_3629_has_it(void **state)
{
	static const char *const good[] = {
		"",
		"a",
		"plain text of more than eight bytes",
		"\x7f",
		"\xc2\x80",
		"\xdf\xbf",
		"\xe0\xa0\x80",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xef\xbf\xbf",
		"\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf",
		"eight by\xe2\x82\xactes and more",
		"1234567\xc3\xa9",
		"\xef\xbb\xbf byte order mark",
	};
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2",
		"\xc2\x20",
		"\xe0\x9f\xbf",
		"\xe0\xa0",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xfe",
		"12345678\xff",
		"1234567\xc3",
		"eight by\xe2\x82",
		"\xf0\x9f\x98",
		"\xf0\x9f\x98\x80\x80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(utf8_valid(bytes_str(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(utf8_valid(bytes_str(bad[i])));
	assert_true(utf8_valid(BYTES_LIT("a\0b")));
	assert_true(utf8_valid(bytes_of(NULL, 0)));
}

static void every_code_point_but_surrogates_is_utf8(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0x110fff; c++) {
		uint8_t u[4];
		size_t n;

		if (c < 0x80) {
			n = 1;
			u[0] = (uint8_t)c;
		} else {
			n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
			for (size_t i = n - 1; i > 0; i--)
				u[i] = (uint8_t)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
			u[0] = (uint8_t)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> 6 * (n - 1));
		}
		assert_int_equal(utf8_valid(bytes_of(u, n)), c <= 0x10ffff && (c < 0xd800 || c > 0xdfff));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_have_the_values_of_rfc_4648),
		cmocka_unit_test(base64_refuses_everything_that_is_not_strict),
		cmocka_unit_test(every_byte_in_every_place_is_base64_or_not),
		cmocka_unit_test(unused_bits_under_the_padding_must_be_zero),
		cmocka_unit_test(every_length_round_trips_within_its_stated_size),
		cmocka_unit_test(hex_takes_both_cases_and_nothing_else),
		cmocka_unit_test(buffers_take_encoded_bytes),
		cmocka_unit_test(what_a_terminal_would_act_on_is_escaped),
		cmocka_unit_test(what_a_terminal_would_act_on_is_masked),
		cmocka_unit_test(utf8_is_taken_as_rfc_3629_has_it),
		cmocka_unit_test(every_code_point_but_surrogates_is_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
