/* user_fixture.h - an enclave's half of a key exchange, as a user sees it, and the user's own key. What goes wrong here
 * ends the program.
 */
#ifndef ATTESTD_TESTS_USER_FIXTURE_H
#define ATTESTD_TESTS_USER_FIXTURE_H

#include "reply_fixture.h"
#include "session/user_internal.h"

enum { USER_TEXT_MAX = 64 * 1024 };

#define USER_ID "AbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN_-0"

struct user_fixture {
	struct reply_fixture f;
	struct random random;
	struct rsa_key *ours, *relays;
};

/* What differs from a sound exchange; NULL or 0: nothing. */
struct exchange {
	const struct rsa_key *attested_for, *wrapped_for; /* NULL: the user's */
	struct bytes key;				  /* attested; .p == NULL: 32 bytes of 'k' */
	struct bytes wrapped_key;			  /* .p == NULL: the same */
	const char *wrapped;	/* JSON in place of encrypted_session_key, "" to leave it out */
	const char *minutes;	/* JSON in place of 60, "" to leave it out */
	const char *session_id; /* in the reply, unsigned */
	struct bytes scope;	/* attested; empty: none */
	const char *claims;	/* in place of those of a key exchange */
};

static inline void user_fixture_open(struct user_fixture *u)
{
	reply_fixture_open(&u->f);
	u->random = crypto_random(u->f.crypto);
	REPLY_OK(rsa_key_new(RSA_BITS_MIN, &u->ours, &u->f.w));
	REPLY_OK(rsa_key_new(RSA_BITS_MIN, &u->relays, &u->f.w));
	/* nsm = simulator shows these. */
	REPLY_OK(verify_policy_pcr(
		&u->f.policy,
		BYTES_LIT(
			"0=a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0"),
		&u->f.w));
}

static inline void user_fixture_close(struct user_fixture *u)
{
	rsa_key_free(u->ours);
	rsa_key_free(u->relays);
	reply_fixture_close(&u->f);
}

static inline void user_put_member(void *ctx, const char *name, const struct buf *value)
{
	json_put_key(ctx, name);
	buf_put_bytes(ctx, buf_bytes(value));
}

static inline void user_wrap(struct user_fixture *u, const struct rsa_key *key, struct bytes secret, struct buf *out)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX), wrapped = BUF_INIT(RSA_WRAPPED_MAX);
	struct crypto_rsa *k = NULL;
	REPLY_OK(rsa_key_put_public(key, &pem, &u->f.w));
	REPLY_OK(crypto_rsa_parse(u->f.crypto, buf_bytes(&pem), &k, &u->f.w));
	REPLY_OK(crypto_rsa_wrap(u->f.crypto, k, secret, &wrapped, &u->f.w));
	json_put_base64(out, buf_bytes(&wrapped));
	crypto_rsa_free(k);
	buf_free(&pem);
	buf_free(&wrapped);
}

static inline void user_put_hash(struct user_fixture *u, struct bytes of, struct buf *out)
{
	uint8_t hash[SHA256_SIZE];
	REPLY_OK(crypto_sha256(u->f.crypto, of, hash, &u->f.w));
	json_put_hex(out, bytes_of(hash, sizeof hash));
}

/* The reply to POST /key-exchange, to be freed. */
static inline struct json *user_exchange(struct user_fixture *u, const struct exchange *x)
{
	static const uint8_t key[AEAD_KEY_SIZE] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
	const struct bytes attested = x->key.p != NULL ? x->key : bytes_of(key, sizeof key);
	const struct rsa_key *attested_for = x->attested_for != NULL ? x->attested_for : u->ours;
	struct buf claims = BUF_INIT(USER_TEXT_MAX), text = BUF_INIT(USER_TEXT_MAX);
	struct reply_document document;
	struct json *json = NULL;

	buf_put_str(&claims, "{\"purpose\":\"key-exchange\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"A\","
			     "\"guardrail\":\"G\",\"session_id\":\"" USER_ID "\",\"session_key_hash\":");
	user_put_hash(u, attested, &claims);
	buf_put_str(&claims, ",\"user_key_hash\":");
	user_put_hash(u, rsa_key_spki(attested_for), &claims);
	buf_put_str(&claims, ",\"key_exchange_version\":\"1.1\"");
	if (x->scope.n > 0) {
		buf_put_str(&claims, ",\"scope_hash\":");
		user_put_hash(u, x->scope, &claims);
	}
	buf_put_str(&claims, "}");
	const struct nsm_attestation a = {.user_data = x->claims != NULL ? bytes_str(x->claims) : buf_bytes(&claims),
					  .nonce = BYTES_LIT("a nonce of 20 bytes.")};
	reply_document_make(&u->f, &a, &document);

	buf_put_str(&text, "{\"attestation_document\":{");
	reply_document_show(&document, user_put_member, &text);
	buf_put_str(&text, "},\"session_id\":\"");
	buf_put_str(&text, x->session_id != NULL ? x->session_id : USER_ID);
	buf_put_str(&text, "\"");
	if (x->wrapped == NULL) {
		buf_put_str(&text, ",\"encrypted_session_key\":");
		user_wrap(u, x->wrapped_for != NULL ? x->wrapped_for : u->ours,
			  x->wrapped_key.p != NULL ? x->wrapped_key : attested, &text);
	} else if (x->wrapped[0] != '\0') {
		buf_put_str(&text, ",\"encrypted_session_key\":");
		buf_put_str(&text, x->wrapped);
	}
	if (x->minutes == NULL || x->minutes[0] != '\0') {
		buf_put_str(&text, ",\"expires_in_minutes\":");
		buf_put_str(&text, x->minutes != NULL ? x->minutes : "60");
	}
	buf_put_str(&text, "}");
	REPLY_OK(buf_check(&text, &u->f.w));
	REPLY_OK(json_parse(&json, buf_bytes(&text), &u->f.w));
	reply_document_free(&document);
	buf_free(&claims);
	buf_free(&text);
	return json;
}

static inline struct user_open user_opening(struct user_fixture *u)
{
	return (struct user_open){.crypto = u->f.crypto,
				  .verify = u->f.verify,
				  .key = u->ours,
				  .policy = &u->f.policy,
				  .now_s = u->f.now_ms / 1000};
}

/* A session that was opened soundly, to be freed. */
static inline struct user_session *user_opened(struct user_fixture *u, struct bytes scope)
{
	const struct exchange sound = {.scope = scope};
	struct json *reply = user_exchange(u, &sound);
	struct verify_verdict *verdict = NULL;
	struct user_session *s = NULL;
	struct user_open o = user_opening(u);
	o.scope = scope;
	REPLY_OK(user_open(&o, json_root(reply), &s, &verdict, &u->f.w));
	verify_verdict_free(verdict);
	json_free(reply);
	return s;
}

#endif
