/* bucket.c - tokens that come with time. */
#include "base/bucket.h"

void bucket_init(struct bucket *b, int64_t rate, int64_t burst, int64_t now_ms)
{
	*b = (struct bucket){rate, burst, burst * 1000, now_ms};
}

unsigned bucket_take(struct bucket *b, int64_t now_ms)
{
	const int64_t full = b->burst * 1000;
	const int64_t added = (now_ms - b->at_ms) * b->rate;
	b->at_ms = now_ms;
	b->milli_tokens = added >= full - b->milli_tokens ? full : b->milli_tokens + added;
	if (b->milli_tokens >= 1000) {
		b->milli_tokens -= 1000;
		return 0;
	}
	const int64_t ms = (1000 - b->milli_tokens + b->rate - 1) / b->rate;
	return (unsigned)((ms + 999) / 1000);
}
