/* clock.h - time is passed in, never asked for behind the caller's back.
 *
 * boot: CLOCK_BOOTTIME, which goes on during suspend; sessions expire by it. mono: CLOCK_MONOTONIC, for deadlines.
 * wall: CLOCK_REALTIME, only ever printed (in an enclave it is the parent's word). Milliseconds, but for mono_us.
 */
#ifndef ATTESTD_BASE_CLOCK_H
#define ATTESTD_BASE_CLOCK_H

#include <stdint.h>

struct clock {
	void *ctx;
	int64_t (*mono_us)(void *ctx);
	int64_t (*boot_ms)(void *ctx);
	int64_t (*wall_ms)(void *ctx);
};

struct clock clock_system(void);

static inline int64_t clock_mono(const struct clock *c)
{
	return c->mono_us(c->ctx) / 1000;
}
static inline int64_t clock_boot(const struct clock *c)
{
	return c->boot_ms(c->ctx);
}
static inline int64_t clock_wall(const struct clock *c)
{
	return c->wall_ms(c->ctx);
}

/* From now until clock_mono() is at until_ms: 0 when it is, or was; INT_MAX at most, as poll(2) takes it. */
int clock_left_ms(const struct clock *c, int64_t until_ms);

enum { CLOCK_TEXT_SIZE = 21 };
/* UTC as RFC 3339 in whole seconds, "2026-01-30T12:00:00Z"; years outside 1970-9999 are clamped. */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

#endif
