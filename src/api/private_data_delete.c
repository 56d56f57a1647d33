/* private_data_delete.c - DELETE /private-data/{id}: forgets what its sender stored. */
#include "internal.h"

void api_private_data_delete(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct api_identity who;
	struct why w = {0};
	if (api_identity(app, r, &who, &w) != ERR_OK ||
	    private_data_delete(app->private_data, who.hash, http_param(r), &w) != ERR_OK) {
		http_fail(r, &w);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "id");
	json_put_string(&b, http_param(r));
	JSON_PUT_KEY(&b, "deleted");
	json_put_bool(&b, true);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
