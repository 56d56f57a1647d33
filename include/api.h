/* api.h - the HTTP operations: one file each in src/api, one row each in src/api/routes.def.
 *
 * struct app is everything that handlers may use, put together by cmd/serve.c and passed to each.
 */
#ifndef ATTESTD_API_H
#define ATTESTD_API_H

#include "attest.h"
#include "config.h"
#include "http.h"
#include "session.h"

/* Token bucket: `rate` a second up to `burst`. One for each reach, so that neither can use up the other's. */
struct api_bucket {
	int64_t rate, burst, milli_tokens, at_ms;
};

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
	struct http_server *http;
	int64_t started_mono_ms;
	struct api_bucket nsm_bucket[HTTP_REACHES];
	uint64_t nsm_calls, nsm_refused;
	unsigned nsm_waiting_public; /* of LANE_NSM's queue */
};

extern const struct http_route api_routes[];
extern const size_t api_routes_n;

#endif
