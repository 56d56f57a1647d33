/* identity.c - whose private data it is: the key of the client's certificate, which the handshake has proven. */
#include "internal.h"

#include <string.h>

#include "tls.h"

static enum err find(struct app *app, const struct http_req *r, struct api_identity *out, struct why *w)
{
	const struct tls_peer *peer = http_req_tls(r);
	const uint8_t *hash = peer != NULL ? tls_peer_key_hash(peer) : NULL;
	if (hash != NULL) {
		memcpy(out->hash, hash, sizeof out->hash);
		out->anonymous = false;
		return ERR_OK;
	}
	if (!app->private_data_anonymous)
		return why_tell(w, ERR_IDENTITY, NULL,
				"Private data belongs to the key of a client certificate, and this connection came "
				"without one: connect with one, as curl does with --cert FILE --key FILE; a "
				"self-signed one will do.");
	/* Not the hash of any key that could be found: that would take a preimage of SHA-256. */
	const enum err e = crypto_sha256(app->crypto, BYTES_LIT("anonymous"), out->hash, w);
	if (e == ERR_OK)
		out->anonymous = true;
	return e;
}

/* One bucket for all: whoever wanted one of their own would come with another key. It keeps what these operations cost
 * the loop from everybody else. */
enum err api_identity(struct app *app, const struct http_req *r, struct api_identity *out, struct why *w)
{
	const enum err e = find(app, r, out, w);
	if (e != ERR_OK)
		return e;
	const unsigned wait_s = bucket_take(&app->private_data_bucket, loop_now_ms(app->loop));
	if (wait_s == 0)
		return ERR_OK;
	(void)why_tell(w, ERR_RATE, NULL, "More than %lld requests a second came for private data; try again in %u s.",
		       (long long)app->private_data_bucket.rate, wait_s);
	w->retry_after_s = wait_s;
	return ERR_RATE;
}
