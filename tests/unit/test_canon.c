#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "json.h"

enum { TEXT_MAX = 1 << 16 };

static struct json *parsed(const char *text)
{
	struct why w = {.text = ""};
	struct json *j = NULL;

	if (json_parse(&j, bytes_str(text), &w) != ERR_OK)
		fail_msg("refused: %s", w.text);
	return j;
}

static void in_chunks(const struct json *j, bool quoted, size_t chunk, struct buf *out)
{
	struct json_canon *c = NULL;
	struct why w;
	size_t n = 1;

	assert_int_equal(json_canon_new(&c, json_root(j), quoted, &w), ERR_OK);
	while (n > 0) {
		uint8_t *p = buf_reserve(out, chunk);

		assert_non_null(p);
		assert_int_equal(json_canon_read(c, p, chunk, &n, &w), ERR_OK);
		assert_true(n <= chunk);
		out->n += n;
	}
	assert_int_equal(json_canon_read(c, out->p, chunk, &n, &w), ERR_OK);
	assert_int_equal(n, 0);
	json_canon_free(c);
}

static void assert_canon(const char *text, const char *want)
{
	struct json *j = parsed(text);
	struct buf b = BUF_INIT(TEXT_MAX);
	struct why w;

	assert_int_equal(json_canon_all(json_root(j), &b, &w), ERR_OK);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
	json_free(j);
}

static void scalars(void **state)
{
	(void)state;
	assert_canon("null", "null");
	assert_canon(" true", "true");
	assert_canon("false ", "false");
	assert_canon("-0", "0");
	assert_canon("\"\\/\"", "\"/\"");
	assert_canon("-9223372036854775808", "-9223372036854775808");
	assert_canon("\"\\u0000\\u001F\\u007f\x7f\\\"\\\\\\n\\r\\t\\f\\b~ \"",
		     "\"\\u0000\\u001f\\u007f\\u007f\\\"\\\\\\n\\r\\t\\f\\b~ \"");
	assert_canon("\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\\u00e9\\ud83d\\ude00\"");
}

static void reals_as_repr_prints_them(void **state)
{
	(void)state;
	assert_canon("[0.1, 1.0, -0.0, 1e16, 1e15, 0.00001, 0.0001, 1E22, 123456789012345680.0]",
		     "[0.1, 1.0, -0.0, 1e+16, 1000000000000000.0, 1e-05, 0.0001, 1e+22, 1.2345678901234568e+17]");
	assert_canon("[4.9406564584124654e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e100, 1e-100]",
		     "[5e-324, 2.2250738585072014e-308, 1.7976931348623157e+308, 1e+100, 1e-100]");
	assert_canon("[0.30000000000000004, 9007199254740993.0, 100.50, 5e-1, 9999999999999998.0]",
		     "[0.30000000000000004, 9007199254740992.0, 100.5, 0.5, 9999999999999998.0]");
	/* powers of two of which the closest 16 digits are read as another double, and so the next digits are right */
	assert_canon("[7.120236347223045e-307, 5.684341886080802e-14, 6.189700196426902e26, 6.237000967296e290]",
		     "[7.120236347223045e-307, 5.684341886080802e-14, 6.189700196426902e+26, 6.237000967296e+290]");
}

static void containers_and_the_order_of_keys(void **state)
{
	(void)state;
	assert_canon("[]", "[]");
	assert_canon("{ }", "{}");
	assert_canon("[[],{},[{}]]", "[[], {}, [{}]]");
	assert_canon("{\"b\":1,\"a\":{\"z\":[],\"y\":2},\"\":3,\"aa\":4}",
		     "{\"\": 3, \"a\": {\"y\": 2, \"z\": []}, \"aa\": 4, \"b\": 1}");
	assert_canon("{\"\\ud800\\udc00\":1,\"\\uffff\":2,\"a\\u0000b\":3,\"a\":4,\"a\\u0000\":5}",
		     "{\"a\": 4, \"a\\u0000\": 5, \"a\\u0000b\": 3, \"\\uffff\": 2, \"\\ud800\\udc00\": 1}");
}

static void every_chunk_size_yields_the_same(void **state)
{
	struct json *j = parsed("{\"k\xc3\xa9\": [1.5, -7, true, null, \"a\\\"b\\\\c\\n\xf0\x9f\x98\x80 "
				"0123456789012345678901234567890123456789\"], \"a\": {}, \"\": [[]]}");
	static const char want[] = "{\"\": [[]], \"a\": {}, \"k\\u00e9\": [1.5, -7, true, null, "
				   "\"a\\\"b\\\\c\\n\\ud83d\\ude00 0123456789012345678901234567890123456789\"]}";
	static const char quoted[] = "{\\\"\\\": [[]], \\\"a\\\": {}, \\\"k\\\\u00e9\\\": [1.5, -7, true, null, "
				     "\\\"a\\\\\\\"b\\\\\\\\c\\\\n\\\\ud83d\\\\ude00 "
				     "0123456789012345678901234567890123456789\\\"]}";

	(void)state;
	for (size_t chunk = 1; chunk < 300; chunk++) {
		struct buf a = BUF_INIT(TEXT_MAX), b = BUF_INIT(TEXT_MAX);

		in_chunks(j, false, chunk, &a);
		in_chunks(j, true, chunk, &b);
		assert_string_equal(buf_cstr(&a), want);
		assert_string_equal(buf_cstr(&b), quoted);
		buf_free(&a);
		buf_free(&b);
	}
	json_free(j);
}

/* Wide objects, one inside the other, their names in no order. */
static void wide_objects_are_put_in_order(void **state)
{
	enum { WIDE = 3000 };
	struct buf text = BUF_INIT(1 << 20), want = BUF_INIT(1 << 20);
	(void)state;
	for (int depth = 0; depth < 3; depth++) {
		buf_put_str(&text, "[{");
		buf_put_str(&want, "[{");
		for (int i = 0; i < WIDE; i++) {
			buf_printf(&text, "\"user %05d\":%d,", (i * 7919 + 1) % WIDE, i);
			/* 1679 * 7919 = 1 (mod 3000) */
			buf_printf(&want, "\"user %05d\": %d, ", i, (i + WIDE - 1) * 1679 % WIDE);
		}
		buf_put_str(&text, "\"zz\":");
		buf_put_str(&want, "\"zz\": ");
	}
	buf_put_str(&text, "{\"b\":1,\"a\":2}}]}]}]");
	buf_put_str(&want, "{\"a\": 2, \"b\": 1}}]}]}]");
	struct json *j = parsed(buf_cstr(&text));
	for (size_t chunk = 1; chunk < 200; chunk += 33) {
		struct buf got = BUF_INIT(1 << 20);
		in_chunks(j, false, chunk, &got);
		assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
		buf_free(&got);
	}
	json_free(j);
	buf_free(&text);
	buf_free(&want);
}

static void nesting_up_to_the_limit(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 1];

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	text[sizeof text - 1] = '\0';
	assert_canon(text, text);
}

static void a_buffer_may_be_filled_to_its_maximum(void **state)
{
	struct json *j = parsed("[1,2]");
	struct buf exact = BUF_INIT(6), small = BUF_INIT(6);
	struct why w;

	(void)state;
	assert_int_equal(json_canon_all(json_root(j), &exact, &w), ERR_OK);
	assert_int_equal(exact.n, 6);
	buf_put_str(&small, "x");
	assert_int_equal(json_canon_all(json_root(j), &small, &w), ERR_MEMORY);
	assert_int_equal(small.n, 1);
	buf_free(&exact);
	buf_free(&small);
	json_free(j);
	json_canon_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),
		cmocka_unit_test(reals_as_repr_prints_them),
		cmocka_unit_test(containers_and_the_order_of_keys),
		cmocka_unit_test(every_chunk_size_yields_the_same),
		cmocka_unit_test(wide_objects_are_put_in_order),
		cmocka_unit_test(nesting_up_to_the_limit),
		cmocka_unit_test(a_buffer_may_be_filled_to_its_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
