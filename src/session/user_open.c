/* user_open.c - from a reply to POST /key-exchange to a session, if every check holds. */
#include "user_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

static const char purpose[] = "key-exchange";

/* ---- what the enclave signed of the session ---- */

struct claims {
	char id[SESSION_ID_SIZE];
	uint8_t key_hash[SHA256_SIZE], user_key_hash[SHA256_SIZE], scope_hash[SHA256_SIZE];
	bool scoped; /* there is a scope_hash */
};

static enum err incomplete(struct why *w)
{
	return why_set(w, ERR_INTERNAL, "the verifier let claims pass that are not those of a key exchange");
}

static enum err read_hash(const struct json_value *claims, const char *name, uint8_t out[SHA256_SIZE], struct why *w)
{
	const struct json_value *v = json_get(claims, name);
	size_t n = 0;

	if (v == NULL || json_type(v) != JSON_STRING || json_string(v).n != HEX_SIZE(SHA256_SIZE) ||
	    !hex_decode(json_string(v), out, &n))
		return incomplete(w);
	return ERR_OK;
}

static enum err read_claims(const struct verify_verdict *d, struct claims *out, struct why *w)
{
	struct json *json = NULL;
	enum err e = json_parse(&json, verify_verdict_user_data(d), w);

	if (e != ERR_OK)
		return e;
	const struct json_value *claims = json_root(json);
	const struct json_value *id = json_type(claims) == JSON_OBJECT ? json_get(claims, "session_id") : NULL;
	if (id == NULL || json_type(id) != JSON_STRING || !user_id_fits(json_string(id))) {
		e = incomplete(w);
		goto out;
	}
	memcpy(out->id, json_string(id).p, sizeof out->id);
	e = read_hash(claims, "session_key_hash", out->key_hash, w);
	if (e == ERR_OK)
		e = read_hash(claims, "user_key_hash", out->user_key_hash, w);
	out->scoped = json_get(claims, "scope_hash") != NULL;
	if (e == ERR_OK && out->scoped)
		e = read_hash(claims, "scope_hash", out->scope_hash, w);
out:
	json_free(json);
	return e;
}

/* The server decrypts only for requests that repeat the scope; whoever chose it chose the conversation. */
static enum err check_scope(const struct user_open *o, const struct claims *c, struct why *w)
{
	uint8_t ours[SHA256_SIZE];

	if (o->scope.n == 0 && !c->scoped)
		return ERR_OK;
	if (o->scope.n == 0)
		return why_tell(
			w, ERR_INVALID, "scope_hash",
			"The enclave made the session for one conversation (scope_hash), and you asked for none: somebody between "
			"you and the enclave added a scope, and the agent would read your messages out in a conversation of "
			"theirs. If it was asked for, give it with --scope. Nothing was opened.");
	if (!c->scoped)
		return why_tell(
			w, ERR_INVALID, "scope_hash",
			"The enclave made the session for no conversation (there is no scope_hash), and you asked for one: somebody "
			"between you and the enclave dropped your scope, and could have your messages read out in any conversation "
			"without one. Leave --scope out only if none was asked for. Nothing was opened.");
	const enum err e = crypto_sha256(o->crypto, o->scope, ours, w);
	if (e == ERR_OK && !bytes_equal(bytes_of(ours, sizeof ours), bytes_of(c->scope_hash, SHA256_SIZE)))
		return why_tell(
			w, ERR_INVALID, "scope_hash",
			"The enclave made the session for another conversation than yours (scope_hash): unless you gave another "
			"--scope than was asked for, somebody between you and the enclave rewrote it, and the agent would read "
			"your messages out in a conversation of theirs. Nothing was opened.");
	return e;
}

/* ---- the rest of the reply ---- */

static enum err unwrap(const struct user_open *o, const struct json_value *reply, const struct claims *c,
		       struct secret *key, struct why *w)
{
	const struct json_value *v = json_get(reply, "encrypted_session_key");
	uint8_t wrapped[BASE64_DECODED_MAX(BASE64_SIZE(RSA_WRAPPED_MAX))], hash[SHA256_SIZE];
	size_t n = 0;

	if (v == NULL || json_type(v) != JSON_STRING || json_string(v).n > BASE64_SIZE(RSA_WRAPPED_MAX) ||
	    !base64_decode(json_string(v), wrapped, &n) || n == 0)
		return why_tell(
			w, ERR_INVALID, "encrypted_session_key",
			"The reply holds no encrypted_session_key in base64: give the whole reply of POST /key-exchange.");
	enum err e = rsa_key_unwrap(o->key, bytes_of(wrapped, n), key, w);
	if (e == ERR_BAD_MESSAGE)
		return why_tell(
			w, ERR_INVALID, "encrypted_session_key",
			"The session key in the reply does not open with your key, although the enclave made the session "
			"for it: the reply was altered on its way. Nothing was opened.");
	if (e == ERR_OK)
		e = crypto_sha256(o->crypto, secret_view(key), hash, w);
	if (e != ERR_OK)
		return e;
	if (key->n != AEAD_KEY_SIZE || !secret_equal(bytes_of(hash, sizeof hash), bytes_of(c->key_hash, SHA256_SIZE)))
		return why_tell(
			w, ERR_INVALID, "encrypted_session_key",
			"The session key in the reply is not the one that the enclave attests (session_key_hash): somebody "
			"put another in its place and would read the conversation. Nothing was opened.");
	return ERR_OK;
}

/* Nobody signs it, so it decides nothing but when the user is told to renew. */
static enum err read_minutes(const struct json_value *reply, int64_t *out, struct why *w)
{
	const struct json_value *v = json_get(reply, "expires_in_minutes");

	if (v == NULL || json_type(v) != JSON_INT || json_int(v) < 1 || json_int(v) > USER_LIFETIME_MAX_MINUTES)
		return why_tell(
			w, ERR_INVALID, "expires_in_minutes",
			"The reply does not say in expires_in_minutes how long the session lives (1 to %d): give the whole "
			"reply of POST /key-exchange.",
			USER_LIFETIME_MAX_MINUTES);
	*out = json_int(v);
	return ERR_OK;
}

/* ---- all of it ---- */

static enum err judge(const struct user_open *o, const struct json_value *reply, struct verify_verdict **verdict,
		      struct why *w)
{
	struct verify_policy policy = *o->policy;

	if (policy.purpose[0] != '\0' && strcmp(policy.purpose, purpose) != 0)
		return why_tell(
			w, ERR_USAGE, "purpose",
			"the policy wants a document of purpose %s, and a session is opened with one of purpose %s",
			policy.purpose, purpose);
	enum err e = verify_policy_purpose(&policy, bytes_str(purpose), w);
	if (e == ERR_OK)
		e = verify_reply(o->verify, reply, &policy, verdict, w);
	if (e == ERR_OK && !verify_verdict_good(*verdict))
		e = why_tell(w, ERR_INVALID, NULL, "%s", verify_verdict_message(*verdict));
	return e;
}

static enum err make(const struct user_open *o, const struct claims *c, const struct secret *key, int64_t minutes,
		     struct user_session **out, struct why *w)
{
	struct user_session *s = calloc(1, sizeof *s);

	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the session");
	memcpy(s->id, c->id, sizeof s->id);
	memcpy(s->key, key->b, sizeof s->key);
	memcpy(s->user_key_hash, c->user_key_hash, sizeof s->user_key_hash);
	if (o->scope.n > 0)
		memcpy(s->scope, o->scope.p, o->scope.n);
	s->scope_n = o->scope.n;
	s->opened_s = o->now_s;
	s->expires_s = o->now_s + minutes * 60;
	s->pinned = verify_policy_identity(o->policy) == VERIFY_COMPARED;
	*out = s;
	return ERR_OK;
}

enum err user_open(const struct user_open *o, const struct json_value *reply, struct user_session **out,
		   struct verify_verdict **verdict, struct why *w)
{
	struct claims c;
	struct secret key = SECRET_INIT;
	int64_t minutes = 0;
	enum err e;

	if (o->scope.n > SESSION_SCOPE_MAX || !utf8_valid(o->scope))
		return why_tell(w, ERR_USAGE, "scope", "a scope is at most %d bytes of UTF-8", SESSION_SCOPE_MAX);
	if ((e = judge(o, reply, verdict, w)) == ERR_OK && (e = read_claims(*verdict, &c, w)) == ERR_OK &&
	    (e = user_key_check(o->crypto, o->key, c.user_key_hash, w)) == ERR_OK &&
	    (e = check_scope(o, &c, w)) == ERR_OK && (e = unwrap(o, reply, &c, &key, w)) == ERR_OK &&
	    (e = read_minutes(reply, &minutes, w)) == ERR_OK)
		e = make(o, &c, &key, minutes, out, w);
	secret_wipe(&key);
	return e;
}
