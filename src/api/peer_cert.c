/* peer_cert.c - GET /cert: the certificate of the mutual-TLS listener. */
#include "internal.h"

void api_peer_cert(void *ctx, struct http_req *r)
{
	const struct app *app = ctx;
	const struct tls_identity *own = tls_server_identity(app->peer_tls);
	struct buf b = BUF_INIT(API_REPLY_MAX);
	buf_put_str(&b, "{");
	api_put_cert(&b, "certificate", tls_identity_cert(own));
	JSON_PUT_KEY(&b, "key_hash");
	json_put_hex(&b, bytes_of(tls_identity_spki_hash(own), SHA256_SIZE));
	buf_put_str(&b, "}");
	http_reply(r, 200, &b);
}
