/* budget.c - how often the NSM may be asked, and by whom. */
#include "budget.h"

void budget_init(struct budget *b, int64_t rate, int64_t burst, int64_t queue, int64_t now_ms)
{
	*b = (struct budget){.outside_max = (queue + 1) / 2};
	for (size_t i = 0; i < BUDGET_REACHES; i++)
		bucket_init(&b->bucket[i], rate, burst, now_ms);
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
	const unsigned wait_s = bucket_take(&b->bucket[r], now_ms);
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
