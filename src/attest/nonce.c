/* nonce.c - one reading of a nonce: what an encoding claims for itself is never handed on to the next one, or a string
 * one digit too long would silently be attested as another value than its sender meant.
 */
#include "attest.h"

#include <string.h>

#include "base/encode.h"

static const char *const names[] = {
	[ATTEST_AUTO] = "auto", [ATTEST_HEX] = "hex", [ATTEST_BASE64] = "base64", [ATTEST_TEXT] = "text"};

const char *attest_encoding_name(enum attest_encoding e)
{
	return names[e];
}

bool attest_encoding_parse(struct bytes name, enum attest_encoding *out)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (bytes_is(name, names[i])) {
			*out = (enum attest_encoding)i;
			return true;
		}
	}
	return false;
}

static enum attest_encoding take_prefix(struct bytes *text)
{
	static const char *const prefixes[] = {
		[ATTEST_HEX] = "hex:", [ATTEST_BASE64] = "base64:", [ATTEST_TEXT] = "text:"};
	for (size_t i = ATTEST_HEX; i <= ATTEST_TEXT; i++) {
		struct bytes p = bytes_str(prefixes[i]);
		if (text->n >= p.n && bytes_equal(bytes_of(text->p, p.n), p)) {
			*text = bytes_of(text->p + p.n, text->n - p.n);
			return (enum attest_encoding)i;
		}
	}
	return ATTEST_AUTO;
}

static bool only_padding(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '=')
			return false;
	return true;
}

static bool decode(struct bytes text, enum attest_encoding as, uint8_t *out, size_t *n)
{
	if (as == ATTEST_HEX)
		return hex_decode(text, out, n);
	if (as == ATTEST_BASE64)
		return base64_decode(text, out, n);
	if (!utf8_valid(text))
		return false;
	memcpy(out, text.p, text.n);
	*n = text.n;
	return true;
}

static enum err refuse_encoding(enum attest_encoding as, struct why *w)
{
	if (as == ATTEST_HEX)
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce is not hex: it must be an even number of the digits 0-9, a-f or A-F.");
	if (as == ATTEST_BASE64)
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce is not base64 (RFC 4648 section 4, padded with =, no white space).");
	return why_tell(w, ERR_INVALID, "nonce", "The nonce is not UTF-8 text.");
}

enum err attest_nonce_parse(struct attest_nonce *out, struct bytes text, enum attest_encoding forced, struct why *w)
{
	uint8_t decoded[ATTEST_NONCE_TEXT_MAX];
	size_t n = 0;
	if (text.n > ATTEST_NONCE_TEXT_MAX)
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce is too long: it may decode to at most %d bytes (%d hex digits).",
				NSM_NONCE_MAX, 2 * NSM_NONCE_MAX);
	enum attest_encoding prefix = take_prefix(&text);
	if (prefix != ATTEST_AUTO && forced != ATTEST_AUTO && prefix != forced)
		return why_tell(w, ERR_INVALID, "nonce", "The nonce begins with %s: but its encoding was given as %s.",
				names[prefix], names[forced]);
	if (text.n == 0)
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce is empty: leave it out, or send 1 to %d bytes (`openssl rand -hex 32`).",
				NSM_NONCE_MAX);
	if (only_padding(text))
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce consists of = alone, which decodes to nothing: send 1 to %d bytes "
				"(`openssl rand -hex 32`).",
				NSM_NONCE_MAX);

	enum attest_encoding as = prefix != ATTEST_AUTO ? prefix : forced;
	if (as == ATTEST_AUTO)
		as = hex_decode(text, decoded, &n)	? ATTEST_HEX
		     : base64_decode(text, decoded, &n) ? ATTEST_BASE64
							: ATTEST_TEXT;
	if (!decode(text, as, decoded, &n))
		return refuse_encoding(as, w);
	if (n > NSM_NONCE_MAX)
		return why_tell(w, ERR_INVALID, "nonce",
				"The nonce, read as %s, is %zu bytes long; at most %d are possible.", names[as], n,
				NSM_NONCE_MAX);
	out->present = true;
	out->encoding = as;
	out->n = n;
	memcpy(out->b, decoded, n);
	return ERR_OK;
}
