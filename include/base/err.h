/* err.h - one table of faults for the whole program, and the note that says where one was first seen.
 *
 * Every function that can fail returns `enum err` and takes a `struct why *`, which is filled where the fault is
 * first seen and passed upward unchanged. ERR_OK is 0. On failure a function leaves its outputs untouched.
 *
 * `why.text` goes to the log. It goes to the client as the problem's `detail` only when it was written with
 * why_tell(); after why_set() the client reads the public text of the table instead, so nothing internal leaks.
 */
#ifndef ATTESTD_BASE_ERR_H
#define ATTESTD_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#define MUST_USE	       __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/*      name              HTTP  wire code                 public text (RFC 9457 title) */
#define ERR_TABLE(X)                                                                                         \
	X(OK, 200, "ok", "Success")                                                                          \
	/* the request itself */                                                                             \
	X(MALFORMED, 400, "malformed_request", "The request is malformed")                                   \
	X(BAD_KEY, 400, "invalid_public_key", "The public key cannot be used")                               \
	X(BAD_MESSAGE, 400, "decryption_failed", "The message was altered or is for another session or key") \
	X(SESSION, 401, "session_unknown", "The session is unknown, ended or expired")                       \
	X(SESSION_SPENT, 401, "session_exhausted", "The session has used up its messages")                   \
	X(IDENTITY, 401, "identity_missing", "A client certificate is needed")                               \
	X(HOST, 403, "host_not_allowed", "The Host header names a host that is not served here")             \
	X(ORIGIN, 403, "origin_not_allowed", "Requests from web pages of other origins are refused")         \
	X(UNATTESTED, 403, "peer_refused", "The report does not prove the enclave that is wanted")           \
	X(NOT_FOUND, 404, "not_found", "There is nothing at this path")                                      \
	X(KEY_GONE, 404, "key_unknown", "The key is unknown or expired")                                     \
	X(METHOD, 405, "method_not_allowed", "The path does not answer to this method")                      \
	X(REPLAY, 409, "replay", "This message was seen before")                                             \
	X(CHALLENGE, 409, "challenge_unknown", "The challenge is unknown, used or too old")                  \
	X(TOO_LARGE, 413, "body_too_large", "The request body is too large")                                 \
	X(QUOTA, 413, "quota_exceeded", "There is no room left for this identity")                           \
	X(MEDIA_TYPE, 415, "unsupported_media_type", "The request body must be application/json")            \
	X(INVALID, 422, "validation_failed", "The request does not have the required form")                  \
	/* limits */                                                                                         \
	X(RATE, 429, "rate_limited", "Too many requests")                                                    \
	X(SESSIONS_FULL, 503, "too_many_sessions", "The session table is full")                              \
	X(KEYS_FULL, 503, "too_many_keys", "Too many generated keys are kept")                               \
	X(PRIVATE_FULL, 503, "private_data_full", "There is no room left for private data")                  \
	X(IVS_FULL, 503, "too_many_seen_ivs", "The replay table is full")                                    \
	X(BODIES_FULL, 503, "too_many_body_bytes", "Too many request bytes are in flight")                   \
	X(CONNS_FULL, 503, "too_many_connections", "Too many connections are open")                          \
	X(BUSY, 503, "busy", "The server is busy")                                                           \
	/* ourselves and what we stand on */                                                                 \
	X(INTERNAL, 500, "internal_error", "Something went wrong inside the server")                         \
	X(MEMORY, 503, "out_of_memory", "The server is out of memory")                                       \
	X(CRYPTO, 500, "internal_error", "Something went wrong inside the server")                           \
	X(SEALED, 500, "sealed_data_invalid", "Stored data failed its integrity check")                      \
	X(STORE, 503, "storage_unavailable", "The database cannot be written")                               \
	X(NSM, 503, "nsm_unavailable", "The Nitro Secure Module did not answer")                             \
	X(NSM_REFUSED, 503, "nsm_unavailable", "The Nitro Secure Module did not answer")                     \
	X(METADATA, 503, "metadata_invalid", "The agent metadata file cannot be used")                       \
	X(CLAIMS, 500, "claims_too_large", "The attested claims exceed 512 bytes")                           \
	/* only before serving: these reach a person at a terminal, never a client */                        \
	X(USAGE, 500, "usage", "Wrong usage")                                                                \
	X(CONFIG, 500, "config", "The configuration is wrong")                                               \
	X(ENVIRONMENT, 500, "environment", "The environment is not usable")

enum err {
#define ERR_ENUM(name, status, code, text) ERR_##name,
	ERR_TABLE(ERR_ENUM)
#undef ERR_ENUM
		ERR_COUNT
};

enum { WHY_TEXT_MAX = 320, WHY_FIELD_MAX = 64 };

struct why {
	enum err err;
	bool tell;		   /* text may be shown to the client */
	unsigned retry_after_s;	   /* 0: no Retry-After */
	char field[WHY_FIELD_MAX]; /* request member at fault, "" if none */
	char text[WHY_TEXT_MAX];   /* a sentence without a newline; cut if longer */
};

unsigned err_status(enum err e);   /* HTTP status */
const char *err_code(enum err e);  /* stable wire code */
const char *err_title(enum err e); /* public text */

/* Both fill *w and return e, so that a fault is one line: `return why_set(w, ERR_STORE, "...")`.
 * why_set: for the log only. why_tell: for the client too; `field` may be NULL. Never put a secret in either. */
enum err why_set(struct why *w, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum err why_tell(struct why *w, enum err e, const char *field, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* What a client may read of it: w->text if it may be told, else the table's title. */
const char *why_public(const struct why *w);

#endif
