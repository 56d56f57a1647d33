/* budget.c - how often the NSM may be asked, and by whom. */
#include "budget.h"

void budget_bucket_init(struct budget_bucket *b, int64_t rate, int64_t burst, int64_t now_ms)
{
	*b = (struct budget_bucket){rate, burst, burst * 1000, now_ms};
}

unsigned budget_bucket_take(struct budget_bucket *b, int64_t now_ms)
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

void budget_init(struct budget *b, int64_t rate, int64_t burst, int64_t queue, int64_t now_ms)
{
	*b = (struct budget){.outside_max = (queue + 1) / 2};
	for (size_t i = 0; i < BUDGET_REACHES; i++)
		budget_bucket_init(&b->bucket[i], rate, burst, now_ms);
}

enum err budget_take(struct budget *b, enum budget_reach r, int64_t now_ms, struct why *w)
{
	if (r != BUDGET_LOCAL && b->outside_waiting >= b->outside_max) {
		b->refused[r]++;
		(void)why_tell(w, ERR_BUSY, NULL,
			       "Too many attestations are waiting on this listener; try again shortly.");
		w->retry_after_s = 1;
		return w->err;
	}
	const unsigned wait_s = budget_bucket_take(&b->bucket[r], now_ms);
	if (wait_s > 0) {
		b->refused[r]++;
		(void)why_tell(w, ERR_RATE, NULL,
			       "More than %lld attestations a second were asked for; try again in %u s.",
			       (long long)b->bucket[r].rate, wait_s);
		w->retry_after_s = wait_s;
		return w->err;
	}
	b->calls[r]++;
	if (r != BUDGET_LOCAL)
		b->outside_waiting++;
	return ERR_OK;
}

void budget_give_back(struct budget *b, enum budget_reach r)
{
	if (r != BUDGET_LOCAL)
		b->outside_waiting--;
}
