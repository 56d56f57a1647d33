/* socket.c - an NSM that another process offers on a Unix socket: `attestd simulate`.
 *
 * One connection, used by one call at a time. After a fault it is closed, because nobody knows what of an old reply may
 * still come, and the next call makes a new one. A request is sent a second time only where the first cannot have been
 * read: to extend a PCR twice is not the same as once.
 */
#include "nsm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct link {
	pthread_mutex_t mutex;
	const struct clock *clock;
	int64_t timeout_ms;
	struct sockaddr_un address;
	int fd;		     /* -1: not connected */
	int64_t deadline_ms; /* of the call under way */
};

static const char *path_of(const struct link *l)
{
	return l->address.sun_path;
}

static void drop(struct link *l)
{
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

static enum err too_late(const struct link *l, struct why *w)
{
	return why_set(w, ERR_NSM, "the NSM on unix:%s did not answer within %g s", path_of(l),
		       (double)l->timeout_ms / 1000);
}

/* Until the socket is ready for `events`, or has failed, which the next call on it will tell. */
static enum err wait_for(const struct link *l, short events, struct why *w)
{
	for (int left; (left = clock_left_ms(l->clock, l->deadline_ms)) > 0;) {
		struct pollfd p = {.fd = l->fd, .events = events};
		const int n = poll(&p, 1, left);
		if (n > 0)
			return ERR_OK;
		if (n < 0 && errno != EINTR)
			return why_set(w, ERR_NSM, "waiting for the NSM on unix:%s: %s", path_of(l), strerror(errno));
	}
	return too_late(l, w);
}

/* e: what a failure counts as. */
static enum err join(struct link *l, enum err e, struct why *w)
{
	const int left = clock_left_ms(l->clock, l->deadline_ms);
	/* A listener whose queue is full would otherwise keep us for good. */
	const struct timeval patience = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 + 1};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return why_set(w, e, "no socket can be made for the NSM on unix:%s: %s", path_of(l), strerror(errno));
	int rc = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (rc == 0)
		rc = connect(fd, (const struct sockaddr *)&l->address, sizeof l->address);
	if (rc != 0) {
		const int error = errno;
		(void)close(fd);
		return why_set(w, e, "no NSM answers on unix:%s (%s): start `attestd simulate --socket %s`", path_of(l),
			       error == EAGAIN ? "it takes no connection in time" : strerror(error), path_of(l));
	}
	l->fd = fd;
	return ERR_OK;
}

/* Has the other side closed an idle connection, as it does when it ends? Whatever it says unasked is of no reply. */
static bool is_stale(const struct link *l)
{
	uint8_t b;
	const ssize_t n = recv(l->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT);
	return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* *broke: the connection ended before all was taken, so the request cannot have been worked on. */
static enum err send_all(const struct link *l, struct bytes x, bool *broke, struct why *w)
{
	while (x.n > 0) {
		const ssize_t n = send(l->fd, x.p, x.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			x.p += n;
			x.n -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			const enum err e = wait_for(l, POLLOUT, w);
			if (e != ERR_OK)
				return e;
		} else if (errno != EINTR) {
			*broke = errno == EPIPE || errno == ECONNRESET;
			return why_set(w, ERR_NSM, "the NSM on unix:%s does not take a request: %s", path_of(l),
				       strerror(errno));
		}
	}
	return ERR_OK;
}

/* Exactly n bytes, which are `what`. *broke: the connection ended with the request unread. */
static enum err receive(const struct link *l, const char *what, uint8_t *to, size_t n, bool *broke, struct why *w)
{
	for (size_t got = 0; got < n;) {
		const ssize_t r = recv(l->fd, to + got, n - got, MSG_DONTWAIT);
		if (r > 0) {
			got += (size_t)r;
		} else if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			const enum err e = wait_for(l, POLLIN, w);
			if (e != ERR_OK)
				return e;
		} else if (r == 0 || errno != EINTR) {
			/* What the kernel says where the other side closed with bytes of ours unread. */
			*broke = r < 0 && errno == ECONNRESET && got == 0;
			return why_set(w, ERR_NSM,
				       "the NSM on unix:%s ended the connection after %zu of %zu bytes of %s",
				       path_of(l), got, n, what);
		}
	}
	return ERR_OK;
}

static enum err read_reply(const struct link *l, struct buf *reply, bool *broke, struct why *w)
{
	uint8_t head[NSM_FRAME_HEAD];
	enum err e = receive(l, "a reply's length", head, sizeof head, broke, w);
	if (e != ERR_OK)
		return e;
	const size_t n = nsm_frame_length(head);
	if (n == 0 || n > NSM_REPLY_MAX)
		return why_set(w, ERR_NSM,
			       "the NSM on unix:%s announced a reply of %zu bytes, and one has 1 to %d: is that "
			       "`attestd simulate`?",
			       path_of(l), n, (int)NSM_REPLY_MAX);
	uint8_t *to = buf_reserve(reply, n);
	if (to == NULL)
		return buf_check(reply, w);
	bool half; /* what was answered in part is never asked again */
	e = receive(l, "a reply", to, n, &half, w);
	if (e == ERR_OK)
		reply->n += n;
	return e;
}

static enum err exchange(const struct link *l, struct bytes frame, struct buf *reply, bool *broke, struct why *w)
{
	const enum err e = send_all(l, frame, broke, w);
	return e != ERR_OK ? e : read_reply(l, reply, broke, w);
}

static enum err call(struct link *l, struct bytes frame, struct buf *reply, struct why *w)
{
	bool fresh = false;
	if (l->fd >= 0 && is_stale(l))
		drop(l);
	for (;;) {
		bool broke = false;
		enum err e = ERR_OK;
		if (l->fd < 0) {
			fresh = true;
			e = join(l, ERR_NSM, w);
		}
		if (e == ERR_OK)
			e = exchange(l, frame, reply, &broke, w);
		if (e != ERR_OK)
			drop(l);
		if (e == ERR_OK || fresh || !broke)
			return e;
	}
}

/* ---- the back end ---- */

static void socket_close(void *state)
{
	struct link *l = state;
	if (l == NULL)
		return;
	drop(l);
	(void)pthread_mutex_destroy(&l->mutex);
	free(l);
}

static enum err socket_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	const size_t n = strlen(address);
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (n == 0 || n >= sizeof to.sun_path)
		return why_set(w, ERR_CONFIG,
			       "the path in socket:PATH has %zu bytes, and that of a Unix socket has 1 to %zu", n,
			       sizeof to.sun_path - 1);
	memcpy(to.sun_path, address, n);
	struct link *l = malloc(sizeof *l);
	if (l == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the NSM on unix:%s", address);
	*l = (struct link){.clock = env->clock, .timeout_ms = env->timeout_ms, .address = to, .fd = -1};
	l->deadline_ms = clock_mono(l->clock) + l->timeout_ms;
	if (pthread_mutex_init(&l->mutex, NULL) != 0) {
		free(l);
		return why_set(w, ERR_MEMORY, "no memory for the NSM on unix:%s", address);
	}
	const enum err e = join(l, ERR_ENVIRONMENT, w);
	if (e != ERR_OK) {
		socket_close(l);
		return e;
	}
	*state = l;
	return ERR_OK;
}

static enum err socket_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	struct link *l = state;
	struct buf frame = BUF_INIT(NSM_FRAME_HEAD + NSM_REQUEST_MAX);
	if (request.n == 0 || request.n > NSM_REQUEST_MAX)
		return why_set(w, ERR_INTERNAL, "an NSM request of %zu bytes is not between 1 and %d", request.n,
			       (int)NSM_REQUEST_MAX);
	nsm_frame_begin(&frame);
	buf_put_bytes(&frame, request);
	if (!nsm_frame_end(&frame)) {
		const enum err e = buf_check(&frame, w);
		buf_free(&frame);
		return e;
	}
	(void)pthread_mutex_lock(&l->mutex);
	l->deadline_ms = clock_mono(l->clock) + l->timeout_ms;
	const enum err e = call(l, buf_bytes(&frame), reply, w);
	(void)pthread_mutex_unlock(&l->mutex);
	buf_free(&frame);
	return e;
}

const struct nsm_ops nsm_socket = {"socket", socket_open, socket_call, socket_close};
