/* client.c - one exchange of the vsock protocol, from the side that asks. */
#include "vsock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096 };

struct exchange {
	const struct clock *clock;
	int64_t deadline, timeout_ms;
	char who[NET_TARGET_MAX];
	int fd;
	struct bytes unsent;
	struct buf got;
};

static enum err too_late(const struct exchange *x, struct why *w)
{
	return why_tell(w, ERR_ENVIRONMENT, NULL, "%s did not answer within %g s", x->who,
			(double)x->timeout_ms / 1000);
}

/* The events that came, 0 if it is too late. */
static short wait_for(const struct exchange *x, short events)
{
	struct pollfd p = {.fd = x->fd, .events = events};
	for (int left; (left = clock_left_ms(x->clock, x->deadline)) > 0;)
		if (poll(&p, 1, left) > 0)
			return p.revents;
	return 0;
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static enum err send_more(struct exchange *x, struct why *w)
{
	const ssize_t n = send(x->fd, x->unsent.p, x->unsent.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		x->unsent = bytes_of(x->unsent.p + n, x->unsent.n - (size_t)n);
	else if (errno == EPIPE || errno == ECONNRESET)
		/* It has heard enough, and may have said why before it closed. */
		x->unsent.n = 0;
	else if (!is_passing(errno))
		return why_tell(w, ERR_ENVIRONMENT, NULL, "%s does not take the request: %s", x->who, strerror(errno));
	return ERR_OK;
}

/* ---- the reply ---- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Other servers of this protocol leave the newline out; an object that is whole shows that nothing was cut off. */
static enum err end(struct exchange *x, bool *done, struct why *w)
{
	size_t n = x->got.n;
	while (n > 0 && is_space(x->got.p[n - 1]))
		n--;
	if (n == 0)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "%s closed the connection without a reply", x->who);
	if (x->got.p[n - 1] != '}')
		return why_tell(w, ERR_ENVIRONMENT, NULL, "%s closed the connection in the middle of its reply",
				x->who);
	*done = true;
	return ERR_OK;
}

static enum err look(struct exchange *x, size_t before, bool *done, struct why *w)
{
	const uint8_t *newline = memchr(x->got.p + before, '\n', x->got.n - before);
	if (newline != NULL)
		x->got.n = (size_t)(newline - x->got.p);
	*done = newline != NULL;
	if (x->got.n > VSOCK_REPLY_MAX)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "the reply of %s has more than %d bytes", x->who,
				VSOCK_REPLY_MAX);
	return ERR_OK;
}

static enum err read_more(struct exchange *x, bool *done, struct why *w)
{
	const size_t before = x->got.n;
	uint8_t *to = buf_reserve(&x->got, BLOCK);
	if (to == NULL)
		return buf_check(&x->got, w);
	const ssize_t n = recv(x->fd, to, BLOCK, MSG_DONTWAIT);
	if (n == 0)
		return end(x, done, w);
	if (n < 0 && is_passing(errno))
		return ERR_OK;
	if (n < 0)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "%s broke the connection off: %s", x->who, strerror(errno));
	x->got.n += (size_t)n;
	return look(x, before, done, w);
}

/* ---- both ---- */

static enum err talk(struct exchange *x, struct why *w)
{
	bool done = false;
	while (!done) {
		const short events = wait_for(x, x->unsent.n > 0 ? POLLIN | POLLOUT : POLLIN);
		enum err e = ERR_OK;
		if (events == 0)
			return too_late(x, w);
		/* First what it says: an early answer is the reason why it takes no more. */
		if ((events & ~POLLOUT) != 0)
			e = read_more(x, &done, w);
		if (e == ERR_OK && !done && (events & POLLOUT) != 0 && x->unsent.n > 0)
			e = send_more(x, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err vsock_ask(const struct net_target *to, struct bytes request, const struct clock *clock, int64_t timeout_ms,
		   struct buf *reply, struct why *w)
{
	struct exchange x = {.clock = clock,
			     .deadline = clock_mono(clock) + timeout_ms,
			     .timeout_ms = timeout_ms,
			     .fd = -1,
			     .unsent = request,
			     .got = BUF_INIT(VSOCK_REPLY_MAX + BLOCK)};
	net_target_text(to, x.who);
	enum err e = net_dial(&x.fd, to, clock, x.deadline, w);
	if (e == ERR_OK)
		e = talk(&x, w);
	if (e == ERR_OK) {
		*reply = x.got;
		x.got = BUF_INIT(0);
	}
	if (x.fd >= 0)
		(void)close(x.fd);
	buf_free(&x.got);
	return e;
}
