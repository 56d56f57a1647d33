/* reply.h - what the files that read a server's reply share. Private to src/attest. */
#ifndef ATTESTD_ATTEST_REPLY_H
#define ATTESTD_ATTEST_REPLY_H

#include "verdict.h"

enum reply_kind {
	REPLY_OTHER,
	REPLY_ATTESTATION,  /* of POST /attestation: attestation_document shows the document and holds it */
	REPLY_INFO,	    /* of GET /attestation */
	REPLY_KEY_EXCHANGE, /* of POST /key-exchange */
	REPLY_TLS,	    /* of GET /evidences/ */
	REPLY_PEER,	    /* of GET and POST /report */
	REPLY_VSOCK,	    /* attestation_document is the document in base64 */
	REPLY_BARE	    /* an attestation_document object by itself */
};
enum reply_kind reply_kind(const struct json_value *object);
/* The object that shows the document; NULL in a vsock reply. */
const struct json_value *reply_shown(const struct json_value *object);

/* ---- reply_members.c: all that a server sends ---- */

/* Where a member may stand: at the top of a reply of some kind, or in the object that shows the document. */
enum {
	REPLY_IN_ATTESTATION = 1 << 0,
	REPLY_IN_INFO = 1 << 1,
	REPLY_IN_KEY_EXCHANGE = 1 << 2,
	REPLY_IN_VSOCK = 1 << 3,
	REPLY_IN_SHOWN = 1 << 4,
	REPLY_IN_TLS = 1 << 5,
	REPLY_IN_PEER = 1 << 6,
	REPLY_IN_REST = REPLY_IN_ATTESTATION | REPLY_IN_INFO | REPLY_IN_KEY_EXCHANGE | REPLY_IN_TLS | REPLY_IN_PEER
};

/* What vouches for a member. */
enum reply_as {
	REPLY_AS_DOCUMENT, /* holds the document, which vouches for itself */
	REPLY_AS_SIGNED,   /* repeats a signed value */
	REPLY_AS_CLAIM,	   /* repeats the signed claim of its name */
	REPLY_AS_CLAIMS,   /* repeats all signed claims */
	REPLY_AS_CUSTOM_DATA,
	REPLY_AS_CUSTOM_TEXT, /* the canonical form of the custom data, as text */
	REPLY_AS_METADATA,
	REPLY_AS_KEY_ID,      /* the hash of the signed public key */
	REPLY_AS_CERTIFICATE, /* PEM of the certificate whose hash, or whose key's, is signed */
	REPLY_AS_UNSIGNED     /* nothing does: no more than its form can be checked */
};

struct reply_member {
	const char *name;
	unsigned in;
	enum reply_as as;
	bool (*fits)(const struct verify_verdict *d, const struct json_value *v); /* of what is signed, or unsigned */
};
/* in: one place. NULL: the server sends no such member there. */
const struct reply_member *reply_member(unsigned in, struct bytes name);
/* Does it hold a member that stands at the top of just this kind of reply? */
bool reply_has_any(const struct json_value *object, unsigned in);
/* The signed claim, or empty: none that is asked for may be so. */
struct bytes reply_claim(const struct verify_verdict *d, const char *name);

/* ---- reply_contents.c: what is compared by a digest ---- */

/* What may be wrong with a member, in the order in which it is told. */
enum reply_fault {
	REPLY_FAULT_SIGNED,  /* not what is signed */
	REPLY_FAULT_FOREIGN, /* not what the server sends there */
	REPLY_FAULT_FORM,    /* unsigned, and not of the form that it has */
	REPLY_FAULT_CUSTOM,  /* not what custom_digest was made of */
	REPLY_FAULT_METADATA,
	REPLY_FAULTS /* how many there are: nothing is wrong */
};
/* *fault: of REPLY_AS_CLAIMS, CUSTOM_DATA, CUSTOM_TEXT, METADATA, KEY_ID and CERTIFICATE. */
enum err reply_contents(struct crypto *crypto, const struct reply_member *m, const struct json_value *v,
			const struct verify_verdict *d, enum reply_fault *fault, struct why *w) MUST_USE;
/* Warns of signed digests of what the reply does not hold. */
void reply_contents_missing(const struct json_value *reply, struct verify_verdict *d);

#endif
