/* peer_client_get.c - GET /client: what a client is held to before it gets a certificate. */
#include "internal.h"

#include <stdio.h>

static void put_allowed_pcrs(const struct verify_policy *p, struct buf *out)
{
	JSON_PUT_KEY(out, "allowed_pcrs");
	buf_put_str(out, "{");
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		char index[4];
		bool first = true;
		(void)snprintf(index, sizeof index, "%u", i);
		for (size_t k = 0; k < p->n_pins; k++) {
			if (p->pins[k].index != i)
				continue;
			if (first)
				json_put_key(out, index);
			buf_put_str(out, first ? "[" : ",");
			json_put_hex(out, bytes_of(p->pins[k].value, NSM_PCR_SIZE));
			first = false;
		}
		if (!first)
			buf_put_str(out, "]");
	}
	buf_put_str(out, "}");
}

void api_peer_client_get(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "config_digest");
	json_put_hex(&b, bytes_of(app->config_digest, SHA256_SIZE));
	put_allowed_pcrs(app->peer_policy, &b);
	JSON_PUT_KEY(&b, "certificate_lifetime_seconds");
	json_put_int(&b, app->config->peer_cert_lifetime);
	api_put_cert(&b, "ca_certificate", tls_ca_cert(app->peer_ca));
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
