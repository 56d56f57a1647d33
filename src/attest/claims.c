/* claims.c - the JSON object that a document signs. Its order is part of the contract: whoever reads `purpose` first
 * can refuse a document that was made for something else before looking at the rest.
 */
#include "internal.h"

#include <string.h>

#include "claim_table.h"

/* JSON makes at most six characters of a byte, and less than NSM_USER_DATA_MAX bytes of values are ever rendered. */
enum { RENDER_MAX = 6 * NSM_USER_DATA_MAX + 2048 };

static enum err too_long(struct why *w, enum attest_purpose purpose, size_t n)
{
	return why_set(w, ERR_CLAIMS, "the claims of purpose %s take %zu bytes or more; at most %d can be attested",
		       attest_purpose_name(purpose), n, NSM_USER_DATA_MAX);
}

/* `tail` is metadata, ready to be put behind the rest. The length is left to the caller to judge. */
static enum err render(const struct attest *a, enum attest_purpose purpose, const char *timestamp,
		       const struct attest_claim *own, size_t n, struct bytes tail, struct buf *out, struct why *w)
{
	size_t values = strlen(a->agent) + strlen(a->guardrail) + tail.n;
	for (size_t i = 0; i < n; i++) {
		const struct claim *c = claim_find(bytes_str(own[i].name));
		if (c == NULL || (c->purposes & CLAIM_OF(purpose)) == 0) /* our own verifier would refuse it */
			return why_set(w, ERR_INTERNAL, "%s is no claim of purpose %s", own[i].name,
				       attest_purpose_name(purpose));
		values += own[i].value.n;
	}
	if (values > NSM_USER_DATA_MAX)
		return too_long(w, purpose, values);
	buf_put_u8(out, '{');
	JSON_PUT_KEY(out, "purpose");
	json_put_cstr(out, attest_purpose_name(purpose));
	JSON_PUT_KEY(out, "timestamp");
	json_put_cstr(out, timestamp);
	JSON_PUT_KEY(out, "agent");
	json_put_cstr(out, a->agent);
	JSON_PUT_KEY(out, "guardrail");
	json_put_cstr(out, a->guardrail);
	for (size_t i = 0; i < n; i++) {
		json_put_key(out, own[i].name);
		json_put_string(out, own[i].value);
	}
	buf_put_bytes(out, tail);
	buf_put_u8(out, '}');
	return buf_check(out, w);
}

static void put_digest(struct buf *b, const uint8_t digest[SHA256_SIZE])
{
	buf_put_str(b, ",\"metadata_digest\":");
	json_put_hex(b, bytes_of(digest, SHA256_SIZE));
}

static size_t longest_own(enum attest_purpose p, struct attest_claim own[CLAIM_COUNT])
{
	size_t n = 0;
	for (size_t i = 0; i < CLAIM_COUNT; i++) {
		const struct claim *c = &claim_table[i];
		if (c->purposes == CLAIM_OF(p))
			own[n++] = (struct attest_claim){c->name, bytes_str(claim_longest(c))};
	}
	return n;
}

/* A key exchange has no metadata, and its room is taken by scope_hash. */
static bool may_have_metadata(enum attest_purpose p)
{
	return p != ATTEST_KEY_EXCHANGE;
}

enum err attest_claims_fit(const struct attest *a, struct why *w)
{
	struct buf tail = BUF_INIT(256), out = BUF_INIT(RENDER_MAX);
	put_digest(&tail, (const uint8_t[SHA256_SIZE]){0});
	enum err e = buf_check(&tail, w);
	for (enum attest_purpose p = 0; e == ERR_OK && p < ATTEST_PURPOSES; p++) {
		struct attest_claim own[CLAIM_COUNT];
		buf_reset(&out);
		e = render(a, p, "2026-01-30T12:00:00Z", own, longest_own(p, own),
			   may_have_metadata(p) ? buf_bytes(&tail) : bytes_of(NULL, 0), &out, w);
		if (e == ERR_OK && out.n > NSM_USER_DATA_MAX)
			e = too_long(w, p, out.n);
		if (e == ERR_CLAIMS)
			e = why_set(w, ERR_CONFIG,
				    "agent and guardrail are too long together: the claims of purpose %s would exceed "
				    "%d bytes; shorten them",
				    attest_purpose_name(p), NSM_USER_DATA_MAX);
	}
	buf_free(&tail);
	buf_free(&out);
	return e;
}

static enum err refresh(struct attest *a, int64_t wall, struct why *w)
{
	bool changed = false;
	enum err e = attest_metadata_refresh(&a->metadata, a->metadata_file, a->crypto, wall, &changed, w);
	if (e == ERR_OK && changed)
		log_event(a->log, LOG_INFO, "metadata_read", LOG_I("canonical_bytes", a->metadata.canonical.n));
	return e;
}

/* Documents are made on a worker, and the log belongs to the loop: what the last one showed is told here. */
static void tell_change(struct attest *a)
{
	const bool was_told = a->told != TOLD_NOTHING, now = attest_verified(a);
	const bool changed = was_told && now != (a->told == TOLD_VERIFIED);
	a->told = now ? TOLD_VERIFIED : TOLD_UNVERIFIED;
	if (changed && now)
		log_event(a->log, LOG_INFO, "nsm",
			  LOG_S("text", "attestation documents verify under the AWS root again"));
	else if (changed)
		log_event(a->log, LOG_WARN, "nsm",
			  LOG_S("text",
				"attestation documents do not verify under the AWS root any more; replies say why"));
}

enum err attest_claims_make(struct attest *a, enum attest_purpose purpose, const struct attest_claim *own, size_t n,
			    bool with_metadata, struct attest_claims *out, struct why *w)
{
	struct buf user_data = BUF_INIT(RENDER_MAX), tail = BUF_INIT(256), metadata = BUF_INIT(ATTEST_CANONICAL_MAX);
	const struct attest_metadata *m = &a->metadata;
	char timestamp[CLOCK_TEXT_SIZE];
	int64_t wall = clock_wall(a->clock);
	/* That metadata does not fit is no fault. */
	struct why inner = {0};
	enum err e = ERR_OK;
	tell_change(a);
	with_metadata = with_metadata && may_have_metadata(purpose) && a->metadata_file[0] != '\0';
	if (with_metadata)
		e = refresh(a, wall, w);
	if (e != ERR_OK)
		goto out;
	clock_text(wall, timestamp);

	bool whole = !with_metadata || !m->large;
	if (whole)
		e = render(a, purpose, timestamp, own, n, with_metadata ? buf_bytes(&m->members) : bytes_of(NULL, 0),
			   &user_data, &inner);
	if (with_metadata && m->canonical.n > 2 &&
	    (!whole || e == ERR_CLAIMS || (e == ERR_OK && user_data.n > NSM_USER_DATA_MAX))) {
		buf_reset(&user_data);
		put_digest(&tail, m->digest);
		buf_put_bytes(&metadata, buf_bytes(&m->canonical));
		e = buf_check(&tail, w);
		if (e == ERR_OK)
			e = buf_check(&metadata, w);
		if (e == ERR_OK)
			e = render(a, purpose, timestamp, own, n, buf_bytes(&tail), &user_data, w);
	} else if (e != ERR_OK) {
		*w = inner;
	}
	if (e == ERR_OK && user_data.n > NSM_USER_DATA_MAX)
		e = too_long(w, purpose, user_data.n);
	if (e != ERR_OK)
		goto out;
	*out = (struct attest_claims){purpose, user_data, metadata, wall};
	user_data = metadata = BUF_INIT(0);
out:
	buf_free(&user_data);
	buf_free(&tail);
	buf_free(&metadata);
	return e;
}

void attest_claims_free(struct attest_claims *c)
{
	if (c == NULL)
		return;
	buf_free(&c->user_data);
	buf_free(&c->metadata);
}
