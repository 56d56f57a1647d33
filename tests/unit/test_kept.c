/* Responses that are kept for replies of the same length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/internal.h"

static const uint8_t text[KEPT_LENGTH_MAX + 1] = "the body of a reply";

static struct http_server *server(void)
{
	struct http_server *s = calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static void a_length_is_kept_up_to_its_limit(void **state)
{
	(void)state;
	struct http_server *s = server();
	assert_null(kept_take(s, bytes_of(text, 0)));
	assert_null(kept_take(s, bytes_of(text, KEPT_LENGTH_MAX + 1)));
	struct kept *k = kept_take(s, bytes_of(text, KEPT_LENGTH_MAX));
	assert_non_null(k);
	assert_non_null(kept_response(k));
	kept_return(s, k);
	assert_int_equal(s->n_kept, 1);
	kept_free(s);
	assert_int_equal(s->n_kept, 0);
	free(s);
}

static void one_is_used_again_for_its_length_and_no_other(void **state)
{
	(void)state;
	struct http_server *s = server();
	struct kept *k = kept_take(s, bytes_of(text, 10));
	kept_return(s, k);
	struct kept *other = kept_take(s, bytes_of(text, 11)), *same = kept_take(s, bytes_of(text, 10));
	assert_ptr_not_equal(other, k);
	assert_ptr_equal(same, k);
	/* It is in use: the next of its length gets another. */
	struct kept *second = kept_take(s, bytes_of(text, 10));
	assert_ptr_not_equal(second, k);
	kept_return(s, other);
	kept_return(s, same);
	kept_return(s, second);
	kept_free(s);
	free(s);
}

static void a_body_is_wiped_when_it_comes_back(void **state)
{
	(void)state;
	struct http_server *s = server();
	struct kept *k = kept_take(s, bytes_of(text, sizeof "the body of a reply"));
	assert_string_equal((const char *)kept_body(k), "the body of a reply");
	kept_return(s, k);
	assert_string_equal((const char *)kept_body(k), "");
	kept_free(s);
	free(s);
}

static void no_more_are_kept_than_the_limit(void **state)
{
	(void)state;
	static struct kept *k[KEPT_MAX + 1];
	struct http_server *s = server();
	for (size_t i = 0; i <= KEPT_MAX; i++)
		k[i] = kept_take(s, bytes_of(text, 1 + i % 7));
	for (size_t i = 0; i < KEPT_MAX; i++)
		kept_return(s, k[i]);
	assert_int_equal(s->n_kept, KEPT_MAX);
	kept_return(s, k[KEPT_MAX]);
	assert_int_equal(s->n_kept, KEPT_MAX);
	kept_free(s);
	assert_int_equal(s->n_kept, 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_length_is_kept_up_to_its_limit),
		cmocka_unit_test(one_is_used_again_for_its_length_and_no_other),
		cmocka_unit_test(a_body_is_wiped_when_it_comes_back),
		cmocka_unit_test(no_more_are_kept_than_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
