/* peer_report.c - what a report says, and whether it says what it must. */
#include "peer.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

static const char purpose[] = "peer";

const char *peer_role_name(enum peer_role r)
{
	return r == PEER_SERVER ? "server" : "client";
}

enum err peer_claims_make(struct attest *a, const struct peer_claims *p, struct attest_claims *out, struct why *w)
{
	const uint8_t *const hashes[] = {p->key_hash, p->peer_key_hash, p->config_digest};
	char hex[3][HEX_SIZE(SHA256_SIZE)];

	for (size_t i = 0; i < 3; i++)
		hex_encode(bytes_of(hashes[i], SHA256_SIZE), hex[i]);
	const struct attest_claim own[] = {
		{"role", bytes_str(peer_role_name(p->role))},
		{"key_hash", bytes_of(hex[0], sizeof hex[0])},
		{"peer_key_hash", bytes_of(hex[1], sizeof hex[1])},
		{"config_digest", bytes_of(hex[2], sizeof hex[2])},
	};
	/* Metadata is nothing that a peer goes by. */
	return attest_claims_make(a, ATTEST_PEER, own, sizeof own / sizeof own[0], false, out, w);
}

enum err peer_report_read(struct bytes base64, struct buf *document, struct why *w)
{
	const size_t longest = BASE64_SIZE(VERIFY_DOCUMENT_MAX);
	struct buf raw = BUF_INIT(BASE64_DECODED_MAX(longest));
	uint8_t *to = buf_reserve(&raw, raw.max);

	if (to == NULL)
		return buf_check(&raw, w);
	if (base64.n > longest || !base64_decode(base64, to, &raw.n) || raw.n == 0 || raw.n > VERIFY_DOCUMENT_MAX) {
		buf_free(&raw);
		return why_tell(w, ERR_INVALID, "attestation_document",
				"Must be an attestation document of at most %d bytes in padded base64.",
				VERIFY_DOCUMENT_MAX);
	}
	*document = raw;
	return ERR_OK;
}

/* ---- judging ---- */

static enum err refuse(struct why *w, const char *field, const char *text)
{
	return why_tell(w, ERR_UNATTESTED, field, "%s", text);
}

/* The verifier has seen to it that each claim is there, and of its form. */
static enum err read_claims(const struct verify_verdict *verdict, struct peer_claims *out, struct why *w)
{
	const struct {
		const char *name;
		uint8_t *to;
	} hashes[] = {{"key_hash", out->key_hash},
		      {"peer_key_hash", out->peer_key_hash},
		      {"config_digest", out->config_digest}};
	struct json *json = NULL;
	enum err e = json_parse(&json, verify_verdict_user_data(verdict), w);
	size_t n = 0;

	if (e != ERR_OK)
		return e;
	const struct json_value *claims = json_root(json), *v = json_get(claims, "role");
	bool good = v != NULL && json_type(v) == JSON_STRING;
	if (good)
		out->role = bytes_is(json_string(v), peer_role_name(PEER_SERVER)) ? PEER_SERVER : PEER_CLIENT;
	for (size_t i = 0; good && i < sizeof hashes / sizeof hashes[0]; i++) {
		v = json_get(claims, hashes[i].name);
		good = v != NULL && json_type(v) == JSON_STRING && json_string(v).n == HEX_SIZE(SHA256_SIZE) &&
		       hex_decode(json_string(v), hashes[i].to, &n);
	}
	json_free(json);
	return good ? ERR_OK : why_set(w, ERR_INTERNAL, "the verifier let claims pass that are not those of a peer");
}

static bool same(const uint8_t a[SHA256_SIZE], const uint8_t b[SHA256_SIZE])
{
	return bytes_equal(bytes_of(a, SHA256_SIZE), bytes_of(b, SHA256_SIZE));
}

static enum err compare(const struct peer_claims *is, const struct peer_claims *want, struct why *w)
{
	if (is->role != want->role && same(is->key_hash, want->peer_key_hash))
		return refuse(
			w, "role",
			"This is a report of our own, which somebody sent back to us: the other side must have its own "
			"enclave make one.");
	if (is->role != want->role)
		return why_tell(
			w, ERR_UNATTESTED, "role",
			"The report was made in the role of %s, and one of a %s is wanted: it was made for the other direction.",
			peer_role_name(is->role), peer_role_name(want->role));
	if (!same(is->key_hash, want->key_hash))
		return refuse(
			w, "key_hash",
			"The report was made for another key than the one that came with it (key_hash): somebody put their key in "
			"its place, or key and report do not belong together.");
	if (!same(is->peer_key_hash, want->peer_key_hash))
		return refuse(
			w, "peer_key_hash",
			"The report was made for another peer than us (peer_key_hash is not the hash of our key): it is somebody "
			"else's, or our key was renewed meanwhile. Begin again with GET /cert.");
	if (!same(is->config_digest, want->config_digest))
		return refuse(
			w, "config_digest",
			"The enclave has another configuration than we have (config_digest): every key that `attestd config show "
			"--security` prints must be the same on both sides.");
	return ERR_OK;
}

static enum err judge(struct verify *v, const struct verify_policy *policy, struct bytes document,
		      const uint8_t challenge[PEER_CHALLENGE_SIZE], struct verify_verdict **verdict, struct why *w)
{
	struct verify_policy p = *policy;
	enum err e = verify_policy_purpose(&p, bytes_str(purpose), w);

	if (e != ERR_OK)
		return e;
	p.nonce.present = true;
	p.nonce.n = PEER_CHALLENGE_SIZE;
	memcpy(p.nonce.b, challenge, PEER_CHALLENGE_SIZE);
	e = verify_input(v, document, VERIFY_RAW, &p, verdict, w);
	if (e == ERR_OK && !verify_verdict_good(*verdict))
		e = why_tell(w, ERR_UNATTESTED, NULL, "The report does not hold (%s). %s",
			     verify_code_name(verify_verdict_code(*verdict)), verify_verdict_message(*verdict));
	return e;
}

enum err peer_report_check(struct verify *v, const struct verify_policy *policy, struct bytes document,
			   const uint8_t challenge[PEER_CHALLENGE_SIZE], const struct peer_claims *want,
			   struct verify_verdict **verdict, struct why *w)
{
	struct verify_verdict *made = NULL;
	struct peer_claims is;
	enum err e = judge(v, policy, document, challenge, &made, w);

	if (e == ERR_OK && (e = read_claims(made, &is, w)) == ERR_OK)
		e = compare(&is, want, w);
	if (verdict != NULL && made != NULL)
		*verdict = made;
	else
		verify_verdict_free(made);
	return e;
}

void peer_facts_of(const struct verify_verdict *verdict, const struct peer_claims *c, struct peer_facts *out)
{
	const struct bytes module = verify_verdict_module_id(verdict);

	*out = (struct peer_facts){.pcrs = 0};
	memcpy(out->key_hash, c->key_hash, SHA256_SIZE);
	memcpy(out->config_digest, c->config_digest, SHA256_SIZE);
	(void)snprintf(out->module_id, sizeof out->module_id, "%.*s", (int)module.n, (const char *)module.p);
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		const struct bytes pcr = verify_verdict_pcr(verdict, i);
		if (pcr.n != NSM_PCR_SIZE)
			continue;
		out->pcrs |= UINT32_C(1) << i;
		memcpy(out->pcr[i], pcr.p, NSM_PCR_SIZE);
	}
}

/* ---- whom to trust ---- */

enum err peer_policy_same(const struct attest_doc *own, struct verify_policy *p, struct why *w)
{
	struct verify_policy fresh = *p;

	if (attest_doc_cose(own).n == 0)
		return why_tell(
			w, ERR_CONFIG, NULL,
			"this NSM has no attestation documents, so peers cannot be told to have the same PCRs: attested "
			"peers need nsm = device, or a simulator");
	for (unsigned i = 0; i <= 2; i++) {
		const struct bytes pcr = attest_doc_pcr(own, i);
		if (pcr.n != NSM_PCR_SIZE || bytes_is_zero(pcr))
			return why_tell(
				w, ERR_CONFIG, NULL,
				"this enclave runs in debug mode (PCR%u is all zeros), so the same PCRs would be any "
				"debug enclave's: run it in production mode, or say in a policy file who its peers are",
				i);
		if (fresh.n_pins == VERIFY_PINS_MAX)
			return why_tell(w, ERR_CONFIG, NULL, "the policy pins more than %d PCR values",
					VERIFY_PINS_MAX);
		fresh.pins[fresh.n_pins].index = i;
		memcpy(fresh.pins[fresh.n_pins++].value, pcr.p, NSM_PCR_SIZE);
	}
	*p = fresh;
	return ERR_OK;
}

enum err peer_policy_check(const struct verify_policy *p, struct why *w)
{
	const char *member = p->nonce.present	      ? "nonce"
			     : p->user_data.present   ? "user_data"
			     : p->purpose[0] != '\0'  ? "purpose"
			     : p->at != VERIFY_AT_NOW ? "at"
						      : NULL;

	if (member != NULL)
		return why_tell(
			w, ERR_CONFIG, member,
			"a policy for peers must leave %s out: the protocol itself sees to it that a report was made "
			"now, for this challenge and purpose",
			member);
	if (verify_policy_identity(p) != VERIFY_COMPARED)
		return why_tell(
			w, ERR_CONFIG, "pcrs",
			"a policy for peers must tell one enclave from another: it must pin PCR0, or PCR1 and PCR2, or "
			"PCR8, each to values that are not zero");
	return ERR_OK;
}
