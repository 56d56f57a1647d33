#include "base/clock.h"

#include <limits.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(clockid_t id)
{
	struct timespec t = {0, 0};
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t mono_us(void *ctx)
{
	(void)ctx;
	struct timespec t = {0, 0};
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t boot_ms(void *ctx)
{
	(void)ctx;
	return now_ms(CLOCK_BOOTTIME);
}

static int64_t wall_ms(void *ctx)
{
	(void)ctx;
	return now_ms(CLOCK_REALTIME);
}

struct clock clock_system(void)
{
	return (struct clock){NULL, mono_us, boot_ms, wall_ms};
}

int clock_left_ms(const struct clock *c, int64_t until_ms)
{
	const int64_t left = until_ms - clock_mono(c);
	return left <= 0 ? 0 : left < INT_MAX ? (int)left : INT_MAX;
}

static void put_digits(char *to, size_t width, unsigned v)
{
	while (width > 0) {
		to[--width] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* Own arithmetic rather than gmtime_r: every log line and reply has a time in it, and gmtime_r takes the time-zone
 * lock of libc. Days are counted from 0000-03-01, so that the leap day is a year's last. */
void clock_text(int64_t wall, char out[CLOCK_TEXT_SIZE])
{
	const int64_t last_ms = INT64_C(253402300799999);
	int64_t ms = wall < 0 ? 0 : wall > last_ms ? last_ms : wall;
	unsigned second = (unsigned)(ms / 1000 % 86400);
	unsigned day = (unsigned)(ms / 86400000) + 719468;
	unsigned era = day / 146097, of_era = day % 146097;
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned shifted = (5 * of_year + 2) / 153;
	unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;

	memcpy(out, "0000-00-00T00:00:00Z", CLOCK_TEXT_SIZE);
	put_digits(out, 4, year + era * 400 + (month <= 2 ? 1 : 0));
	put_digits(out + 5, 2, month);
	put_digits(out + 8, 2, of_year - (153 * shifted + 2) / 5 + 1);
	put_digits(out + 11, 2, second / 3600);
	put_digits(out + 14, 2, second / 60 % 60);
	put_digits(out + 17, 2, second % 60);
}
