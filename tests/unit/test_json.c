#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "json.h"

/* The linker puts this in the place of malloc (Makefile), so that allocations can be made to fail. */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

static long allowed = -1; /* how many more succeed; below 0: all */

void *__wrap_malloc(size_t n)
{
	if (allowed == 0)
		return NULL;
	allowed -= allowed > 0;
	return __real_malloc(n);
}

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

/* The i-th element, NULL if there are fewer. */
static const struct json_value *element(const struct json_value *array, size_t i)
{
	const struct json_value *v = NULL;
	do
		if (!json_next(array, NULL, &v))
			return NULL;
	while (i-- > 0);
	return v;
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
		assert_int_equal(json_type(element(a, i)), types[i]);
	assert_null(element(a, 8));
	assert_true(json_int(element(a, 3)) == -12);
	assert_bytes(json_string(element(a, 5)), BYTES_LIT("s"));
	assert_int_equal(json_size(element(a, 6)), 2);
	assert_int_equal(json_size(element(a, 7)), 1);
	assert_true(json_int(json_get(element(a, 7), "a")) == 1);
	assert_null(json_get(element(a, 7), "b"));
	json_free(j);
	json_free(NULL);
}

static void reads_integers_of_64_bits_and_not_one_more(void **state)
{
	struct json *j = parsed_str("[9223372036854775807, -9223372036854775808, -0, 0]");

	(void)state;
	assert_true(json_int(element(json_root(j), 0)) == INT64_MAX);
	assert_true(json_int(element(json_root(j), 1)) == INT64_MIN);
	assert_true(json_int(element(json_root(j), 2)) == 0);
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
	assert_bytes(json_string(element(json_root(j), 0)),
		     BYTES_LIT("\0\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	assert_int_equal(json_string(element(json_root(j), 1)).n, 0);
	json_free(j);
}

static void iterates_in_the_order_of_the_text(void **state)
{
	struct json *j = parsed_str("{\"z\": 1, \"a\\u0000b\": 2, \"m\": 3, \"\": 4}");
	static const struct bytes names[] = {{(const uint8_t *)"z", 1},
					     {(const uint8_t *)"a\0b", 3},
					     {(const uint8_t *)"m", 1},
					     {(const uint8_t *)"", 0}};
	const struct json_value *v = NULL;
	struct bytes key;
	size_t n = 0;

	(void)state;
	for (; json_next(json_root(j), &key, &v); n++) {
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

static void every_failed_allocation_is_reported(void **state)
{
	/* only a number this long is put elsewhere, to end it with a NUL */
	static const char text[] = "{\"key\": [1, \"s\\n\", {}], \"z\": {\"b\": 2, \"a\": 1}, \"a\": "
				   "0.10000000000000000000000000000000000000000000000000000000000000000000000001}";
	(void)state;
	for (long n = 0; n < 3; n++) {
		struct json *j = NULL;
		struct why w = {.text = ""};
		allowed = n;
		const enum err e = json_parse(&j, BYTES_LIT(text), &w);
		allowed = -1;
		assert_int_equal(e, n < 2 ? ERR_MEMORY : ERR_OK);
		assert_int_equal(j == NULL, n < 2);
		json_free(j);
	}
}

/* The text is never looked at beyond its first byte. */
static void a_text_has_a_greatest_length(void **state)
{
	struct json *j = NULL;
	struct why w = {.text = ""};
	uint8_t *p = mmap(NULL, (size_t)JSON_TEXT_MAX + 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			  0);
	(void)state;
	assert_true(p != MAP_FAILED);
	assert_refused(bytes_of(p, JSON_TEXT_MAX), "line 1, column 1: a value is expected here, not \"\\x00\"");
	assert_int_equal(json_parse(&j, bytes_of(p, (size_t)JSON_TEXT_MAX + 1), &w), ERR_INVALID);
	assert_string_equal(w.text, "the text is longer than 1073741824 bytes");
	assert_true(w.tell);
	assert_int_equal(munmap(p, (size_t)JSON_TEXT_MAX + 1), 0);
}

/* The names of an object are compared at its end. */
static void the_first_fault_is_told(void **state)
{
	(void)state;
	assert_refused(BYTES_LIT("{\"a\": 1, \"a\": }"), "line 1, column 15: a value is expected here, not \"}\"");
	assert_refused(BYTES_LIT("{\"a\": 1, \"a\": {\"b\": 1, \"b\": 2}}"), "line 1, column 24: duplicate key \"b\"");
	assert_refused(BYTES_LIT("{\"a\": {\"c\": 1, \"b\": 2, \"b\": 3}, \"a\": 4}"),
		       "line 1, column 24: duplicate key \"b\"");
	assert_refused(BYTES_LIT("{\"b\": 0, \"a\": 1, \"b\": 2, \"a\": 3, \"b\": 4}"),
		       "line 1, column 18: duplicate key \"b\"");
	assert_refused(BYTES_LIT("{\"a\": 1, \"a\": \"x"), "line 1, column 15: this string is not closed");
	assert_refused(BYTES_LIT("[{\"a\": 1, \"a\": 2}, 1e999]"), "line 1, column 11: duplicate key \"a\"");
}

/* Many names, some of them long and alike, of which two at a time are the same. */
static void a_repeated_key_is_found_among_many(void **state)
{
	enum { NAMES = 500 };
	(void)state;
	for (int twice = 0; twice < NAMES; twice += 7) {
		struct buf text = BUF_INIT(1 << 20);
		char want[64];
		size_t column = 0;
		for (int i = 0; i <= NAMES; i++) {
			const int name = i == NAMES - 1 ? twice : i * 211 % NAMES;
			buf_put_str(&text, i == 0 ? "{" : ",");
			if (i == NAMES - 1)
				column = text.n + 1;
			buf_printf(&text, "\"%.*s%d\":[0]", name % 3 * 40,
				   "the same for many, and longer than what is looked at at once: as long as 80 bytes",
				   name);
		}
		buf_put_str(&text, "}");
		(void)snprintf(want, sizeof want, "line 1, column %zu: duplicate key \"", column);
		struct why w = {.text = ""};
		struct json *j = NULL;
		assert_int_equal(json_parse(&j, buf_bytes(&text), &w), ERR_INVALID);
		assert_int_equal(strncmp(w.text, want, strlen(want)), 0);
		buf_free(&text);
	}
}

/* `many` names that begin with `shared`, and `shared` itself twice, at these places among them. */
static void assert_found(int shared, int many, int first, int second)
{
	struct buf text = BUF_INIT(1 << 16);
	char want[64], begin[128];
	size_t column = 0;
	memset(begin, 'a', sizeof begin);
	buf_put_str(&text, "[{\"outer\":{");
	for (int i = 0; i < many + 2; i++) {
		const bool itself = i == first || i == second;
		buf_put_str(&text, i == 0 ? "" : ",");
		if (i == second)
			column = text.n + 1;
		buf_printf(&text, "\"%.*s", shared, begin);
		if (!itself)
			buf_printf(&text, "%d", i * 37 % 101);
		buf_put_str(&text, "\":{}");
	}
	buf_put_str(&text, "}}]");
	(void)snprintf(want, sizeof want, "line 1, column %zu: duplicate key \"", column);
	struct why w = {.text = ""};
	struct json *j = NULL;
	assert_int_equal(json_parse(&j, buf_bytes(&text), &w), ERR_INVALID);
	assert_int_equal(strncmp(w.text, want, strlen(want)), 0);
	buf_free(&text);
}

static void a_repeated_key_is_found_among_those_that_begin_with_it(void **state)
{
	(void)state;
	for (int shared = 0; shared <= 100; shared += shared == 1 ? 99 : 1)
		for (int many = 1; many <= 100; many = many * 2 + 1)
			for (int first = 0; first <= many; first += 3)
				assert_found(shared, many, first, first + 1 + (first * 5) % (many - first + 1));
}

static void members_of_wide_objects_are_found(void **state)
{
	(void)state;
	for (int n = 1; n < 300; n += 9) {
		for (int step = 1; step <= 7; step += 6) { /* in order, and not; 7 is no divisor of 1000 */
			struct buf text = BUF_INIT(1 << 20);
			for (int i = 0; i < n; i++)
				buf_printf(&text, "%s\"%03d\":%d", i == 0 ? "{" : ",", i * step % 1000, i);
			buf_put_str(&text, "}");
			struct json *j = parsed(buf_bytes(&text));
			assert_int_equal(json_size(json_root(j)), n);
			for (int i = 0; i < n; i++) {
				char name[8];
				(void)snprintf(name, sizeof name, "%03d", i * step % 1000);
				const struct json_value *v = json_get(json_root(j), name);
				assert_non_null(v);
				assert_true(json_int(v) == i);
			}
			assert_null(json_get(json_root(j), "001 "));
			assert_null(json_get(json_root(j), ""));
			assert_null(json_get(json_root(j), "x"));
			json_free(j);
			buf_free(&text);
		}
	}
}

static void what_is_of_another_type_holds_nothing(void **state)
{
	static const char *const texts[] = {"null", "true",	"-1",	 "123456789012",
					    "0.5",  "\"text\"", "[1,2]", "{\"a\":1}"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct json *j = parsed_str(texts[i]);
		const struct json_value *v = json_root(j), *inner = NULL;
		const enum json_type t = json_type(v);
		struct bytes key;
		assert_int_equal(json_string(v).n, t == JSON_STRING ? 4 : 0);
		assert_int_equal(json_int(v) != 0, t == JSON_INT);
		assert_int_equal(json_size(v), t == JSON_ARRAY ? 2 : t == JSON_OBJECT);
		assert_int_equal(json_get(v, "a") != NULL, t == JSON_OBJECT);
		assert_int_equal(json_next(v, &key, &inner), t == JSON_ARRAY || t == JSON_OBJECT);
		json_free(j);
	}
	assert_null(json_get(NULL, "a"));
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
	JSON_PUT_KEY(&b, "a");
	json_put_int(&b, INT64_MIN);
	json_put_key(&b, "b\n");
	json_put_cstr(&b, "{");
	JSON_PUT_KEY(&b, "c");
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "d");
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
	JSON_PUT_KEY(&b, "hex");
	json_put_hex(&b, BYTES_LIT("\x00\xff"));
	JSON_PUT_KEY(&b, "no hex");
	json_put_hex(&b, BYTES_LIT(""));
	JSON_PUT_KEY(&b, "base64");
	json_put_base64(&b, BYTES_LIT("a"));
	JSON_PUT_KEY(&b, "absent");
	json_put_hex(&b, bytes_of(NULL, 0));
	JSON_PUT_KEY(&b, "absent too");
	json_put_base64(&b, bytes_of(NULL, 0));
	JSON_PUT_KEY(&b, "no text");
	json_put_cstr(&b, NULL);
	JSON_PUT_KEY(&b, "yes");
	json_put_bool(&b, true);
	JSON_PUT_KEY(&b, "no");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_type),
		cmocka_unit_test(reads_integers_of_64_bits_and_not_one_more),
		cmocka_unit_test(decodes_escapes_and_keeps_nul),
		cmocka_unit_test(iterates_in_the_order_of_the_text),
		cmocka_unit_test(refusals_say_where),
		cmocka_unit_test(nesting_ends_at_the_limit),
		cmocka_unit_test(reads_nothing_behind_the_text),
		cmocka_unit_test(every_failed_allocation_is_reported),
		cmocka_unit_test(a_text_has_a_greatest_length),
		cmocka_unit_test(the_first_fault_is_told),
		cmocka_unit_test(a_repeated_key_is_found_among_many),
		cmocka_unit_test(a_repeated_key_is_found_among_those_that_begin_with_it),
		cmocka_unit_test(members_of_wide_objects_are_found),
		cmocka_unit_test(what_is_of_another_type_holds_nothing),
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(wrong_fields_are_named),
		cmocka_unit_test(writes_members_with_commas),
		cmocka_unit_test(writes_encoded_bytes_or_null),
		cmocka_unit_test(writes_strings_escaped),
		cmocka_unit_test(writes_specials_at_every_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
