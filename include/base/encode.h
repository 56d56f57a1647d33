/* encode.h - hex (RFC 4648 section 8), base64 (section 4, strict: padded, no white space, zero trailing bits) and
 * base64url without padding (section 5). Decoders leave the output untouched in meaning on failure: n stays 0.
 */
#ifndef ATTESTD_BASE_ENCODE_H
#define ATTESTD_BASE_ENCODE_H

#include "base/bytes.h"

#define HEX_SIZE(n)	      (2 * (n))
#define BASE64_SIZE(n)	      (((n) + 2) / 3 * 4)
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3)
#define BASE64URL_SIZE(n)     (((n)*4 + 2) / 3)

/* out holds exactly the sizes above; no NUL is written. */
void hex_encode(struct bytes in, char *out);
void base64_encode(struct bytes in, char *out);
void base64url_encode(struct bytes in, char *out);

/* true and *n set if all of `in` is of the encoding; out holds in.n / 2, respectively BASE64_DECODED_MAX(in.n).
 * Hex takes both cases. Empty input decodes to zero bytes. The time taken depends on the length only for valid input.
 */
bool hex_decode(struct bytes in, uint8_t *out, size_t *n);
bool base64_decode(struct bytes in, uint8_t *out, size_t *n);

void buf_put_hex(struct buf *b, struct bytes in);
void buf_put_base64(struct buf *b, struct bytes in);

/* What others wrote, for a terminal: printable ASCII as it is, other characters as \u{1f600}, bytes of none as \xff. */
void buf_put_plain(struct buf *b, struct bytes text);
/* The same where there is no more room than the text takes: all else becomes ?. Returns it. */
char *text_mask(char *text);

/* Well-formed UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */
bool utf8_valid(struct bytes in);

#endif
