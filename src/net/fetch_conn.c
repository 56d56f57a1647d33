/* fetch_conn.c - connecting to a server, TLS with it, and waiting for it no longer than is meant. */
#include "fetch_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"

enum err fetch_conn_init(struct fetch_conn *c, const struct fetch_url *url, const struct clock *clock,
			 int64_t timeout_ms, struct why *w)
{
	static const char *const schemes[][2] = {
		[NET_TCP] = {"http://", "https://"},
		[NET_UNIX] = {"unix:", "https+unix:"},
		[NET_VSOCK] = {"vsock:", "https+vsock:"},
	};
	const char *scheme = schemes[url->kind][url->tls], *plain = schemes[url->kind][0];
	const bool brackets = url->kind == NET_TCP && strchr(url->host, ':') != NULL;
	char text[NET_TARGET_MAX];

	*c = (struct fetch_conn){.url = url,
				 .clock = clock,
				 .timeout_ms = timeout_ms,
				 .deadline = clock_mono(clock) + timeout_ms,
				 .fd = -1};
	if (url->kind == NET_TCP) {
		(void)snprintf(c->who, sizeof c->who, "%s%s", scheme, url->authority);
		(void)snprintf(text, sizeof text, "tcp:%s%s%s:%s", brackets ? "[" : "", url->host, brackets ? "]" : "",
			       url->port);
		return net_target_parse(&c->to, text, w);
	}
	const char *colon = url->kind == NET_VSOCK ? ":" : "";
	(void)snprintf(c->who, sizeof c->who, "%s%s%s%s", scheme, url->host, colon, url->port);
	(void)snprintf(text, sizeof text, "%s%s%s%s", plain, url->host, colon, url->port);
	return net_target_parse(&c->to, text, w);
}

/* ---- waiting ---- */

static enum err too_late(const struct fetch_conn *c, struct why *w)
{
	return why_tell(w, ERR_ENVIRONMENT, NULL, "%s did not answer within %g s", c->who,
			(double)c->timeout_ms / 1000);
}

enum err fetch_conn_wait(const struct fetch_conn *c, short events, struct why *w)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	for (int left; (left = clock_left_ms(c->clock, c->deadline)) > 0;)
		if (events == 0 || poll(&p, 1, left) > 0)
			return ERR_OK;
	return too_late(c, w);
}

static short events_of(enum tls_step step)
{
	return step == TLS_WANT_WRITE ? POLLOUT : POLLIN;
}

/* ---- the connection ---- */

static enum err connect_server(struct fetch_conn *c, struct why *w)
{
	struct net_addr a[NET_LOOK_UP_MAX];
	size_t n = 0;
	const char *reason = connect_look_up(&c->to, a, &n);
	if (reason != NULL)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "the host of %s cannot be looked up: %s", c->who, reason);
	const int error = connect_until(&c->fd, a, n, c->clock, c->deadline);
	if (error == 0)
		return ERR_OK;
	if (clock_left_ms(c->clock, c->deadline) == 0)
		return too_late(c, w);
	return why_tell(w, ERR_ENVIRONMENT, NULL, "no server answers at %s: %s", c->who, strerror(error));
}

/* OpenSSL writes without MSG_NOSIGNAL, and a server that goes away must not end the program. */
static void hold_sigpipe(struct fetch_conn *c)
{
	sigset_t sigpipe, pending;
	(void)sigemptyset(&sigpipe);
	(void)sigaddset(&sigpipe, SIGPIPE);
	(void)sigpending(&pending);
	c->pending = sigismember(&pending, SIGPIPE) == 1;
	c->held = pthread_sigmask(SIG_BLOCK, &sigpipe, &c->mask) == 0;
}

static void release_sigpipe(struct fetch_conn *c)
{
	const struct timespec none = {0};
	sigset_t sigpipe;
	if (!c->held)
		return;
	(void)sigemptyset(&sigpipe);
	(void)sigaddset(&sigpipe, SIGPIPE);
	while (!c->pending && sigtimedwait(&sigpipe, NULL, &none) < 0 && errno == EINTR)
		;
	(void)pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
	c->held = false;
}

static enum err shake_hands(struct fetch_conn *c, struct why *w)
{
	struct why inner = {0};
	enum tls_step step;
	while ((step = tls_handshake(c->tls, &inner)) == TLS_WANT_READ || step == TLS_WANT_WRITE) {
		const enum err e = fetch_conn_wait(c, events_of(step), w);
		if (e != ERR_OK)
			return e;
	}
	if (step != TLS_DONE)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "%s speaks no TLS that can be used: %s", c->who,
				step == TLS_ENDED ? "it ended the handshake" : inner.text);
	return tls_peer_of(c->tls, &c->peer, w);
}

/* Before a byte is said: the key that was attested is the only proof of who listens. */
static enum err check_key(const struct fetch_conn *c, const uint8_t *wanted, struct why *w)
{
	const uint8_t *is = tls_peer_key_hash(c->peer);
	if (wanted == NULL || (is != NULL && bytes_equal(bytes_of(wanted, SHA256_SIZE), bytes_of(is, SHA256_SIZE))))
		return ERR_OK;
	return why_tell(
		w, ERR_UNATTESTED, NULL,
		"%s proves another key than the attested one: somebody in between ends TLS with a key of their own",
		c->who);
}

enum err fetch_conn_open(struct fetch_conn *c, const struct fetch_request *r, struct why *w)
{
	enum err e = connect_server(c, w);
	if (e != ERR_OK || !c->url->tls)
		return e;
	hold_sigpipe(c);
	char name[NET_HOST_MAX + 1] = "";
	if (c->url->kind == NET_TCP)
		(void)snprintf(name, sizeof name, "%s", c->to.host);
	const size_t n = strlen(name);
	if (n > 0 && name[n - 1] == '.')
		name[n - 1] = '\0'; /* RFC 6066, section 3: without the root's dot */
	if ((e = tls_connect(r->own, n > 0 ? name : NULL, c->fd, &c->tls, w)) != ERR_OK ||
	    (e = shake_hands(c, w)) != ERR_OK)
		return e;
	return check_key(c, r->server_key_hash, w);
}

void fetch_conn_close(struct fetch_conn *c)
{
	struct why unsaid = {0};
	if (c->peer != NULL)
		(void)!tls_end(c->tls, &unsaid);
	tls_peer_free(c->peer);
	tls_free(c->tls);
	if (c->fd >= 0)
		(void)close(c->fd);
	release_sigpipe(c);
}

/* ---- bytes ---- */

static enum tls_step step_of(int error, enum tls_step waits, struct why *w)
{
	if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)
		return waits;
	(void)why_tell(w, ERR_ENVIRONMENT, NULL, "%s", strerror(error));
	return TLS_BROKEN;
}

enum tls_step fetch_conn_read(struct fetch_conn *c, uint8_t *out, size_t cap, size_t *n, struct why *w)
{
	if (c->tls != NULL)
		return tls_read(c->tls, out, cap, n, w);
	const ssize_t got = recv(c->fd, out, cap, MSG_DONTWAIT);
	if (got < 0)
		return step_of(errno, TLS_WANT_READ, w);
	*n = (size_t)got;
	return got > 0 ? TLS_DONE : TLS_ENDED;
}

enum tls_step fetch_conn_write(struct fetch_conn *c, struct bytes in, size_t *n, struct why *w)
{
	if (c->tls != NULL)
		return tls_write(c->tls, in, n, w);
	const ssize_t sent = send(c->fd, in.p, in.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return step_of(errno, TLS_WANT_WRITE, w);
	*n = (size_t)sent;
	return TLS_DONE;
}
