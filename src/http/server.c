/* server.c - libmicrohttpd as the loop's guest: starting, accepting, draining. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN_GRACE_MS = 250, MHD_SPARE_CONNECTIONS = 16, REFUSAL_MAX = 1024 };
enum { RESERVE = 8 };	      /* the part of connections and bytes in flight that outsiders together never take */
enum { LAST_WORDS_MS = 100 }; /* for libmicrohttpd to take what a client sent before it hung up */

const char *http_reach_name(size_t index)
{
	static const char *const names[HTTP_REACHES] = {"local", "public", "tls", "peer", "peer_tls"};
	return names[index];
}

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

/* Each share leaves something to local callers, but all of them together may not. */
static void keep_reserve(struct http_server *s)
{
	const struct http_options *o = &s->options;
	s->outside_connections = o->max_connections - o->max_connections / RESERVE;
	s->outside_inflight = o->max_inflight - o->max_inflight / RESERVE;
	for (size_t i = 0; i < HTTP_REACHES; i++) {
		if (o->share[i].connections > s->outside_connections)
			s->outside_connections = o->share[i].connections;
		if (o->share[i].inflight > s->outside_inflight)
			s->outside_inflight = o->share[i].inflight;
	}
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
	keep_reserve(s);
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
		net_listener_close(&s->listener[i].taker);
	request_abandon_all(s);
	(void)guest_end_turn(s); /* what the store still holds back must not stay suspended */
	loop_set_guest(s->loop, (struct loop_guest){0});
	loop_io_del(s->loop, &s->mhd_io);
	MHD_stop_daemon(s->daemon);
	kept_free(s);
	for (size_t i = 0; i < s->n_listeners; i++)
		tls_front_free(s->listener[i].front);
	free(s);
}

/* ---- accepting ---- */

static void refuse(struct http_server *s, const struct listener *l, int fd)
{
	s->count.connections_refused[http_reach_index(l->how.reach)]++;
	if (l->front != NULL) { /* whose plain text would be no answer */
		close(fd);
		return;
	}
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
	if (!body.failed && !reply.failed)
		(void)!send(fd, reply.p, reply.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
	buf_free(&body);
	buf_free(&reply);
}

static void hand_over(const struct listener *l, int fd, const struct sockaddr *from, socklen_t n, struct tls_peer *peer)
{
	struct http_server *s = l->server;
	s->accepting = l;
	s->accepting_fd = fd;
	s->accepting_peer = peer;
	(void)MHD_add_connection(s->daemon, fd, from, n); /* closes fd when it fails */
	tls_peer_free(s->accepting_peer);
	s->accepting_peer = NULL;
	s->accepting = NULL;
}

static void on_accepted(struct net_listener *taker, int fd, const struct sockaddr_storage *from, socklen_t n)
{
	const struct listener *l = taker->ctx;
	if (!conn_room(l->server, l->how.reach))
		refuse(l->server, l, fd);
	else if (l->front != NULL)
		tls_front_take(l->front, fd);
	else
		hand_over(l, fd, (const struct sockaddr *)from, n, NULL);
}

static void on_secured(void *ctx, int fd, struct tls_peer *peer)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNIX};
	hand_over(ctx, fd, &nobody, sizeof nobody.sa_family, peer);
}

static void on_accept_failed(struct net_listener *taker, const struct why *w)
{
	const struct listener *l = taker->ctx;
	log_why(l->server->log, LOG_WARN, "accept", w);
}

enum err http_listen(struct http_server *s, int fd, const struct http_listener *how, struct why *w)
{
	if (s->n_listeners == HTTP_LISTENERS_MAX) {
		close(fd);
		return why_set(w, ERR_CONFIG, "more than %d listeners", HTTP_LISTENERS_MAX);
	}
	struct listener *l = &s->listener[s->n_listeners];
	*l = (struct listener){
		.taker = {.loop = s->loop, .accepted = on_accepted, .failed = on_accept_failed, .ctx = l},
		.server = s,
		.how = *how,
	};
	enum err e = how->tls == NULL
			     ? ERR_OK
			     : tls_front_new(&l->front, s->loop, s->log, how->tls, &how->tls_limits, on_secured, l, w);
	if (e != ERR_OK) {
		close(fd);
		return e;
	}
	e = net_listener_open(&l->taker, fd, w);
	if (e == ERR_OK)
		s->n_listeners++;
	else
		tls_front_free(l->front);
	return e;
}

void http_count_tls(const struct http_server *s, enum http_reach reach, struct tls_front_counters *out)
{
	*out = (struct tls_front_counters){.open = 0};
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct tls_front_counters one;
		if (s->listener[i].front == NULL || s->listener[i].how.reach != reach)
			continue;
		tls_front_count(s->listener[i].front, &one);
		out->handshakes += one.handshakes;
		out->failed += one.failed;
		out->refused += one.refused;
		out->timed_out += one.timed_out;
		out->open += one.open;
		out->handshaking += one.handshaking;
	}
}

/* ---- the end ---- */

void http_drain(struct http_server *s, int64_t drain_ms, void (*drained)(void *ctx), void *ctx)
{
	if (s->draining)
		return;
	for (size_t i = 0; i < s->n_listeners; i++) {
		net_listener_close(&s->listener[i].taker);
		if (s->listener[i].front != NULL)
			tls_front_drain(s->listener[i].front);
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
	if (s->drained == NULL || (conn_open(s) > 0 && now < s->drain_end_ms))
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
	out->inflight_bytes = 0;
	for (size_t i = 0; i < HTTP_REACHES; i++)
		out->inflight_bytes += (uint64_t)s->inflight[i];
}
