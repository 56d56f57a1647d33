/* peer_whoami.c - GET /whoami: what was verified of the caller. */
#include "internal.h"

#include <stdio.h>

static void put_pcrs(const struct peer_facts *f, struct buf *out)
{
	JSON_PUT_KEY(out, "pcrs");
	buf_put_str(out, "{");
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		char index[4];
		if ((f->pcrs >> i & 1u) == 0)
			continue;
		(void)snprintf(index, sizeof index, "%u", i);
		json_put_key(out, index);
		json_put_hex(out, bytes_of(f->pcr[i], NSM_PCR_SIZE));
	}
	buf_put_str(out, "}");
}

void api_peer_whoami(void *ctx, struct http_req *r)
{
	const struct peer_facts *f;
	struct why w = {0};
	if (api_peer_caller(ctx, r, &f, &w) != ERR_OK) {
		http_fail(r, &w);
		return;
	}
	char verified[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
	clock_text(f->verified_wall_ms, verified);
	clock_text(f->verified_wall_ms + f->lifetime_ms, until);
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "module_id");
	json_put_cstr(&b, f->module_id);
	put_pcrs(f, &b);
	JSON_PUT_KEY(&b, "key_hash");
	json_put_hex(&b, bytes_of(f->key_hash, SHA256_SIZE));
	JSON_PUT_KEY(&b, "config_digest");
	json_put_hex(&b, bytes_of(f->config_digest, SHA256_SIZE));
	JSON_PUT_KEY(&b, "verified_at");
	json_put_cstr(&b, verified);
	JSON_PUT_KEY(&b, "certificate_not_after");
	json_put_cstr(&b, until);
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
