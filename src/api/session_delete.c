/* session_delete.c - DELETE /sessions/{session_id}: ends a session and wipes its key. */
#include "internal.h"

void api_session_delete(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct why w = {0};
	if (session_end(app->sessions, http_param(r), &w) != ERR_OK) {
		http_fail(r, &w);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	api_put_short_id(&b, http_param(r));
	JSON_PUT_KEY(&b, "ended");
	json_put_bool(&b, true);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
