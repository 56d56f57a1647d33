/* peer_challenge.c - GET /challenge: what the next report of a client must answer. */
#include "internal.h"

void api_peer_challenge(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	uint8_t challenge[PEER_CHALLENGE_SIZE];
	struct why w = {0};
	if (peer_challenge_give(app->peer_challenges, challenge, &w) != ERR_OK) {
		http_fail(r, &w);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "challenge");
	json_put_hex(&b, bytes_of(challenge, sizeof challenge));
	JSON_PUT_KEY(&b, "expires_in_seconds");
	json_put_int(&b, PEER_CHALLENGE_MS / 1000);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
	mem_wipe(challenge, sizeof challenge);
}
