/* reply_members.c - the members that the server's replies have, and what vouches for each. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

/* The longest session_lifetime and key_lifetime that the server can be given. */
enum { EXPIRES_MINUTES_MAX = 604800 / 60, KEY_EXPIRES_SECONDS_MAX = 86400 };
/* What the server tells in words; another version may tell more. */
enum { WARNING_MAX = 1024, STEPS_MAX = 64, STEP_MAX = 4096 };

static bool is_type(const struct json_value *v, enum json_type t)
{
	return json_type(v) == t;
}

/* ---- against one signed value: null says that there is none ---- */

static bool is_none(const struct json_value *v, struct bytes value)
{
	return is_type(v, JSON_NULL) && value.p == NULL;
}

static bool is_text(const struct json_value *v, struct bytes value)
{
	return is_type(v, JSON_STRING) && value.p != NULL && bytes_equal(json_string(v), value);
}

static bool is_hex(const struct json_value *v, struct bytes value)
{
	if (!is_type(v, JSON_STRING) || value.p == NULL)
		return is_none(v, value);
	struct bytes text = json_string(v);
	bool same = text.n == HEX_SIZE(value.n);
	for (size_t i = 0; same && i < value.n; i++) {
		char digits[2];
		hex_encode(bytes_of(value.p + i, 1), digits);
		same = memcmp(text.p + 2 * i, digits, sizeof digits) == 0;
	}
	return same;
}

/* In groups of three bytes, so that no value, the document included, needs room for a copy. */
static bool is_base64(const struct json_value *v, struct bytes value)
{
	if (!is_type(v, JSON_STRING) || value.p == NULL)
		return is_none(v, value);
	struct bytes text = json_string(v);
	bool same = text.n == BASE64_SIZE(value.n);
	for (size_t i = 0; same && i < value.n; i += 3) {
		char letters[4];
		base64_encode(bytes_of(value.p + i, value.n - i < 3 ? value.n - i : 3), letters);
		same = memcmp(text.p + i / 3 * 4, letters, sizeof letters) == 0;
	}
	return same;
}

static bool is_int(const struct json_value *v, int64_t value)
{
	return is_type(v, JSON_INT) && json_int(v) == value;
}

/* ---- what is signed ---- */

static bool module_id(const struct verify_verdict *d, const struct json_value *v)
{
	return is_text(v, d->view.module_id);
}

static bool timestamp_ms(const struct verify_verdict *d, const struct json_value *v)
{
	return is_int(v, d->view.timestamp_ms);
}

static bool digest(const struct verify_verdict *d, const struct json_value *v)
{
	return is_text(v, d->view.digest);
}

static bool pcrs(const struct verify_verdict *d, const struct json_value *v)
{
	size_t n = 0;
	if (!is_type(v, JSON_OBJECT))
		return false;
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (d->view.pcr[i].p == NULL)
			continue;
		char index[4];
		(void)snprintf(index, sizeof index, "%u", i);
		const struct json_value *pcr = json_get(v, index);
		if (pcr == NULL || !is_hex(pcr, d->view.pcr[i]))
			return false;
		n++;
	}
	return json_size(v) == n;
}

static bool certificate(const struct verify_verdict *d, const struct json_value *v)
{
	return is_base64(v, d->view.certificate);
}

static bool cabundle(const struct verify_verdict *d, const struct json_value *v)
{
	bool same = is_type(v, JSON_ARRAY) && json_size(v) == d->view.n_cabundle;
	const struct json_value *one = NULL;
	for (size_t i = 0; same && json_next(v, NULL, &one); i++)
		same = is_base64(one, d->view.cabundle[i]);
	return same;
}

static bool public_key(const struct verify_verdict *d, const struct json_value *v)
{
	return is_base64(v, d->view.public_key);
}

static bool user_data(const struct verify_verdict *d, const struct json_value *v)
{
	return is_base64(v, d->view.user_data);
}

static bool nonce(const struct verify_verdict *d, const struct json_value *v)
{
	return is_base64(v, d->view.nonce);
}

static bool document(const struct verify_verdict *d, const struct json_value *v)
{
	return is_base64(v, buf_bytes(&d->document));
}

static bool pcr2(const struct verify_verdict *d, const struct json_value *v)
{
	return is_hex(v, d->view.pcr[2]);
}

static bool nonce_hex(const struct verify_verdict *d, const struct json_value *v)
{
	return is_hex(v, d->view.nonce);
}

static bool user_data_text(const struct verify_verdict *d, const struct json_value *v)
{
	return is_text(v, d->view.user_data) || is_none(v, d->view.user_data);
}

static bool nonce_text(const struct verify_verdict *d, const struct json_value *v)
{
	return is_text(v, d->view.nonce) || is_none(v, d->view.nonce);
}

static bool has_public_key(const struct verify_verdict *d, const struct json_value *v)
{
	return is_type(v, d->view.public_key.n > 0 ? JSON_TRUE : JSON_FALSE);
}

static bool document_size(const struct verify_verdict *d, const struct json_value *v)
{
	return is_int(v, (int64_t)d->document.n);
}

/* ---- what is not: its form ---- */

static bool is_true(const struct verify_verdict *d, const struct json_value *v)
{
	(void)d;
	return is_type(v, JSON_TRUE);
}

static bool is_bool(const struct verify_verdict *d, const struct json_value *v)
{
	(void)d;
	return is_type(v, JSON_TRUE) || is_type(v, JSON_FALSE);
}

/* Whoever carries the reply may have written it: nothing here shows it, and no terminal shall take it for a command. */
static bool is_told(const struct json_value *v, size_t max)
{
	return is_type(v, JSON_STRING) && json_string(v).n <= max && bytes_printable(json_string(v));
}

static bool is_warning(const struct verify_verdict *d, const struct json_value *v)
{
	(void)d;
	return is_told(v, WARNING_MAX);
}

static bool is_steps(const struct json_value *v)
{
	bool good = is_type(v, JSON_ARRAY) && json_size(v) <= STEPS_MAX;
	const struct json_value *step = NULL;
	while (good && json_next(v, NULL, &step))
		good = is_told(step, STEP_MAX);
	return good;
}

static bool is_instructions(const struct verify_verdict *d, const struct json_value *v)
{
	struct bytes name;
	const struct json_value *member = NULL;
	bool good = is_type(v, JSON_OBJECT);
	(void)d;
	while (good && json_next(v, &name, &member))
		good = bytes_is(name, "summary") ? is_told(member, STEP_MAX)
						 : bytes_is(name, "steps") && is_steps(member);
	return good;
}

/* A Nitro document is complete in itself: there are no events. */
static bool no_events(const struct verify_verdict *d, const struct json_value *v)
{
	(void)d;
	return is_type(v, JSON_STRING) && bytes_is(json_string(v), "[]");
}

static bool nonce_encoding(const struct verify_verdict *d, const struct json_value *v)
{
	enum attest_encoding e;
	if (!is_type(v, JSON_STRING) || d->view.nonce.p == NULL)
		return is_none(v, d->view.nonce);
	return attest_encoding_parse(json_string(v), &e) && e != ATTEST_AUTO;
}

static bool lifetime(const struct verify_verdict *d, const struct json_value *v)
{
	(void)d;
	return is_type(v, JSON_INT) && json_int(v) >= 1 && json_int(v) <= EXPIRES_MINUTES_MAX;
}

static bool key_lifetime(const struct verify_verdict *d, const struct json_value *v)
{
	return d->view.public_key.n > 0 && is_type(v, JSON_INT) && json_int(v) >= 1 &&
	       json_int(v) <= KEY_EXPIRES_SECONDS_MAX;
}

static bool wrapped_key(const struct verify_verdict *d, const struct json_value *v)
{
	uint8_t key[BASE64_DECODED_MAX(BASE64_SIZE(RSA_WRAPPED_MAX))];
	size_t n = 0;
	(void)d;
	return is_type(v, JSON_STRING) && json_string(v).n <= BASE64_SIZE(RSA_WRAPPED_MAX) &&
	       base64_decode(json_string(v), key, &n) && n >= RSA_BITS_MIN / 8 && n <= RSA_WRAPPED_MAX;
}

/* The server's own clock. Subtracted without sign, because any number at all may stand here. */
static bool server_clock(const struct verify_verdict *d, const struct json_value *v)
{
	if (!is_type(v, JSON_INT))
		return false;
	const int64_t a = json_int(v), b = d->view.timestamp_ms;
	const uint64_t apart = a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
	return apart <= (uint64_t)VERIFY_SKEW_S * 1000;
}

/* ---- the table ---- */

#define SHOWN	     REPLY_IN_SHOWN
#define REST	     REPLY_IN_REST
#define ATTESTATION  REPLY_IN_ATTESTATION
#define INFO	     REPLY_IN_INFO
#define KEY_EXCHANGE REPLY_IN_KEY_EXCHANGE
#define TLS	     REPLY_IN_TLS
#define PEER	     REPLY_IN_PEER
#define VSOCK	     REPLY_IN_VSOCK

static const struct reply_member members[] = {
	{"module_id", SHOWN, REPLY_AS_SIGNED, module_id},
	{"timestamp", SHOWN, REPLY_AS_SIGNED, timestamp_ms},
	{"digest", SHOWN, REPLY_AS_SIGNED, digest},
	{"pcrs", SHOWN, REPLY_AS_SIGNED, pcrs},
	{"certificate", SHOWN, REPLY_AS_SIGNED, certificate},
	{"cabundle", SHOWN, REPLY_AS_SIGNED, cabundle},
	{"public_key", SHOWN, REPLY_AS_SIGNED, public_key},
	{"user_data", SHOWN, REPLY_AS_SIGNED, user_data},
	{"nonce", SHOWN, REPLY_AS_SIGNED, nonce},
	{"document", SHOWN, REPLY_AS_DOCUMENT, NULL},
	{"_warning", SHOWN, REPLY_AS_UNSIGNED, is_warning},

	{"attestation_document", REST | VSOCK, REPLY_AS_DOCUMENT, NULL},
	{"pcr2", REST, REPLY_AS_SIGNED, pcr2},
	{"user_data", REST, REPLY_AS_CLAIMS, NULL},
	{"timestamp", REST, REPLY_AS_CLAIM, NULL},
	{"nonce_hex", REST, REPLY_AS_SIGNED, nonce_hex},
	{"nonce_encoding", REST, REPLY_AS_UNSIGNED, nonce_encoding},
	{"tee_verified", REST | VSOCK, REPLY_AS_UNSIGNED, is_bool},
	{"_warning", REST | VSOCK, REPLY_AS_UNSIGNED, is_warning},
	{"metadata", ATTESTATION | INFO, REPLY_AS_METADATA, NULL},
	{"verification_instructions", REST, REPLY_AS_UNSIGNED, is_instructions},

	{"custom_digest", ATTESTATION, REPLY_AS_CLAIM, NULL},
	{"custom_digest_method", ATTESTATION, REPLY_AS_CLAIM, NULL},
	{"custom_data", ATTESTATION, REPLY_AS_CUSTOM_DATA, NULL},
	{"custom_data_canonical", ATTESTATION, REPLY_AS_CUSTOM_TEXT, NULL},

	{"quote", INFO, REPLY_AS_SIGNED, document},
	{"eventLog", INFO, REPLY_AS_UNSIGNED, no_events},

	{"session_id", KEY_EXCHANGE, REPLY_AS_CLAIM, NULL},
	{"encrypted_session_key", KEY_EXCHANGE, REPLY_AS_UNSIGNED, wrapped_key},
	{"session_key_hash", KEY_EXCHANGE, REPLY_AS_CLAIM, NULL},
	{"user_key_hash", KEY_EXCHANGE, REPLY_AS_CLAIM, NULL},
	{"scope_hash", KEY_EXCHANGE, REPLY_AS_CLAIM, NULL},
	{"expires_in_minutes", KEY_EXCHANGE, REPLY_AS_UNSIGNED, lifetime},

	{"certificate", TLS | PEER, REPLY_AS_CERTIFICATE, NULL},
	{"tls_cert_hash", TLS, REPLY_AS_CLAIM, NULL},
	{"tls_spki_hash", TLS, REPLY_AS_CLAIM, NULL},
	{"key_origin", TLS, REPLY_AS_CLAIM, NULL},

	{"success", VSOCK, REPLY_AS_UNSIGNED, is_true},
	{"user_data", VSOCK, REPLY_AS_SIGNED, user_data_text},
	{"nonce", VSOCK, REPLY_AS_SIGNED, nonce_text},
	{"has_public_key", VSOCK, REPLY_AS_SIGNED, has_public_key},
	{"document_size", VSOCK, REPLY_AS_SIGNED, document_size},
	{"timestamp", VSOCK, REPLY_AS_UNSIGNED, server_clock},
	{"key_id", VSOCK, REPLY_AS_KEY_ID, NULL},
	{"key_expires_in_seconds", VSOCK, REPLY_AS_UNSIGNED, key_lifetime},
};
enum { MEMBERS = sizeof members / sizeof members[0] };

const struct reply_member *reply_member(unsigned in, struct bytes name)
{
	for (size_t i = 0; i < MEMBERS; i++)
		if ((members[i].in & in) != 0 && bytes_is(name, members[i].name))
			return &members[i];
	return NULL;
}

bool reply_has_any(const struct json_value *object, unsigned in)
{
	for (size_t i = 0; i < MEMBERS; i++)
		if (members[i].in == in && json_get(object, members[i].name) != NULL)
			return true;
	return false;
}
