/* session_decrypt.c - `attestd session decrypt`: a message from the enclave, or at a server one from the user. */
#include "session_parts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "input.h"
#include "private_file.h"

static const struct help_row rows[] = {
	{"--session", "SESSION", "the file that attestd session open made"},
	{"--url", "URL",
	 "the server beside the agent: http://127.0.0.1:PORT or another loopback address, or unix:PATH"},
	{"--id", "SESSION_ID",
	 "the session of this conversation, as the server named it; a message of another is refused"},
	{"--scope", "S",
	 "the conversation that the agent is in, if the session was made for one; what the message itself says of it "
	 "is not believed"},
	{"--json", NULL, "the text with the message's session and number, as JSON"},
	{0},
};

static const struct help_part help[] = {
	{.text = "The user's way: decrypts a message from the enclave, what POST /encrypt answered, and prints its "
		 "text byte for byte. Each message is opened once and in its order: replays, messages of your own that "
		 "come back and renumbered ones are refused. That it was opened is on the disk before its text is "
		 "printed: if that fails, the message is used up. A message that was withheld leaves no trace but a gap "
		 "in the numbers, which your own messages leave, too. The agent's way, with --url: has the server on the "
		 "same machine decrypt a message from the user, what `attestd session encrypt` printed."},
	{.rows = rows},
	{0},
};

struct decrypting {
	struct session_way way;
	bool json;
	struct crypto *crypto;
	struct buf message, out;
};

static void put_json(struct bytes plaintext, struct bytes id, int64_t number, struct buf *out)
{
	(void)buf_reserve(out, plaintext.n + JSON_ROOM);
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "plaintext");
	json_put_string(out, plaintext);
	JSON_PUT_KEY(out, "session_id");
	json_put_string(out, id);
	JSON_PUT_KEY(out, "message_number");
	json_put_int(out, number);
	buf_put_str(out, "}\n");
}

static enum err put_plaintext(struct decrypting *x, struct buf *plaintext, struct bytes id, int64_t number,
			      struct why *w)
{
	if (!x->json) {
		x->out = *plaintext;
		*plaintext = BUF_INIT(0);
		return ERR_OK;
	}
	x->out = BUF_INIT(plaintext->n * JSON_ESCAPE_MAX + JSON_ROOM);
	put_json(buf_bytes(plaintext), id, number, &x->out);
	return buf_check(&x->out, w);
}

/* ---- the user's way ---- */

static enum err commit(const struct private_file *f, const struct user_session *s, struct why *w)
{
	struct buf text = BUF_INIT(USER_FILE_MAX);
	sigset_t before;
	user_session_put(s, &text);
	enum err e = buf_check(&text, w);
	private_signals_hold(&before);
	if (e == ERR_OK)
		e = private_file_replace(SESSION_FILE, f, buf_bytes(&text), w);
	private_signals_release(&before);
	buf_free(&text);
	return e;
}

/* With the file locked, so that of several that open the same message one does. */
static enum err unseal(struct decrypting *x, struct why *w)
{
	struct private_file f = {.fd = -1};
	struct user_session *s = NULL;
	struct buf kept = BUF_INIT(0), plaintext = BUF_INIT(0);
	struct why expired = {0};
	enum err e = private_file_lock(SESSION_FILE, x->way.session, USER_FILE_MAX, &f, &kept, w);
	if (e == ERR_OK)
		e = user_session_read(buf_bytes(&kept), &s, w);
	buf_free(&kept);
	if (e != ERR_OK)
		goto out;
	if (session_is_expired(s, &expired))
		fprintf(stderr, "attestd session decrypt: %s\n", expired.text);
	if ((e = user_unseal(x->crypto, s, buf_bytes(&x->message), &plaintext, w)) == ERR_OK &&
	    (e = put_plaintext(x, &plaintext, user_session_id(s), user_session_received(s), w)) == ERR_OK)
		e = commit(&f, s, w);
out:
	private_file_unlock(&f);
	user_session_free(s);
	buf_free(&plaintext);
	return e;
}

/* ---- the agent's way ---- */

/* Only the server numbers its messages. */
static bool is_servers(const struct json *message)
{
	const struct json_value *root = message != NULL ? json_root(message) : NULL;
	return root != NULL && json_type(root) == JSON_OBJECT && json_get(root, "message_number") != NULL;
}

static enum err put_request(const struct decrypting *x, struct buf *body, struct why *w)
{
	const struct json_value *id, *ciphertext, *iv, *scope;
	const struct json_field fields[] = {{"session_id", JSON_BIT(JSON_STRING), true, &id},
					    {"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
					    {"iv", JSON_BIT(JSON_STRING), true, &iv},
					    {"scope", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &scope}};
	struct why inner = {0};
	struct json *json = NULL;
	enum err e = json_parse(&json, buf_bytes(&x->message), &inner);
	if (e == ERR_OK)
		e = json_fields(json_root(json), fields, sizeof fields / sizeof fields[0], &inner);
	if (e != ERR_OK && is_servers(json)) {
		e = why_set(w, ERR_BAD_MESSAGE,
			    "This is a message from the server: the user decrypts it, with --session SESSION.");
		goto out;
	}
	if (e != ERR_OK) {
		e = why_set(w, e,
			    "This is no message of a user's, as attestd session encrypt prints it (session_id, "
			    "ciphertext and iv in JSON).");
		goto out;
	}
	if (!bytes_is(json_string(id), x->way.id)) {
		e = why_set(
			w, ERR_BAD_MESSAGE,
			"The message belongs to another session than the one that --id names: whoever asks, it is not for this "
			"conversation.");
		goto out;
	}
	*body = BUF_INIT(x->message.n + JSON_ROOM);
	(void)buf_reserve(body, body->max);
	buf_put_str(body, "{");
	JSON_PUT_KEY(body, "session_id");
	json_put_string(body, json_string(id));
	JSON_PUT_KEY(body, "ciphertext");
	json_put_string(body, json_string(ciphertext));
	JSON_PUT_KEY(body, "iv");
	json_put_string(body, json_string(iv));
	if (x->way.scope != NULL) {
		JSON_PUT_KEY(body, "scope");
		json_put_cstr(body, x->way.scope);
	}
	buf_put_str(body, "}");
	e = buf_check(body, w);
out:
	json_free(json);
	return e;
}

static enum err read_reply(struct decrypting *x, struct bytes reply, struct why *w)
{
	const struct json_value *text, *id, *number;
	const struct json_field fields[] = {{"plaintext", JSON_BIT(JSON_STRING), true, &text},
					    {"session_id", JSON_BIT(JSON_STRING), true, &id},
					    {"message_number", JSON_BIT(JSON_INT), true, &number}};
	struct why inner = {0};
	struct json *json = NULL;
	struct buf plaintext = BUF_INIT(USER_MESSAGE_MAX);
	enum err e = json_parse(&json, reply, &inner);
	if (e == ERR_OK)
		e = json_fields(json_root(json), fields, sizeof fields / sizeof fields[0], &inner);
	if (e != ERR_OK || !bytes_is(json_string(id), x->way.id)) {
		e = why_set(w, ERR_ENVIRONMENT, "what the server at %s answers is no reply of POST /decrypt",
			    x->way.url);
		goto out;
	}
	buf_put_bytes(&plaintext, json_string(text));
	e = buf_check(&plaintext, w);
	if (e == ERR_OK)
		e = put_plaintext(x, &plaintext, json_string(id), json_int(number), w);
out:
	json_free(json);
	buf_free(&plaintext);
	return e;
}

static enum err ask(struct decrypting *x, struct why *w)
{
	struct buf body = BUF_INIT(0), reply = BUF_INIT(0);
	enum err e;
	if ((e = put_request(x, &body, w)) == ERR_OK &&
	    (e = session_ask(&x->way.server, "POST", "/decrypt", buf_bytes(&body), remote_echo_max(body.n), &reply,
			     w)) == ERR_OK)
		e = read_reply(x, buf_bytes(&reply), w);
	buf_free(&body);
	buf_free(&reply);
	return e;
}

/* ---- the command ---- */

static int decrypt(struct decrypting *x)
{
	struct why w = {0}, inner = {0};
	enum err e = session_begin(&x->crypto, &w);
	/* All of it before the session is locked: who writes it may take their time. */
	if (e == ERR_OK)
		e = input_read("session decrypt", x->way.path, USER_MESSAGE_MAX, &x->message, &w);
	/* The message is used up by opening it: not for a text that nobody can get. */
	if (e == ERR_OK)
		e = output_check(&w);
	if (e == ERR_OK)
		e = x->way.url != NULL ? ask(x, &w) : unseal(x, &w);
	if (e == ERR_OK && (e = output_write(buf_bytes(&x->out), &inner)) != ERR_OK)
		(void)why_set(
			&w, e,
			"%s. The message was opened and is used up: it cannot be opened again, so have its text sent "
			"in a new one",
			inner.text);
	buf_free(&x->message);
	buf_free(&x->out);
	crypto_free(x->crypto);
	return e == ERR_OK ? CMD_OK : cmd_fail(&w);
}

static int run(const struct args *a)
{
	struct decrypting x = {.json = args_has(a, "--json"), .message = BUF_INIT(0), .out = BUF_INIT(0)};
	const int status = session_way_read(a, &x.way);
	signal(SIGPIPE, SIG_IGN); /* nobody reads any more: then it is said what became of the message */
	return status == CMD_OK ? decrypt(&x) : status;
}

const struct command session_decrypt = {
	.name = "session decrypt",
	.summary = "a message from the enclave",
	.synopsis = "--session SESSION [--json] [MESSAGE.json|-]\n"
		    "--url URL --id SESSION_ID [--scope S] [--json] [MESSAGE.json|-]",
	.help = help,
	.exits = "0 done, 1 refused, 2 usage, 3 a file or the server fails.",
	.examples = "attestd session decrypt --session chat.session answer.json\n",
	.run = run,
};
