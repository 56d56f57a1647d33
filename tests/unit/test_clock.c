#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

static void known_times_have_their_texts(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{999, "1970-01-01T00:00:00Z"},
		{1000, "1970-01-01T00:00:01Z"},
		{INT64_C(951782399000), "2000-02-28T23:59:59Z"},
		{INT64_C(951782400000), "2000-02-29T00:00:00Z"},
		{INT64_C(1769774400000), "2026-01-30T12:00:00Z"},
		{INT64_C(4107542399999), "2100-02-28T23:59:59Z"},
		{INT64_C(4107542400000), "2100-03-01T00:00:00Z"},
		{INT64_C(253402300799999), "9999-12-31T23:59:59Z"},
		{INT64_C(253402300800000), "9999-12-31T23:59:59Z"},
		{INT64_MAX, "9999-12-31T23:59:59Z"},
		{-1, "1970-01-01T00:00:00Z"},
		{INT64_MIN, "1970-01-01T00:00:00Z"},
	};
	char out[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clock_text(cases[i].ms, out);
		assert_string_equal(out, cases[i].text);
	}
}

static void every_day_agrees_with_the_c_library(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 2932897; day += day < 100000 ? 1 : 17) {
		time_t t = (time_t)(day * 86400 + day % 86400);
		char out[CLOCK_TEXT_SIZE], want[80];
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
			 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		clock_text((int64_t)t * 1000, out);
		assert_string_equal(out, want);
	}
}

static void the_system_clocks_run_forward(void **state)
{
	struct clock c = clock_system();
	int64_t mono = clock_mono(&c), boot = clock_boot(&c);

	(void)state;
	assert_true(mono > 0 && boot >= mono);
	assert_true(clock_mono(&c) >= mono);
	assert_true(clock_boot(&c) >= boot);
	assert_true(clock_wall(&c) / 1000 - (int64_t)time(NULL) <= 1);
}

static int64_t at_us(void *ctx)
{
	return *(const int64_t *)ctx;
}

static void what_is_left_is_what_poll_takes(void **state)
{
	int64_t us = 5000000;
	const struct clock c = {&us, at_us, at_us, at_us};
	(void)state;
	assert_int_equal(clock_left_ms(&c, 5001), 1);
	assert_int_equal(clock_left_ms(&c, 5000), 0);
	assert_int_equal(clock_left_ms(&c, 4999), 0);
	assert_int_equal(clock_left_ms(&c, INT64_C(5000) + INT_MAX - 1), INT_MAX - 1);
	assert_int_equal(clock_left_ms(&c, INT64_C(5000) + INT_MAX), INT_MAX);
	assert_int_equal(clock_left_ms(&c, INT64_C(5000) + INT_MAX + 1), INT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_times_have_their_texts),
		cmocka_unit_test(every_day_agrees_with_the_c_library),
		cmocka_unit_test(the_system_clocks_run_forward),
		cmocka_unit_test(what_is_left_is_what_poll_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
