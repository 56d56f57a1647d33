#include <stdlib.h>

#include "base/encode.h"
#include "internal.h"

static void put_one(const struct session_facts *f, struct buf *b)
{
	char created[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
	clock_text(f->created_wall_ms, created);
	clock_text(f->expires_wall_ms, expires);
	buf_put_str(b, "{\"session_id\":\"");
	buf_put(b, f->id, API_ID_SHOWN);
	buf_printf(b, "...\",\"created_at\":\"%s\",\"expires_at\":\"%s\",\"message_count\":%u,\"user_fingerprint\":\"",
		   created, expires, f->messages);
	buf_put_hex(b, bytes_of(f->user_key_hash, sizeof f->user_key_hash));
	buf_put_str(b, "\"}");
}

void api_sessions(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct buf b = BUF_INIT(API_SESSIONS_LISTED * 512);
	struct session_facts *f = api_new(r, API_SESSIONS_LISTED * sizeof *f);
	if (f == NULL)
		return;
	const size_t n = session_list(app->sessions, f, API_SESSIONS_LISTED);
	buf_printf(&b, "{\"active_sessions\":%llu,\"sessions\":[", (unsigned long long)sessions_count(app->sessions));
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_put_u8(&b, ',');
		put_one(&f[i], &b);
	}
	buf_put_str(&b, "]}");
	free(f);
	http_reply(r, 200, &b);
}
