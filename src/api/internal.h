/* internal.h - what the operations share. */
#ifndef ATTESTD_API_INTERNAL_H
#define ATTESTD_API_INTERNAL_H

#include "api.h"

enum {
	API_REPLY_MAX = 96 * 1024,
	API_MEMBERS_ROOM = 192, /* what a reply of /encrypt or /decrypt has beside its text */
	API_SESSIONS_LISTED = 1000,
	API_ID_SHOWN = 16,
};

#define ROUTE(method, path, reach, body, handler) void handler(void *app, struct http_req *r);
#include "routes.def"
#undef ROUTE

/* ---- step.c: parse -> act -> render, each on the loop or on a worker ---- */

/* Zeroed memory; NULL after telling the client that there is none. */
void *api_new(struct http_req *r, size_t size);

/* What every operation of more than one step begins with. */
struct api_op {
	struct http_job job;
	struct app *app;
	struct why why; /* the fault of a step, for the one after it */
	bool heavy;	/* the body is long: its steps are for LANE_BULK */
	bool away;	/* the step that runs is a worker's */
	struct buf body;
	struct json *json;
	struct api_attested *attested; /* what api_attest asks for */
};
/* An operation of `size` bytes, zeroed but for its struct api_op, which has taken the body. NULL after telling the
 * client that there is no memory. drop: gives everything back, at the end by api_op_free. */
void *api_begin(void *app, struct http_req *r, size_t size, void (*drop)(struct http_job *j));
void api_op_free(struct api_op *op); /* the memory, too */

/* Any thread. Reads the body as an object of these members; its text is freed. Faults are in op->why. */
enum err api_parse(struct api_op *op, const struct json_field *f, size_t n) MUST_USE;
/* Runs `work`, on LANE_BULK if the body is heavy, else here and now, and then `then`. When it cannot be handed over,
 * the operation is aborted. */
void api_step(struct http_req *r, struct api_op *op, void (*work)(struct http_job *j),
	      void (*then)(struct http_req *r, struct http_job *j));
/* The same, but on `lane` in any case. */
void api_step_away(struct http_req *r, struct api_op *op, enum loop_lane lane, void (*work)(struct http_job *j),
		   void (*then)(struct http_req *r, struct http_job *j));
/* Runs `run` on LANE_BULK, before the steps that wait there, and then `done` here: to wipe what is long. False when it
 * cannot be handed over: then neither is called. */
bool api_wipe_away(struct api_op *op, void (*run)(struct loop_job *j), void (*done)(struct loop_job *j));
/* Answers with op->why and drops the operation. */
void api_abort(struct http_req *r, struct api_op *op);

/* ---- attested.c: one attestation, within the reach's budget ---- */
struct api_attested {
	struct app *app;
	enum budget_reach reach;
	bool admitted;
	struct attest_nonce nonce;
	struct attest_claims claims;
	struct attest_doc *doc;
};
/* ERR_RATE or ERR_BUSY (told, with Retry-After). Every admitted call is given back by api_attested_free. */
enum err api_attested_admit(struct api_attested *a, struct app *app, const struct http_req *r, struct why *w) MUST_USE;
/* A step on LANE_NSM: asks for a document over a->claims and a->nonce. Then `then` finds it in a->doc. */
void api_attest(struct http_req *r, struct api_op *op, struct api_attested *a,
		void (*then)(struct http_req *r, struct http_job *j));
void api_attested_free(struct api_attested *a);
/* The members that every attested reply has, beginning with `{"attestation_document":`; without the closing brace. */
void api_attested_put(const struct api_attested *a, bool custom_data, struct buf *out);
/* `"key":"-----BEGIN CERTIFICATE-----..."` */
void api_put_cert(struct buf *out, const char *key, struct bytes der);

/* ---- nonce.c ---- */
/* `nonce` and `nonce_encoding` as they came (NULL: absent). */
enum err api_nonce_parse(struct attest_nonce *out, const struct json_value *nonce, const struct json_value *encoding,
			 struct why *w) MUST_USE;
/* The same of the query, which may have more parameters. */
enum err api_nonce_query(const struct http_req *r, struct attest_nonce *out, struct why *w) MUST_USE;

/* ---- identity.c: whose private data a request is about ---- */
struct api_identity {
	uint8_t hash[PRIVATE_STORE_IDENTITY_SIZE]; /* of the client's SPKI, or of nobody's */
	bool anonymous;				   /* no certificate came: the identity that all such callers share */
};
/* What every operation on private data begins with. ERR_IDENTITY (told) where there must be a certificate, ERR_RATE
 * (told, with retry_after_s) where too many of them came. */
enum err api_identity(struct app *app, const struct http_req *r, struct api_identity *out, struct why *w) MUST_USE;

/* ---- peer.c: what the operations of attested peers share ---- */
/* 64 lower-case hex digits: a challenge or a hash. ERR_INVALID, told, on `field`. */
enum err api_peer_hex(struct bytes text, uint8_t out[SHA256_SIZE], const char *field, struct why *w) MUST_USE;
/* What was verified of the client at the other end of mutual TLS, borrowed until the next call. ERR_UNATTESTED, told.
 */
enum err api_peer_caller(struct app *app, const struct http_req *r, const struct peer_facts **out,
			 struct why *w) MUST_USE;
/* A report of ours: identity (owned), nonce and the client's key hash are filled in, then it is asked for and answered
 * with. */
struct api_peer_report {
	struct api_op api;
	struct api_attested attested;
	struct tls_identity *identity; /* as it is now, whatever it is renewed to meanwhile */
	uint8_t peer_key_hash[SHA256_SIZE];
};
void api_peer_report_drop(struct http_job *j);
/* challenge: 64 lower-case hex digits. */
enum err api_peer_report_challenge(struct api_peer_report *op, struct bytes challenge, struct why *w) MUST_USE;
void api_peer_report_make(struct http_req *r, struct api_peer_report *op);

/* ---- message.c: what the operations on sessions share ---- */
/* The text of `scope`, empty if absent. ERR_INVALID unless 1 to SESSION_SCOPE_MAX bytes. */
enum err api_scope_parse(struct bytes *out, const struct json_value *scope, struct why *w) MUST_USE;
/* `"session_id":"..."` with the first API_ID_SHOWN characters of a whole id, for lists and confirmations. */
void api_put_short_id(struct buf *out, struct bytes session_id);

#endif
