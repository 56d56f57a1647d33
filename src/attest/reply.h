/* reply.h - what the files that read a server's reply share. Private to src/attest. */
#ifndef ATTESTD_ATTEST_REPLY_H
#define ATTESTD_ATTEST_REPLY_H

#include "verdict.h"

enum reply_kind {
	REPLY_OTHER,
	REPLY_REST,  /* attestation_document is an object that shows the document and holds it */
	REPLY_VSOCK, /* attestation_document is the document in base64 */
	REPLY_BARE   /* an attestation_document object by itself */
};
enum reply_kind reply_kind(const struct json_value *object);
/* The object that shows the document; NULL in a vsock reply. */
const struct json_value *reply_shown(const struct json_value *object);

/* Printable ASCII and nothing else: fit to be shown to a person. */
bool reply_printable(struct bytes text);

/* The reply does not say what is signed. `field`: the member. */
void reply_mismatch(struct verify_verdict *d, const char *field);

/* user_data, custom_data, custom_data_canonical and metadata: what is compared in canonical form. */
enum err reply_contents(struct crypto *crypto, const struct json_value *reply, struct verify_verdict *d,
			struct why *w) MUST_USE;

#endif
