/* reply.c - does a reply say what its document signs?
 *
 * People read the reply's own members, not the signed ones, so each that repeats a signed value must equal it. One that
 * is left out says nothing and so cannot lie.
 */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

enum { UNKNOWN_SHOWN = 3, NAME_SHOWN_MAX = 40 };

bool reply_printable(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < ' ' || text.p[i] > '~')
			return false;
	return true;
}

void reply_mismatch(struct verify_verdict *d, const char *field)
{
	verdict_fail(d, CHECK_REPLY, VERIFY_REPLY_MISMATCH, field,
		     "The reply's %s is not what the document signs: the reply was altered, or its sender lies. Rely "
		     "on nothing but the document.",
		     field);
}

/* ---- kinds ---- */

static bool is_type(const struct json_value *v, enum json_type t)
{
	return v != NULL && json_type(v) == t;
}

enum reply_kind reply_kind(const struct json_value *object)
{
	const struct json_value *d = json_get(object, "attestation_document");
	if (is_type(d, JSON_OBJECT))
		return REPLY_REST;
	if (is_type(d, JSON_STRING))
		return REPLY_VSOCK;
	if (d != NULL)
		return REPLY_OTHER;
	if (json_get(object, "document") != NULL ||
	    (json_get(object, "module_id") != NULL && json_get(object, "pcrs") != NULL))
		return REPLY_BARE;
	return REPLY_OTHER;
}

const struct json_value *reply_shown(const struct json_value *object)
{
	const enum reply_kind kind = reply_kind(object);
	return kind == REPLY_REST ? json_get(object, "attestation_document") : kind == REPLY_BARE ? object : NULL;
}

const char *verify_reply_purpose(const struct json_value *reply)
{
	return json_get(reply, "session_id") != NULL ? "key-exchange"
	       : json_get(reply, "quote") != NULL    ? "info"
	       : reply_kind(reply) == REPLY_REST     ? "attestation"
						     : "";
}

/* ---- one member against one signed value: null says that there is none ---- */

static bool is_none(const struct json_value *v, struct bytes value)
{
	return is_type(v, JSON_NULL) && value.p == NULL;
}

static bool is_text(const struct json_value *v, struct bytes value)
{
	return is_type(v, JSON_STRING) && bytes_equal(json_string(v), value);
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

/* ---- the members ---- */

/* With neither of the two it is judged elsewhere, or the server's word, which nothing signed repeats. */
struct member {
	const char *name;
	bool (*is_signed)(const struct verify_verdict *d, const struct json_value *v);
	bool is_claim; /* equals the claim of its name */
};

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
	if (json_type(v) != JSON_OBJECT)
		return false;
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (d->view.pcr[i].p == NULL)
			continue;
		char index[4];
		(void)snprintf(index, sizeof index, "%u", i);
		if (!is_hex(json_get(v, index), d->view.pcr[i]))
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
	bool same = json_type(v) == JSON_ARRAY && json_size(v) == d->view.n_cabundle;
	for (size_t i = 0; same && i < d->view.n_cabundle; i++)
		same = is_base64(json_at(v, i), d->view.cabundle[i]);
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

static bool nonce_text(const struct verify_verdict *d, const struct json_value *v)
{
	return is_text(v, d->view.nonce) || is_none(v, d->view.nonce);
}

static bool has_public_key(const struct verify_verdict *d, const struct json_value *v)
{
	return json_type(v) == (d->view.public_key.n > 0 ? JSON_TRUE : JSON_FALSE);
}

static bool document_size(const struct verify_verdict *d, const struct json_value *v)
{
	return is_int(v, (int64_t)d->document.n);
}

static const struct member shown_members[] = {
	{"module_id", module_id, false},
	{"timestamp", timestamp_ms, false},
	{"digest", digest, false},
	{"pcrs", pcrs, false},
	{"certificate", certificate, false},
	{"cabundle", cabundle, false},
	{"public_key", public_key, false},
	{"user_data", user_data, false},
	{"nonce", nonce, false},
	{"document", document, false},
	{"_warning", NULL, false},
};

/* Of all kinds together: else a reply would only have to be dressed up as another kind to say what it likes. */
static const struct member reply_members[] = {
	{"attestation_document", NULL, false},
	{"pcr2", pcr2, false},
	{"user_data", NULL, false},
	{"timestamp", NULL, true},
	{"nonce_hex", nonce_hex, false},
	{"quote", document, false},
	{"session_id", NULL, true},
	{"session_key_hash", NULL, true},
	{"user_key_hash", NULL, true},
	{"custom_digest", NULL, true},
	{"custom_digest_method", NULL, true},
	{"custom_data", NULL, false},
	{"custom_data_canonical", NULL, false},
	{"metadata", NULL, false},
	{"nonce", nonce_text, false},
	{"has_public_key", has_public_key, false},
	{"document_size", document_size, false},
	{"success", NULL, false},
	{"nonce_encoding", NULL, false},
	{"tee_verified", NULL, false},
	{"_warning", NULL, false},
	{"verification_instructions", NULL, false},
	{"eventLog", NULL, false},
	{"encrypted_session_key", NULL, false},
	{"expires_in_minutes", NULL, false},
};

struct table {
	const struct member *m;
	size_t n;
};
#define TABLE(members) ((struct table){(members), sizeof(members) / sizeof((members)[0])})

static bool knows(struct table t, struct bytes name)
{
	for (size_t i = 0; i < t.n; i++)
		if (bytes_is(name, t.m[i].name))
			return true;
	return false;
}

/* Where the signed claims could not be read, nothing may pass for one of them. */
static bool is_claim(const struct verify_verdict *d, const char *name, const struct json_value *v)
{
	const struct json_value *c = d->claims == NULL ? NULL : json_get(json_root(d->claims), name);
	if (c == NULL)
		return json_type(v) == JSON_NULL;
	return json_type(c) == JSON_STRING && is_text(v, json_string(c));
}

/* The members that `t` knows and `but` does not. */
static void compare(const struct json_value *object, const char *prefix, struct table t, struct table but,
		    struct verify_verdict *d)
{
	for (size_t i = 0; i < t.n; i++) {
		const struct member *m = &t.m[i];
		const struct json_value *v = json_get(object, m->name);
		if (v == NULL || knows(but, bytes_str(m->name)) || (m->is_signed == NULL && !m->is_claim) ||
		    (m->is_claim ? is_claim(d, m->name, v) : m->is_signed(d, v)))
			continue;
		char field[WHY_FIELD_MAX];
		(void)snprintf(field, sizeof field, "%s%s", prefix, m->name);
		reply_mismatch(d, field);
	}
}

/* What nobody compared is named, so that nobody takes it for proven. */
static void warn_of_unknown(const struct json_value *object, struct table t, struct table more,
			    struct verify_verdict *d)
{
	struct buf names = BUF_INIT(UNKNOWN_SHOWN * (NAME_SHOWN_MAX + 2) + 1);
	size_t n = 0, shown = 0;
	void *it = NULL;
	struct bytes name;
	const struct json_value *v;
	while (json_next(object, &it, &name, &v)) {
		if (knows(t, name) || knows(more, name))
			continue;
		n++;
		if (shown == UNKNOWN_SHOWN || name.n == 0 || name.n > NAME_SHOWN_MAX || !reply_printable(name))
			continue;
		buf_put_str(&names, shown++ == 0 ? ": " : ", ");
		buf_put_bytes(&names, name);
	}
	const char *list = buf_cstr(&names);
	if (n > 0)
		verdict_warn(d,
			     "%zu member%s of the reply %s not known here, and nothing signed was found to vouch for "
			     "%s%s.",
			     n, n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it" : "them",
			     list == NULL ? "" : list);
	buf_free(&names);
}

enum err verify_mirrors(struct verify *v, const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	/* attestd's vsock replies tell the server's own clock, in ms. */
	static const struct member clock[] = {{"timestamp", NULL, false}};
	const struct table shown = TABLE(shown_members), members = TABLE(reply_members), none = {NULL, 0};
	const struct json_value *tee = json_get(reply, "tee_verified"), *when = json_get(reply, "timestamp");
	const enum reply_kind kind = reply_kind(reply);
	if (kind == REPLY_REST) {
		compare(reply_shown(reply), "attestation_document.", shown, none, d);
		warn_of_unknown(reply_shown(reply), shown, none, d);
	} else if (kind == REPLY_BARE) {
		compare(reply, "", shown, none, d);
	}
	const bool own_clock = kind == REPLY_VSOCK && is_type(when, JSON_INT);
	compare(reply, "", members, kind == REPLY_BARE ? shown : own_clock ? TABLE(clock) : none, d);
	warn_of_unknown(reply, members, kind == REPLY_BARE ? shown : none, d);
	enum err e = reply_contents(v->crypto, reply, d, w);
	if (e == ERR_OK && d->results[CHECK_REPLY] != CHECK_FAIL)
		verdict_pass(d, CHECK_REPLY, "What the reply repeats of the document is what is signed%s.",
			     is_type(tee, JSON_TRUE) ? "; its tee_verified is only the server's word" : "");
	return e;
}
