#include "internal.h"

void api_health(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	char when[CLOCK_TEXT_SIZE];
	struct buf b = BUF_INIT(API_REPLY_MAX);

	clock_text(clock_wall(app->clock), when);
	buf_printf(&b, "{\"status\":\"healthy\",\"timestamp\":\"%s\",\"tee_available\":%s,\"active_sessions\":%llu",
		   when, nsm_is_device(app->nsm) ? "true" : "false", (unsigned long long)sessions_count(app->sessions));
	json_put_key(&b, "nsm");
	json_put_cstr(&b, nsm_name(app->nsm));
	json_put_key(&b, "debug_mode");
	buf_put_str(&b, app->debug_mode == DEBUG_UNKNOWN ? "null" : app->debug_mode == DEBUG_ON ? "true" : "false");
	json_put_key(&b, "version");
	json_put_cstr(&b, ATTESTD_VERSION);
	json_put_key(&b, "uptime_seconds");
	json_put_int(&b, (loop_now_ms(app->loop) - app->started_mono_ms) / 1000);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
