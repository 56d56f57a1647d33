/* attest_ask.c - getting a fresh attestation from a server, in the way that its listener offers. */
#include "attest_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

enum { BODY_ROOM = 4096, INFO_MAX = 64 * 1024, TARGET_MAX = 2 * VERIFY_NONCE_MAX + 64 };

static enum err ask_local(struct attest_asked *a, struct why *w)
{
	struct buf body = BUF_INIT(a->custom.n + BODY_ROOM);
	(void)buf_reserve(&body, body.max);
	buf_put_str(&body, "{");
	JSON_PUT_KEY(&body, "nonce");
	buf_put_str(&body, "\"hex:");
	buf_put_hex(&body, bytes_of(a->policy->nonce.b, a->policy->nonce.n));
	buf_put_str(&body, "\"");
	if (a->custom.p != NULL) {
		JSON_PUT_KEY(&body, "custom_data");
		buf_put_bytes(&body, a->custom);
	}
	buf_put_str(&body, "}");
	enum err e = buf_check(&body, w);
	if (e == ERR_OK)
		e = remote_ask(a->server, "POST", "/attestation", buf_bytes(&body), remote_echo_max(a->custom.n),
			       &a->reply, w);
	buf_free(&body);
	return e;
}

static enum err ask_public(struct attest_asked *a, struct why *w)
{
	char nonce[2 * VERIFY_NONCE_MAX], target[TARGET_MAX];
	hex_encode(bytes_of(a->policy->nonce.b, a->policy->nonce.n), nonce);
	(void)snprintf(target, sizeof target, "/attestation?nonce=hex:%.*s", (int)HEX_SIZE(a->policy->nonce.n), nonce);
	const enum err e = remote_ask(a->server, "GET", target, bytes_of(NULL, 0), REMOTE_REPLY_MAX, &a->reply, w);
	return e == ERR_OK ? remote_ask(a->server, "GET", "/info", bytes_of(NULL, 0), INFO_MAX, &a->info, w) : e;
}

static enum err ask_tls(struct attest_asked *a, struct why *w)
{
	char nonce[2 * VERIFY_NONCE_MAX], target[TARGET_MAX];
	struct why said = {0};
	hex_encode(bytes_of(a->policy->nonce.b, a->policy->nonce.n), nonce);
	(void)snprintf(target, sizeof target, "/evidences/?nonce=hex:%.*s", (int)HEX_SIZE(a->policy->nonce.n), nonce);
	const enum err e = remote_ask_peer(a->server, "GET", target, bytes_of(NULL, 0), REMOTE_REPLY_MAX, &a->reply,
					   &a->peer, &said);
	if (e == ERR_OK)
		return verify_policy_purpose(a->policy, bytes_str("tls"), w);
	if (e == ERR_NOT_FOUND)
		return why_set(
			w, e,
			"%.200s. Whoever ends TLS there attests no certificate: it is another server, or somebody in "
			"between.",
			said.text);
	*w = said;
	return e;
}

enum err attest_ask(struct attest_asked *a, struct why *w)
{
	if (a->server->url.tls)
		return ask_tls(a, w);
	const bool info = strcmp(a->policy->purpose, "info") == 0;
	enum err e = info ? ask_public(a, w) : ask_local(a, w);
	if (e == ERR_OK)
		return verify_policy_purpose(a->policy, bytes_str(info ? "info" : "attestation"), w);
	if (e != ERR_NOT_FOUND || info)
		return e;
	if (a->custom.p != NULL)
		return why_set(
			w, ERR_INVALID,
			"Only a server's local listener attests custom data, and this one has no POST /attestation: ask "
			"beside the server, or leave --custom-data out.");
	if (a->policy->purpose[0] != '\0')
		return e;
	buf_free(&a->reply);
	e = ask_public(a, w);
	return e == ERR_OK ? verify_policy_purpose(a->policy, bytes_str("info"), w) : e;
}
