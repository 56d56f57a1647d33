/* policy.c - what is wanted of a document. A policy that could be misread, or that pins less than its writer meant, is
 * refused: a verdict on it would be believed.
 */
#include "policy.h"

#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { MAX_AGE_MAX_S = 10 * 365 * 24 * 60 * 60, DECIMAL_MAX = 12 };
static const int64_t at_max_s = INT64_C(253402300799); /* the end of year 9999 */

_Static_assert((int)ATTEST_FIELD_MAX >= (int)VERIFY_NONCE_MAX && (int)ATTEST_FIELD_MAX >= (int)VERIFY_USER_DATA_MAX,
	       "attest_text_read has room");

void verify_policy_init(struct verify_policy *p)
{
	memset(p, 0, sizeof *p);
	p->max_age_s = VERIFY_MAX_AGE_S;
	p->at = VERIFY_AT_NOW;
}

/* Pinned, and to nothing but values that a measured enclave can have: zeros are what every debug enclave shows, and
 * what stands in a PCR that nothing was measured into. */
static bool pins_something(const struct verify_policy *p, unsigned index)
{
	bool pinned = false;
	for (size_t i = 0; i < p->n_pins; i++) {
		if (p->pins[i].index != index)
			continue;
		if (bytes_is_zero(bytes_of(p->pins[i].value, NSM_PCR_SIZE)))
			return false;
		pinned = true;
	}
	return pinned;
}

enum verify_identity verify_policy_identity(const struct verify_policy *p)
{
	if (pins_something(p, 0) || (pins_something(p, 1) && pins_something(p, 2)) || pins_something(p, 8))
		return VERIFY_COMPARED;
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++)
		if (pins_something(p, i))
			return VERIFY_WEAK;
	return VERIFY_NOT_COMPARED;
}

/* Whoever asks for an age means it; at its own time every document has the age 0. */
enum err verify_policy_check(const struct verify_policy *p, struct why *w)
{
	if (p->at == VERIFY_AT_DOCUMENT && p->max_age_given)
		return why_tell(
			w, ERR_INVALID, "max_age",
			"Judged as of its own time, a document has no age: leave the greatest age out or make it any, or "
			"judge the document as of now or of a time in Unix seconds.");
	return ERR_OK;
}

/* One spelling only: no sign, no leading zeros. */
static bool read_decimal(struct bytes text, int64_t max, int64_t *out)
{
	int64_t v = 0;
	if (text.n == 0 || text.n > DECIMAL_MAX || (text.p[0] == '0' && text.n > 1))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = 10 * v + (text.p[i] - '0');
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

/* ---- PCRs ---- */

static enum err add_pin(struct verify_policy *p, const struct verify_pin *fresh, const char *field, struct why *w)
{
	if (p->n_pins == VERIFY_PINS_MAX)
		return why_tell(w, ERR_INVALID, field, "The policy pins more than %d PCR values.", VERIFY_PINS_MAX);
	p->pins[p->n_pins++] = *fresh;
	return ERR_OK;
}

enum err policy_pin(struct verify_policy *p, unsigned index, struct bytes hex, const char *field, struct why *w)
{
	struct verify_pin fresh = {.index = index};
	const enum err e = nsm_pcr_value(index, hex, fresh.value, field, w);
	return e != ERR_OK ? e : add_pin(p, &fresh, field, w);
}

enum err verify_policy_pcr(struct verify_policy *p, struct bytes n_equals_hex, struct why *w)
{
	struct verify_pin fresh = {.index = 0};
	const enum err e = nsm_pcr_parse(n_equals_hex, &fresh.index, fresh.value, w);
	return e != ERR_OK ? e : add_pin(p, &fresh, "pcr", w);
}

/* ---- the rest, as text ---- */

static enum err read_wanted(const struct attest_text *rules, struct bytes text, struct verify_wanted *out,
			    struct why *w)
{
	enum attest_encoding used;
	enum err e = attest_text_read(rules, text, ATTEST_AUTO, out->b, &out->n, &used, w);
	if (e == ERR_OK)
		out->present = true;
	return e;
}

enum err verify_policy_nonce(struct verify_policy *p, struct bytes text, struct why *w)
{
	static const struct attest_text rules = {
		"nonce", "nonce", VERIFY_NONCE_MAX, false,
		"give the 1 to 1024 bytes that were sent, as hex, base64 or text (hex:..., base64:..., text:...)"};
	return read_wanted(&rules, text, &p->nonce, w);
}

enum err verify_policy_user_data(struct verify_policy *p, struct bytes text, struct why *w)
{
	static const struct attest_text rules = {
		"user_data", "user data", VERIFY_USER_DATA_MAX, true,
		"give its 1 to 1024 bytes as hex, base64 or text (hex:..., base64:..., text:...); text: with nothing "
		"behind it asks for user data that is there and empty"};
	return read_wanted(&rules, text, &p->user_data, w);
}

enum err verify_policy_max_age(struct verify_policy *p, struct bytes text, struct why *w)
{
	int64_t s = -1;
	if (!bytes_is(text, "any") && !read_decimal(text, MAX_AGE_MAX_S, &s))
		return why_tell(
			w, ERR_INVALID, "max_age",
			"The greatest age is a number of seconds from 0 to %d (ten years), or any; %d holds when it is "
			"left out.",
			MAX_AGE_MAX_S, VERIFY_MAX_AGE_S);
	p->max_age_s = s;
	p->max_age_given = s >= 0;
	return ERR_OK;
}

enum err verify_policy_at(struct verify_policy *p, struct bytes text, struct why *w)
{
	int64_t s = 0;
	enum verify_at at = VERIFY_AT_TIME;
	if (bytes_is(text, "now"))
		at = VERIFY_AT_NOW;
	else if (bytes_is(text, "document"))
		at = VERIFY_AT_DOCUMENT;
	else if (!read_decimal(text, at_max_s, &s))
		return why_tell(
			w, ERR_INVALID, "at",
			"The time to verify at is now, document (the document's own time), or Unix seconds such as "
			"1769774400.");
	p->at = at;
	p->at_s = s;
	return ERR_OK;
}

enum err verify_policy_purpose(struct verify_policy *p, struct bytes name, struct why *w)
{
	enum attest_purpose purpose;
	if (!attest_purpose_parse(name, &purpose))
		return why_tell(w, ERR_INVALID, "purpose",
				"The purpose is attestation, key-exchange, info, tls or peer.");
	(void)snprintf(p->purpose, sizeof p->purpose, "%s", attest_purpose_name(purpose));
	return ERR_OK;
}

enum err verify_policy_root_der(struct verify_policy *p, struct bytes der, struct why *w)
{
	if (der.n == 0 || der.n > sizeof p->root_der)
		return why_set(w, ERR_INTERNAL, "a root of %zu bytes is no certificate", der.n);
	p->own_root = true;
	p->root_n = der.n;
	memcpy(p->root_der, der.p, der.n);
	return ERR_OK;
}

enum err verify_policy_root(struct verify_policy *p, struct bytes pem, struct why *w)
{
	struct buf der = BUF_INIT(CERT_DER_MAX);
	struct why inner = {0};
	enum err e = cert_pem_read(pem, &der, &inner);
	if (e == ERR_OK)
		e = verify_policy_root_der(p, buf_bytes(&der), w);
	else if (e == ERR_INVALID)
		e = why_tell(w, e, "root", "%s.", inner.text);
	else
		*w = inner;
	buf_free(&der);
	return e;
}
