/* request.c - a request's way from its first line to its last reply byte, with the jobs and the commit in between. */
#include "internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { GROWTH = 8 };

/* ---- life ---- */

size_t request_body_max(const struct http_req *r, const struct http_route *route)
{
	const struct http_options *o = &r->server->options;
	if (route != NULL && route->body == HTTP_RAW_BODY)
		return (size_t)o->max_raw_body;
	return (size_t)(r->reach == HTTP_LOCAL || o->max_body < HTTP_PUBLIC_BODY_MAX ? o->max_body
										     : HTTP_PUBLIC_BODY_MAX);
}

void *request_line(void *server, const char *target, struct MHD_Connection *mc)
{
	struct http_server *s = server;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mc, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *c = info != NULL ? info->socket_context : NULL;
	if (c == NULL)
		return NULL; /* request_step closes the connection */
	const size_t n = strlen(target);
	struct http_req *r = calloc(1, sizeof *r + n + 1);
	if (r == NULL)
		return NULL;
	r->server = s;
	r->conn = c;
	r->mc = mc;
	r->phase = PHASE_NEW;
	memcpy(r->target, target, n);
	r->target_n = n;
	r->raw_target = target;
	r->reach = c->from->how.reach;
	const char *query = memchr(r->target, '?', n);
	r->path_n = query != NULL ? (size_t)(query - r->target) : n;
	r->body = BUF_INIT(request_body_max(r, NULL));
	c->request = r;
	conn_owes(s, c, OWED_HEADER);
	return r;
}

void request_free(struct http_req *r)
{
	struct http_server *s = r->server;
	reply_drop(r);
	buf_free(&r->body);
	s->inflight[http_reach_index(r->reach)] -= (int64_t)r->charged;
	loop_timer_disarm(s->loop, &r->job_timer);
	mem_wipe(r, sizeof *r + r->target_n);
	free(r);
}

static void log_request(const struct http_req *r, const char *outcome)
{
	struct http_server *s = r->server;
	if (r->phase == PHASE_NEW || !log_wants(s->log, LOG_INFO))
		return;
	/* The route's pattern and not the path: a path may hold a whole session id. */
	log_event(s->log, LOG_INFO, "request", LOG_S("method", r->route != NULL ? r->route->method : "-"),
		  LOG_S("route", r->route != NULL ? r->route->path : "-"),
		  LOG_S("reach", http_reach_name(http_reach_index(r->reach))), LOG_I("status", r->status),
		  LOG_S("code", r->code != NULL ? r->code : "ok"), LOG_I("bytes_in", r->body_seen),
		  LOG_I("bytes_out", r->reply_n), LOG_I("us", loop_now_us(s->loop) - r->started_us),
		  LOG_S("outcome", outcome));
}

void request_ended(void *server, struct MHD_Connection *mc, void **slot, enum MHD_RequestTerminationCode why)
{
	struct http_server *s = server;
	struct http_req *r = *slot;
	(void)mc;
	if (r == NULL)
		return;
	*slot = NULL;
	const bool ok = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
	if (!ok)
		s->count.aborted++;
	log_request(r, ok ? "sent" : "aborted");
	r->conn->request = NULL;
	conn_owes(s, r->conn, OWED_NEXT);
	r->conn = NULL;
	r->mc = NULL;
	r->gone = true;
	/* Nobody waits for the job any more. */
	loop_timer_disarm(s->loop, &r->job_timer);
	/* A worker's job and the turn's list still point here. */
	if (r->job != NULL)
		atomic_store_explicit(&r->job->cancelled, true, memory_order_relaxed);
	else if (!r->staged)
		request_free(r);
}

/* ---- bodies ---- */

/* Large steps towards the declared length, so that a long body is not copied over and over; but never far ahead of what
 * has come, because all of it is wiped in the end, and a length is cheaply declared. */
static void make_room(struct http_req *r, size_t n)
{
	const size_t have = r->body.n + n;
	if (have <= r->body.cap)
		return;
	const size_t step = have > SIZE_MAX / GROWTH ? SIZE_MAX : have * GROWTH;
	const size_t goal = r->content_length < step ? (size_t)r->content_length : step;
	if (goal > r->body.n)
		(void)buf_reserve(&r->body, goal - r->body.n);
}

static int64_t inflight(const struct http_server *s)
{
	int64_t all = 0;
	for (size_t i = 0; i < HTTP_REACHES; i++)
		all += s->inflight[i];
	return all;
}

/* Alone it passes, however long: what was stored under larger limits must come out again. Bodies come in pieces smaller
 * than any limit. */
static bool has_room(int64_t used, size_t n, int64_t most)
{
	return used == 0 || used + (int64_t)n <= most;
}

enum err http_charge(struct http_req *r, size_t n, struct why *w)
{
	struct http_server *s = r->server;
	const size_t i = http_reach_index(r->reach);
	const int64_t all = inflight(s), outside = all - s->inflight[http_reach_index(HTTP_LOCAL)];
	if (!has_room(all, n, s->options.max_inflight) ||
	    (r->reach != HTTP_LOCAL && (!has_room(s->inflight[i], n, s->options.share[i].inflight) ||
					!has_room(outside, n, s->outside_inflight)))) {
		(void)why_tell(w, ERR_BODIES_FULL, NULL, "Too many request bytes are in flight; try again shortly.");
		w->retry_after_s = 1;
		return ERR_BODIES_FULL;
	}
	s->inflight[i] += (int64_t)n;
	r->charged += n;
	return ERR_OK;
}

static void take_chunk(struct http_req *r, const char *data, size_t n)
{
	r->body_seen += n;
	if (r->discard)
		return;
	struct why *w = &r->fault;
	if (n > r->body.max - r->body.n) {
		(void)why_tell(w, ERR_TOO_LARGE, NULL, "The body is longer than the %zu bytes taken here.",
			       r->body.max);
	} else if (http_charge(r, n, w) == ERR_OK) {
		make_room(r, n);
		buf_put(&r->body, data, n);
		(void)!buf_check(&r->body, w);
	}
	if (w->err != ERR_OK) {
		r->discard = true;
		buf_free(&r->body);
	}
}

/* ---- steps ---- */

/* An unanswered request stays where it is. Suspending on the second call, not the first, makes libmicrohttpd wait
 * without reading, so that a client which has half-closed still gets its reply. */
static enum MHD_Result wait_more(struct http_req *r)
{
	if (!r->suspended) {
		MHD_suspend_connection(r->mc);
		r->suspended = true;
	}
	return MHD_YES;
}

static enum MHD_Result queue_reply(struct http_req *r)
{
	struct http_server *s = r->server;
	if (r->reply == NULL) /* there was no memory for any: the connection is closed */
		return MHD_NO;
	const enum MHD_Result ok = MHD_queue_response(r->mc, r->status, r->reply);
	r->phase = PHASE_QUEUED;
	if (ok == MHD_YES) {
		s->count.replies[r->status / 100 < 6 ? r->status / 100 : 5]++;
		s->count.duration_us_sum += (uint64_t)(loop_now_us(s->loop) - r->started_us);
		conn_owes(s, r->conn, OWED_READING);
	}
	return ok;
}

static void stage(struct http_req *r)
{
	if (r->staged)
		return;
	r->staged = true;
	r->next_staged = r->server->staged;
	r->server->staged = r;
}

/* Every handler and every later step ends here: with a job under way, or with an answer. */
static void advance(struct http_req *r)
{
	struct http_server *s = r->server;
	const bool dirty = s->store.dirty(s->store.ctx);
	s->must_run = true;
	if (dirty)
		stage(r);
	r->phase = r->job != NULL ? PHASE_JOB : dirty ? PHASE_HELD : PHASE_READY;
	if (r->phase != PHASE_READY)
		return;
	if (r->suspended) {
		r->suspended = false;
		MHD_resume_connection(r->mc);
	}
}

static enum MHD_Result run_handler(struct http_req *r)
{
	struct http_server *s = r->server;
	conn_owes(s, r->conn, OWED_NOTHING);
	/* They take of the room that guard_check left for the reply, and nobody reads them. */
	if (r->fault.err == ERR_OK && guard_trailers(r))
		(void)why_tell(&r->fault, ERR_MALFORMED, NULL, "A chunked body may not have trailers here.");
	if (r->fault.err != ERR_OK)
		http_fail(r, &r->fault);
	else
		r->route->handler(s->app, r);
	advance(r);
	return r->phase == PHASE_READY ? queue_reply(r) : MHD_YES;
}

static enum MHD_Result first_call(struct http_req *r, const char *method, const char *version)
{
	struct http_server *s = r->server;
	bool hard = false;
	r->started_us = loop_now_us(s->loop);
	s->count.requests[http_reach_index(r->reach)]++;
	r->phase = PHASE_BODY;
	conn_owes(s, r->conn, OWED_BODY);
	if (guard_check(r, method, version, &hard, &r->fault) == ERR_OK)
		return MHD_YES;
	if (!hard) {
		r->discard = true;
		return MHD_YES;
	}
	r->close = true;
	http_fail(r, &r->fault);
	return queue_reply(r);
}

enum MHD_Result request_step(void *server, struct MHD_Connection *mc, const char *url, const char *method,
			     const char *version, const char *data, size_t *n, void **slot)
{
	struct http_req *r = *slot;
	(void)server;
	(void)mc;
	(void)url;
	if (r == NULL)
		return MHD_NO;
	switch (r->phase) {
	case PHASE_NEW:
		return first_call(r, method, version);
	case PHASE_BODY:
		if (*n == 0)
			return run_handler(r);
		take_chunk(r, data, *n);
		*n = 0;
		/* A body that runs on and on is not read to its end: its sender has had the time to notice. */
		return r->discard && r->body_seen > r->body.max + HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
	case PHASE_JOB:
	case PHASE_HELD:
		return wait_more(r);
	case PHASE_READY:
		return queue_reply(r);
	case PHASE_QUEUED:
		break;
	}
	return MHD_NO;
}

bool request_settle(struct http_server *s, const struct why *failed)
{
	struct http_req *r = s->staged, *next;
	bool any = false;
	s->staged = NULL;
	for (; r != NULL; r = next) {
		next = r->next_staged;
		r->staged = false;
		if (r->gone) {
			if (r->job == NULL)
				request_free(r);
			continue;
		}
		if (failed != NULL && r->phase == PHASE_JOB)
			r->fault = *failed;
		if (r->phase != PHASE_HELD)
			continue;
		if (failed != NULL) {
			reply_drop(r);
			http_fail(r, failed);
		}
		any = true;
		advance(r);
	}
	return any;
}

/* ---- jobs ---- */

static void link_job(struct http_req *r, struct http_job *j)
{
	struct http_server *s = r->server;
	j->req = r;
	r->job = j;
	r->prev_working = NULL;
	r->next_working = s->working;
	if (s->working != NULL)
		s->working->prev_working = r;
	s->working = r;
}

static void unlink_job(struct http_req *r)
{
	r->job->req = NULL;
	r->job = NULL;
	*(r->prev_working != NULL ? &r->prev_working->next_working : &r->server->working) = r->next_working;
	if (r->next_working != NULL)
		r->next_working->prev_working = r->prev_working;
}

static void job_run(struct loop_job *lj)
{
	struct http_job *j = (struct http_job *)lj;
	/* A queue of abandoned calls would otherwise keep a slow NSM from ever catching up. */
	if (!atomic_load_explicit(&j->cancelled, memory_order_relaxed))
		j->work(j);
}

static void job_done(struct loop_job *lj)
{
	struct http_job *j = (struct http_job *)lj;
	struct http_req *r = j->req;
	if (r == NULL) { /* the time was up, or the drain is over */
		j->server->inflight[http_reach_index(j->reach)] -= (int64_t)j->charged;
		j->drop(j);
		return;
	}
	unlink_job(r);
	loop_timer_disarm(r->server->loop, &r->job_timer);
	if (r->gone) {
		j->drop(j);
		if (!r->staged)
			request_free(r);
		return;
	}
	if (r->fault.err != ERR_OK) {
		j->drop(j);
		http_fail(r, &r->fault);
	} else {
		j->then(r, j);
	}
	advance(r);
}

static void abandon_job(struct http_req *r, const struct why *w)
{
	struct http_job *j = r->job;
	atomic_store_explicit(&j->cancelled, true, memory_order_relaxed);
	/* The request ends, but what was made of its body lives until the worker comes to it. */
	j->charged = r->charged;
	j->reach = r->reach;
	r->charged = 0;
	loop_timer_disarm(r->server->loop, &r->job_timer);
	unlink_job(r);
	if (r->gone) {
		if (!r->staged)
			request_free(r);
		return;
	}
	http_fail(r, w);
	advance(r);
}

static void job_late(struct loop_timer *t)
{
	struct http_req *r = t->ctx;
	struct why w = {0};
	if (r->job_lane == LANE_NSM)
		(void)why_tell(&w, ERR_NSM, NULL, "The Nitro Secure Module did not answer in time; try again.");
	else
		(void)why_tell(&w, ERR_BUSY, NULL, "The work took too long; try again.");
	w.retry_after_s = 1;
	abandon_job(r, &w);
}

void request_abandon_all(struct http_server *s)
{
	struct why w = {0};
	(void)why_tell(&w, ERR_BUSY, NULL, "The server is stopping.");
	while (s->working != NULL)
		abandon_job(s->working, &w);
}

enum err http_defer(struct http_req *r, enum loop_lane lane, struct http_job *j, int64_t timeout_ms, struct why *w)
{
	struct http_server *s = r->server;
	j->server = s;
	j->charged = 0;
	j->job.run = job_run;
	j->job.done = job_done;
	j->job.urgent = r->reach == HTTP_LOCAL;
	const enum err e = loop_submit(s->loop, lane, &j->job, w);
	if (e != ERR_OK)
		return e;
	link_job(r, j);
	r->job_lane = lane;
	if (timeout_ms > 0) {
		r->job_timer.fire = job_late;
		r->job_timer.ctx = r;
		loop_timer_arm(s->loop, &r->job_timer, timeout_ms);
	}
	return ERR_OK;
}
