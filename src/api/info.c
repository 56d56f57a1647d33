/* info.c - GET /info: the fixed text whose hash is attested. */
#include "internal.h"

void api_info(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	http_reply_static(r, "application/json", attest_info(app->attest));
}
