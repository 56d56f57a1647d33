/* claims_read.c - what the signed user data says. Read so strictly that a text which two readers could take for two
 * different claims is taken for none.
 */
#include "verdict.h"

#include <stdio.h>

#include "claim_table.h"

struct claims {
	struct json *json;
	enum attest_purpose purpose;
	size_t n_metadata; /* members that are no claims */
	bool metadata_digest;
	enum verify_code fault; /* when it is none */
};

static enum err malformed(struct claims *c, struct why *w, const char *field, const char *text)
{
	c->fault = VERIFY_CLAIMS_MALFORMED;
	return why_tell(w, ERR_INVALID, field, "%s", text);
}

static enum err parse(struct claims *c, struct bytes user_data, struct why *w)
{
	if (user_data.p == NULL)
		return malformed(c, w, "user_data", "The document holds no user data, where claims would stand.");
	struct why inner = {0};
	enum err e = json_parse(&c->json, user_data, &inner);
	if (e == ERR_INVALID) {
		c->fault = VERIFY_CLAIMS_MALFORMED;
		/* The reader may quote what the sender wrote. */
		const bool show = bytes_printable(bytes_str(inner.text));
		return why_tell(w, e, "user_data",
				"The signed user data is not JSON in UTF-8 that can be read in one way only%s%s.",
				show ? ": " : "", show ? inner.text : "");
	}
	if (e != ERR_OK)
		*w = inner;
	return e;
}

static enum err read_purpose(struct claims *c, struct why *w)
{
	struct bytes key;
	const struct json_value *const root = json_root(c->json), *v = NULL;
	if (json_type(root) != JSON_OBJECT)
		return malformed(c, w, "user_data", "The signed user data is JSON, but not an object.");
	if (!json_next(root, &key, &v) || !bytes_is(key, "purpose"))
		return malformed(c, w, "user_data",
				 "The signed user data is a JSON object that does not begin with \"purpose\".");
	if (json_type(v) != JSON_STRING || !attest_purpose_parse(json_string(v), &c->purpose))
		return malformed(
			c, w, "user_data.purpose",
			"The \"purpose\" in the signed user data is not attestation, key-exchange, info, tls or "
			"peer.");
	return ERR_OK;
}

/* The first purpose that may use the claim. */
static const char *owner(const struct claim *claim)
{
	enum attest_purpose p = 0;
	while ((claim->purposes & CLAIM_OF(p)) == 0)
		p++;
	return attest_purpose_name(p);
}

static enum err judge(struct claims *c, struct bytes key, const struct json_value *v, struct why *w)
{
	char field[WHY_FIELD_MAX];
	const struct claim *claim = claim_find(key);
	if (claim == NULL) {
		c->n_metadata++;
		return ERR_OK;
	}
	(void)snprintf(field, sizeof field, "user_data.%s", claim->name);
	if ((claim->purposes & CLAIM_OF(c->purpose)) == 0) {
		c->fault = VERIFY_CLAIMS_FORBIDDEN;
		return why_tell(w, ERR_INVALID, field,
				"The signed claims are for %s, but use the name \"%s\", which belongs to %s.",
				attest_purpose_name(c->purpose), claim->name, owner(claim));
	}
	if (json_type(v) != JSON_STRING || !claim_fits(claim, json_string(v))) {
		c->fault = VERIFY_CLAIMS_MALFORMED;
		return why_tell(w, ERR_INVALID, field, "The signed claim \"%s\" is not %s.", claim->name,
				claim_form_text(claim));
	}
	return ERR_OK;
}

static enum err complete(struct claims *c, struct why *w)
{
	const struct json_value *object = json_root(c->json);
	for (size_t i = 0; i < CLAIM_COUNT; i++) {
		const struct claim *claim = &claim_table[i];
		const bool present = json_get(object, claim->name) != NULL;
		const char *lacks = NULL;
		if (!present && claim->required && (claim->purposes & CLAIM_OF(c->purpose)) != 0)
			lacks = claim->name;
		if (present && claim->with != NULL && json_get(object, claim->with) == NULL)
			lacks = claim->with;
		if (lacks != NULL) {
			c->fault = VERIFY_CLAIMS_MALFORMED;
			return why_tell(w, ERR_INVALID, "user_data", "The signed claims are for %s, but lack \"%s\".",
					attest_purpose_name(c->purpose), lacks);
		}
	}
	c->metadata_digest = json_get(object, "metadata_digest") != NULL;
	return ERR_OK;
}

/* ERR_INVALID, told, with c->fault. */
static enum err read_claims(struct claims *c, struct bytes user_data, struct why *w)
{
	enum err e = parse(c, user_data, w);
	if (e == ERR_OK)
		e = read_purpose(c, w);
	if (e != ERR_OK)
		return e;
	struct bytes key;
	const struct json_value *v = NULL;
	while (e == ERR_OK && json_next(json_root(c->json), &key, &v))
		e = judge(c, key, v, w);
	return e == ERR_OK ? complete(c, w) : e;
}

static const char *stated(const struct claims *c)
{
	return c->n_metadata > 0 || c->metadata_digest
		       ? " The agent metadata in it is stated by the enclave's software, not measured."
		       : "";
}

static void put_claims(const char *wanted, struct claims *c, struct verify_verdict *d)
{
	const char *name = attest_purpose_name(c->purpose);
	d->claims = c->json;
	c->json = NULL;
	(void)snprintf(d->purpose, sizeof d->purpose, "%s", name);
	if (wanted[0] == '\0')
		verdict_not_asked(d, CHECK_PURPOSE, "The signed claims are for %s; no purpose was required.%s", name,
				  stated(c));
	else if (bytes_is(bytes_str(wanted), name))
		verdict_pass(d, CHECK_PURPOSE, "The purpose: %s, as %s.%s", name,
			     d->purpose_as != NULL ? d->purpose_as : "required", stated(c));
	else
		verdict_fail(
			d, CHECK_PURPOSE, VERIFY_PURPOSE_MISMATCH, "user_data.purpose",
			"The document was made for %s, but one for %s was required: use it only for what it was made "
			"for.",
			name, wanted);
}

enum err verify_claims(const char *wanted, struct verify_verdict *d, struct why *w)
{
	struct claims c = {.json = NULL};
	struct why inner = {0};
	enum err e = read_claims(&c, d->view.user_data, &inner);
	if (e == ERR_OK) {
		put_claims(wanted, &c, d);
	} else if (e != ERR_INVALID) {
		*w = inner;
	} else {
		e = ERR_OK;
		if (wanted[0] == '\0')
			verdict_not_asked(d, CHECK_PURPOSE,
					  "Not read as claims of attestd; no purpose was required. %s", inner.text);
		else
			verdict_fail(d, CHECK_PURPOSE, c.fault, inner.field, "%s", inner.text);
	}
	json_free(c.json);
	return e;
}
