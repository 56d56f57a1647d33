/* doc.c - asking the NSM for a document, judging it as its receiver will, and showing it. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char dummy_warning[] =
	"DUMMY ATTESTATION: /dev/nsm is not available. This document is not cryptographically valid and proves nothing; "
	"for development only.";
static const char simulated_warning[] =
	"SIMULATED ATTESTATION: this document is signed by a software NSM under a root of its own; it proves nothing; "
	"for development only.";

/* What the dummy's document is made of. */
enum {
	OWN_MAX = NSM_PCRS_MAX * NSM_PCR_SIZE + NSM_MODULE_ID_SIZE + NSM_USER_DATA_MAX + NSM_NONCE_MAX +
		  NSM_PUBLIC_KEY_MAX
};
enum { WARNING_MAX = WHY_TEXT_MAX + 128 };

struct attest_doc {
	struct buf cose; /* as the NSM gave it; empty from the dummy */
	struct buf own;	 /* what `view` borrows when there is no cose */
	struct attest_view view;
	bool verified;
	char warning[WARNING_MAX]; /* "" if verified */
};

static bool same(struct bytes a, struct bytes b)
{
	return (a.p == NULL) == (b.p == NULL) && bytes_equal(a, b);
}

/* An answer to another question is worse than none: it would be handed on as proof of what was never attested. */
static enum err answers(const struct attest_view *v, const struct nsm_attestation *ask, struct why *w)
{
	if (!same(v->user_data, ask->user_data))
		return why_set(w, ERR_NSM, "the NSM's document does not hold the user data that was to be attested");
	if (!same(v->nonce, ask->nonce))
		return why_set(w, ERR_NSM, "the NSM's document does not hold the nonce that was to be attested");
	if (ask->public_key.p == NULL && v->public_key.p != NULL)
		return why_set(w, ERR_NSM, "the NSM's document holds a public key, and none was to be attested");
	if (!same(v->public_key, ask->public_key))
		return why_set(w, ERR_NSM, "the NSM's document does not hold the public key that was to be attested");
	return ERR_OK;
}

static void warn(const struct attest *a, const struct verify_verdict *verdict, struct attest_doc *d)
{
	if (nsm_is_simulated(a->nsm))
		(void)snprintf(d->warning, sizeof d->warning, "%s", simulated_warning);
	else
		(void)snprintf(
			d->warning, sizeof d->warning,
			"UNVERIFIED ATTESTATION: this server's own verifier does not accept the document (%s). %s",
			verify_code_name(verify_verdict_code(verdict)), verify_verdict_message(verdict));
}

static enum err judge(struct attest *a, struct attest_doc *d, struct why *w)
{
	struct verify_verdict *verdict = NULL;
	enum err e = verify_input(a->verify, buf_bytes(&d->cose), VERIFY_RAW, &a->policy, &verdict, w);
	if (e != ERR_OK)
		return e;
	d->verified = verify_verdict_good(verdict);
	if (!d->verified)
		warn(a, verdict, d);
	verify_verdict_free(verdict);
	return ERR_OK;
}

static enum err fill_signed(struct attest *a, const struct nsm_attestation *ask, struct attest_doc *d, struct why *w)
{
	enum err e = nsm_attest(a->nsm, ask, &d->cose, w);
	if (e != ERR_OK)
		return e;
	struct why inner = {0};
	enum verify_code unused;
	if (attest_view_parse(buf_bytes(&d->cose), &d->view, &unused, &inner) != ERR_OK)
		return why_set(w, ERR_NSM, "the NSM's document is not understood: %s", inner.text);
	e = answers(&d->view, ask, w);
	return e != ERR_OK ? e : judge(a, d, w);
}

static struct bytes keep(struct buf *own, struct bytes x)
{
	if (x.p == NULL)
		return x;
	struct bytes kept = {own->p + own->n, x.n};
	buf_put_bytes(own, x);
	return kept;
}

static enum err fill_dummy(struct attest *a, const struct nsm_attestation *ask, struct attest_doc *d, struct why *w)
{
	struct attest_view *v = &d->view;
	struct nsm_description nsm;
	enum err e = nsm_describe(a->nsm, &nsm, w);
	if (e != ERR_OK)
		return e;
	if (buf_reserve(&d->own, d->own.max) == NULL) /* all at once: what points into it must not move */
		return buf_check(&d->own, w);
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		bool locked;
		if ((nsm.locked_pcrs >> i & 1u) == 0)
			continue;
		v->pcr[i] = bytes_of(d->own.p + d->own.n, NSM_PCR_SIZE);
		e = nsm_pcr(a->nsm, i, &d->own, &locked, w);
		if (e != ERR_OK)
			return e;
	}
	v->module_id = keep(&d->own, bytes_str(nsm.module_id));
	v->digest = bytes_str("SHA384");
	v->timestamp_ms = clock_wall(a->clock);
	v->user_data = keep(&d->own, ask->user_data);
	v->nonce = keep(&d->own, ask->nonce);
	v->public_key = keep(&d->own, ask->public_key);
	(void)snprintf(d->warning, sizeof d->warning, "%s", dummy_warning);
	return buf_check(&d->own, w);
}

/* The dummy's PCR0 is zero and says nothing. */
static enum attest_debug debug_of(const struct attest_doc *d)
{
	if (d->cose.n == 0)
		return ATTEST_DEBUG_UNKNOWN;
	for (unsigned i = 0; i <= 2; i++)
		if (bytes_is_zero(d->view.pcr[i]))
			return ATTEST_DEBUG_ON;
	return ATTEST_DEBUG_OFF;
}

enum err attest_doc_make(struct attest *a, struct bytes user_data, const struct attest_nonce *nonce,
			 struct bytes public_key, struct attest_doc **out, struct why *w)
{
	struct nsm_attestation ask = {.user_data = user_data, .public_key = public_key};
	if (nonce != NULL && nonce->present)
		ask.nonce = bytes_of(nonce->b, nonce->n);
	if (user_data.n > NSM_USER_DATA_MAX || ask.nonce.n > NSM_NONCE_MAX || public_key.n > NSM_PUBLIC_KEY_MAX)
		return why_set(
			w, ERR_INTERNAL,
			"%zu bytes of user data, %zu of nonce and %zu of public key are more than can be attested",
			user_data.n, ask.nonce.n, public_key.n);
	struct attest_doc *d = calloc(1, sizeof *d);
	if (d == NULL)
		return why_set(w, ERR_MEMORY, "no memory for an attestation document");
	d->cose = BUF_INIT(NSM_REPLY_MAX);
	d->own = BUF_INIT(OWN_MAX);
	enum err e = nsm_is_dummy(a->nsm) ? fill_dummy(a, &ask, d, w) : fill_signed(a, &ask, d, w);
	atomic_store(&a->verified, e == ERR_OK && d->verified);
	atomic_store(&a->debug, e == ERR_OK ? debug_of(d) : ATTEST_DEBUG_UNKNOWN);
	if (e != ERR_OK) {
		attest_doc_free(d);
		return e;
	}
	*out = d;
	return ERR_OK;
}

void attest_doc_free(struct attest_doc *d)
{
	if (d == NULL)
		return;
	buf_free(&d->cose);
	buf_free(&d->own);
	free(d);
}

struct bytes attest_doc_cose(const struct attest_doc *d)
{
	return buf_bytes(&d->cose);
}

struct bytes attest_doc_pcr(const struct attest_doc *d, unsigned index)
{
	return index < NSM_PCRS_MAX ? d->view.pcr[index] : bytes_of(NULL, 0);
}

const char *attest_doc_warning(const struct attest_doc *d)
{
	return d->warning[0] != '\0' ? d->warning : NULL;
}

bool attest_doc_verified(const struct attest_doc *d)
{
	return d->verified;
}

void attest_put_pcrs(struct buf *out, const struct attest_view *v)
{
	buf_put_u8(out, '{');
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (v->pcr[i].p == NULL)
			continue;
		char index[4];
		(void)snprintf(index, sizeof index, "%u", i);
		json_put_key(out, index);
		json_put_hex(out, v->pcr[i]);
	}
	buf_put_u8(out, '}');
}

static void put_cabundle(struct buf *out, const struct attest_view *v)
{
	buf_put_u8(out, '[');
	for (size_t i = 0; i < v->n_cabundle; i++) {
		if (i > 0)
			buf_put_u8(out, ',');
		json_put_base64(out, v->cabundle[i]);
	}
	buf_put_u8(out, ']');
}

void attest_doc_json(const struct attest_doc *d, struct buf *out)
{
	const struct attest_view *v = &d->view;
	buf_put_u8(out, '{');
	JSON_PUT_KEY(out, "module_id");
	json_put_string(out, v->module_id);
	JSON_PUT_KEY(out, "timestamp");
	json_put_int(out, v->timestamp_ms);
	JSON_PUT_KEY(out, "digest");
	json_put_string(out, v->digest);
	JSON_PUT_KEY(out, "pcrs");
	attest_put_pcrs(out, v);
	JSON_PUT_KEY(out, "certificate");
	json_put_base64(out, v->certificate);
	JSON_PUT_KEY(out, "cabundle");
	put_cabundle(out, v);
	JSON_PUT_KEY(out, "public_key");
	json_put_base64(out, v->public_key);
	JSON_PUT_KEY(out, "user_data");
	json_put_base64(out, v->user_data);
	JSON_PUT_KEY(out, "nonce");
	json_put_base64(out, v->nonce);
	if (d->cose.n > 0) {
		JSON_PUT_KEY(out, "document");
		json_put_base64(out, buf_bytes(&d->cose));
	}
	if (d->warning[0] != '\0') {
		JSON_PUT_KEY(out, "_warning");
		json_put_cstr(out, d->warning);
	}
	buf_put_u8(out, '}');
}
