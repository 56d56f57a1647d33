/* remote.c - asking a server one thing. */
#include "remote.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MS = 120 * 1000 };

enum err remote_init(struct remote *r, const char *url, struct why *w)
{
	struct why inner = {0};
	r->clock = clock_system();
	const enum err e = fetch_url_parse(&r->url, bytes_str(url), &inner);
	return e == ERR_OK ? ERR_OK : why_set(w, e == ERR_INVALID ? ERR_USAGE : e, "--url: %s", inner.text);
}

static enum err refused(const struct fetch_reply *reply, struct why *w)
{
	struct why said = {0};
	(void)!fetch_problem(reply, &said);
	if (reply->status == 401)
		return why_set(w, ERR_SESSION, "%.250s. " REMOTE_RENEW ".", said.text);
	return why_set(w,
		       reply->status == 404 || reply->status == 405 ? ERR_NOT_FOUND
		       : reply->status >= 500			    ? ERR_ENVIRONMENT
								    : ERR_INVALID,
		       "%s", said.text);
}

enum err remote_ask(const struct remote *r, const char *method, const char *path, struct bytes json, size_t max,
		    struct buf *out, struct why *w)
{
	const struct fetch_request request = {
		.method = method,
		.path = path,
		.content_type = json.p != NULL ? "application/json" : NULL,
		.body = json,
		.timeout_ms = TIMEOUT_MS,
		.reply_max = max,
	};
	struct fetch_reply reply = {.status = 0};
	*out = BUF_INIT(max);
	enum err e = fetch(&r->url, &request, &r->clock, &reply, w);
	if (e == ERR_OK && reply.status != 200)
		e = refused(&reply, w);
	if (e == ERR_OK) {
		*out = reply.body;
		reply.body = BUF_INIT(0);
	}
	fetch_reply_free(&reply);
	return e;
}
