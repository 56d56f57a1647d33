/* turn.c - what a turn changed in memory, to be undone if its commit fails. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum err turn_reserve(struct sessions *s, struct why *w)
{
	struct turn *t = &s->turn;
	struct turn_entry *e;
	size_t cap;

	if (t->n < t->cap)
		return ERR_OK;
	cap = t->cap == 0 ? 64 : t->cap * 2;
	e = reallocarray(t->e, cap, sizeof *e);
	if (e == NULL)
		return why_set(w, ERR_MEMORY, "no memory to note a change of %zu in one turn", t->n + 1);
	t->e = e;
	t->cap = cap;
	return ERR_OK;
}

void turn_note(struct sessions *s, enum turn_kind kind, struct session *x, const uint8_t *iv)
{
	struct turn_entry *e = &s->turn.e[s->turn.n++];

	*e = (struct turn_entry){.kind = kind, .x = x};
	if (iv != NULL)
		memcpy(e->iv, iv, AEAD_IV_SIZE);
}

static void undo(struct sessions *s, const struct turn_entry *e)
{
	switch (e->kind) {
	case TURN_ADDED:
		/* A worker may hold it and come back with it: it then is one that has ended. */
		table_unlink(s, e->x);
		e->x->ended = true;
		session_release(e->x);
		break;
	case TURN_ENDED:
		e->x->ended = false;
		table_relink(s, e->x);
		break;
	case TURN_MESSAGE:
		seen_remove(&e->x->seen, &s->hash, e->iv);
		e->x->messages--;
		s->seen_ivs--;
		break;
	}
}

void session_turn_end(struct sessions *s, bool committed)
{
	struct turn *t = &s->turn;

	/* Backwards in both cases: undo needs the order, and releasing does not mind. */
	while (t->n > 0) {
		const struct turn_entry *e = &t->e[--t->n];

		if (!committed)
			undo(s, e);
		else if (e->kind == TURN_ENDED)
			session_release(e->x);
	}
}

void turn_free(struct sessions *s)
{
	for (size_t i = 0; i < s->turn.n; i++)
		if (s->turn.e[i].kind == TURN_ENDED)
			session_release(s->turn.e[i].x);
	free(s->turn.e);
	s->turn = (struct turn){0};
}
