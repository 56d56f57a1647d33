/* session_encrypt.c - `attestd session encrypt`: a message for the enclave, or at a server one for the user. */
#include "session_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "input.h"

static const struct help_row rows[] = {
	{"--session", "SESSION", "the file that attestd session open made"},
	{"--url", "URL",
	 "the server beside the agent: http://127.0.0.1:PORT or another loopback address, or unix:PATH"},
	{"--id", "SESSION_ID", "the session, as the server named it"},
	{"--scope", "S", "the conversation that the agent is in, if the session was made for one"},
	{"--json", NULL, "the message as JSON, which it is in any case"},
	{0},
};

static const struct help_part help[] = {
	{.text = "The user's way: encrypts FILE (or the standard input), byte for byte, and prints the message as "
		 "JSON: what POST /decrypt takes. The agent's way, with --url: hands the plaintext to the server "
		 "on the same machine, which encrypts it for the user of a session, and prints what POST /encrypt "
		 "answers. Messages are UTF-8 text of any length, the "
		 "empty one too."},
	{.rows = rows},
	{0},
};

struct encrypting {
	struct session_way way;
	struct crypto *crypto;
	struct user_session *s;
	struct buf plaintext, message;
};

/* ---- the user's way ---- */

static enum err seal(struct encrypting *x, struct why *w)
{
	enum err e = session_file_read(x->way.session, &x->s, w);
	if (e != ERR_OK)
		return e;
	if (session_is_expired(x->s, w))
		return w->err;
	const struct random random = crypto_random(x->crypto);
	x->message = BUF_INIT(USER_MESSAGE_MAX);
	e = input_read("session encrypt", x->way.path, USER_PLAINTEXT_MAX, &x->plaintext, w);
	if (e == ERR_OK)
		e = user_seal(x->crypto, &random, x->s, buf_bytes(&x->plaintext), &x->message, w);
	return e;
}

/* ---- the agent's way ---- */

static enum err put_request(const struct encrypting *x, struct buf *body, struct why *w)
{
	const struct bytes plaintext = buf_bytes(&x->plaintext);
	*body = BUF_INIT(plaintext.n * JSON_ESCAPE_MAX + JSON_ROOM);
	(void)buf_reserve(body, plaintext.n + JSON_ROOM);
	buf_put_str(body, "{");
	JSON_PUT_KEY(body, "session_id");
	json_put_cstr(body, x->way.id);
	if (x->way.scope != NULL) {
		JSON_PUT_KEY(body, "scope");
		json_put_cstr(body, x->way.scope);
	}
	JSON_PUT_KEY(body, "plaintext");
	json_put_string(body, plaintext);
	buf_put_str(body, "}");
	return buf_check(body, w);
}

/* Is it base64 of `size` bytes? */
static enum err check_size(const struct json_value *v, const char *name, size_t size, struct why *w)
{
	const struct bytes text = json_string(v);
	struct buf raw = BUF_INIT(BASE64_DECODED_MAX(text.n) + 1);
	size_t n = 0;
	if (text.n != BASE64_SIZE(size))
		return why_tell(w, ERR_INVALID, name, "Has another size.");
	uint8_t *to = buf_reserve(&raw, raw.max);
	enum err e = to == NULL ? buf_check(&raw, w) : ERR_OK;
	if (e == ERR_OK && (!base64_decode(text, to, &n) || n != size))
		e = why_tell(w, ERR_INVALID, name, "Is no base64 of that size.");
	buf_free(&raw);
	return e;
}

/* Written anew, so that nothing reaches a user but what belongs there. */
static enum err put_reply(struct encrypting *x, struct bytes reply, struct why *w)
{
	const struct json_value *ciphertext, *iv, *id, *number;
	const struct json_field fields[] = {{"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
					    {"iv", JSON_BIT(JSON_STRING), true, &iv},
					    {"session_id", JSON_BIT(JSON_STRING), true, &id},
					    {"message_number", JSON_BIT(JSON_INT), true, &number}};
	struct why inner = {0};
	struct json *json = NULL;
	enum err e = json_parse(&json, reply, &inner);
	if (e == ERR_OK)
		e = json_fields(json_root(json), fields, sizeof fields / sizeof fields[0], &inner);
	if (e == ERR_OK && !bytes_is(json_string(id), x->way.id))
		e = why_tell(&inner, ERR_INVALID, "session_id", "Is another session's.");
	if (e == ERR_OK && (json_int(number) < 1 || json_int(number) > SESSION_MESSAGES_MAX))
		e = why_tell(&inner, ERR_INVALID, "message_number", "Is no number of a message.");
	if (e == ERR_OK)
		e = check_size(ciphertext, "ciphertext", x->plaintext.n + AEAD_TAG_SIZE, &inner);
	if (e == ERR_OK)
		e = check_size(iv, "iv", AEAD_IV_SIZE, &inner);
	if (e != ERR_OK) {
		e = e == ERR_MEMORY
			    ? why_set(w, e, "no memory for the reply")
			    : why_set(w, ERR_ENVIRONMENT,
				      "what the server at %s answers is no reply of POST /encrypt to this message",
				      x->way.url);
		goto out;
	}
	x->message = BUF_INIT(reply.n + JSON_ROOM);
	(void)buf_reserve(&x->message, x->message.max);
	buf_put_str(&x->message, "{");
	JSON_PUT_KEY(&x->message, "ciphertext");
	json_put_string(&x->message, json_string(ciphertext));
	JSON_PUT_KEY(&x->message, "iv");
	json_put_string(&x->message, json_string(iv));
	JSON_PUT_KEY(&x->message, "session_id");
	json_put_string(&x->message, json_string(id));
	JSON_PUT_KEY(&x->message, "message_number");
	json_put_int(&x->message, json_int(number));
	buf_put_str(&x->message, "}");
	e = buf_check(&x->message, w);
out:
	json_free(json);
	return e;
}

static enum err ask(struct encrypting *x, struct why *w)
{
	struct buf body = BUF_INIT(0), reply = BUF_INIT(0);
	enum err e = input_read("session encrypt", x->way.path, USER_PLAINTEXT_MAX, &x->plaintext, w);
	if (e != ERR_OK)
		return e;
	if (!utf8_valid(buf_bytes(&x->plaintext)))
		return why_set(
			w, ERR_INVALID,
			"The message is not UTF-8 text, and JSON carries nothing else: encode it first (base64, for "
			"example).");
	if ((e = put_request(x, &body, w)) == ERR_OK &&
	    (e = session_ask(&x->way.server, "POST", "/encrypt", buf_bytes(&body), USER_MESSAGE_MAX, &reply, w)) ==
		    ERR_OK)
		e = put_reply(x, buf_bytes(&reply), w);
	buf_free(&body);
	buf_free(&reply);
	return e;
}

/* ---- the command ---- */

static int encrypt(struct encrypting *x)
{
	struct why w = {0};
	enum err e = session_begin(&x->crypto, &w);
	if (e == ERR_OK)
		e = x->way.url != NULL ? ask(x, &w) : seal(x, &w);
	if (e == ERR_OK) {
		buf_put_str(&x->message, "\n");
		e = buf_check(&x->message, &w);
	}
	if (e == ERR_OK)
		e = output_write(buf_bytes(&x->message), &w);
	user_session_free(x->s);
	buf_free(&x->plaintext);
	buf_free(&x->message);
	crypto_free(x->crypto);
	return e == ERR_OK ? CMD_OK : cmd_fail(&w);
}

static int run(const struct args *a)
{
	struct encrypting x = {.plaintext = BUF_INIT(0), .message = BUF_INIT(0)};
	const int status = session_way_read(a, &x.way);
	return status == CMD_OK ? encrypt(&x) : status;
}

const struct command session_encrypt = {
	.name = "session encrypt",
	.summary = "a message for the enclave",
	.synopsis = "--session SESSION [FILE|-]\n"
		    "--url URL --id SESSION_ID [--scope S] [FILE|-]",
	.help = help,
	.exits = "0 done, 1 refused, 2 usage, 3 a file or the server fails.",
	.examples = "attestd session encrypt --session chat.session question.txt >message.json\n",
	.run = run,
};
