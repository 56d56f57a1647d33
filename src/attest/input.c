/* input.c - from what was given to the document's bytes: raw, hex, base64, or inside a reply. */
#include "reply.h"

#include <string.h>

#include "base/encode.h"

/* Strict base64 of the largest document may be that of a few bytes more. */
enum { DECODED_ROOM = BASE64_DECODED_MAX(BASE64_SIZE(VERIFY_DOCUMENT_MAX)), QUOTE_MAX = 100 };

#define GIVE                                                                                                    \
	"Give an attestation document (a COSE_Sign1 as raw bytes, hex or base64) or the whole JSON reply that " \
	"holds one."

typedef bool decoder(struct bytes in, uint8_t *out, size_t *n);

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_base64(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/' ||
	       c == '=';
}

static void unknown(struct verify_verdict *d, const char *sentence)
{
	verdict_fail(d, CHECK_INPUT, VERIFY_INPUT_UNKNOWN, NULL, "%s", sentence);
}

static void too_large(struct verify_verdict *d, const char *field)
{
	verdict_fail(d, CHECK_INPUT, VERIFY_INPUT_TOO_LARGE, field,
		     "An attestation document has at most %d bytes, and this one would have more.",
		     VERIFY_DOCUMENT_MAX);
}

/* *good stays false when the text is too large, which is said here, or not of the encoding, which is left to the
 * caller: `d` has failed already or has not. */
static enum err decode(struct bytes text, size_t text_max, decoder *decoding, const char *field,
		       struct verify_verdict *d, bool *good, struct why *w)
{
	struct buf b = BUF_INIT(DECODED_ROOM);
	if (text.n > text_max) {
		too_large(d, field);
		return ERR_OK;
	}
	uint8_t *to = buf_reserve(&b, DECODED_ROOM);
	if (to == NULL)
		return buf_check(&b, w);
	if (decoding(text, to, &b.n)) {
		if (b.n <= VERIFY_DOCUMENT_MAX) {
			d->document = b;
			*good = true;
			return ERR_OK;
		}
		too_large(d, field);
	}
	buf_free(&b);
	return ERR_OK;
}

/* ---- replies ---- */

/* " (\"...\")" for a text that is fit to be shown, else "". */
static const char *quoted(const struct json_value *v, struct buf *out)
{
	struct bytes text = v != NULL && json_type(v) == JSON_STRING ? json_string(v) : bytes_of(NULL, 0);
	if (text.n == 0 || text.n > QUOTE_MAX || !bytes_printable(text))
		return "";
	buf_put_str(out, " (\"");
	buf_put_bytes(out, text);
	buf_put_str(out, "\")");
	const char *s = buf_cstr(out);
	return s == NULL ? "" : s;
}

static void refuse_error(struct verify_verdict *d, const struct json_value *text)
{
	struct buf b = BUF_INIT(QUOTE_MAX + 8);
	verdict_fail(d, CHECK_INPUT, VERIFY_NO_DOCUMENT, NULL,
		     "This is an error reply%s: the server gave no document. Mend what it complains of and ask again.",
		     quoted(text, &b));
	buf_free(&b);
}

static bool is_problem(const struct json_value *reply)
{
	const struct json_value *title = json_get(reply, "title"), *status = json_get(reply, "status");
	return title != NULL && json_type(title) == JSON_STRING && status != NULL && json_type(status) == JSON_INT;
}

static void refuse_without_document(struct verify_verdict *d, const struct json_value *reply,
				    const struct json_value *shown, const char *field)
{
	if (json_get(reply, "_warning") != NULL || json_get(shown, "_warning") != NULL)
		verdict_fail(d, CHECK_INPUT, VERIFY_NO_DOCUMENT, field,
			     "The server runs without an NSM, for development only: its reply holds no signed document "
			     "and proves nothing.");
	else
		verdict_fail(d, CHECK_INPUT, VERIFY_NO_DOCUMENT, field,
			     "The reply describes a document but does not hold it: %s is missing, and only that is "
			     "signed.",
			     field);
}

static enum err take_document(const struct json_value *document, const char *field, struct verify_verdict *d,
			      struct why *w)
{
	bool good = false;
	enum err e = ERR_OK;
	if (json_type(document) == JSON_STRING)
		e = decode(json_string(document), BASE64_SIZE(VERIFY_DOCUMENT_MAX), base64_decode, field, d, &good, w);
	if (good)
		verdict_pass(d, CHECK_INPUT, "A reply that holds a document of %zu byte%s.", d->document.n,
			     d->document.n == 1 ? "" : "s");
	else if (e == ERR_OK)
		verdict_fail(d, CHECK_INPUT, VERIFY_REPLY_MALFORMED, field,
			     "%s must be base64 text (the standard alphabet, padded, no line breaks).", field);
	return e;
}

enum err verify_read_reply(const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	d->input = "reply";
	if (json_type(reply) != JSON_OBJECT) {
		verdict_fail(d, CHECK_INPUT, VERIFY_INPUT_UNKNOWN, NULL,
			     "The input is %s in JSON, and a reply is an object%s", json_type_name(json_type(reply)),
			     json_type(reply) == JSON_STRING ? ": give the text without its quotes (jq -r)." : ".");
		return ERR_OK;
	}
	const struct json_value *success = json_get(reply, "success");
	if (success != NULL && json_type(success) != JSON_TRUE) {
		refuse_error(d, json_get(reply, "error"));
		return ERR_OK;
	}
	const enum reply_kind kind = reply_kind(reply);
	const struct json_value *shown = reply_shown(reply), *document = NULL;
	const char *field = kind == REPLY_VSOCK	 ? "attestation_document"
			    : kind == REPLY_BARE ? "document"
						 : "attestation_document.document";
	if (kind == REPLY_OTHER) {
		if (is_problem(reply))
			refuse_error(d, json_get(reply, "title"));
		else if (json_get(reply, "attestation_document") != NULL)
			verdict_fail(d, CHECK_INPUT, VERIFY_REPLY_MALFORMED, "attestation_document",
				     "attestation_document must be an object, or base64 text, not %s.",
				     json_type_name(json_type(json_get(reply, "attestation_document"))));
		else
			unknown(d, "The JSON object has no member attestation_document. " GIVE);
		return ERR_OK;
	}
	document = kind == REPLY_VSOCK ? json_get(reply, field) : json_get(shown, "document");
	if (document == NULL || json_type(document) == JSON_NULL ||
	    (json_type(document) == JSON_STRING && json_string(document).n == 0)) {
		refuse_without_document(d, reply, shown, field);
		return ERR_OK;
	}
	return take_document(document, field, d, w);
}

static enum err read_json(struct bytes input, struct verify_verdict *d, struct json **reply, struct why *w)
{
	struct json *j = NULL;
	struct why inner = {0};
	d->input = "reply";
	enum err e = json_parse(&j, input, &inner);
	if (e == ERR_INVALID) {
		/* It may quote the reply, in letters that turn a terminal's text around. */
		verdict_fail(d, CHECK_INPUT, VERIFY_REPLY_MALFORMED, NULL, "The reply is not well-formed JSON: %s.",
			     text_mask(inner.text));
		return ERR_OK;
	}
	if (e != ERR_OK) {
		*w = inner;
		return e;
	}
	e = verify_read_reply(json_root(j), d, w);
	if (e == ERR_OK) {
		*reply = j;
		j = NULL;
	}
	json_free(j);
	return e;
}

/* ---- text ---- */

struct text {
	size_t n; /* without white space */
	bool hex, base64;
};

static struct text look(struct bytes input)
{
	struct text t = {0, true, true};
	for (size_t i = 0; i < input.n; i++) {
		const uint8_t c = input.p[i];
		if (is_space(c))
			continue;
		t.n++;
		t.hex = t.hex && is_hex(c);
		t.base64 = t.base64 && is_base64(c);
	}
	return t;
}

/* The lines that xxd, base64 and openssl break their output into mean nothing. */
static enum err read_text(struct bytes input, decoder *decoding, size_t text_max, const char *name,
			  struct verify_verdict *d, bool *good, struct why *w)
{
	struct buf packed = BUF_INIT(text_max + 1);
	for (size_t i = 0; i < input.n && packed.n <= text_max; i++)
		if (!is_space(input.p[i]))
			buf_put_u8(&packed, input.p[i]);
	enum err e = buf_check(&packed, w);
	if (e == ERR_OK)
		e = decode(buf_bytes(&packed), text_max, decoding, NULL, d, good, w);
	buf_free(&packed);
	if (*good) {
		d->input = name;
		verdict_pass(d, CHECK_INPUT, "A document of %zu byte%s, given in %s.", d->document.n,
			     d->document.n == 1 ? "" : "s", name);
	}
	return e;
}

/* Hex goes first, because every hex text is base64 too. No document is lost by that: it begins with the bytes 84 or
 * d2 84, its base64 therefore with "hE" or "0o", and neither h nor o is a hex digit. */
static enum err read_hex(struct bytes input, struct verify_verdict *d, struct why *w)
{
	bool good = false;
	const struct text t = look(input);
	enum err e = ERR_OK;
	if (t.hex)
		e = read_text(input, hex_decode, HEX_SIZE(VERIFY_DOCUMENT_MAX), "hex", d, &good, w);
	if (e == ERR_OK && !good)
		unknown(d,
			t.hex ? "The input consists of an odd number of hex digits: some are missing."
			      : "The input is not hex: only the digits 0-9, a-f, A-F and white space may stand in it.");
	return e;
}

static enum err read_base64(struct bytes input, struct verify_verdict *d, struct why *w)
{
	bool good = false;
	const struct text t = look(input);
	enum err e = ERR_OK;
	if (t.base64)
		e = read_text(input, base64_decode, BASE64_SIZE(VERIFY_DOCUMENT_MAX), "base64", d, &good, w);
	if (e == ERR_OK && !good)
		unknown(d,
			t.base64
				? "The input has the letters of base64 but is cut or padded wrongly."
				: "The input is not base64: only its standard alphabet (A-Z, a-z, 0-9, +, /), = at the "
				  "end and white space may stand in it.");
	return e;
}

static enum err read_raw(struct bytes input, struct verify_verdict *d, struct why *w)
{
	d->input = "cose";
	if (input.n > VERIFY_DOCUMENT_MAX) {
		too_large(d, NULL);
		return ERR_OK;
	}
	d->document = BUF_INIT(VERIFY_DOCUMENT_MAX);
	buf_put_bytes(&d->document, input);
	enum err e = buf_check(&d->document, w);
	if (e == ERR_OK)
		verdict_pass(d, CHECK_INPUT, "A document of %zu byte%s.", input.n, input.n == 1 ? "" : "s");
	return e;
}

/* ---- what is it? ---- */

/* What people give by mistake, and how to mend it. */
static const char *mistaken_for(struct bytes input)
{
	static const struct {
		struct bytes begin;
		const char *sentence;
	} looks[] = {
		{BYTES_LIT("\xef\xbb\xbf"), "The input begins with a byte order mark: save it as UTF-8 without one."},
		{BYTES_LIT("\xff\xfe"), "The input looks like UTF-16 text: save it as UTF-8."},
		{BYTES_LIT("\xfe\xff"), "The input looks like UTF-16 text: save it as UTF-8."},
		{BYTES_LIT("{\0"), "The input looks like UTF-16 text: save it as UTF-8."},
		{BYTES_LIT("\0{"), "The input looks like UTF-16 text: save it as UTF-8."},
		{BYTES_LIT("\x1f\x8b"), "The input is compressed with gzip: unpack it first (gunzip)."},
		{BYTES_LIT("PK\x03\x04"), "The input is a ZIP archive: unpack it first."},
		{BYTES_LIT("-----BEGIN "), "The input looks like PEM, a certificate or a key perhaps. " GIVE},
		{BYTES_LIT("0\x82"), "The input looks like DER, a certificate or a key perhaps. " GIVE},
	};
	for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
		if (input.n >= looks[i].begin.n && bytes_equal(bytes_of(input.p, looks[i].begin.n), looks[i].begin))
			return looks[i].sentence;
	return NULL;
}

/* A document is never UTF-8: its head ends in 84 44 a1, and a1 belongs to no character behind the letter 44. */
static bool is_text(struct bytes input)
{
	for (size_t i = 0; i < input.n; i++)
		if (input.p[i] < 0x20 && !is_space(input.p[i]))
			return false;
	return utf8_valid(input);
}

static enum err guess(struct bytes input, struct verify_verdict *d, struct json **reply, struct why *w)
{
	size_t at = 0;
	const char *mistake = mistaken_for(input);
	if (mistake != NULL) {
		unknown(d, mistake);
		return ERR_OK;
	}
	while (at < input.n && is_space(input.p[at]))
		at++;
	if (at < input.n && input.p[at] == '{')
		return read_json(input, d, reply, w);
	if (!is_text(input))
		return read_raw(input, d, w);
	const struct text t = look(input);
	if (t.hex)
		return read_hex(input, d, w);
	if (t.base64)
		return read_base64(input, d, w);
	if (input.p[at] == '"')
		unknown(d, "The input is a string in JSON: give the text without its quotes (jq -r).");
	else if (input.p[at] == '[')
		unknown(d, "The input is an array in JSON, and a reply is an object. " GIVE);
	else
		unknown(d, "The input is text, but neither hex nor base64 nor a JSON object. " GIVE);
	return ERR_OK;
}

enum err verify_read_input(struct bytes input, enum verify_format format, struct verify_verdict *d, struct json **reply,
			   struct why *w)
{
	size_t at = 0;
	while (at < input.n && is_space(input.p[at]))
		at++;
	if (at == input.n) {
		unknown(d, "Nothing was given: the input is empty. " GIVE);
		return ERR_OK;
	}
	switch (format) {
	case VERIFY_AUTO:
		break;
	case VERIFY_RAW:
		return read_raw(input, d, w);
	case VERIFY_BASE64:
		return read_base64(input, d, w);
	case VERIFY_HEX:
		return read_hex(input, d, w);
	case VERIFY_REPLY:
		return read_json(input, d, reply, w);
	}
	return guess(input, d, reply, w);
}
