#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "attest.h"

static struct attest_nonce reads(struct bytes text, enum attest_encoding forced, enum attest_encoding want)
{
	struct attest_nonce n = {.present = false};
	struct why w = {.text = ""};
	enum err e = attest_nonce_parse(&n, text, forced, &w);
	if (e != ERR_OK)
		print_error("%s\n", w.text);
	assert_int_equal(e, ERR_OK);
	assert_true(n.present);
	assert_string_equal(attest_encoding_name(n.encoding), attest_encoding_name(want));
	return n;
}

static void reads_as(const char *text, enum attest_encoding forced, enum attest_encoding want, struct bytes value)
{
	struct attest_nonce n = reads(bytes_str(text), forced, want);
	assert_int_equal(n.n, value.n);
	assert_memory_equal(n.b, value.p, value.n);
}

static void refuses(struct bytes text, enum attest_encoding forced, const char *says)
{
	struct attest_nonce n = {.present = false, .n = 77};
	struct why w;
	assert_int_equal(attest_nonce_parse(&n, text, forced, &w), ERR_INVALID);
	assert_string_equal(w.field, "nonce");
	assert_true(w.tell);
	if (strstr(w.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", w.text, says);
	assert_false(n.present);
	assert_int_equal(n.n, 77);
}

static void the_three_forms_of_the_api_are_told_apart(void **s)
{
	(void)s;
	reads_as("deadbeef1234abcd", ATTEST_AUTO, ATTEST_HEX, BYTES_LIT("\xde\xad\xbe\xef\x12\x34\xab\xcd"));
	reads_as("DEADbeef", ATTEST_AUTO, ATTEST_HEX, BYTES_LIT("\xde\xad\xbe\xef"));
	reads_as("dGVzdCBub25jZQ==", ATTEST_AUTO, ATTEST_BASE64, BYTES_LIT("test nonce"));
	reads_as("user-session-123abc", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("user-session-123abc"));
}

static void auto_goes_on_to_the_next_encoding_only_when_one_does_not_fit(void **s)
{
	(void)s;
	reads_as("abc", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("abc"));
	reads_as("test", ATTEST_AUTO, ATTEST_BASE64, BYTES_LIT("\xb5\xeb\x2d"));
	reads_as("dGVzdA", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("dGVzdA"));
	reads_as("dGVzdB==", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("dGVzdB==")); /* trailing bits are not zero */
	reads_as("x=", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("x="));
	reads_as("de ad", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("de ad"));
	reads_as("h\xc3\xa9", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("h\xc3\xa9"));
	reads_as("HEX:00", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("HEX:00"));
}

static void a_prefix_forces_an_encoding(void **s)
{
	(void)s;
	reads_as("hex:00ff", ATTEST_AUTO, ATTEST_HEX, BYTES_LIT("\x00\xff"));
	reads_as("base64:3q0=", ATTEST_AUTO, ATTEST_BASE64, BYTES_LIT("\xde\xad"));
	reads_as("base64:deadbeef", ATTEST_AUTO, ATTEST_BASE64, BYTES_LIT("\x75\xe6\x9d\x6d\xe7\x9f"));
	reads_as("text:deadbeef", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("deadbeef"));
	reads_as("text:hex:00", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("hex:00"));
	refuses(bytes_str("hex:zz"), ATTEST_AUTO, "not hex");
	refuses(bytes_str("hex:abc"), ATTEST_AUTO, "not hex");
	refuses(bytes_str("base64:dGVzdA"), ATTEST_AUTO, "not base64");
	refuses(bytes_str("base64:dGVzdB=="), ATTEST_AUTO, "not base64");
}

static void the_encoding_can_be_forced_from_outside(void **s)
{
	(void)s;
	reads_as("deadbeef", ATTEST_TEXT, ATTEST_TEXT, BYTES_LIT("deadbeef"));
	reads_as("deadbeef", ATTEST_BASE64, ATTEST_BASE64, BYTES_LIT("\x75\xe6\x9d\x6d\xe7\x9f"));
	reads_as("hex:aa", ATTEST_HEX, ATTEST_HEX, BYTES_LIT("\xaa"));
	refuses(bytes_str("hello"), ATTEST_HEX, "not hex");
	refuses(bytes_str("hello"), ATTEST_BASE64, "not base64");
	refuses(bytes_str("hex:aa"), ATTEST_TEXT, "begins with hex: but its encoding was given as text");
	refuses(bytes_str("text:aa"), ATTEST_HEX, "begins with text:");
}

static void what_decodes_to_nothing_is_refused(void **s)
{
	(void)s;
	refuses(bytes_str(""), ATTEST_AUTO, "empty");
	refuses(bytes_str(""), ATTEST_TEXT, "empty");
	refuses(bytes_str("="), ATTEST_AUTO, "= alone");
	refuses(bytes_str("===="), ATTEST_AUTO, "= alone");
	refuses(bytes_str("===="), ATTEST_TEXT, "= alone");
	refuses(bytes_str("base64:===="), ATTEST_AUTO, "= alone");
	refuses(bytes_str("text:"), ATTEST_AUTO, "empty");
	refuses(bytes_str("hex:"), ATTEST_AUTO, "empty");
	refuses(bytes_str("base64:"), ATTEST_BASE64, "empty");
	refuses(bytes_str("\xff\xfe"), ATTEST_AUTO, "UTF-8");
}

static void text_of(char *to, const char *prefix, const char *unit, size_t n)
{
	size_t k = strlen(prefix), u = strlen(unit);
	memcpy(to, prefix, k);
	for (size_t i = 0; i < n; i++)
		memcpy(to + k + i * u, unit, u);
	to[k + n * u] = '\0';
}

static void a_nonce_has_at_most_512_bytes_in_every_encoding(void **s)
{
	(void)s;
	char text[ATTEST_NONCE_TEXT_MAX * 2];
	text_of(text, "", "ab", 512);
	assert_int_equal(reads(bytes_str(text), ATTEST_AUTO, ATTEST_HEX).n, 512);
	text_of(text, "hex:", "ab", 512);
	assert_int_equal(reads(bytes_str(text), ATTEST_AUTO, ATTEST_HEX).n, 512);
	text_of(text, "", "ab", 513);
	refuses(bytes_str(text), ATTEST_AUTO, "read as hex, is 513 bytes");
	text_of(text, "hex:", "ab", 513);
	refuses(bytes_str(text), ATTEST_AUTO, "read as hex, is 513 bytes");

	text_of(text, "base64:", "WFhY", 170);
	memcpy(text + 7 + 680, "WFg=", 5);
	assert_int_equal(reads(bytes_str(text), ATTEST_AUTO, ATTEST_BASE64).n, 512);
	assert_int_equal(reads(bytes_str(text + 7), ATTEST_AUTO, ATTEST_BASE64).n, 512);
	text_of(text, "base64:", "WFhY", 171);
	refuses(bytes_str(text), ATTEST_AUTO, "read as base64, is 513 bytes");
	refuses(bytes_str(text + 7), ATTEST_AUTO, "read as base64, is 513 bytes");

	text_of(text, "text:", "-", 512);
	assert_int_equal(reads(bytes_str(text), ATTEST_AUTO, ATTEST_TEXT).n, 512);
	assert_int_equal(reads(bytes_str(text + 5), ATTEST_AUTO, ATTEST_TEXT).n, 512);
	text_of(text, "text:", "-", 513);
	refuses(bytes_str(text), ATTEST_AUTO, "read as text, is 513 bytes");
	refuses(bytes_str(text + 5), ATTEST_AUTO, "read as text, is 513 bytes");
}

static void an_enormous_nonce_is_refused_unread(void **s)
{
	(void)s;
	static char text[1 << 20];
	memset(text, 'a', sizeof(text));
	refuses(bytes_of(text, ATTEST_NONCE_TEXT_MAX), ATTEST_AUTO, "is 520 bytes");
	refuses(bytes_of(text, ATTEST_NONCE_TEXT_MAX + 1), ATTEST_AUTO, "too long");
	refuses(bytes_of(text, sizeof(text)), ATTEST_AUTO, "too long");
}

static void one_byte_is_a_nonce(void **s)
{
	(void)s;
	reads_as("00", ATTEST_AUTO, ATTEST_HEX, BYTES_LIT("\0"));
	reads_as("AA==", ATTEST_AUTO, ATTEST_BASE64, BYTES_LIT("\0"));
	reads_as("x", ATTEST_AUTO, ATTEST_TEXT, BYTES_LIT("x"));
	assert_int_equal(reads(bytes_of("\0", 1), ATTEST_AUTO, ATTEST_TEXT).n, 1);
}

static void encodings_have_names(void **s)
{
	(void)s;
	enum attest_encoding e;
	for (enum attest_encoding want = ATTEST_AUTO; want <= ATTEST_TEXT; want++) {
		assert_true(attest_encoding_parse(bytes_str(attest_encoding_name(want)), &e));
		assert_int_equal(e, want);
	}
	assert_false(attest_encoding_parse(bytes_str("Hex"), &e));
	assert_false(attest_encoding_parse(bytes_str(""), &e));
	assert_false(attest_encoding_parse(bytes_of("hex\0", 4), &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_forms_of_the_api_are_told_apart),
		cmocka_unit_test(auto_goes_on_to_the_next_encoding_only_when_one_does_not_fit),
		cmocka_unit_test(a_prefix_forces_an_encoding),
		cmocka_unit_test(the_encoding_can_be_forced_from_outside),
		cmocka_unit_test(what_decodes_to_nothing_is_refused),
		cmocka_unit_test(a_nonce_has_at_most_512_bytes_in_every_encoding),
		cmocka_unit_test(an_enormous_nonce_is_refused_unread),
		cmocka_unit_test(one_byte_is_a_nonce),
		cmocka_unit_test(encodings_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
