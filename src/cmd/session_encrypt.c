/* session_encrypt.c - `attestd session encrypt`: a message for the enclave, or at a server one for the user. */
#include "session_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "input.h"
#include "remote.h"

enum { JSON_ESCAPE_MAX = 6, JSON_ROOM = 1024 };

static const struct help_row rows[] = {
	{"--session", "SESSION", "the file that attestd session open made"},
	{"--url", "URL", "the server beside the agent: http://HOST:PORT, unix:PATH or vsock:CID:PORT"},
	{"--id", "SESSION_ID", "the session, as the server named it"},
	{"--scope", "S", "the conversation that the agent is in, if the session was made for one"},
	{"--json", NULL, "the message as JSON, which it is in any case"},
	{0},
};

static const struct help_part help[] = {
	{.text = "The user's way: encrypts FILE (or the standard input), byte for byte, and prints the message as "
		 "JSON: what POST /decrypt takes. The agent's way, with --url: asks the server to encrypt it for the "
		 "user of a session, and prints what POST /encrypt answers. Messages are UTF-8 text of any length, the "
		 "empty one too."},
	{.rows = rows},
	{0},
};

struct encrypting {
	const char *session, *url, *id, *scope, *path;
	struct crypto *crypto;
	struct user_session *s;
	struct buf plaintext, message;
};

/* ---- the user's way ---- */

static enum err seal(struct encrypting *x, struct why *w)
{
	enum err e = session_file_read(x->session, &x->s, w);
	if (e != ERR_OK)
		return e;
	if (session_is_expired(x->s, w))
		return w->err;
	const struct random random = crypto_random(x->crypto);
	x->message = BUF_INIT(USER_MESSAGE_MAX);
	e = input_read("session encrypt", x->path, USER_PLAINTEXT_MAX, &x->plaintext, w);
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
	json_put_key(body, "session_id");
	json_put_cstr(body, x->id);
	if (x->scope != NULL) {
		json_put_key(body, "scope");
		json_put_cstr(body, x->scope);
	}
	json_put_key(body, "plaintext");
	json_put_string(body, plaintext);
	buf_put_str(body, "}");
	return buf_check(body, w);
}

/* A server that answers something else must not have it handed to a user. */
static enum err check_reply(const struct encrypting *x, struct why *w)
{
	const struct json_value *ciphertext, *iv, *id, *number;
	const struct json_field fields[] = {{"ciphertext", JSON_BIT(JSON_STRING), true, &ciphertext},
					    {"iv", JSON_BIT(JSON_STRING), true, &iv},
					    {"session_id", JSON_BIT(JSON_STRING), true, &id},
					    {"message_number", JSON_BIT(JSON_INT), true, &number}};
	struct why inner = {0};
	struct json *json = NULL;
	enum err e = json_parse(&json, buf_bytes(&x->message), &inner);
	if (e == ERR_OK)
		e = json_fields(json_root(json), fields, sizeof fields / sizeof fields[0], &inner);
	if (e == ERR_OK && !bytes_is(json_string(id), x->id))
		e = why_tell(&inner, ERR_INVALID, "session_id", "Is another session's.");
	json_free(json);
	return e == ERR_OK ? ERR_OK
			   : why_set(w, ERR_ENVIRONMENT, "what the server at %s answers is no reply of POST /encrypt",
				     x->url);
}

static enum err ask(struct encrypting *x, struct why *w)
{
	struct remote server;
	struct buf body = BUF_INIT(0);
	enum err e;
	if ((e = remote_init(&server, x->url, w)) != ERR_OK ||
	    (e = input_read("session encrypt", x->path, USER_PLAINTEXT_MAX, &x->plaintext, w)) != ERR_OK)
		return e;
	if (!utf8_valid(buf_bytes(&x->plaintext)))
		return why_set(
			w, ERR_INVALID,
			"The message is not UTF-8 text, and JSON carries nothing else: encode it first (base64, for "
			"example).");
	e = put_request(x, &body, w);
	if (e == ERR_OK)
		e = remote_ask(&server, "POST", "/encrypt", buf_bytes(&body), USER_MESSAGE_MAX, &x->message, w);
	buf_free(&body);
	return e == ERR_OK ? check_reply(x, w) : e;
}

/* ---- the command ---- */

static int encrypt(struct encrypting *x)
{
	struct why w = {0};
	enum err e = session_begin(&x->crypto, &w);
	if (e == ERR_OK)
		e = x->url != NULL ? ask(x, &w) : seal(x, &w);
	if (e == ERR_OK && (x->message.n == 0 || x->message.p[x->message.n - 1] != '\n')) {
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
	struct encrypting x = {.session = args_value(a, "--session"),
			       .url = args_value(a, "--url"),
			       .id = args_value(a, "--id"),
			       .scope = args_value(a, "--scope"),
			       .plaintext = BUF_INIT(0),
			       .message = BUF_INIT(0)};
	const int status = args_only(a, &x.path);
	if (status != CMD_OK)
		return status;
	if ((x.session == NULL) == (x.url == NULL))
		return args_fault(a,
				  "either --session SESSION must be given (by the user) or --url URL (by the agent)");
	if (x.url != NULL && x.id == NULL)
		return args_fault(a, "--id SESSION_ID must name the session at the server");
	if (x.url == NULL && (x.id != NULL || x.scope != NULL))
		return args_fault(a, "--id and --scope belong to --url: the session file knows its own");
	return encrypt(&x);
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
