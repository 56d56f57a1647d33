/* client_verify.c - is the reply from the enclave that was meant, and does it attest what was asked for? */
#include "client_parts.h"

#include <string.h>

#include "base/encode.h"
#include "enclave_pin.h"
#include "policy_flags.h"
#include "vsock.h"

enum { NONCE_SIZE = 32 };

_Static_assert((int)VERIFY_NONCE_MAX >= (int)NSM_NONCE_MAX && (int)VERIFY_USER_DATA_MAX >= (int)NSM_USER_DATA_MAX &&
		       (int)VERIFY_NONCE_MAX >= (int)VERIFY_USER_DATA_MAX,
	       "whatever may be asked for fits");

static void want(struct verify_wanted *out, struct bytes x)
{
	memcpy(out->b, x.p, x.n);
	out->n = x.n;
	out->present = x.n > 0;
}

int client_policy(struct client *c)
{
	const struct bytes user_data = c->user_data.p != NULL ? c->user_data : bytes_str(VSOCK_USER_DATA);
	struct verify_policy *p = &c->policy;
	struct why w = {0};
	if (policy_flags_make(c->line, p, &w) != ERR_OK)
		return cmd_fail(&w);
	if (p->purpose[0] != '\0')
		return args_fault(
			c->line,
			"the policy wants a document of purpose %s, and one that is asked for over vsock has none",
			p->purpose);
	if (p->user_data.present && !bytes_equal(bytes_of(p->user_data.b, p->user_data.n), user_data))
		return args_fault(
			c->line,
			"the policy file wants other user data than is asked for: leave it out there, and what "
			"--user-data says is required");
	want(&p->user_data, user_data);
	if (c->nonce.p != NULL)
		want(&p->nonce, c->nonce);
	const int status = policy_flags_fresh(c->line, p, true);
	return status == CMD_OK ? enclave_pin_check(c->line, p) : status;
}

enum err client_nonce(struct client *c, struct why *w)
{
	const struct random random = crypto_random(c->crypto);
	struct verify_wanted *nonce = &c->policy.nonce;
	uint8_t b[NONCE_SIZE];
	if (nonce->present)
		return ERR_OK;
	const enum err e = random_fill(&random, b, sizeof b, w);
	if (e != ERR_OK)
		return e;
	hex_encode(bytes_of(b, sizeof b), (char *)nonce->b);
	nonce->n = HEX_SIZE(sizeof b);
	nonce->present = true;
	c->nonce = bytes_of(nonce->b, nonce->n);
	return ERR_OK;
}

/* ---- what no policy says ---- */

/* The key must be written in just one way, or two readers might see two keys in it. */
static enum err check_rsa(struct crypto *crypto, struct bytes spki, struct why *w)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	struct crypto_rsa *key = NULL;
	struct why inner = {0};
	buf_put_str(&pem, "-----BEGIN PUBLIC KEY-----\n");
	buf_put_base64(&pem, spki);
	buf_put_str(&pem, "\n-----END PUBLIC KEY-----\n");
	enum err e = buf_check(&pem, w);
	if (e == ERR_OK && crypto_rsa_parse(crypto, buf_bytes(&pem), &key, &inner) != ERR_OK)
		e = inner.err == ERR_BAD_KEY ? why_tell(w, ERR_INVALID, "public_key",
							"The document's public key cannot be used: %s", inner.text)
					     : (*w = inner, inner.err);
	if (e == ERR_OK && !bytes_equal(crypto_rsa_spki(key), spki))
		e = why_tell(w, ERR_INVALID, "public_key", "The document's public key is not written in DER");
	crypto_rsa_free(key);
	buf_free(&pem);
	return e;
}

static enum err check_key(const struct client *c, struct why *w)
{
	const struct bytes key = verify_verdict_public_key(c->verdict);
	if (c->generate_key && key.n == 0)
		return why_tell(
			w, ERR_INVALID, "public_key",
			"The document holds no public key, and --generate-key asked for one: somebody changed the "
			"request on its way, or the server is broken.");
	if (!c->generate_key && key.n > 0)
		return why_tell(
			w, ERR_INVALID, "public_key",
			"The document holds a public key, and none was asked for: somebody changed the request on its "
			"way, or the server is broken.");
	return key.n > 0 ? check_rsa(c->crypto, key, w) : ERR_OK;
}

enum err client_verify(struct client *c, struct why *w)
{
	const enum err e = verify_reply(c->verify, json_root(c->reply), &c->policy, &c->verdict, w);
	if (e != ERR_OK)
		return e;
	if (!verify_verdict_good(c->verdict))
		return why_tell(w, ERR_INVALID, NULL, "%s", verify_verdict_message(c->verdict));
	if (!c->policy.user_data.present && verify_verdict_user_data(c->verdict).n > 0)
		return why_tell(
			w, ERR_INVALID, "user_data",
			"The document attests user data, and none was asked for: somebody changed the request on its "
			"way, or the server is broken.");
	return check_key(c, w);
}
