/* attest_parts.h - what the files of `attestd attest` share. Private to src/cmd. */
#ifndef ATTESTD_CMD_ATTEST_PARTS_H
#define ATTESTD_CMD_ATTEST_PARTS_H

#include "remote.h"
#include "verify.h"

enum { ATTEST_CUSTOM_MAX = 64 * 1024 * 1024 };

/* What is asked for, and what came. */
struct attest_asked {
	struct crypto *crypto;
	const struct remote *server;
	struct verify_policy *policy; /* with the nonce; `purpose` is set to that of the reply that was got */
	struct bytes custom;	      /* JSON as it was given; .p == NULL: none */
	const struct json_value *custom_value;
	struct buf reply; /* as it came */
	struct buf info;  /* GET /info, for a reply of that purpose */
	/* Of a server that was asked over TLS. */
	bool allow_file_key;
	struct tls_peer *peer; /* who answered */
	bool file_key;	       /* key_origin, once attest_check found all else to be well */
};

/* ---- attest_ask.c ---- */
/* POST /attestation; where the server has no such route and there is no custom data, GET /attestation and GET /info.
 * Over TLS GET /evidences/, which attests the connection itself. */
enum err attest_ask(struct attest_asked *a, struct why *w) MUST_USE;

/* ---- attest_check.c ---- */
/* Does a good verdict sign what was asked for: the digest of the custom data, or of what /info says, or the certificate
 * of the very connection that it came over? ERR_INVALID if it does not; w->field then names the claim. */
enum err attest_check(struct attest_asked *a, const struct verify_verdict *d, struct why *w) MUST_USE;

#endif
