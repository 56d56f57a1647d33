/* session_exchange.c - a key exchange with a server. */
#include "session_parts.h"

#include "base/encode.h"
#include "policy_flags.h"
#include "remote.h"

enum { BODY_MAX = 64 * 1024 };

static enum err put_request(const struct rsa_key *key, struct bytes scope, const struct verify_policy *p,
			    struct buf *body, struct why *w)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	enum err e = rsa_key_put_public(key, &pem, w);
	if (e != ERR_OK)
		goto out;
	buf_put_str(body, "{");
	JSON_PUT_KEY(body, "user_public_key");
	json_put_string(body, buf_bytes(&pem));
	JSON_PUT_KEY(body, "nonce");
	buf_put_str(body, "\"hex:");
	buf_put_hex(body, bytes_of(p->nonce.b, p->nonce.n));
	buf_put_str(body, "\"");
	if (scope.n > 0) {
		JSON_PUT_KEY(body, "scope");
		json_put_string(body, scope);
	}
	buf_put_str(body, "}");
	e = buf_check(body, w);
out:
	buf_free(&pem);
	return e;
}

enum err session_exchange(struct crypto *c, const char *url, const struct rsa_key *key, struct bytes scope,
			  struct verify_policy *policy, struct buf *reply, struct why *w)
{
	struct remote server;
	struct buf body = BUF_INIT(BODY_MAX);
	enum err e;

	if ((e = remote_init(&server, "--url", url, w)) == ERR_OK && (e = policy_flags_nonce(c, policy, w)) == ERR_OK &&
	    (e = put_request(key, scope, policy, &body, w)) == ERR_OK)
		e = remote_ask(&server, "POST", "/key-exchange", buf_bytes(&body), REMOTE_REPLY_MAX, reply, w);
	buf_free(&body);
	return e;
}
