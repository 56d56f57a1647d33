/* proxy_pump.c - bytes from one end to the other, through a pipe where the kernel moves them and else a buffer. */
#include "proxy_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct vessel {
	struct vessel *next; /* of those kept */
	enum vessel_kind kind;
	int pipe[2];
	size_t at, n; /* where the bytes begin in b; how many there are in b or the pipe */
	uint8_t b[];  /* PROXY_BUFFER of a VESSEL_BUFFER */
};

/* ---- vessels ---- */

static void vessel_free(struct vessel *x)
{
	if (x->kind == VESSEL_PIPE) {
		(void)close(x->pipe[0]);
		(void)close(x->pipe[1]);
	} else {
		mem_wipe(x->b, PROXY_BUFFER);
	}
	free(x);
}

void vessels_free(struct vessels *v)
{
	for (int kind = 0; kind < VESSEL_KINDS; kind++) {
		for (struct vessel *x = v->kept[kind], *next; x != NULL; x = next) {
			next = x->next;
			vessel_free(x);
		}
	}
	*v = (struct vessels){0};
}

/* NULL: there is no memory, or no descriptor. */
static struct vessel *take(struct vessels *v, enum vessel_kind kind)
{
	struct vessel *x = v->kept[kind];
	if (x != NULL) {
		v->kept[kind] = x->next;
		v->n_kept[kind]--;
		return x;
	}
	x = malloc(sizeof *x + (kind == VESSEL_BUFFER ? PROXY_BUFFER : 0));
	if (x == NULL)
		return NULL;
	x->kind = kind;
	x->at = x->n = 0;
	if (kind == VESSEL_PIPE && pipe2(x->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
		free(x);
		return NULL;
	}
	return x;
}

static void give_back(struct vessels *v, struct vessel *x)
{
	/* A pipe cannot be emptied but by reading it. */
	if ((x->kind == VESSEL_PIPE && x->n > 0) || v->n_kept[x->kind] == PROXY_VESSELS_KEPT) {
		vessel_free(x);
		return;
	}
	x->at = x->n = 0;
	x->next = v->kept[x->kind];
	v->kept[x->kind] = x;
	v->n_kept[x->kind]++;
}

void stream_clear(struct vessels *v, struct stream *s)
{
	for (int i = 0; i < ENDS; i++) {
		if (s->half[i].held != NULL)
			give_back(v, s->half[i].held);
		s->half[i].held = NULL;
	}
}

/* ---- one step ---- */

enum step { STEP_ON, STEP_STARVED, STEP_BROKEN };

/* Takes bytes from the sender, of whom nothing is held. */
static enum step fill(struct vessels *v, struct half *h, struct end *from)
{
	struct vessel *x = h->copies ? NULL : take(v, VESSEL_PIPE);
	if (x == NULL && (x = take(v, VESSEL_BUFFER)) == NULL)
		return STEP_STARVED;
	const ssize_t n = x->kind == VESSEL_PIPE
				  ? splice(from->io.fd, NULL, x->pipe[1], NULL, PROXY_BUFFER, SPLICE_F_NONBLOCK)
				  : recv(from->io.fd, x->b, PROXY_BUFFER, MSG_DONTWAIT);
	if (n > 0) {
		x->n = (size_t)n;
		h->held = x;
		return STEP_ON;
	}
	const int error = errno;
	const enum vessel_kind kind = x->kind;
	give_back(v, x);
	if (n == 0) {
		h->ended = true;
		return from->failed ? STEP_BROKEN : STEP_ON;
	}
	if (error == EAGAIN || error == EWOULDBLOCK)
		from->readable = false;
	else if (error == EINVAL && kind == VESSEL_PIPE)
		h->copies = true;
	else if (error != EINTR)
		return STEP_BROKEN;
	return STEP_ON;
}

/* The receiver does not take what is in a pipe. */
static enum step pour(struct vessels *v, struct half *h)
{
	struct vessel *x = h->held, *buffer = take(v, VESSEL_BUFFER);
	if (buffer == NULL)
		return STEP_STARVED;
	h->copies = true;
	while (x->n > 0) {
		const ssize_t n = read(x->pipe[0], buffer->b + buffer->n, x->n);
		if (n <= 0)
			break;
		buffer->n += (size_t)n;
		x->n -= (size_t)n;
	}
	h->held = buffer;
	const bool whole = x->n == 0;
	give_back(v, x);
	return whole ? STEP_ON : STEP_BROKEN;
}

/* Gives the receiver what is held. */
static enum step drain(struct vessels *v, struct half *h, struct end *to, uint64_t *moved)
{
	struct vessel *x = h->held;
	/* No SPLICE_F_MORE: what is held is all that there is for now. */
	const ssize_t n = x->kind == VESSEL_PIPE ? splice(x->pipe[0], NULL, to->io.fd, NULL, x->n, SPLICE_F_NONBLOCK)
						 : send(to->io.fd, x->b + x->at, x->n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n > 0) {
		x->at += (size_t)n;
		x->n -= (size_t)n;
		*moved += (uint64_t)n;
		if (x->n == 0) {
			h->held = NULL;
			give_back(v, x);
		}
		return STEP_ON;
	}
	if (n == 0)
		return STEP_BROKEN;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		to->writable = false;
	else if (errno == EINVAL && x->kind == VESSEL_PIPE)
		return pour(v, h);
	else if (errno != EINTR)
		return STEP_BROKEN;
	return STEP_ON;
}

/* ---- a turn ---- */

/* False: the receiver is no longer there to be told. One that has said all that it had to say, and hung up without an
 * error, needs no telling. */
static bool tell_end(const struct end *to, const struct half *back)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (shutdown(to->io.fd, SHUT_WR) == 0)
		return true;
	return errno == ENOTCONN && back->ended && getsockopt(to->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	       error == 0;
}

enum flow stream_move(struct vessels *v, struct stream *s, int from, uint64_t *moved)
{
	struct half *h = &s->half[from];
	struct end *sender = &s->end[from], *receiver = &s->end[!from];
	const uint64_t most = *moved + PROXY_TURN_BYTES;
	enum step step = STEP_ON;
	while (step == STEP_ON) {
		if (h->held != NULL) {
			if (!receiver->writable)
				return FLOW_WAITS;
			step = drain(v, h, receiver, moved);
		} else {
			if (h->ended || !sender->readable)
				break;
			if (*moved >= most)
				return FLOW_MORE;
			step = fill(v, h, sender);
		}
	}
	if (step == STEP_STARVED)
		return FLOW_STARVED;
	if (step == STEP_ON && h->ended && !h->done)
		h->done = tell_end(receiver, &s->half[!from]);
	return step == STEP_BROKEN || h->ended != h->done ? FLOW_BROKEN : FLOW_WAITS;
}
