/* bucket.h - a token bucket: how often something may come. */
#ifndef ATTESTD_BASE_BUCKET_H
#define ATTESTD_BASE_BUCKET_H

#include <stdint.h>

/* Embedded by value. Tokens: `rate` a second up to `burst`, both at least 1. */
struct bucket {
	int64_t rate, burst, milli_tokens, at_ms;
};
void bucket_init(struct bucket *b, int64_t rate, int64_t burst, int64_t now_ms); /* full */
/* Takes one token: 0, or in how many seconds there will be one. now_ms: never less than the time before. */
unsigned bucket_take(struct bucket *b, int64_t now_ms);

#endif
