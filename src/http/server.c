/* server.c - libmicrohttpd as the loop's guest: starting, accepting, draining. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ACCEPTS_PER_TURN = 64,
	ACCEPT_PAUSE_MS = 100,
	DRAIN_GRACE_MS = 250,
	MHD_SPARE_CONNECTIONS = 16,
	REFUSAL_MAX = 1024
};
enum { LAST_WORDS_MS = 100 }; /* for libmicrohttpd to take what a client sent before it hung up */

/* ---- the loop's guest ---- */

static int64_t guest_wait_ms(void *ctx)
{
	struct http_server *s = ctx;
	MHD_UNSIGNED_LONG_LONG mhd;
	if (s->must_run)
		return 0;
	int64_t ms = conn_wait_ms(s);
	if (MHD_get_timeout(s->daemon, &mhd) == MHD_YES && (ms < 0 || (int64_t)mhd < ms))
		ms = (int64_t)mhd;
	if (s->draining && (ms < 0 || ms > 10))
		ms = 10;
	return ms;
}

static void drain_step(struct http_server *s);

static void guest_run(void *ctx)
{
	struct http_server *s = ctx;
	conn_enforce(s);
	if (s->draining)
		drain_step(s);
	s->must_run = false;
	(void)MHD_run(s->daemon);
}

static bool guest_end_turn(void *ctx)
{
	struct http_server *s = ctx;
	struct why w = {0};
	bool let_go;
	if (s->store.dirty(s->store.ctx)) {
		const enum err e = s->store.commit(s->store.ctx, &w);
		if (e != ERR_OK) {
			s->count.commits_failed++;
			log_why(s->log, LOG_ERROR, "commit", &w);
		}
		let_go = request_settle(s, e != ERR_OK ? &w : NULL);
	} else {
		let_go = request_settle(s, NULL);
	}
	return let_go || s->must_run;
}

static void guest_flush(void *ctx)
{
	struct http_server *s = ctx;
	log_flush(s->log);
}

static void on_mhd(struct loop_io *io, uint32_t events)
{
	/* Its descriptor only has to end the wait: guest_run comes in every turn. */
	(void)io;
	(void)events;
}

/* ---- libmicrohttpd ---- */

/* On Unix sockets and vsock it tries TCP options for every reply and reports each failure; those lines go by format. */
static PRINTF_LIKE(2, 0) void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	struct http_server *s = cls;
	char line[256];
	if (strncmp(fmt, "Setting %s option", 17) == 0 || strncmp(fmt, "Failed to push the data", 23) == 0 ||
	    !log_wants(s->log, LOG_DEBUG))
		return;
	(void)vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_event(s->log, LOG_DEBUG, "libmicrohttpd", LOG_S("text", line));
}

static void on_connection(void *cls, struct MHD_Connection *mc, void **slot, enum MHD_ConnectionNotificationCode code)
{
	(void)mc;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		conn_started(cls, slot);
	else
		conn_ended(cls, slot);
}

/* Nothing is decoded before routing: %2F is not a slash, and %00 ends nothing. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mc, char *text)
{
	(void)cls;
	(void)mc;
	return strlen(text);
}

static enum err start_daemon(struct http_server *s, struct why *w)
{
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		request_step, s, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)HTTP_POOL, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)s->options.max_connections + MHD_SPARE_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
		MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_NOTIFY_COMPLETED, request_ended, s, MHD_OPTION_URI_LOG_CALLBACK, request_line, s,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, s, MHD_OPTION_END);
	if (s->daemon == NULL)
		return why_set(w, ERR_ENVIRONMENT, "libmicrohttpd did not start");
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	s->mhd_io = (struct loop_io){.fd = info->epoll_fd, .ready = on_mhd, .ctx = s};
	return loop_io_add(s->loop, &s->mhd_io, EPOLLIN, w);
}

enum err http_new(struct http_server **out, struct loop *loop, struct log *log, const struct http_options *o,
		  const struct http_route *routes, size_t n_routes, const struct http_store *store, void *app,
		  struct why *w)
{
	struct http_server *s = calloc(1, sizeof *s);
	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the HTTP server");
	s->loop = loop;
	s->log = log;
	s->options = *o;
	s->routes = routes;
	s->n_routes = n_routes;
	s->store = *store;
	s->app = app;
	s->owed[OWED_HEADER].ms = o->header_ms;
	s->owed[OWED_NEXT].ms = o->idle_ms;
	s->owed[OWED_BODY].ms = o->body_ms;
	s->owed[OWED_READING].ms = o->reply_ms;
	s->owed[OWED_LAST_WORDS].ms = LAST_WORDS_MS;
	const enum err e = start_daemon(s, w);
	if (e != ERR_OK) {
		if (s->daemon != NULL)
			MHD_stop_daemon(s->daemon);
		free(s);
		return e;
	}
	loop_set_guest(loop, (struct loop_guest){s, guest_wait_ms, guest_run, guest_end_turn, guest_flush});
	*out = s;
	return ERR_OK;
}

void http_abandon(struct http_server *s)
{
	request_abandon_all(s);
}

void http_free(struct http_server *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listener[i].io.fd >= 0)
			close(s->listener[i].io.fd);
	request_abandon_all(s);
	(void)guest_end_turn(s); /* what the store still holds back must not stay suspended */
	loop_set_guest(s->loop, (struct loop_guest){0});
	loop_io_del(s->loop, &s->mhd_io);
	MHD_stop_daemon(s->daemon);
	free(s);
}

/* ---- accepting ---- */

static void refuse(struct http_server *s, const struct listener *l, int fd)
{
	/* Said without reading the request and without waiting: whoever floods gets no more of us than this. */
	struct why w = {0};
	struct buf body = BUF_INIT(REFUSAL_MAX), reply = BUF_INIT(REFUSAL_MAX);
	const enum err e = why_tell(&w, ERR_CONNS_FULL, NULL, "Too many connections are open; try again shortly.");
	reply_problem(&w, &body);
	buf_printf(&reply,
		   "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
		   "Retry-After: 1\r\nConnection: close\r\n\r\n",
		   err_status(e), MHD_get_reason_phrase_for(err_status(e)), body.n);
	buf_put_bytes(&reply, buf_bytes(&body));
	s->count.connections_refused[http_reach_index(l->reach)]++;
	if (!body.failed && !reply.failed)
		(void)!send(fd, reply.p, reply.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
	buf_free(&body);
	buf_free(&reply);
}

static void hand_over(struct http_server *s, const struct listener *l, int fd, const struct sockaddr *sa, socklen_t n)
{
	s->accepting = l;
	s->accepting_fd = fd;
	(void)MHD_add_connection(s->daemon, fd, sa, n); /* closes fd itself when it fails */
	s->accepting = NULL;
}

static void on_pause_over(struct loop_timer *t)
{
	struct listener *l = t->ctx;
	struct why w = {0};
	if (l->io.fd >= 0 && loop_io_mod(l->server->loop, &l->io, EPOLLIN, &w) != ERR_OK)
		log_why(l->server->log, LOG_ERROR, "accept", &w);
}

static void on_listener(struct loop_io *io, uint32_t events)
{
	struct listener *l = io->ctx;
	struct http_server *s = l->server;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) { /* level triggered: the rest comes next turn */
		struct sockaddr_storage sa;
		socklen_t n = sizeof sa;
		const int fd = accept4(io->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (!conn_room(s, l->reach))
				refuse(s, l, fd);
			else
				hand_over(s, l, fd, (const struct sockaddr *)&sa, n);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) {
			/* Out of descriptors or memory: the listener would stay readable and the loop would spin. */
			struct why w = {0};
			log_event(s->log, LOG_WARN, "accept", LOG_S("text", strerror(errno)));
			if (loop_io_mod(s->loop, &l->io, 0, &w) == ERR_OK)
				loop_timer_arm(s->loop, &l->pause, ACCEPT_PAUSE_MS);
		}
		return;
	}
}

enum err http_listen(struct http_server *s, int fd, enum http_reach reach, bool any_host, struct why *w)
{
	if (s->n_listeners == HTTP_LISTENERS_MAX)
		return why_set(w, ERR_CONFIG, "more than %d listeners", HTTP_LISTENERS_MAX);
	struct listener *l = &s->listener[s->n_listeners];
	*l = (struct listener){.server = s, .reach = reach, .any_host = any_host};
	l->io = (struct loop_io){.fd = fd, .ready = on_listener, .ctx = l};
	l->pause = (struct loop_timer){.fire = on_pause_over, .ctx = l};
	const enum err e = loop_io_add(s->loop, &l->io, EPOLLIN, w);
	if (e == ERR_OK)
		s->n_listeners++;
	return e;
}

/* ---- the end ---- */

void http_drain(struct http_server *s, int64_t drain_ms, void (*drained)(void *ctx), void *ctx)
{
	if (s->draining)
		return;
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct listener *l = &s->listener[i];
		loop_timer_disarm(s->loop, &l->pause);
		loop_io_del(s->loop, &l->io);
		close(l->io.fd);
		l->io.fd = -1;
	}
	s->draining = true;
	s->drained = drained;
	s->drained_ctx = ctx;
	/* Busy keep-alive clients get this long to fetch one more reply, which says `Connection: close`. */
	s->drain_shut_ms = loop_now_ms(s->loop) + (drain_ms < DRAIN_GRACE_MS ? drain_ms : DRAIN_GRACE_MS);
	s->drain_end_ms = loop_now_ms(s->loop) + drain_ms;
}

static void drain_step(struct http_server *s)
{
	const int64_t now = loop_now_ms(s->loop);
	if (now >= s->drain_shut_ms)
		conn_shut_idle(s);
	uint64_t open = 0;
	for (size_t i = 0; i < HTTP_REACHES; i++)
		open += s->count.connections_open[i];
	if (s->drained == NULL || (open > 0 && now < s->drain_end_ms))
		return;
	if (s->working != NULL && !s->abandoned) {
		/* One more moment for the 503s to go out. */
		s->abandoned = true;
		s->drain_end_ms = now + DRAIN_GRACE_MS;
		request_abandon_all(s);
		return;
	}
	void (*drained)(void *) = s->drained;
	s->drained = NULL;
	drained(s->drained_ctx);
}

void http_count(const struct http_server *s, struct http_counters *out)
{
	*out = s->count;
	out->inflight_bytes = (uint64_t)(s->inflight[0] + s->inflight[1]);
}
