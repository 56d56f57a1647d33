/* How much memory a document takes while its text is read, and that it is wiped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "json/tape.h"

/* The linker puts these in the places of malloc and free (Makefile). What is written to the document's memory is what
 * is no longer as it was, also beyond what was asked for. */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void __real_free(void *p);
void __wrap_free(void *p);

enum { UNTOUCHED = 0xa5, BEYOND = 64 };

static struct {
	bool on;
	uint8_t *p;
	size_t n, touched;
} watch;

void *__wrap_malloc(size_t n)
{
	if (!watch.on || watch.p != NULL)
		return __real_malloc(n);
	watch.n = n + BEYOND;
	watch.p = __real_malloc(watch.n);
	assert_non_null(watch.p);
	memset(watch.p, UNTOUCHED, watch.n);
	return watch.p;
}

void __wrap_free(void *p)
{
	if (p != NULL && p == watch.p) {
		watch.on = false;
		for (watch.touched = watch.n; watch.p[watch.touched - 1] == UNTOUCHED;)
			watch.touched--;
		for (size_t i = 0; i < watch.touched; i++)
			assert_int_equal(watch.p[i], 0);
		watch.p = NULL;
	}
	__real_free(p);
}

/* Reads the text, of which nothing must be left, and returns how many words were written to. */
static size_t taken(struct bytes text, bool *good)
{
	struct json *j = NULL;
	struct why w = {0};
	watch.on = true;
	const enum err e = json_parse(&j, text, &w);
	assert_true(e == ERR_OK || e == ERR_INVALID);
	*good = e == ERR_OK;
	json_free(j);
	assert_false(watch.on);
	return (watch.touched - sizeof *j + sizeof j->root[0] - 1) / sizeof j->root[0];
}

/* In words beyond the text's bytes. */
static long excess(struct bytes text, bool whole)
{
	bool good;
	const size_t words = taken(text, &good);
	assert_int_equal(good, whole);
	assert_true(!good || words * sizeof(struct json_value) <= 3 * text.n + 1);
	assert_true(words <= text.n + TAPE_SPARE);
	return (long)words - (long)text.n;
}

static struct buf nested(const char *const parts[3], size_t depth)
{
	struct buf text = BUF_INIT(1 << 16);
	for (size_t i = 0; i < depth; i++)
		buf_put_str(&text, parts[0]);
	buf_put_str(&text, parts[1]);
	for (size_t i = 0; i < depth; i++)
		buf_put_str(&text, parts[2]);
	assert_false(text.failed);
	return text;
}

static void the_densest_texts_fit_also_when_they_are_cut_off(void **state)
{
	static const char *const parts[][3] = {
		{"{\"b\":0,\"a\":", "0", "}"},
		{"{\"b\":", "0", ",\"\":0}"},
		{"[", "", "]"},
		{"[", "{}", "]"},
		{"[", "\"a\"", "]"},
		{"{\"\":", "[]", "}"},
		{"[0,", "0", "]"},
		{"[1e5,\"a\",", "1e5", ",1e5]"},
		{"{\"a\":", "1e22", "}"},
		{"[[],{},", "{}", "]"},
		{"[67108864,", "4294967296e0", "]"},
		{"{\"a\":0,\"a\":", "0", "}"},
	};
	enum { DENSEST = 0, TWICE = sizeof parts / sizeof parts[0] - 1, DEPTH = 20 };
	long most = 0;
	(void)state;
	for (size_t i = 0; i <= TWICE; i++) {
		struct buf text = nested(parts[i], JSON_DEPTH_MAX - 1);
		const long e = excess(buf_bytes(&text), i != TWICE);
		if (i == DENSEST) /* nothing of the three bytes is left over */
			assert_true(4 * e == 1 - (long)text.n);
		buf_free(&text);
		text = nested(parts[i], DEPTH);
		for (size_t n = 0; n < text.n; n++) {
			const long cut = excess(bytes_of(text.p, n), false);
			most = cut > most ? cut : most;
		}
		buf_free(&text);
	}
	assert_int_equal(most, TAPE_SPARE);
}

static void every_short_text_fits(void **state)
{
	static const char letters[] = "[]{},:\"0\\";
	enum { LENGTH_MAX = 5, LETTERS = sizeof letters - 1 };
	size_t texts = 1;
	(void)state;
	for (size_t n = 1; n <= LENGTH_MAX; n++) {
		texts *= LETTERS;
		for (size_t number = 0; number < texts; number++) {
			uint8_t text[LENGTH_MAX];
			size_t left = number;
			for (size_t i = 0; i < n; i++, left /= LETTERS)
				text[i] = (uint8_t)letters[left % LETTERS];
			bool good;
			const size_t words = taken(bytes_of(text, n), &good);
			if (words * sizeof(struct json_value) >
			    (good ? 3 * n + 1 : sizeof(struct json_value) * (n + TAPE_SPARE)))
				fail_msg("%.*s takes %zu words", (int)n, (const char *)text, words);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_densest_texts_fit_also_when_they_are_cut_off),
		cmocka_unit_test(every_short_text_fits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
