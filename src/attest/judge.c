/* judge.c - the document alone: is it genuine, does it hold at the time asked for, and is it the one that was wanted?
 */
#include "verdict.h"

#include <stdio.h>

#include "cose.h"

enum { SIG_STRUCTURE_MAX = VERIFY_DOCUMENT_MAX + 64, SHOWN_MAX = 8, SHOWN_HEAD = 6, SHORT_SIZE = 2 * SHOWN_MAX + 4 };

/* ---- texts ---- */

/* Both ends in hex; whoever needs the rest finds it among the verdict's facts. */
static void shorten(struct bytes x, char out[SHORT_SIZE])
{
	size_t used = (size_t)snprintf(out, SHORT_SIZE, "%s", x.n == 0 ? "empty" : "");
	for (size_t i = 0; i < x.n; i++) {
		if (x.n > SHOWN_MAX && i == SHOWN_HEAD) {
			used += (size_t)snprintf(out + used, SHORT_SIZE - used, "...");
			i = x.n - (SHOWN_MAX - SHOWN_HEAD);
		}
		used += (size_t)snprintf(out + used, SHORT_SIZE - used, "%02x", x.p[i]);
	}
}

/* "PCR0, PCR1 and PCR8" */
static void list_pcrs(uint32_t set, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < NSM_PCRS_MAX && used < size; i++) {
		if ((set >> i & 1u) == 0)
			continue;
		const uint32_t rest = i + 1 < NSM_PCRS_MAX ? set >> (i + 1) : 0;
		const char *before = used == 0 ? "" : rest == 0 ? " and " : ", ";
		used += (size_t)snprintf(out + used, size - used, "%sPCR%u", before, i);
	}
}

/* ---- is it genuine? ---- */

static bool read_document(struct verify_verdict *d)
{
	struct why w = {0};
	enum verify_code fault;
	if (attest_view_parse(buf_bytes(&d->document), &d->view, &fault, &w) != ERR_OK) {
		verdict_fail(d, CHECK_DOCUMENT, fault, NULL, "%s", w.text);
		return false;
	}
	verdict_pass(d, CHECK_DOCUMENT, "It is a COSE_Sign1 with the fields of a Nitro enclave's document.");
	return true;
}

static enum err check_chain(struct verify *v, struct bytes root, struct verify_verdict *d, struct cert_chain **chain,
			    struct why *w)
{
	static const enum verify_code code_of[] = {[CERT_MALFORMED] = VERIFY_CERT_MALFORMED,
						   [CERT_UNSUPPORTED] = VERIFY_CERT_UNSUPPORTED,
						   [CERT_CONSTRAINT] = VERIFY_CERT_CONSTRAINT,
						   [CERT_UNTRUSTED] = VERIFY_CHAIN_UNTRUSTED,
						   [CERT_BROKEN] = VERIFY_CHAIN_BROKEN};
	enum cert_fault fault;
	struct why inner = {0};
	enum err e = chain_cache_get(v->chains, root, d->view.cabundle, d->view.n_cabundle, d->view.certificate, chain,
				     &fault, &inner);
	if (e == ERR_INVALID && fault == CERT_UNTRUSTED) {
		verdict_fail(d, CHECK_CHAIN, code_of[fault], NULL,
			     "The document's certificates do not start at %s did not vouch for it.",
			     d->aws_root ? "AWS's root: AWS" : "the root that you gave: its holder");
	} else if (e == ERR_INVALID) {
		verdict_fail(d, CHECK_CHAIN, code_of[fault], NULL, "%s.", inner.text);
	} else if (e != ERR_OK) {
		*w = inner;
		return e;
	} else {
		cert_chain_window(*chain, &d->not_before_s, &d->not_after_s);
		verdict_pass(d, CHECK_CHAIN, "%zu certificates lead from %s to the key that signed the document.",
			     d->view.n_cabundle + 1, d->aws_root ? "AWS's root" : "the root that you gave");
	}
	return ERR_OK;
}

/* Over the bytes received. */
static enum err check_signature(struct verify *v, const struct cert_chain *chain, struct verify_verdict *d,
				struct why *w)
{
	struct buf signed_bytes = BUF_INIT(SIG_STRUCTURE_MAX);
	cose_to_be_signed(d->view.protected_header, d->view.payload, &signed_bytes);
	enum err e = buf_check(&signed_bytes, w);
	if (e == ERR_OK) {
		d->signed_facts = cert_chain_signed(v->crypto, chain, buf_bytes(&signed_bytes), d->view.signature.p);
		if (d->signed_facts)
			verdict_pass(d, CHECK_SIGNATURE, "The signature is by the key of the document's certificate.");
		else
			verdict_fail(d, CHECK_SIGNATURE, VERIFY_SIGNATURE, NULL,
				     "The signature is not by the key of the document's certificate: the document was "
				     "altered, or put together by somebody else.");
	}
	buf_free(&signed_bytes);
	return e;
}

/* ---- does it hold at that time? ---- */

static int64_t age_at(int64_t at_s, int64_t made_s)
{
	int64_t age;
	if (__builtin_sub_overflow(at_s, made_s, &age))
		return at_s < made_s ? INT64_MIN : INT64_MAX;
	return age;
}

static void set_time(const struct verify *v, const struct verify_policy *p, struct verify_verdict *d)
{
	const int64_t made_s = d->view.timestamp_ms / 1000;
	char at[CLOCK_TEXT_SIZE];
	d->at_s = p->at == VERIFY_AT_NOW ? clock_wall(v->clock) / 1000 : p->at == VERIFY_AT_TIME ? p->at_s : made_s;
	d->age_s = age_at(d->at_s, made_s);
	d->historic = p->at != VERIFY_AT_NOW;
	if (!d->historic)
		return;
	verdict_time(d->at_s, at);
	verdict_warn(d,
		     "The document was judged at %s, not now: it says what was so then, and its certificates may have "
		     "expired since.",
		     at);
}

static void check_validity(struct verify_verdict *d)
{
	char at[CLOCK_TEXT_SIZE], from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
	verdict_time(d->at_s, at);
	verdict_time(d->not_before_s, from);
	verdict_time(d->not_after_s, to);
	if (d->at_s > d->not_after_s)
		verdict_fail(d, CHECK_VALIDITY, VERIFY_CERT_EXPIRED, NULL,
			     "The certificates were valid until %s, and the document is judged at %s.%s", to, at,
			     d->historic ? "" : " Ask for a new document, or have an old one judged at its own time.");
	else if (d->at_s < d->not_before_s)
		verdict_fail(d, CHECK_VALIDITY, VERIFY_CERT_NOT_YET_VALID, NULL,
			     "The certificates are valid from %s, and the document is judged at %s.%s", from, at,
			     d->historic ? "" : " Look whether the clock is right.");
	else
		verdict_pass(d, CHECK_VALIDITY, "The certificates are valid from %s to %s; judged at %s.", from, to,
			     at);
}

static void check_timestamp(const struct verify_policy *p, struct verify_verdict *d)
{
	const int64_t made_s = d->view.timestamp_ms / 1000;
	char made[CLOCK_TEXT_SIZE], age[VERDICT_SPAN_SIZE];
	verdict_time(made_s, made);
	verdict_span(d->age_s, age);
	if (made_s < d->not_before_s || made_s > d->not_after_s)
		verdict_fail(d, CHECK_TIMESTAMP, VERIFY_TIMESTAMP_OUTSIDE, NULL,
			     "The document is dated %s, when its certificates were not valid.", made);
	else if (d->age_s < -VERIFY_SKEW_S)
		verdict_fail(d, CHECK_TIMESTAMP, VERIFY_TIMESTAMP_FUTURE, NULL,
			     "The document is dated %s, %s after the time that it is judged at; at most %d s are "
			     "allowed.%s",
			     made, age, VERIFY_SKEW_S, d->historic ? "" : " Look whether the clock is right.");
	else if (p->max_age_s >= 0 && d->age_s > p->max_age_s)
		verdict_fail(d, CHECK_TIMESTAMP, VERIFY_TOO_OLD, NULL,
			     "The document was made at %s, %s before the time that it is judged at (%lld s); at most "
			     "%lld s are allowed. Ask for a new one.",
			     made, age, (long long)d->age_s, (long long)p->max_age_s);
	else if (p->at == VERIFY_AT_DOCUMENT)
		verdict_pass(d, CHECK_TIMESTAMP, "The document was made at %s. How old it is was not judged.", made);
	else
		verdict_pass(d, CHECK_TIMESTAMP, "The document is dated %s, %s %s the time that it is judged at.", made,
			     age, d->age_s < 0 ? "after" : "before");
}

/* ---- is it the one that was wanted? ---- */

static void check_debug(const struct verify_policy *p, struct verify_verdict *d)
{
	for (unsigned i = 0; i < 3; i++)
		d->debug = d->debug || bytes_is_zero(d->view.pcr[i]);
	if (!d->debug && d->aws_root) {
		verdict_pass(
			d, CHECK_DEBUG_MODE,
			"The enclave runs in production mode: PCR0, PCR1 and PCR2 are not zero, and tell what code "
			"it runs.");
	} else if (!d->debug) {
		verdict_pass(d, CHECK_DEBUG_MODE,
			     "It states PCRs that are not zero, as in production mode, but a software NSM can state "
			     "anything.");
	} else if (!p->allow_debug) {
		verdict_fail(
			d, CHECK_DEBUG_MODE, VERIFY_DEBUG, NULL,
			"PCR0, PCR1 or PCR2 is all zeros: the enclave runs in DEBUG mode, its code is not measured, "
			"and its console can be read from outside.");
	} else {
		verdict_pass(d, CHECK_DEBUG_MODE,
			     "PCR0, PCR1 or PCR2 is all zeros: the enclave runs in DEBUG mode, which "
			     "was allowed.");
		verdict_warn(d, "The enclave runs in debug mode: its code is not measured, and its console can be read "
				"from outside. It can keep no secret.");
	}
}

/* `wrong` has the pinned PCRs that do not fit; the sentence shows the first of them. */
static void fail_pcrs(const struct verify_policy *p, uint32_t wrong, struct verify_verdict *d)
{
	unsigned i = 0;
	while ((wrong >> i & 1u) == 0)
		i++;
	char field[8], more[256], also[300] = "";
	(void)snprintf(field, sizeof field, "PCR%u", i);
	const uint32_t others = wrong & ~(UINT32_C(1) << i);
	if (others != 0) {
		list_pcrs(others, more, sizeof more);
		(void)snprintf(also, sizeof also, " Not as wanted either: %s.", more);
	}
	if (d->view.pcr[i].p == NULL) {
		verdict_fail(d, CHECK_PCRS, VERIFY_PCR_MISSING, field, "The document has no %s, and one is wanted.%s",
			     field, also);
		return;
	}
	char is[SHORT_SIZE], wanted[SHORT_SIZE] = "";
	size_t values = 0;
	for (size_t k = 0; k < p->n_pins; k++)
		if (p->pins[k].index == i && values++ == 0)
			shorten(bytes_of(p->pins[k].value, NSM_PCR_SIZE), wanted);
	shorten(d->view.pcr[i], is);
	if (values == 1)
		verdict_fail(d, CHECK_PCRS, VERIFY_PCR_MISMATCH, field, "%s is %s, and %s is wanted.%s", field, is,
			     wanted, also);
	else
		verdict_fail(d, CHECK_PCRS, VERIFY_PCR_MISMATCH, field,
			     "%s is %s, and one of %zu values is wanted, the first of them %s.%s", field, is, values,
			     wanted, also);
}

static void check_pcrs(const struct verify_policy *p, struct verify_verdict *d)
{
	uint32_t pinned = 0, fit = 0;
	char names[256];
	for (size_t k = 0; k < p->n_pins; k++) {
		const struct verify_pin *pin = &p->pins[k];
		const struct bytes is = d->view.pcr[pin->index];
		pinned |= UINT32_C(1) << pin->index;
		if (is.p != NULL && bytes_equal(is, bytes_of(pin->value, NSM_PCR_SIZE)))
			fit |= UINT32_C(1) << pin->index;
	}
	d->compared = fit;
	if (pinned == 0) {
		verdict_not_asked(d, CHECK_PCRS,
				  "Which enclave this is was not compared: no PCR was given to compare with. Whoever "
				  "stands between you and the enclave that you want can run one of their own, and it "
				  "would pass this comparison too.");
		return;
	}
	if (fit != pinned) {
		fail_pcrs(p, pinned & ~fit, d);
		return;
	}
	list_pcrs(pinned, names, sizeof names);
	verdict_pass(d, CHECK_PCRS, "As wanted: %s.", names);
	d->identity = verify_policy_identity(p);
	if (d->identity == VERIFY_NOT_COMPARED)
		verdict_warn(
			d,
			"What was compared (%.64s) is all zeros in many enclaves, and does not tell them apart. Compare "
			"PCR0, or PCR1 and PCR2, or PCR8, with values that were measured.",
			names);
	else if (d->identity == VERIFY_WEAK)
		verdict_warn(
			d,
			"What was compared (%.64s) is weak: it does not tell which code runs. PCR2 is one value for all images "
			"without a second ramdisk, PCR3 and PCR4 only say where an enclave runs. Compare PCR0, or "
			"PCR1 and PCR2, or PCR8.",
			names);
}

/* Who chose it has chosen something that nobody else could know or use again. */
static void check_nonce(const struct verify_policy *p, struct verify_verdict *d)
{
	char is[SHORT_SIZE], wanted[SHORT_SIZE];
	const struct bytes want = {p->nonce.b, p->nonce.n};
	if (!p->nonce.present) {
		verdict_not_asked(d, CHECK_NONCE,
				  "No nonce was required: this may be a copy of a document that was made for somebody "
				  "else, and nothing but its timestamp tells it from an older one.");
		return;
	}
	if (want.n < VERIFY_NONCE_WEAK)
		verdict_warn(d,
			     "The required nonce has %zu byte%s; one of fewer than %d may have been guessed or used "
			     "before. Take %d random bytes or more.",
			     want.n, want.n == 1 ? "" : "s", VERIFY_NONCE_WEAK, VERIFY_NONCE_WEAK);
	if (d->view.nonce.p == NULL) {
		verdict_fail(d, CHECK_NONCE, VERIFY_NONCE_MISSING, "nonce",
			     "The document holds no nonce: it was not made for this request.");
	} else if (!bytes_equal(d->view.nonce, want)) {
		shorten(d->view.nonce, is);
		shorten(want, wanted);
		verdict_fail(
			d, CHECK_NONCE, VERIFY_NONCE_MISMATCH, "nonce",
			"The document's nonce is %s (length %zu), and %s (length %zu) is required: it was made for "
			"another request.",
			is, d->view.nonce.n, wanted, want.n);
	} else {
		verdict_pass(d, CHECK_NONCE, "The nonce is the required one: the document was made for this request.");
	}
}

static void check_user_data(const struct verify_policy *p, struct verify_verdict *d)
{
	char is[SHORT_SIZE], wanted[SHORT_SIZE];
	const struct bytes want = {p->user_data.b, p->user_data.n};
	if (!p->user_data.present) {
		verdict_not_asked(d, CHECK_USER_DATA, "No user data was required: any would have passed.");
	} else if (d->view.user_data.p == NULL) {
		verdict_fail(d, CHECK_USER_DATA, VERIFY_USER_DATA_MISMATCH, "user_data",
			     "The document holds no user data.");
	} else if (!bytes_equal(d->view.user_data, want)) {
		shorten(d->view.user_data, is);
		shorten(want, wanted);
		verdict_fail(d, CHECK_USER_DATA, VERIFY_USER_DATA_MISMATCH, "user_data",
			     "The document's user data is %s (length %zu), and %s (length %zu) is required.", is,
			     d->view.user_data.n, wanted, want.n);
	} else {
		verdict_pass(d, CHECK_USER_DATA, "The user data is the required one.");
	}
}

enum err verify_document(struct verify *v, const struct verify_policy *p, struct verify_verdict *d, struct why *w)
{
	const struct bytes root = p->own_root ? bytes_of(p->root_der, p->root_n) : verify_aws_root();
	struct cert_chain *chain = NULL;
	enum err e = crypto_sha256(v->crypto, root, d->root_sha256, w);
	d->aws_root = bytes_equal(root, verify_aws_root());
	if (e == ERR_OK && read_document(d))
		e = check_chain(v, root, d, &chain, w);
	if (e == ERR_OK && chain != NULL)
		e = check_signature(v, chain, d, w);
	cert_chain_free(chain);
	if (e != ERR_OK || !d->signed_facts)
		return e;
	if (!d->aws_root)
		verdict_warn(d, "The root is the one that you gave, not AWS's: whoever holds its key can make such "
				"documents without any enclave.");
	set_time(v, p, d);
	check_validity(d);
	check_timestamp(p, d);
	check_debug(p, d);
	check_pcrs(p, d);
	check_nonce(p, d);
	check_user_data(p, d);
	return ERR_OK;
}
