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
	const struct bytes id = http_param(r);
	buf_put_str(&b, "{\"session_id\":\"");
	buf_put(&b, id.p, API_ID_SHOWN);
	buf_put_str(&b, "...\",\"ended\":true}");
	http_reply(r, 200, &b);
}
