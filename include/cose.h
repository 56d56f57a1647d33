/* cose.h - what COSE (RFC 9052) adds to CBOR: the documents' protected header, and the bytes that they sign. Part of
 * src/cbor.
 */
#ifndef ATTESTD_COSE_H
#define ATTESTD_COSE_H

#include "base/bytes.h"

#define COSE_ES384_HEADER "\xa1\x01\x38\x22" /* {1: -35} */

/* Appends the Sig_structure of a COSE_Sign1 (section 4.4; external_aad is empty): what its signature is over. */
void cose_to_be_signed(struct bytes protected_header, struct bytes payload, struct buf *out);

#endif
