/* budget.h - how often the NSM may be asked, and by whom: a token bucket for each reach, and a share of the queue that
 * outsiders together cannot exceed, so that a flooding parent never silences the agent. Part of src/attest. All on the
 * loop's thread.
 */
#ifndef ATTESTD_BUDGET_H
#define ATTESTD_BUDGET_H

#include "base/bucket.h"
#include "base/err.h"

/* HTTP's reaches in their order (http_reach_index), then what is no HTTP. */
enum budget_reach {
	BUDGET_LOCAL,
	BUDGET_PUBLIC,
	BUDGET_TLS,
	BUDGET_PEER,
	BUDGET_PEER_TLS,
	BUDGET_VSOCK,
	BUDGET_REACHES
};

struct budget { /* embedded by value in struct app */
	struct bucket bucket[BUDGET_REACHES];
	int64_t outside_max; /* calls of outsiders that may wait at once: half of the queue */
	unsigned outside_waiting;
	uint64_t calls[BUDGET_REACHES], refused[BUDGET_REACHES];
};
/* queue: calls that may wait for the NSM at once. */
void budget_init(struct budget *b, int64_t rate, int64_t burst, int64_t queue, int64_t now_ms);
/* ERR_RATE or ERR_BUSY, told, with retry_after_s. Each ERR_OK is given back once. */
enum err budget_take(struct budget *b, enum budget_reach r, int64_t now_ms, struct why *w) MUST_USE;
void budget_give_back(struct budget *b, enum budget_reach r);

#endif
