/* reply.c - does a reply say what its document signs, and no more?
 *
 * People and scripts read the reply's own members, not the signed ones. So each that repeats a signed value must equal
 * it, and none may stand there that the server does not send: nobody could tell it from those that were compared. One
 * that is left out says nothing and so cannot lie.
 */
#include "reply.h"

#include <stdio.h>
#include <string.h>

/* A name is shown up to NAME_SHOWN_MAX characters; of the members with one fault NAMES_KEPT are kept. */
enum { NAME_SHOWN_MAX = 32, NAMES_KEPT = 16 };

/* ---- kinds ---- */

enum reply_kind reply_kind(const struct json_value *object)
{
	const struct json_value *d = json_get(object, "attestation_document");
	if (d != NULL && json_type(d) == JSON_STRING)
		return REPLY_VSOCK;
	if (d != NULL && json_type(d) == JSON_OBJECT)
		return reply_has_any(object, REPLY_IN_KEY_EXCHANGE) ? REPLY_KEY_EXCHANGE
		       : reply_has_any(object, REPLY_IN_INFO)	    ? REPLY_INFO
		       : reply_has_any(object, REPLY_IN_TLS)	    ? REPLY_TLS
		       : json_get(object, "certificate") != NULL    ? REPLY_PEER
								    : REPLY_ATTESTATION;
	if (d == NULL && (json_get(object, "document") != NULL ||
			  (json_get(object, "module_id") != NULL && json_get(object, "pcrs") != NULL)))
		return REPLY_BARE;
	return REPLY_OTHER;
}

const struct json_value *reply_shown(const struct json_value *object)
{
	switch (reply_kind(object)) {
	case REPLY_ATTESTATION:
	case REPLY_INFO:
	case REPLY_KEY_EXCHANGE:
	case REPLY_TLS:
	case REPLY_PEER:
		return json_get(object, "attestation_document");
	case REPLY_BARE:
		return object;
	case REPLY_VSOCK:
	case REPLY_OTHER:
		break;
	}
	return NULL;
}

static const struct {
	unsigned in; /* where its own members stand */
	const char *purpose;
} kinds[] = {
	[REPLY_OTHER] = {0, ""},
	[REPLY_ATTESTATION] = {REPLY_IN_ATTESTATION, "attestation"},
	[REPLY_INFO] = {REPLY_IN_INFO, "info"},
	[REPLY_KEY_EXCHANGE] = {REPLY_IN_KEY_EXCHANGE, "key-exchange"},
	[REPLY_TLS] = {REPLY_IN_TLS, "tls"},
	[REPLY_PEER] = {REPLY_IN_PEER, "peer"},
	[REPLY_VSOCK] = {REPLY_IN_VSOCK, ""},
	[REPLY_BARE] = {REPLY_IN_SHOWN, ""},
};

const char *verify_reply_purpose(const struct json_value *reply)
{
	return kinds[reply_kind(reply)].purpose;
}

/* ---- names of members ---- */

struct names {
	size_t n; /* all that there are; the first NAMES_KEPT are kept */
	char text[NAMES_KEPT][WHY_FIELD_MAX];
};

/* In printable ASCII, and so that no two names look the same: pcr2 with an invisible letter behind it is not pcr2. */
static void show_name(struct bytes name, char out[NAME_SHOWN_MAX + sizeof "..."])
{
	size_t at = 0;
	for (size_t i = 0; i < name.n; i++) {
		const bool plain = bytes_printable(bytes_of(name.p + i, 1)) && name.p[i] != '\\' && name.p[i] != '"';
		if (at + (plain ? 1 : 4) > NAME_SHOWN_MAX) {
			memcpy(out + at, "...", 3);
			at += 3;
			break;
		}
		if (plain)
			out[at++] = (char)name.p[i];
		else
			at += (size_t)snprintf(out + at, 5, "\\x%02x", name.p[i]);
	}
	out[at] = '\0';
}

static void add_name(struct names *names, const char *prefix, struct bytes name)
{
	char shown[NAME_SHOWN_MAX + sizeof "..."];
	if (names->n < NAMES_KEPT) {
		show_name(name, shown);
		(void)snprintf(names->text[names->n], WHY_FIELD_MAX, "%s%s", prefix, shown);
	}
	names->n++;
}

/* At least one name, more only up to `room` characters. */
static void put_names(const struct names *names, const char *quote, size_t room, struct buf *out)
{
	const size_t begin = out->n;
	size_t i = 0;
	for (; i < names->n && i < NAMES_KEPT; i++) {
		if (i > 0 && out->n - begin + strlen(names->text[i]) + 2 + 2 * strlen(quote) > room)
			break;
		buf_printf(out, "%s%s%s%s", i > 0 ? ", " : "", quote, names->text[i], quote);
	}
	if (i < names->n)
		buf_printf(out, " and %zu more", names->n - i);
}

/* ---- what is wrong ---- */

static const struct {
	enum verify_code code;
	const char *begin, *one, *many; /* what is said around the names */
	const char *quote;		/* names that are not ours could read like a sentence of ours */
} faults[REPLY_FAULTS] = {
	[REPLY_FAULT_SIGNED] = {VERIFY_REPLY_MISMATCH, "The reply's ", " is not what the document signs.",
				" are not what the document signs.", ""},
	[REPLY_FAULT_FOREIGN] = {VERIFY_REPLY_MISMATCH, "The server does not send ",
				 ", which a person or a script could take for signed.",
				 ", which a person or a script could take for signed.", "\""},
	[REPLY_FAULT_FORM] = {VERIFY_REPLY_MISMATCH, "The reply's ",
			      " is not what the server sends with such a document.",
			      " are not what the server sends with such a document.", ""},
	[REPLY_FAULT_CUSTOM] = {VERIFY_CUSTOM_DATA_MISMATCH, "The reply's ",
				" is not what the signed custom_digest was made of.",
				" are not what the signed custom_digest was made of.", ""},
	[REPLY_FAULT_METADATA] = {VERIFY_METADATA_MISMATCH, "The reply's ",
				  " is not what the signed metadata_digest was made of.",
				  " are not what the signed metadata_digest was made of.", ""},
};

struct reading {
	struct crypto *crypto;
	struct names wrong[REPLY_FAULTS], unsigned_members;
};

/* All that is wrong, each kind with an equal share of the room for names; then what follows from it, if it fits. */
static void put_faults(const struct reading *r, struct buf *out)
{
	static const char advice[] = " The reply was altered, or its sender lies: rely on nothing but the document.";
	enum { MORE_MAX = 16 }; /* " and 1234567 more" */
	size_t kinds_n = 0, frames = 0;
	for (int f = 0; f < REPLY_FAULTS; f++) {
		if (r->wrong[f].n == 0)
			continue;
		kinds_n++;
		frames += strlen(faults[f].begin) + strlen(faults[f].many) + 1 + MORE_MAX;
	}
	const size_t room = frames < WHY_TEXT_MAX ? (WHY_TEXT_MAX - frames) / kinds_n : 0;
	for (int f = 0; f < REPLY_FAULTS; f++) {
		const struct names *names = &r->wrong[f];
		if (names->n == 0)
			continue;
		buf_printf(out, "%s%s", out->n > 0 ? " " : "", faults[f].begin);
		put_names(names, faults[f].quote, room, out);
		buf_put_str(out, names->n == 1 ? faults[f].one : faults[f].many);
	}
	if (out->n + sizeof advice <= WHY_TEXT_MAX)
		buf_put_str(out, advice);
}

static enum err conclude(const struct reading *r, struct verify_verdict *d, struct why *w)
{
	struct buf text = BUF_INIT(4096);
	int f = 0;
	while (f < REPLY_FAULTS && r->wrong[f].n == 0)
		f++;
	if (f < REPLY_FAULTS)
		put_faults(r, &text);
	else
		put_names(&r->unsigned_members, "", WHY_TEXT_MAX, &text);
	const char *said = buf_cstr(&text);
	enum err e = buf_check(&text, w);
	if (e != ERR_OK)
		goto out;
	if (f < REPLY_FAULTS)
		verdict_fail(d, CHECK_REPLY, faults[f].code, r->wrong[f].text[0], "%s", said);
	else if (said[0] != '\0')
		verdict_pass(d, CHECK_REPLY, "Not signed: %s. Every other member repeats what is signed.", said);
	else
		verdict_pass(d, CHECK_REPLY, "Every member repeats what is signed.");
out:
	buf_free(&text);
	return e;
}

/* ---- comparing ---- */

/* Where the signed claims could not be read, nothing may pass for one of them. */
static bool is_claim(const struct verify_verdict *d, const char *name, const struct json_value *v)
{
	const struct bytes c = reply_claim(d, name);
	if (c.p == NULL)
		return json_type(v) == JSON_NULL;
	return json_type(v) == JSON_STRING && bytes_equal(json_string(v), c);
}

static enum err compare_member(struct reading *r, const struct reply_member *m, const struct json_value *v,
			       const struct verify_verdict *d, enum reply_fault *fault, struct why *w)
{
	switch (m->as) {
	case REPLY_AS_DOCUMENT:
		break;
	case REPLY_AS_SIGNED:
		*fault = m->fits(d, v) ? REPLY_FAULTS : REPLY_FAULT_SIGNED;
		break;
	case REPLY_AS_CLAIM:
		*fault = is_claim(d, m->name, v) ? REPLY_FAULTS : REPLY_FAULT_SIGNED;
		break;
	case REPLY_AS_UNSIGNED:
		*fault = m->fits(d, v) ? REPLY_FAULTS : REPLY_FAULT_FORM;
		break;
	case REPLY_AS_CLAIMS:
	case REPLY_AS_CUSTOM_DATA:
	case REPLY_AS_CUSTOM_TEXT:
	case REPLY_AS_METADATA:
	case REPLY_AS_KEY_ID:
	case REPLY_AS_CERTIFICATE:
		return reply_contents(r->crypto, m, v, d, fault, w);
	}
	return ERR_OK;
}

static enum err compare(struct reading *r, const struct json_value *object, const char *prefix, unsigned in,
			const struct verify_verdict *d, struct why *w)
{
	struct bytes name;
	const struct json_value *v = NULL;
	while (json_next(object, &name, &v)) {
		const struct reply_member *m = reply_member(in, name);
		enum reply_fault fault = m == NULL ? REPLY_FAULT_FOREIGN : REPLY_FAULTS;
		enum err e = m == NULL ? ERR_OK : compare_member(r, m, v, d, &fault, w);
		if (e != ERR_OK)
			return e;
		if (fault != REPLY_FAULTS)
			add_name(&r->wrong[fault], prefix, name);
		else if (m->as == REPLY_AS_UNSIGNED)
			add_name(&r->unsigned_members, prefix, name);
	}
	return ERR_OK;
}

enum err verify_mirrors(struct verify *v, const struct json_value *reply, struct verify_verdict *d, struct why *w)
{
	struct reading r = {.crypto = v->crypto};
	const enum reply_kind kind = reply_kind(reply);
	const struct json_value *shown = reply_shown(reply);
	enum err e = ERR_OK;
	if (shown != NULL && shown != reply)
		e = compare(&r, shown, "attestation_document.", REPLY_IN_SHOWN, d, w);
	if (e == ERR_OK)
		e = compare(&r, reply, "", kinds[kind].in, d, w);
	if (e != ERR_OK)
		return e;
	reply_contents_missing(reply, d);
	return conclude(&r, d, w);
}
