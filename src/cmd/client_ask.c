/* client_ask.c - a request to the enclave, and what its reply must be, whoever it is from. */
#include "client_parts.h"

#include <stdio.h>

#include "base/encode.h"
#include "vsock.h"

enum { SHOWN_MAX = 200 };

/* ---- the request ---- */

static const char *command(unsigned action)
{
	return action == CLIENT_PING ? "ping" : action == CLIENT_STATUS ? "status" : "attest";
}

static void put_request(const struct client *c, struct buf *out)
{
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "command");
	json_put_cstr(out, command(c->action));
	if (c->user_data.p != NULL) {
		JSON_PUT_KEY(out, "user_data");
		json_put_string(out, c->user_data);
	}
	if (c->nonce.p != NULL) {
		JSON_PUT_KEY(out, "nonce");
		json_put_string(out, c->nonce);
	}
	if (c->action & CLIENT_FETCHES) {
		JSON_PUT_KEY(out, "generate_key");
		json_put_bool(out, c->generate_key);
	}
	buf_put_str(out, "}\n");
}

/* ---- the reply ---- */

static enum err foreign(const struct client *c, const char *what, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "what %.100s answers is no reply of the vsock protocol: %s", c->to_text,
		       what);
}

static enum err parse(struct client *c, struct bytes text, struct why *w)
{
	struct why inner = {0};
	const enum err e = json_parse(&c->reply, text, &inner);
	if (e == ERR_INVALID)
		return foreign(c, text_mask(inner.text), w);
	if (e != ERR_OK)
		*w = inner;
	return e;
}

static enum err refused(const struct json_value *error, struct why *w)
{
	struct buf plain = BUF_INIT(SHOWN_MAX * 16);
	if (error == NULL || json_type(error) != JSON_STRING)
		return why_set(w, ERR_INVALID, "the enclave refuses, and does not say why");
	const struct bytes text = json_string(error);
	buf_put_plain(&plain, bytes_of(text.p, text.n < SHOWN_MAX ? text.n : SHOWN_MAX));
	const char *s = buf_cstr(&plain);
	const enum err e = s != NULL ? why_set(w, ERR_INVALID, "the enclave refuses: %s", s) : buf_check(&plain, w);
	buf_free(&plain);
	return e;
}

static enum err take_document(struct client *c, struct why *w)
{
	const struct json_value *v = json_get(json_root(c->reply), "attestation_document");
	const bool text = v != NULL && json_type(v) == JSON_STRING;
	const struct bytes base64 = text ? json_string(v) : bytes_of(NULL, 0);
	if (base64.n == 0 || base64.n > BASE64_SIZE(VERIFY_DOCUMENT_MAX))
		return foreign(c, "it holds no attestation_document, or none of a possible size", w);
	uint8_t *to = buf_reserve(&c->document, BASE64_DECODED_MAX(base64.n));
	if (to == NULL)
		return buf_check(&c->document, w);
	if (!base64_decode(base64, to, &c->document.n))
		return foreign(c, "its attestation_document is not base64", w);
	return ERR_OK;
}

/* text: NULL for any. */
static bool is_text(const struct json_value *reply, const char *member, const char *text)
{
	const struct json_value *v = json_get(reply, member);
	return v != NULL && json_type(v) == JSON_STRING && (text == NULL || bytes_is(json_string(v), text));
}

static enum err read_reply(struct client *c, struct why *w)
{
	const struct json_value *reply = json_root(c->reply);
	if (json_type(reply) != JSON_OBJECT)
		return foreign(c, "it is no object", w);
	const struct json_value *success = json_get(reply, "success");
	if (success != NULL && json_type(success) == JSON_FALSE)
		return refused(json_get(reply, "error"), w);
	if (success == NULL || json_type(success) != JSON_TRUE)
		return foreign(c, "its member success is neither true nor false", w);
	if (c->action & CLIENT_FETCHES)
		return take_document(c, w);
	if (c->action == CLIENT_PING && !is_text(reply, "message", "pong"))
		return foreign(c, "its member message is not pong", w);
	if (c->action == CLIENT_STATUS && !is_text(reply, "status", NULL))
		return foreign(c, "its member status is no text", w);
	return ERR_OK;
}

enum err client_ask(struct client *c, struct why *w)
{
	struct buf request = BUF_INIT(VSOCK_REQUEST_MAX), reply = BUF_INIT(0);
	put_request(c, &request);
	enum err e = buf_check(&request, w);
	if (e == ERR_OK)
		e = vsock_ask(&c->to, buf_bytes(&request), &c->clock, c->timeout_ms, &reply, w);
	if (e == ERR_OK)
		e = parse(c, buf_bytes(&reply), w);
	if (e == ERR_OK)
		e = read_reply(c, w);
	buf_free(&reply);
	buf_free(&request);
	return e;
}
