/* How often something may come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bucket.h"

static void a_bucket_gives_its_burst_and_then_one_at_a_time(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 2, 3, 1000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(bucket_take(&b, 1000), 0);
	assert_int_equal(bucket_take(&b, 1000), 1);
	assert_int_equal(bucket_take(&b, 1499), 1);
	assert_int_equal(bucket_take(&b, 1500), 0);
	assert_int_equal(bucket_take(&b, 1500), 1);
}

static void a_bucket_holds_no_more_than_its_burst(void **state)
{
	struct bucket b;
	(void)state;
	bucket_init(&b, 100000, 2, 0);
	assert_int_equal(bucket_take(&b, 0), 0);
	const int64_t later = INT64_C(100) * 365 * 24 * 3600 * 1000;
	assert_int_equal(bucket_take(&b, later), 0);
	assert_int_equal(bucket_take(&b, later), 0);
	assert_int_equal(bucket_take(&b, later), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_gives_its_burst_and_then_one_at_a_time),
		cmocka_unit_test(a_bucket_holds_no_more_than_its_burst),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
