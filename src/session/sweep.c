/* sweep.c - housekeeping: what has expired, seen rows that nobody needs, the last sign of life. */
#include "internal.h"

enum err sweep_expired(struct sessions *s, unsigned limit, bool *more, struct why *w)
{
	int64_t now = clock_boot(s->env.clock);
	struct session *x;

	for (*more = false; (x = s->edge.next) != &s->edge && now >= x->expires_boot_ms; limit--) {
		enum err e;

		if (limit == 0) {
			*more = true;
			break;
		}
		e = session_end_it(s, x, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err sweep_put_last_boot(struct sessions *s, int64_t now, struct why *w)
{
	uint8_t v[8];
	enum err e;

	put_be(v, sizeof v, (uint64_t)now);
	e = store_meta_put(s->env.store, "last_boot_ms", bytes_of(v, sizeof v), w);
	if (e == ERR_OK)
		s->last_boot_ms = now;
	return e;
}

void sweep_add_mark(struct sessions *s, int64_t now, int64_t due)
{
	int64_t mark = store_seen_mark(s->env.store);

	if (mark == s->last_mark || s->marks == MARKS_MAX)
		return;
	s->mark[(s->mark_first + s->marks++) % MARKS_MAX] = (struct seen_mark){mark, due};
	s->last_mark = mark;
	s->last_mark_boot_ms = now;
}

/* Not before every expired session is gone: a row that came back after a crash would come back without its IVs. A mark
 * that is dropped and whose deletions are then rolled back is made up for by the next one. */
static enum err sweep_seen(struct sessions *s, int64_t now, unsigned limit, bool *more, struct why *w)
{
	const struct seen_mark *m = &s->mark[s->mark_first];
	enum err e;

	*more = false;
	if (s->marks == 0 || now < m->due_boot_ms)
		return ERR_OK;
	e = store_sweep(s->env.store, m->mark, limit, more, w);
	if (e == ERR_OK && !*more) {
		s->mark_first = (s->mark_first + 1) % MARKS_MAX;
		s->marks--;
	}
	return e;
}

bool session_sweep(struct sessions *s, unsigned limit, unsigned rows)
{
	int64_t now = clock_boot(s->env.clock);
	bool more = false;
	struct why w = {0};
	enum err e = sweep_expired(s, limit, &more, &w);

	if (e == ERR_OK && !more)
		e = sweep_seen(s, now, rows, &more, &w);
	if (now - s->last_mark_boot_ms >= s->env.limits.lifetime_ms / MARKS_PER_LIFETIME)
		sweep_add_mark(s, now, now + s->env.limits.lifetime_ms);
	/* Only sessions under a configured key outlive a boot, and only for them is the time of the last sign of life
	 * needed; an idle server writes nothing. */
	if (e == ERR_OK && !s->kek_generated && s->count > 0 && now - s->last_boot_ms >= LAST_BOOT_EVERY_MS)
		e = sweep_put_last_boot(s, now, &w);
	/* What failed has poisoned the turn's transaction; the commit reports it, and the next call tries again. */
	return e == ERR_OK && more;
}
