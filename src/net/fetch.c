/* fetch.c - the HTTP client: a connection, a request, and the bytes of its reply. */
#include "fetch.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "fetch_reply.h"

enum {
	REQUEST_HEAD_MAX = FETCH_URL_MAX + FETCH_PATH_MAX + 1024,
	BLOCK = 16 * 1024,
	RETRY_MS = 20,
	WHO_MAX = FETCH_HOST_MAX + 32,
};

struct exchange {
	const struct fetch_url *url;
	const struct fetch_request *request;
	const struct clock *clock;
	int64_t deadline;  /* of all of it, by clock_mono() */
	char who[WHO_MAX]; /* the server, as messages name it */
	int fd;
	struct buf head; /* of the request */
	size_t sent;	 /* of head and body */
};

static void name_server(struct exchange *x)
{
	const struct fetch_url *u = x->url;
	if (u->kind == NET_TCP)
		(void)snprintf(x->who, sizeof x->who, "http://%s", u->authority);
	else if (u->kind == NET_UNIX)
		(void)snprintf(x->who, sizeof x->who, "unix:%s", u->host);
	else
		(void)snprintf(x->who, sizeof x->who, "vsock:%s:%s", u->host, u->port);
}

/* ---- waiting ---- */

static int left_ms(const struct exchange *x, int64_t deadline)
{
	const int64_t left = deadline - clock_mono(x->clock);
	return left <= 0 ? 0 : left < INT_MAX ? (int)left : INT_MAX;
}

static enum err too_late(const struct exchange *x, struct why *w)
{
	return why_tell(w, ERR_ENVIRONMENT, NULL, "%s did not answer within %g s", x->who,
			(double)x->request->timeout_ms / 1000);
}

static enum err fault(const struct exchange *x, const char *what, int error, struct why *w)
{
	return why_tell(w, ERR_ENVIRONMENT, NULL, "%s %s: %s", x->who, what, strerror(error));
}

/* The events that came, 0 if it is too late. */
static short wait_for(const struct exchange *x, int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	for (int left; (left = left_ms(x, deadline)) > 0;)
		if (poll(&p, 1, left) > 0)
			return p.revents;
	return 0;
}

/* ---- connecting ---- */

/* 0, or the error that a connection under way ends in. */
static int connected(const struct exchange *x, int fd, int64_t deadline)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (wait_for(x, fd, POLLOUT, deadline) == 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

/* 0, or the error. A Unix socket whose queue is full says EAGAIN, and nothing tells when there is room. */
static int connect_until(const struct exchange *x, int fd, const struct sockaddr *to, socklen_t n, int64_t deadline)
{
	while (connect(fd, to, n) != 0) {
		const int left = left_ms(x, deadline);
		if (errno == EINPROGRESS || errno == EINTR)
			return connected(x, fd, deadline);
		if (errno != EAGAIN || left == 0)
			return errno == EAGAIN ? ETIMEDOUT : errno;
		(void)poll(NULL, 0, left < RETRY_MS ? left : RETRY_MS);
	}
	return 0;
}

/* 0, and the connection is in x->fd; or the error. */
static int try_address(struct exchange *x, const struct sockaddr *to, socklen_t n, int64_t deadline)
{
	const int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	const int error = connect_until(x, fd, to, n, deadline);
	if (error == 0)
		x->fd = fd;
	else
		(void)close(fd);
	return error;
}

static enum err no_answer(const struct exchange *x, int error, struct why *w)
{
	if (left_ms(x, x->deadline) == 0)
		return too_late(x, w);
	return why_tell(w, ERR_ENVIRONMENT, NULL, "no server answers at %s: %s", x->who, strerror(error));
}

static enum err connect_tcp(struct exchange *x, struct why *w)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *all = NULL;
	const int failed = getaddrinfo(x->url->host, x->url->port, &hints, &all);
	if (failed != 0)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "the host of %s cannot be looked up: %s", x->who,
				failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
	int remaining = 0, error = ETIMEDOUT;
	for (const struct addrinfo *a = all; a != NULL; a = a->ai_next)
		remaining++;
	/* An address that swallows what is sent to it must leave time for the others. */
	for (const struct addrinfo *a = all; a != NULL && error != 0; a = a->ai_next, remaining--)
		error = try_address(x, a->ai_addr, a->ai_addrlen,
				    clock_mono(x->clock) + left_ms(x, x->deadline) / remaining);
	freeaddrinfo(all);
	return error == 0 ? ERR_OK : no_answer(x, error, w);
}

static enum err connect_unix(struct exchange *x, struct why *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	memcpy(to.sun_path, x->url->host, strlen(x->url->host) + 1);
	const int error = try_address(x, (const struct sockaddr *)&to, sizeof to, x->deadline);
	return error == 0 ? ERR_OK : no_answer(x, error, w);
}

static enum err connect_vsock(struct exchange *x, struct why *w)
{
	const struct sockaddr_vm to = {.svm_family = AF_VSOCK,
				       .svm_cid = (unsigned)strtoul(x->url->host, NULL, 10),
				       .svm_port = (unsigned)strtoul(x->url->port, NULL, 10)};
	const int error = try_address(x, (const struct sockaddr *)&to, sizeof to, x->deadline);
	return error == 0 ? ERR_OK : no_answer(x, error, w);
}

static enum err connect_any(struct exchange *x, struct why *w)
{
	switch (x->url->kind) {
	case NET_UNIX:
		return connect_unix(x, w);
	case NET_VSOCK:
		return connect_vsock(x, w);
	default:
		return connect_tcp(x, w);
	}
}

/* ---- the request ---- */

/* Nothing that would end a line or a word of the request. */
static bool is_visible(const char *s, bool spaces)
{
	for (; *s != '\0'; s++)
		if ((*s <= ' ' && !(spaces && *s == ' ')) || *s >= 0x7f)
			return false;
	return true;
}

static enum err write_head(struct exchange *x, struct why *w)
{
	const struct fetch_request *r = x->request;
	const bool has_body = r->content_type != NULL;
	if (!is_visible(r->method, false) || r->path[0] != '/' || !is_visible(r->path, false) ||
	    strlen(r->path) > FETCH_PATH_MAX || (has_body ? !is_visible(r->content_type, true) : r->body.n > 0))
		return why_set(w, ERR_INTERNAL, "a request that cannot be written as HTTP");
	buf_put_str(&x->head, r->method);
	buf_put_u8(&x->head, ' ');
	buf_put_str(&x->head, x->url->prefix);
	buf_put_str(&x->head, r->path);
	buf_printf(&x->head, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: attestd/%s\r\n", x->url->authority, ATTESTD_VERSION);
	buf_put_str(&x->head, "Accept: application/json\r\nConnection: close\r\n");
	if (has_body)
		buf_printf(&x->head, "Content-Type: %s\r\nContent-Length: %zu\r\n", r->content_type, r->body.n);
	buf_put_str(&x->head, "\r\n");
	return buf_check(&x->head, w);
}

static size_t unsent(const struct exchange *x)
{
	return x->head.n + x->request->body.n - x->sent;
}

/* Head and body go together: two small packets would wait for each other. */
static ssize_t send_some(const struct exchange *x)
{
	const size_t in_head = x->sent < x->head.n ? x->sent : x->head.n, in_body = x->sent - in_head;
	struct iovec v[2] = {{x->head.p + in_head, x->head.n - in_head}};
	if (x->request->body.n > 0)
		v[1] = (struct iovec){(uint8_t *)(uintptr_t)x->request->body.p + in_body, x->request->body.n - in_body};
	const struct msghdr m = {.msg_iov = v, .msg_iovlen = sizeof v / sizeof v[0]};
	return sendmsg(x->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static enum err send_more(struct exchange *x, struct why *w)
{
	const ssize_t n = send_some(x);
	if (n >= 0)
		x->sent += (size_t)n;
	else if (errno == EPIPE || errno == ECONNRESET)
		/* It has heard enough, and may have said why before it closed. */
		x->sent += unsent(x);
	else if (!is_passing(errno))
		return fault(x, "does not take the request", errno, w);
	return ERR_OK;
}

/* ---- the exchange ---- */

static enum err read_more(const struct exchange *x, struct fetch_reader *reader, bool *done, struct why *w)
{
	uint8_t block[BLOCK];
	enum err e = ERR_OK;
	const ssize_t n = recv(x->fd, block, sizeof block, MSG_DONTWAIT);
	if (n > 0) {
		e = fetch_reader_feed(reader, bytes_of(block, (size_t)n), done, w);
	} else if (n == 0) {
		e = fetch_reader_end(reader, w);
		*done = true;
	} else if (!is_passing(errno)) {
		e = fault(x, "broke the connection off", errno, w);
	}
	mem_wipe(block, n > 0 ? (size_t)n : 0);
	return e;
}

static enum err talk(struct exchange *x, struct fetch_reader *reader, struct why *w)
{
	bool done = false;
	while (!done) {
		const short want = unsent(x) > 0 ? POLLIN | POLLOUT : POLLIN;
		const short events = wait_for(x, x->fd, want, x->deadline);
		enum err e = ERR_OK;
		if (events == 0)
			return too_late(x, w);
		/* First what it says: an early answer is the reason why it takes no more. */
		if ((events & ~POLLOUT) != 0)
			e = read_more(x, reader, &done, w);
		if (e == ERR_OK && !done && (events & POLLOUT) != 0 && unsent(x) > 0)
			e = send_more(x, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err fetch(const struct fetch_url *url, const struct fetch_request *r, const struct clock *clock,
	       struct fetch_reply *out, struct why *w)
{
	struct exchange x = {.url = url,
			     .request = r,
			     .clock = clock,
			     .deadline = clock_mono(clock) + r->timeout_ms,
			     .fd = -1,
			     .head = BUF_INIT(REQUEST_HEAD_MAX)};
	struct fetch_reader *reader = NULL;
	enum err e;

	name_server(&x);
	if ((e = write_head(&x, w)) != ERR_OK || (e = fetch_reader_new(&reader, x.who, r->reply_max, w)) != ERR_OK ||
	    (e = connect_any(&x, w)) != ERR_OK || (e = talk(&x, reader, w)) != ERR_OK)
		goto out;
	fetch_reader_take(reader, out);
out:
	if (x.fd >= 0)
		(void)close(x.fd);
	fetch_reader_free(reader);
	buf_free(&x.head);
	return e;
}
