/* nonce.c - one reading of a nonce, and of user data that a verifier wants: what an encoding claims for itself is never
 * handed on to the next one, or a string one digit too long would silently be attested as another value than its sender
 * meant.
 */
#include "internal.h"

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

static enum err refuse_encoding(const struct attest_text *r, enum attest_encoding as, struct why *w)
{
	if (as == ATTEST_HEX)
		return why_tell(w, ERR_INVALID, r->field,
				"The %s is not hex: it must be an even number of the digits 0-9, a-f or A-F.", r->name);
	if (as == ATTEST_BASE64)
		return why_tell(w, ERR_INVALID, r->field,
				"The %s is not base64 (RFC 4648 section 4, padded with =, no white space).", r->name);
	return why_tell(w, ERR_INVALID, r->field, "The %s is not UTF-8 text.", r->name);
}

enum err attest_text_read(const struct attest_text *r, struct bytes text, enum attest_encoding forced, uint8_t *out,
			  size_t *n, enum attest_encoding *used, struct why *w)
{
	uint8_t decoded[ATTEST_TEXT_MAX(ATTEST_FIELD_MAX)];
	size_t len = 0;
	if (text.n > ATTEST_TEXT_MAX(r->max))
		return why_tell(w, ERR_INVALID, r->field,
				"The %s is too long: it may decode to at most %zu bytes (%zu hex digits).", r->name,
				r->max, 2 * r->max);
	enum attest_encoding prefix = take_prefix(&text);
	if (prefix != ATTEST_AUTO && forced != ATTEST_AUTO && prefix != forced)
		return why_tell(w, ERR_INVALID, r->field, "The %s begins with %s: but its encoding was given as %s.",
				r->name, names[prefix], names[forced]);
	if (text.n == 0 && !(r->empty && prefix != ATTEST_AUTO))
		return why_tell(w, ERR_INVALID, r->field, "The %s is empty: leave it out, or %s.", r->name, r->advice);
	if (text.n > 0 && only_padding(text))
		return why_tell(w, ERR_INVALID, r->field, "The %s consists of = alone, which decodes to nothing: %s.",
				r->name, r->advice);

	enum attest_encoding as = prefix != ATTEST_AUTO ? prefix : forced;
	if (as == ATTEST_AUTO)
		as = hex_decode(text, decoded, &len)	  ? ATTEST_HEX
		     : base64_decode(text, decoded, &len) ? ATTEST_BASE64
							  : ATTEST_TEXT;
	if (!decode(text, as, decoded, &len))
		return refuse_encoding(r, as, w);
	if (len > r->max)
		return why_tell(w, ERR_INVALID, r->field,
				"The %s, read as %s, is %zu bytes long; at most %zu are possible.", r->name, names[as],
				len, r->max);
	memcpy(out, decoded, len);
	*n = len;
	*used = as;
	return ERR_OK;
}

enum err attest_nonce_parse(struct attest_nonce *out, struct bytes text, enum attest_encoding forced, struct why *w)
{
	static const struct attest_text rules = {"nonce", "nonce", NSM_NONCE_MAX, false,
						 "send 1 to 512 bytes (`openssl rand -hex 32`)"};
	enum err e = attest_text_read(&rules, text, forced, out->b, &out->n, &out->encoding, w);
	if (e == ERR_OK)
		out->present = true;
	return e;
}
