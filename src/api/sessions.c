/* sessions.c - GET /sessions: those alive, without what would let anybody use them. */
#include "internal.h"

#include <stdlib.h>

static void put_one(const struct session_facts *f, struct buf *b)
{
	char created[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
	clock_text(f->created_wall_ms, created);
	clock_text(f->expires_wall_ms, expires);
	buf_put_str(b, "{");
	api_put_short_id(b, bytes_of(f->id, sizeof f->id));
	JSON_PUT_KEY(b, "created_at");
	json_put_cstr(b, created);
	JSON_PUT_KEY(b, "expires_at");
	json_put_cstr(b, expires);
	JSON_PUT_KEY(b, "message_count");
	json_put_int(b, f->messages);
	JSON_PUT_KEY(b, "user_fingerprint");
	json_put_hex(b, bytes_of(f->user_key_hash, sizeof f->user_key_hash));
	buf_put_str(b, "}");
}

void api_sessions(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct session_facts *f = api_new(r, API_SESSIONS_LISTED * sizeof *f);
	if (f == NULL)
		return;
	struct buf b = BUF_INIT(API_SESSIONS_LISTED * 512);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "active_sessions");
	json_put_int(&b, (int64_t)sessions_count(app->sessions));
	JSON_PUT_KEY(&b, "sessions");
	buf_put_str(&b, "[");
	const size_t n = session_list(app->sessions, f, API_SESSIONS_LISTED);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_put_u8(&b, ',');
		put_one(&f[i], &b);
	}
	buf_put_str(&b, "]}");
	free(f);
	http_reply(r, 200, &b);
}
