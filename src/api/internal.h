/* internal.h - what the operations share. */
#ifndef ATTESTD_API_INTERNAL_H
#define ATTESTD_API_INTERNAL_H

#include "api.h"

enum { API_REPLY_MAX = 96 * 1024, API_SESSIONS_LISTED = 1000, API_ID_SHOWN = 16 };

#define ROUTE(method, path, reach, body, handler) void handler(void *app, struct http_req *r);
#include "routes.def"
#undef ROUTE

/* ---- step.c: parse -> act -> render, each on the loop or on a worker ---- */

/* Zeroed memory for an operation; NULL after telling the client that there is none. */
void *api_new(struct http_req *r, size_t size);

/* Runs `work`, on a worker of `lane` if `away`, else here and now, and then `then`. On failure to hand it over the
 * client is told and the job dropped. */
void api_step(struct http_req *r, struct http_job *j, bool away, enum loop_lane lane, int64_t timeout_ms,
	      void (*work)(struct http_job *j), void (*then)(struct http_req *r, struct http_job *j));
/* Answers with the fault and drops the job. */
void api_abort(struct http_req *r, struct http_job *j, const struct why *w);

/* ---- nsm_call.c: one attestation on LANE_NSM, within the reach's budget ---- */
struct api_attested {
	struct app *app;
	enum http_reach reach;
	bool admitted;
	struct attest_nonce nonce;
	struct attest_claims claims;
	struct attest_doc *doc;
};
/* ERR_RATE or ERR_BUSY (told, with Retry-After). Every admitted call is given back by api_attested_free. */
enum err api_attested_admit(struct api_attested *a, struct app *app, const struct http_req *r, struct why *w) MUST_USE;
/* On a worker: asks the NSM for a document over a->claims and a->nonce. */
enum err api_attested_make(struct api_attested *a, struct why *w) MUST_USE;
void api_attested_free(struct api_attested *a);
/* The members that every attested reply has, beginning with `{"attestation_document":`; without the closing brace. */
void api_attested_put(const struct api_attested *a, bool custom_data, struct buf *out);
/* `nonce` and `nonce_encoding` as they came (NULL: absent). */
enum err api_nonce_parse(struct attest_nonce *out, const struct json_value *nonce, const struct json_value *encoding,
			 struct why *w) MUST_USE;

/* ---- message.c: what /encrypt and /decrypt share ---- */
/* The text of `scope`, empty if absent. ERR_INVALID unless 1 to SESSION_SCOPE_MAX bytes. */
enum err api_scope_parse(struct bytes *out, const struct json_value *scope, struct why *w) MUST_USE;
/* `,"session_id":"...","message_number":N}` */
void api_message_end(struct buf *out, struct bytes session_id, uint32_t number);

#endif
