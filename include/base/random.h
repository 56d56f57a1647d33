/* random.h - randomness is passed in, so that tests can. The system's source is crypto_random(). */
#ifndef ATTESTD_BASE_RANDOM_H
#define ATTESTD_BASE_RANDOM_H

#include "base/bytes.h"

struct random {
	void *ctx;
	enum err (*fill)(void *ctx, uint8_t *out, size_t n, struct why *w); /* safe from any thread */
};

static inline MUST_USE enum err random_fill(const struct random *r, uint8_t *out, size_t n, struct why *w)
{
	return r->fill(r->ctx, out, n, w);
}

#endif
