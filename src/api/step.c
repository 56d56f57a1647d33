#include <stdlib.h>

#include "internal.h"

void *api_new(struct http_req *r, size_t size)
{
	void *p = calloc(1, size);
	if (p == NULL) {
		struct why w = {0};
		(void)why_set(&w, ERR_MEMORY, "no memory for a request");
		http_fail(r, &w);
	}
	return p;
}

void api_abort(struct http_req *r, struct http_job *j, const struct why *w)
{
	http_fail(r, w);
	j->drop(j);
}

void api_step(struct http_req *r, struct http_job *j, bool away, enum loop_lane lane, int64_t timeout_ms,
	      void (*work)(struct http_job *j), void (*then)(struct http_req *r, struct http_job *j))
{
	struct why w = {0};
	j->work = work;
	j->then = then;
	if (!away) {
		work(j);
		then(r, j);
	} else if (http_defer(r, lane, j, timeout_ms, &w) != ERR_OK) {
		api_abort(r, j, &w);
	}
}
