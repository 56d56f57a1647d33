/* peer_steps.c - the protocol of attested peers, from the client's side (include/peer.h). */
#include "peer_parts.h"

#include <string.h>

#include "base/encode.h"

/* A server's key is renewed now and then, and whoever stands in between could say so forever. */
enum { BEGINNINGS_MAX = 3 };

enum { REPLY_MAX = 64 * 1024, PING_MAX = 64 };

/* ---- replies ---- */

static enum err malformed(const char *what, struct why *w)
{
	return why_tell(w, ERR_INVALID, "reply", "the reply holds no %s that can be read", what);
}

static enum err ask(const struct remote *r, const char *method, const char *path, struct bytes body, struct json **out,
		    struct why *w)
{
	struct buf text = BUF_INIT(0);
	struct why inner = {0};
	enum err e = remote_ask(r, method, path, body, REPLY_MAX, &text, w);
	if (e == ERR_OK) {
		e = json_parse(out, buf_bytes(&text), &inner);
		if (e == ERR_INVALID)
			e = malformed("JSON", w);
		else if (e != ERR_OK)
			*w = inner;
	}
	buf_free(&text);
	return e;
}

static enum err member(const struct json_value *object, const char *name, struct bytes *out, struct why *w)
{
	const struct json_value *v = object != NULL && json_type(object) == JSON_OBJECT ? json_get(object, name) : NULL;
	if (v == NULL || json_type(v) != JSON_STRING)
		return malformed(name, w);
	*out = json_string(v);
	return ERR_OK;
}

static enum err certificate(const struct json *reply, struct buf *der, struct why *w)
{
	static const char name[] = "certificate";
	struct why inner = {0};
	struct bytes pem;
	enum err e = member(json_root(reply), name, &pem, w);
	if (e != ERR_OK)
		return e;
	*der = BUF_INIT(TLS_CERT_DER_MAX);
	e = tls_cert_read(pem, der, &inner);
	if (e == ERR_INVALID)
		return malformed(name, w);
	if (e != ERR_OK)
		*w = inner;
	return e;
}

static void put_own_key(const struct peer *p, struct buf *out)
{
	struct buf pem = BUF_INIT(TLS_KEY_PEM_MAX);
	tls_key_put(tls_identity_spki(p->identity), &pem);
	out->failed |= pem.failed;
	JSON_PUT_KEY(out, "public_key");
	json_put_string(out, buf_bytes(&pem));
	buf_free(&pem);
}

/* ---- the steps ---- */

static enum err get_cert(struct peer *p, struct why *w)
{
	struct json *reply = NULL;
	struct why inner = {0};
	enum err e = ask(&p->attest, "GET", "/cert", bytes_of(NULL, 0), &reply, w);
	buf_free(&p->cert);
	buf_free(&p->key);
	p->key = BUF_INIT(TLS_CERT_DER_MAX);
	if (e != ERR_OK || (e = certificate(reply, &p->cert, w)) != ERR_OK)
		goto out;
	e = tls_cert_spki(buf_bytes(&p->cert), &p->key, &inner);
	if (e == ERR_INVALID)
		e = malformed("certificate", w);
	else if (e != ERR_OK)
		*w = inner;
	else
		e = crypto_sha256(p->app.crypto, buf_bytes(&p->key), p->key_hash, w);
out:
	json_free(reply);
	return e;
}

static enum err get_report(struct peer *p, struct why *w)
{
	struct buf body = BUF_INIT(REPLY_MAX);
	enum err e = random_fill(&p->app.random, p->challenge, sizeof p->challenge, w);
	if (e != ERR_OK)
		return e;
	buf_put_str(&body, "{");
	JSON_PUT_KEY(&body, "challenge");
	json_put_hex(&body, bytes_of(p->challenge, sizeof p->challenge));
	put_own_key(p, &body);
	buf_put_str(&body, "}");
	if ((e = buf_check(&body, w)) == ERR_OK)
		e = ask(&p->attest, "POST", "/report", buf_bytes(&body), &p->report, w);
	buf_free(&body);
	return e;
}

/* The report's own certificate is looked at last: who changed that alone has changed nothing that is relied on. */
static enum err verify_report(struct peer *p, struct why *w)
{
	struct peer_claims want = {.role = PEER_SERVER};
	struct buf document = BUF_INIT(0), cert = BUF_INIT(0);
	struct why inner = {0};
	struct bytes text;
	enum err e = member(json_get(json_root(p->report), "attestation_document"), "document", &text, w);
	if (e != ERR_OK)
		goto out;
	if ((e = peer_report_read(text, &document, &inner)) != ERR_OK) {
		if (e == ERR_INVALID)
			e = malformed("attestation_document", w);
		else
			*w = inner;
		goto out;
	}
	memcpy(want.key_hash, p->key_hash, SHA256_SIZE);
	memcpy(want.peer_key_hash, tls_identity_spki_hash(p->identity), SHA256_SIZE);
	memcpy(want.config_digest, p->app.config_digest, SHA256_SIZE);
	if ((e = peer_report_check(p->app.verify, &p->policy, buf_bytes(&document), p->challenge, &want, &p->verdict,
				   w)) != ERR_OK ||
	    (e = certificate(p->report, &cert, w)) != ERR_OK)
		goto out;
	if (!bytes_equal(buf_bytes(&cert), buf_bytes(&p->cert)))
		e = why_tell(
			w, ERR_UNATTESTED, "certificate",
			"GET /cert and the report show different certificates: somebody changed one of them on its "
			"way.");
out:
	buf_free(&cert);
	buf_free(&document);
	return e;
}

static enum err get_challenge(struct peer *p, struct why *w)
{
	static const char name[] = "challenge";
	struct json *reply = NULL;
	struct bytes text;
	size_t n = 0;
	enum err e = ask(&p->attest, "GET", "/challenge", bytes_of(NULL, 0), &reply, w);
	if (e == ERR_OK && (e = member(json_root(reply), name, &text, w)) == ERR_OK &&
	    (text.n != HEX_SIZE(PEER_CHALLENGE_SIZE) || !hex_decode(text, p->server_challenge, &n)))
		e = malformed(name, w);
	json_free(reply);
	return e;
}

static enum err make_report(const struct peer *p, struct attest_doc **out, struct why *w)
{
	struct peer_claims own = {.role = PEER_CLIENT};
	struct attest_nonce nonce = {.present = true, .encoding = ATTEST_HEX, .n = PEER_CHALLENGE_SIZE};
	struct attest_claims claims = {.user_data = BUF_INIT(0), .metadata = BUF_INIT(0)};
	memcpy(own.key_hash, tls_identity_spki_hash(p->identity), SHA256_SIZE);
	memcpy(own.peer_key_hash, p->key_hash, SHA256_SIZE);
	memcpy(own.config_digest, p->app.config_digest, SHA256_SIZE);
	memcpy(nonce.b, p->server_challenge, PEER_CHALLENGE_SIZE);
	enum err e = peer_claims_make(p->app.attest, &own, &claims, w);
	if (e == ERR_OK)
		e = attest_doc_make(p->app.attest, buf_bytes(&claims.user_data), &nonce, bytes_of(NULL, 0), out, w);
	attest_claims_free(&claims);
	return e;
}

static enum err take_certificate(struct peer *p, const struct json *reply, struct why *w)
{
	struct buf der = BUF_INIT(0);
	struct why inner = {0};
	enum err e = certificate(reply, &der, w);
	if (e == ERR_OK && (e = tls_identity_with(p->identity, buf_bytes(&der), &p->client, &inner)) != ERR_OK)
		e = why_tell(w, e, "reply", "the certificate that came for our key cannot be used: %s", inner.text);
	buf_free(&der);
	return e;
}

static enum err become_client(struct peer *p, struct why *w)
{
	struct buf body = BUF_INIT(REPLY_MAX);
	struct attest_doc *report = NULL;
	struct json *reply = NULL;
	enum err e = make_report(p, &report, w);
	if (e != ERR_OK)
		goto out;
	buf_put_str(&body, "{");
	JSON_PUT_KEY(&body, "attestation_document");
	json_put_base64(&body, attest_doc_cose(report));
	put_own_key(p, &body);
	buf_put_str(&body, "}");
	if ((e = buf_check(&body, w)) == ERR_OK &&
	    (e = ask(&p->attest, "POST", "/client", buf_bytes(&body), &reply, w)) == ERR_OK)
		e = take_certificate(p, reply, w);
out:
	json_free(reply);
	attest_doc_free(report);
	buf_free(&body);
	return e;
}

static enum err connect_mutually(struct peer *p, struct why *w)
{
	p->mutual.own = p->client;
	p->mutual.server_key_hash = p->key_hash;
	enum err e = ask(&p->mutual, "GET", "/whoami", bytes_of(NULL, 0), &p->whoami, w);
	if (e == ERR_OK && json_type(json_root(p->whoami)) != JSON_OBJECT)
		e = malformed("object", w);
	return e;
}

static enum err ping(struct peer *p, struct why *w)
{
	struct buf text = BUF_INIT(0);
	enum err e = remote_ask(&p->mutual, "GET", "/ping", bytes_of(NULL, 0), PING_MAX, &text, w);
	if (e == ERR_OK && !bytes_is(buf_bytes(&text), "pong"))
		e = malformed("pong", w);
	buf_free(&text);
	return e;
}

/* ---- all of them ---- */

static void forget(struct peer *p)
{
	json_free(p->report);
	json_free(p->whoami);
	verify_verdict_free(p->verdict);
	tls_identity_free(p->client);
	p->report = NULL;
	p->whoami = NULL;
	p->verdict = NULL;
	p->client = NULL;
}

static enum err go(struct peer *p, struct why *w)
{
	static enum err (*const steps[])(struct peer * p, struct why * w) = {
		[STEP_CERT] = get_cert,
		[STEP_REPORT] = get_report,
		[STEP_VERIFY] = verify_report,
		[STEP_CHALLENGE] = get_challenge,
		[STEP_CLIENT] = become_client,
		[STEP_CONNECT] = connect_mutually,
		[STEP_PING] = ping,
	};
	enum err e = ERR_OK;
	for (p->step = STEP_CERT; e == ERR_OK && p->step < STEP_DONE; p->step++)
		e = steps[p->step](p, w);
	if (e != ERR_OK)
		p->step--;
	return e;
}

/* Is this what comes of it where the server's key was renewed in between? What a server refuses for is a sentence. */
static bool is_about_its_key(const struct peer *p, enum err e, const struct why *w)
{
	switch (p->step) {
	case STEP_VERIFY:
		return e == ERR_UNATTESTED && strcmp(w->field, "key_hash") == 0;
	case STEP_CLIENT:
		return e == ERR_INVALID && strstr(w->text, ": peer_key_hash: ") != NULL;
	default:
		return e == ERR_UNATTESTED && p->step >= STEP_CONNECT;
	}
}

/* Has the server another key by now than the one that was refused, or for whom we were? */
static bool is_renewed(struct peer *p, enum err e, const struct why *w)
{
	struct why unsaid = {0};
	uint8_t before[SHA256_SIZE];
	if (!is_about_its_key(p, e, w))
		return false;
	memcpy(before, p->key_hash, sizeof before);
	return get_cert(p, &unsaid) == ERR_OK && memcmp(before, p->key_hash, sizeof before) != 0;
}

enum err peer_connect(struct peer *p, struct why *w)
{
	enum err e = go(p, w);
	for (int n = 1; n < BEGINNINGS_MAX && e != ERR_OK && is_renewed(p, e, w); n++) {
		forget(p);
		e = go(p, w);
	}
	return e;
}

void peer_steps_free(struct peer *p)
{
	forget(p);
	buf_free(&p->cert);
	buf_free(&p->key);
}
