/* peer_ping.c - GET /ping: pong, to an attested client. */
#include "internal.h"

void api_peer_ping(void *ctx, struct http_req *r)
{
	const struct peer_facts *unused;
	struct why w = {0};
	/* A connection may outlive the certificate that it was made with. */
	if (api_peer_caller(ctx, r, &unused, &w) != ERR_OK) {
		http_fail(r, &w);
		return;
	}
	http_reply_static(r, "text/plain; charset=utf-8", BYTES_LIT("pong"));
}
