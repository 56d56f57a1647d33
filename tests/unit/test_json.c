#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* jansson's, so that allocations can be made to fail; its header is for src/json only. */
void json_set_alloc_funcs(void *(*alloc)(size_t), void (*release)(void *));

static struct json *parsed(struct bytes text)
{
	struct why w = {.text = ""};
	struct json *j = NULL;

	if (json_parse(&j, text, &w) != ERR_OK)
		fail_msg("refused: %s", w.text);
	return j;
}

static struct json *parsed_str(const char *text)
{
	return parsed(bytes_str(text));
}

static void assert_bytes(struct bytes got, struct bytes want)
{
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, want.n);
}

static void assert_refused(struct bytes text, const char *why)
{
	struct why w = {.text = ""};
	struct json *j = NULL;

	assert_int_equal(json_parse(&j, text, &w), ERR_INVALID);
	assert_null(j);
	assert_true(w.tell);
	assert_string_equal(w.field, "body");
	assert_string_equal(w.text, why);
}

static void reads_every_type(void **state)
{
	static const enum json_type types[] = {JSON_NULL, JSON_TRUE,   JSON_FALSE, JSON_INT,
					       JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT};
	struct json *j = parsed_str(" [null, true, false, -12, 1.5, \"s\", [1, 2], {\"a\": 1}]\n");
	const struct json_value *a = json_root(j);

	(void)state;
	assert_int_equal(json_type(a), JSON_ARRAY);
	assert_int_equal(json_size(a), 8);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(json_type(json_at(a, i)), types[i]);
	assert_null(json_at(a, 8));
	assert_true(json_int(json_at(a, 3)) == -12);
	assert_bytes(json_string(json_at(a, 5)), BYTES_LIT("s"));
	assert_int_equal(json_size(json_at(a, 6)), 2);
	assert_int_equal(json_size(json_at(a, 7)), 1);
	assert_true(json_int(json_get(json_at(a, 7), "a")) == 1);
	assert_null(json_get(json_at(a, 7), "b"));
	json_free(j);
	json_free(NULL);
}

static void reads_integers_of_64_bits_and_not_one_more(void **state)
{
	struct json *j = parsed_str("[9223372036854775807, -9223372036854775808, -0, 0]");

	(void)state;
	assert_true(json_int(json_at(json_root(j), 0)) == INT64_MAX);
	assert_true(json_int(json_at(json_root(j), 1)) == INT64_MIN);
	assert_true(json_int(json_at(json_root(j), 2)) == 0);
	json_free(j);
	assert_refused(BYTES_LIT("9223372036854775808"), "line 1, column 1: the integer does not fit into 64 bits");
	assert_refused(BYTES_LIT("[\n -9223372036854775809]"),
		       "line 2, column 2: the integer does not fit into 64 bits");
	assert_refused(BYTES_LIT("18446744073709551616"), "line 1, column 1: the integer does not fit into 64 bits");
}

static void decodes_escapes_and_keeps_nul(void **state)
{
	struct json *j = parsed_str("[\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\uDe00\", \"\"]");

	(void)state;
	assert_bytes(json_string(json_at(json_root(j), 0)),
		     BYTES_LIT("\0\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	assert_int_equal(json_string(json_at(json_root(j), 1)).n, 0);
	json_free(j);
}

static void iterates_in_the_order_of_the_text(void **state)
{
	struct json *j = parsed_str("{\"z\": 1, \"a\\u0000b\": 2, \"m\": 3, \"\": 4}");
	static const struct bytes names[] = {{(const uint8_t *)"z", 1},
					     {(const uint8_t *)"a\0b", 3},
					     {(const uint8_t *)"m", 1},
					     {(const uint8_t *)"", 0}};
	const struct json_value *v;
	struct bytes key;
	void *it = NULL;
	size_t n = 0;

	(void)state;
	for (; json_next(json_root(j), &it, &key, &v); n++) {
		assert_bytes(key, names[n]);
		assert_true(json_int(v) == (int64_t)n + 1);
	}
	assert_int_equal(n, 4);
	json_free(j);
}

static void refusals_say_where(void **state)
{
	(void)state;
	assert_refused(bytes_of(NULL, 0), "line 1, column 1: the text is empty");
	assert_refused(BYTES_LIT("{\"a\": [{\"b\": 1}], \"a\": 1}"), "line 1, column 19: duplicate key \"a\"");
	assert_refused(BYTES_LIT("{\"a\\u0000\": 1, \"a\\u0000\": 1}"), "line 1, column 16: duplicate key \"a\\x00\"");
	assert_refused(BYTES_LIT("\"\xc3\xa9\\ud800\""),
		       "line 1, column 3: \\ud800 is half of a surrogate pair without the other half");
	assert_refused(BYTES_LIT("\xef\xbb\xbf{}"),
		       "line 1, column 1: the text begins with a byte order mark, which must be left out");
	assert_refused(BYTES_LIT("[1e999]"), "line 1, column 2: the number is too large for a double");
	assert_refused(BYTES_LIT("[1e-999]"), "line 1, column 2: the number is too close to zero for a double");
	assert_refused(BYTES_LIT("NaN"), "line 1, column 1: a value is expected here, not \"NaN\"");
	assert_refused(BYTES_LIT("[1]\n[2]"), "line 2, column 1: the end of the text is expected here, not \"[\"");
	assert_refused(BYTES_LIT("[\"\xed\xb0\x80\"]"), "line 1, column 3: malformed UTF-8");
	assert_refused(BYTES_LIT("[1,"), "line 1, column 4: the text ends where a value is expected");
}

/* `depth` arrays in one another, without a NUL behind them. */
static struct bytes nested(char *text, size_t depth)
{
	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return bytes_of(text, 2 * depth);
}

static void nesting_ends_at_the_limit(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1)];

	(void)state;
	json_free(parsed(nested(text, JSON_DEPTH_MAX)));
	assert_refused(nested(text, JSON_DEPTH_MAX + 1),
		       "line 1, column 513: values are nested deeper than 512 levels");
}

static void reads_nothing_behind_the_text(void **state)
{
	static const char text[] = "{\"a\": [\"x\\u00e9\\ud83d\\ude00\", -1.5e+3, true, null, 12], \"b\": {}}";

	(void)state;
	for (size_t n = 0; n < sizeof text - 1; n++) {
		uint8_t *copy = malloc(n > 0 ? n : 1); /* of its own, so that a sanitizer sees a byte too far */
		struct why w = {.text = ""};
		struct json *j = NULL;

		assert_non_null(copy);
		memcpy(copy, text, n);
		assert_int_equal(json_parse(&j, bytes_of(copy, n), &w), ERR_INVALID);
		free(copy);
	}
}

static long allowed;

static void *limited_malloc(size_t n)
{
	return allowed-- > 0 ? malloc(n) : NULL;
}

static void every_failed_allocation_is_reported(void **state)
{
	static const char text[] =
		"{\"key\": [1, 2.5, \"s\\n\", {\"x\": {}}, [], \"plain\"], \"l\": [1,2,3,4,5,6,7,8,9],"
		"\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9}";
	struct json *j = NULL;
	enum err e = ERR_MEMORY;
	long n = 0;

	(void)state;
	json_set_alloc_funcs(limited_malloc, free);
	for (; e != ERR_OK && n < 1000; n++) {
		struct why w = {.text = ""};

		allowed = n;
		e = json_parse(&j, BYTES_LIT(text), &w);
		if (e != ERR_OK)
			assert_int_equal(e, ERR_MEMORY);
	}
	json_free(j);
	json_init();
	assert_int_equal(e, ERR_OK);
	assert_true(n > 30);
}

/* ---- json_fields ---- */

struct request {
	const struct json_value *nonce, *data, *flag;
};

static enum err check(const char *text, struct request *r, struct why *w, struct json **j)
{
	const struct json_field fields[] = {
		{"nonce", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &r->nonce},
		{"custom_data", JSON_ANY, true, &r->data},
		{"flag", JSON_BOOL, false, &r->flag},
	};

	*j = parsed_str(text);
	return json_fields(json_root(*j), fields, 3, w);
}

static void fields_are_found(void **state)
{
	struct request r;
	struct why w;
	struct json *j;

	(void)state;
	assert_int_equal(check("{\"flag\": true, \"nonce\": \"x\", \"custom_data\": {}}", &r, &w, &j), ERR_OK);
	assert_bytes(json_string(r.nonce), BYTES_LIT("x"));
	assert_int_equal(json_type(r.flag), JSON_TRUE);
	assert_int_equal(json_type(r.data), JSON_OBJECT);
	json_free(j);
	assert_int_equal(check("{\"nonce\": null, \"custom_data\": 0}", &r, &w, &j), ERR_OK);
	assert_null(r.nonce);
	assert_null(r.flag);
	json_free(j);
}

static void wrong_fields_are_named(void **state)
{
	static const struct {
		const char *text, *field, *why;
	} cases[] = {
		{"[]", "body", "Must be an object, not an array."},
		{"{}", "custom_data", "Is required."},
		{"{\"custom_data\": null}", "custom_data", "Is required."},
		{"{\"custom_data\": 1, \"nonce\": 5}", "nonce", "Must be a string or null."},
		{"{\"custom_data\": 1, \"flag\": null}", "flag", "Must be true or false."},
		{"{\"custom_data\": 1, \"Nonce\": 5}", "Nonce", "Is not a known member."},
		{"{\"custom_data\\u0000\": 1}", "custom_data\\x00", "Is not a known member."},
		{"{\"0123456789012345678901234567890123456789\": 1}", "0123456789012345678901234567890123456789",
		 "Is not a known member."},
		{"{\"01234567890123456789012345678901234567890\": 1}", "0123456789012345678901234567890123456789...",
		 "Is not a known member."},
		{"{\"\\u001b[31m\\u00e9\": 1}", "\\x1b[31m\xc3\xa9", "Is not a known member."},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct json_value *const before = (const struct json_value *)&cases;
		struct request r = {before, before, before};
		struct why w;
		struct json *j;

		assert_int_equal(check(cases[i].text, &r, &w, &j), ERR_INVALID);
		assert_true(w.tell);
		assert_string_equal(w.field, cases[i].field);
		assert_string_equal(w.text, cases[i].why);
		assert_ptr_equal(r.nonce, before);
		assert_ptr_equal(r.data, before);
		json_free(j);
	}
}

/* ---- writing ---- */

static void writes_members_with_commas(void **state)
{
	struct buf b = BUF_INIT(1000);

	(void)state;
	buf_put_str(&b, "{");
	json_put_key(&b, "a");
	json_put_int(&b, INT64_MIN);
	json_put_name(&b, "b\n");
	json_put_cstr(&b, "{");
	json_put_key(&b, "c");
	buf_put_str(&b, "{");
	json_put_key(&b, "d");
	json_put_int(&b, 0);
	buf_put_str(&b, "}}");
	assert_bytes(buf_bytes(&b), BYTES_LIT("{\"a\":-9223372036854775808,\"b\\n\":\"{\",\"c\":{\"d\":0}}"));
	buf_free(&b);
}

static void writes_encoded_bytes_or_null(void **state)
{
	struct buf b = BUF_INIT(1000);

	(void)state;
	buf_put_str(&b, "{");
	json_put_key(&b, "hex");
	json_put_hex(&b, BYTES_LIT("\x00\xff"));
	json_put_key(&b, "no hex");
	json_put_hex(&b, BYTES_LIT(""));
	json_put_key(&b, "base64");
	json_put_base64(&b, BYTES_LIT("a"));
	json_put_key(&b, "absent");
	json_put_hex(&b, bytes_of(NULL, 0));
	json_put_key(&b, "absent too");
	json_put_base64(&b, bytes_of(NULL, 0));
	json_put_key(&b, "no text");
	json_put_cstr(&b, NULL);
	json_put_key(&b, "yes");
	json_put_bool(&b, true);
	json_put_key(&b, "no");
	json_put_bool(&b, false);
	buf_put_str(&b, "}");
	assert_bytes(buf_bytes(&b), BYTES_LIT("{\"hex\":\"00ff\",\"no hex\":\"\",\"base64\":\"YQ==\",\"absent\":null,"
					      "\"absent too\":null,\"no text\":null,\"yes\":true,\"no\":false}"));
	buf_free(&b);
}

static void assert_written(struct bytes in, struct bytes out)
{
	struct buf b = BUF_INIT(1000);

	json_put_string(&b, in);
	assert_bytes(buf_bytes(&b), out);
	buf_free(&b);
}

static void writes_strings_escaped(void **state)
{
	(void)state;
	assert_written(bytes_of(NULL, 0), BYTES_LIT("\"\""));
	assert_written(BYTES_LIT("a\"b\\c/\n\r\t\b\f\0\x1f\x7f!"),
		       BYTES_LIT("\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0000\\u001f\\u007f!\""));
	assert_written(BYTES_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		       BYTES_LIT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""));
	assert_written(BYTES_LIT("a\xff\xc3(\xed\xa0\x80z\xe2\x82"),
		       BYTES_LIT("\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\""));
}

/* Every place in the words that the scan takes at once. */
static void writes_specials_at_every_offset(void **state)
{
	(void)state;
	for (size_t at = 0; at < 80; at++) {
		for (unsigned c = 0; c < 0x80; c++) {
			bool special = c < 0x20 || c == 0x7f || c == '"' || c == '\\';
			struct buf b = BUF_INIT(1000);
			struct json *j;
			uint8_t text[80];

			memset(text, 'x', sizeof text);
			text[at] = (uint8_t)c;
			json_put_string(&b, bytes_of(text, sizeof text));
			assert_int_equal(b.n > sizeof text + 2, special);
			j = parsed(buf_bytes(&b));
			assert_bytes(json_string(json_root(j)), bytes_of(text, sizeof text));
			json_free(j);
			buf_free(&b);
		}
	}
}

static void the_number_of_values_can_be_bounded(void **state)
{
	(void)state;
	struct json *j = NULL;
	struct why w = {0};
	/* the object, a, the list, 1, {} and "x": a name is no value */
	const struct bytes text = BYTES_LIT("{\"a\": null, \"b\": [1, {}, \"x\"]}");
	assert_int_equal(json_parse_bounded(&j, text, 6, &w), ERR_OK);
	json_free(j);
	j = NULL;
	assert_int_equal(json_parse_bounded(&j, text, 5, &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "too many values"));
	assert_null(j);
	assert_int_equal(json_parse_bounded(&j, BYTES_LIT("1"), 0, &w), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_type),
		cmocka_unit_test(the_number_of_values_can_be_bounded),
		cmocka_unit_test(reads_integers_of_64_bits_and_not_one_more),
		cmocka_unit_test(decodes_escapes_and_keeps_nul),
		cmocka_unit_test(iterates_in_the_order_of_the_text),
		cmocka_unit_test(refusals_say_where),
		cmocka_unit_test(nesting_ends_at_the_limit),
		cmocka_unit_test(reads_nothing_behind_the_text),
		cmocka_unit_test(every_failed_allocation_is_reported),
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(writes_members_with_commas),
		cmocka_unit_test(writes_encoded_bytes_or_null),
		cmocka_unit_test(writes_strings_escaped),
		cmocka_unit_test(writes_specials_at_every_offset),
	};

	json_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
