/* health.c - GET /health. */
#include "internal.h"

void api_health(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	char when[CLOCK_TEXT_SIZE];
	clock_text(clock_wall(app->clock), when);
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "status");
	json_put_cstr(&b, "healthy");
	JSON_PUT_KEY(&b, "timestamp");
	json_put_cstr(&b, when);
	JSON_PUT_KEY(&b, "tee_available");
	json_put_bool(&b, nsm_is_device(app->nsm) && attest_verified(app->attest));
	JSON_PUT_KEY(&b, "active_sessions");
	json_put_int(&b, (int64_t)sessions_count(app->sessions));
	JSON_PUT_KEY(&b, "nsm");
	json_put_cstr(&b, nsm_name(app->nsm));
	JSON_PUT_KEY(&b, "debug_mode");
	const enum attest_debug debug = attest_debug(app->attest);
	if (debug == ATTEST_DEBUG_UNKNOWN)
		buf_put_str(&b, "null");
	else
		json_put_bool(&b, debug == ATTEST_DEBUG_ON);
	JSON_PUT_KEY(&b, "version");
	json_put_cstr(&b, ATTESTD_VERSION);
	JSON_PUT_KEY(&b, "uptime_seconds");
	json_put_int(&b, (loop_now_ms(app->loop) - app->started_mono_ms) / 1000);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
