/* api.h - the HTTP operations: one file each in src/api, one row each in src/api/routes.def.
 *
 * struct app is everything that handlers may use, put together by cmd/serve.c and passed to each.
 */
#ifndef ATTESTD_API_H
#define ATTESTD_API_H

#include "attest.h"
#include "budget.h"
#include "config.h"
#include "http.h"
#include "keys.h"
#include "peer.h"
#include "private_data.h"
#include "session.h"
#include "vsock.h"

struct app {
	const struct config *config;
	const struct clock *clock;
	struct loop *loop;
	struct crypto *crypto;
	struct random random;
	struct nsm *nsm;
	struct verify *verify;
	struct attest *attest;
	struct sessions *sessions;
	struct keys *keys;
	struct http_server *http;
	struct vsock_server *vsock;
	/* NULL where no listener needs them. */
	struct tls_server *tls, *peer_tls;
	struct private_data *private_data;
	bool private_data_anonymous; /* callers without a client certificate share one identity */
	struct tls_ca *peer_ca;	     /* whose certificates peer_tls takes */
	struct peer_challenges *peer_challenges;
	struct peer_clients *peer_clients;	 /* whom peer_ca vouched for */
	const struct verify_policy *peer_policy; /* borrowed; without nonce and purpose */
	uint8_t config_digest[SHA256_SIZE];
	int64_t started_mono_ms;
	struct budget budget;
	struct bucket private_data_bucket; /* of its operations, whoever asks for them */
};

extern const struct http_route api_routes[];
extern const size_t api_routes_n;

#endif
