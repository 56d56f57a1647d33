/* reply.c - replies: whole ones, streams, and problem documents. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { STREAM_BLOCK = 64 * 1024, PROBLEM_MAX = 4096 };

void reply_drop(struct http_req *r)
{
	if (r->kept != NULL)
		kept_return(r->server, r->kept);
	else if (r->reply != NULL)
		MHD_destroy_response(r->reply);
	r->kept = NULL;
	r->reply = NULL;
}

/* A reply's bytes, kept until libmicrohttpd has sent them. */
struct body {
	struct loop_job job;
	struct loop *loop;
	struct buf buf;
};

static void wipe_body(struct loop_job *j)
{
	buf_free(&((struct body *)j)->buf);
}

static void wiped(struct loop_job *j)
{
	wipe_body(j); /* the job may not have been run */
	free(j);
}

/* Wiping many megabytes would be felt by others: a worker does it. */
static void free_body(void *cls)
{
	struct body *own = cls;
	struct why w = {0};
	own->job.run = wipe_body;
	own->job.done = wiped;
	own->job.urgent = true;
	if (own->buf.n > HTTP_HEAVY_BODY && loop_submit(own->loop, LANE_BULK, &own->job, &w) == ERR_OK)
		return;
	buf_free(&own->buf);
	free(own);
}

/* Takes the body over, in every case. NULL if there is no memory. */
static struct MHD_Response *make_response(struct http_server *s, struct buf *body)
{
	struct body *own = body->failed ? NULL : calloc(1, sizeof *own);
	if (own == NULL) {
		buf_free(body);
		return NULL;
	}
	own->loop = s->loop;
	own->buf = *body;
	*body = BUF_INIT(body->max);
	struct MHD_Response *resp = MHD_create_response_from_buffer_with_free_callback_cls(own->buf.n, own->buf.p,
											   free_body, own);
	if (resp == NULL)
		free_body(own);
	return resp;
}

/* What callers have stored may be a page of theirs, and a browser that is shown it must not run it. */
bool reply_headers(struct MHD_Response *resp, const char *type)
{
	return MHD_add_response_header(resp, "Content-Type", type) == MHD_YES &&
	       MHD_add_response_header(resp, "Cache-Control", "no-store") == MHD_YES &&
	       MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff") == MHD_YES &&
	       MHD_add_response_header(resp, "Content-Security-Policy", "default-src 'none'; sandbox") == MHD_YES;
}

static bool closes(const struct http_req *r)
{
	return r->close || r->server->draining;
}

static void answer(struct http_req *r, unsigned status, struct MHD_Response *resp, struct kept *k, size_t n)
{
	reply_drop(r);
	r->reply = resp;
	r->kept = k;
	r->status = status;
	r->reply_n = n;
	r->code = NULL;
}

/* Takes resp. Without a response the connection is closed unanswered: there is no memory to say more. */
static void set_reply(struct http_req *r, unsigned status, struct MHD_Response *resp, const char *type, size_t n)
{
	if (resp != NULL && (!reply_headers(resp, type) ||
			     (closes(r) && MHD_add_response_header(resp, "Connection", "close") != MHD_YES))) {
		MHD_destroy_response(resp);
		resp = NULL;
	}
	answer(r, status, resp, NULL, n);
}

void http_reply_type(struct http_req *r, unsigned status, const char *type, struct buf *body)
{
	const size_t n = body->n;
	struct MHD_Response *resp = make_response(r->server, body);
	if (resp == NULL) {
		struct why w = {0};
		(void)why_set(&w, ERR_MEMORY, "no memory for a reply, or it is too long");
		http_fail(r, &w);
		return;
	}
	set_reply(r, status, resp, type, n);
}

void http_reply(struct http_req *r, unsigned status, struct buf *json)
{
	struct kept *k = json->failed || closes(r) ? NULL : kept_take(r->server, buf_bytes(json));
	if (k == NULL) {
		http_reply_type(r, status, HTTP_JSON, json);
		return;
	}
	answer(r, status, kept_response(k), k, json->n);
	buf_free(json);
}

void http_reply_static(struct http_req *r, const char *type, struct bytes body)
{
	struct MHD_Response *resp = MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p,
								    MHD_RESPMEM_PERSISTENT);
	set_reply(r, 200, resp, type, body.n);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max)
{
	struct http_stream *st = cls;
	(void)pos;
	const size_t n = st->read(st->ctx, (uint8_t *)out, max);
	return n > 0 ? (ssize_t)n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void stream_free(void *cls)
{
	struct http_stream *st = cls;
	st->free(st->ctx);
	free(st);
}

void http_reply_stream(struct http_req *r, unsigned status, const struct http_stream *stream)
{
	struct http_stream *own = malloc(sizeof *own);
	struct MHD_Response *resp = NULL;
	if (own != NULL) {
		*own = *stream;
		resp = MHD_create_response_from_callback(own->size, STREAM_BLOCK, stream_read, own, stream_free);
	}
	if (resp == NULL) {
		struct why w = {0};
		stream->free(stream->ctx);
		free(own);
		(void)why_set(&w, ERR_MEMORY, "no memory for a reply");
		http_fail(r, &w);
		return;
	}
	set_reply(r, status, resp, HTTP_JSON, own->size);
}

void reply_problem(const struct why *w, struct buf *out)
{
	const bool invalid = err_status(w->err) == 422;
	const char *field = invalid && w->field[0] == '\0' ? "body" : w->field;
	char detail[WHY_FIELD_MAX + WHY_TEXT_MAX + 2];
	(void)snprintf(detail, sizeof detail, "%s%s%s", field, field[0] != '\0' ? ": " : "", why_public(w));
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "type");
	json_put_cstr(out, "about:blank");
	JSON_PUT_KEY(out, "title");
	json_put_cstr(out, err_title(w->err));
	JSON_PUT_KEY(out, "status");
	json_put_int(out, err_status(w->err));
	JSON_PUT_KEY(out, "detail");
	json_put_cstr(out, detail);
	JSON_PUT_KEY(out, "code");
	json_put_cstr(out, err_code(w->err));
	if (invalid) {
		JSON_PUT_KEY(out, "errors");
		buf_put_str(out, "[{");
		JSON_PUT_KEY(out, "field");
		json_put_cstr(out, field);
		JSON_PUT_KEY(out, "message");
		json_put_cstr(out, why_public(w));
		buf_put_str(out, "}]");
	}
	buf_put_str(out, "}");
}

void http_fail(struct http_req *r, const struct why *w)
{
	if (!w->tell || err_status(w->err) >= 500)
		log_why(r->server->log, err_status(w->err) >= 500 ? LOG_WARN : LOG_DEBUG, "problem", w);

	struct buf body = BUF_INIT(PROBLEM_MAX);
	reply_problem(w, &body);
	const size_t n = body.n;
	struct MHD_Response *resp = make_response(r->server, &body);
	if (resp == NULL) {
		reply_drop(r);
		return;
	}
	if (w->retry_after_s > 0 || err_status(w->err) == 429) {
		char seconds[16];
		(void)snprintf(seconds, sizeof seconds, "%u", w->retry_after_s > 0 ? w->retry_after_s : 1);
		(void)MHD_add_response_header(resp, "Retry-After", seconds);
	}
	if (w->err == ERR_METHOD) {
		char allow[64];
		route_allow(r, allow, sizeof allow);
		(void)MHD_add_response_header(resp, "Allow", allow);
	}
	set_reply(r, err_status(w->err), resp, "application/problem+json", n);
	r->code = err_code(w->err);
}

/* ---- what a handler may ask ---- */

enum http_reach http_req_reach(const struct http_req *r)
{
	return r->reach;
}

const struct tls_peer *http_req_tls(const struct http_req *r)
{
	return r->conn->peer;
}

struct bytes http_content_type(const struct http_req *r)
{
	return bytes_str(r->content_type);
}

bool http_body_heavy(const struct http_req *r)
{
	return r->body.n > HTTP_HEAVY_BODY;
}

struct bytes http_param(const struct http_req *r)
{
	return r->param;
}

void http_take_body(struct http_req *r, struct buf *out)
{
	*out = r->body;
	r->body = BUF_INIT(out->max);
}
