/* proxy_pump.c - bytes from one end to the other, through a pipe where the kernel moves them and else a buffer. */
#include "proxy_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct buffer {
	struct buffer *next; /* of those kept */
	enum buffer_kind kind;
	int pipe[2];
	size_t at, n; /* where the bytes begin in b; how many there are in b or the pipe */
	uint8_t b[];  /* PROXY_BUFFER of a BUFFER_MEMORY */
};

/* ---- pipes and buffers ---- */

static void buffer_free(struct buffer *x)
{
	if (x->kind == BUFFER_PIPE) {
		(void)close(x->pipe[0]);
		(void)close(x->pipe[1]);
	} else {
		mem_wipe(x->b, PROXY_BUFFER);
	}
	free(x);
}

void buffers_free(struct buffers *v)
{
	for (int kind = 0; kind < BUFFER_KINDS; kind++) {
		for (struct buffer *x = v->kept[kind], *next; x != NULL; x = next) {
			next = x->next;
			buffer_free(x);
		}
	}
	*v = (struct buffers){0};
}

/* NULL: there is no memory, or no descriptor. */
static struct buffer *take(struct buffers *v, enum buffer_kind kind)
{
	struct buffer *x = v->kept[kind];
	if (x != NULL) {
		v->kept[kind] = x->next;
		v->n_kept[kind]--;
		return x;
	}
	x = malloc(sizeof *x + (kind == BUFFER_MEMORY ? PROXY_BUFFER : 0));
	if (x == NULL)
		return NULL;
	x->kind = kind;
	x->at = x->n = 0;
	if (kind == BUFFER_PIPE && pipe2(x->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
		free(x);
		return NULL;
	}
	return x;
}

static void give_back(struct buffers *v, struct buffer *x)
{
	/* A pipe cannot be emptied but by reading it. */
	if ((x->kind == BUFFER_PIPE && x->n > 0) || v->n_kept[x->kind] == PROXY_BUFFERS_KEPT) {
		buffer_free(x);
		return;
	}
	x->at = x->n = 0;
	x->next = v->kept[x->kind];
	v->kept[x->kind] = x;
	v->n_kept[x->kind]++;
}

void stream_clear(struct buffers *v, struct stream *s)
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
static enum step fill(struct buffers *v, struct half *h, struct end *from)
{
	struct buffer *x = h->copies ? NULL : take(v, BUFFER_PIPE);
	if (x == NULL && (x = take(v, BUFFER_MEMORY)) == NULL)
		return STEP_STARVED;
	const ssize_t n = x->kind == BUFFER_PIPE
				  ? splice(from->io.fd, NULL, x->pipe[1], NULL, PROXY_BUFFER, SPLICE_F_NONBLOCK)
				  : recv(from->io.fd, x->b, PROXY_BUFFER, MSG_DONTWAIT);
	if (n > 0) {
		x->n = (size_t)n;
		h->held = x;
		return STEP_ON;
	}
	const int error = errno;
	const enum buffer_kind kind = x->kind;
	give_back(v, x);
	if (n == 0) {
		h->ended = true;
		return from->failed ? STEP_BROKEN : STEP_ON;
	}
	if (error == EAGAIN || error == EWOULDBLOCK)
		from->readable = false;
	else if (error == EINVAL && kind == BUFFER_PIPE)
		h->copies = true;
	else if (error != EINTR)
		return STEP_BROKEN;
	return STEP_ON;
}

/* The receiver does not take what is in a pipe. */
static enum step pipe_to_memory(struct buffers *v, struct half *h)
{
	struct buffer *pipe = h->held, *memory = take(v, BUFFER_MEMORY);
	if (memory == NULL)
		return STEP_STARVED;
	h->copies = true;
	while (pipe->n > 0) {
		const ssize_t n = read(pipe->pipe[0], memory->b + memory->n, pipe->n);
		if (n <= 0)
			break;
		memory->n += (size_t)n;
		pipe->n -= (size_t)n;
	}
	h->held = memory;
	const bool whole = pipe->n == 0;
	give_back(v, pipe);
	return whole ? STEP_ON : STEP_BROKEN;
}

/* Gives the receiver what is held. */
static enum step drain(struct buffers *v, struct half *h, struct end *to, uint64_t *moved)
{
	struct buffer *x = h->held;
	/* No SPLICE_F_MORE: what is held is all that there is for now. */
	const ssize_t n = x->kind == BUFFER_PIPE ? splice(x->pipe[0], NULL, to->io.fd, NULL, x->n, SPLICE_F_NONBLOCK)
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
	else if (errno == EINVAL && x->kind == BUFFER_PIPE)
		return pipe_to_memory(v, h);
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

enum flow stream_move(struct buffers *v, struct stream *s, int from, uint64_t *moved)
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
