/* session_open.c - `attestd session open`: from a reply that was verified in every point to a session file. */
#include "session_parts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "enclave_pin.h"
#include "input.h"
#include "policy_flags.h"
#include "remote.h"

enum { OUTPUT_MAX = 1024 * 1024 };

static const struct help_row rows[] = {
	{"--key", "KEY.pem",
	 "the private key whose public half was sent (attestd session keygen): a file, or an open pipe, as <(command) gives it"},
	{"--passphrase-file", "FILE", "its passphrase (- is the standard input); else it is asked for on the terminal"},
	{"--out", "SESSION", "the file to make; one that is there already is left alone"},
	{"--url", "URL",
	 "the server to ask: http://HOST:PORT, unix:PATH or vsock:CID:PORT; https://HOST:PORT will do, too, and adds nothing: the "
	 "exchange is attested from end to end, whoever ends TLS"},
	{"--scope", "S",
	 "the conversation that the session is for, as it was asked for: the enclave must have signed just this one"},
	{"--json", NULL,
	 "one JSON object, also when it exits with 1: opened, code (opened, or what was refused: user_key_mismatch, scope_mismatch, "
	 "session_key_mismatch, server_refused, reply_malformed or the verdict's), message, session, and verdict, which is "
	 "null where there was no document, or one that verified was refused all the same"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Verifies a reply to POST /key-exchange (or asks the server at URL for one, with a fresh nonce) and "
		 "opens the session that it offers: a genuine document, of the enclave that the policy pins, not older "
		 "than --max-age, made for your own key, for the conversation of --scope (or for none, without it), "
		 "for the very session key that came. Only then is SESSION written, which only you may read. With --url "
		 "a key pair is made for this one session and forgotten, unless --key gives one."},
	{.rows = rows},
	{.rows = enclave_pin_rows},
	{.rows = policy_rows},
	{.rows = policy_kind_rows},
	{.rows = policy_value_rows},
	{0},
};

struct opening {
	const char *key, *passphrase_file, *out, *url, *scope, *reply_path;
	bool json, got; /* got: a reply came */
	struct verify_policy policy;
	struct clock clock;
	struct crypto *crypto;
	struct verify *verify;
	struct rsa_key *own;
	struct json *reply;
	struct verify_verdict *verdict;
	struct user_session *session;
	struct private_draft draft;
	sigset_t before;
};

static struct bytes scope_of(const struct opening *o)
{
	return o->scope != NULL ? bytes_str(o->scope) : bytes_of(NULL, 0);
}

/* ---- the reply ---- */

static enum err parse(struct opening *o, struct bytes text, struct why *w)
{
	struct why inner = {0};
	const enum err e = json_parse(&o->reply, text, &inner);
	if (e == ERR_OK)
		return ERR_OK;
	/* It may quote the reply, in letters that turn a terminal's text around. */
	if (e == ERR_INVALID)
		return why_set(w, e, "the reply is not well-formed JSON: %s", text_mask(inner.text));
	*w = inner;
	return e;
}

static enum err get_reply(struct opening *o, struct why *w)
{
	struct buf text = BUF_INIT(0);
	enum err e;
	if (o->url != NULL)
		e = session_exchange(o->crypto, o->url, o->own, scope_of(o), &o->policy, &text, w);
	else
		e = input_read("session open", o->reply_path, REMOTE_REPLY_MAX, &text, w);
	o->got = e == ERR_OK;
	if (e == ERR_OK)
		e = parse(o, buf_bytes(&text), w);
	buf_free(&text);
	return e;
}

static enum err get_key(struct opening *o, struct why *w)
{
	if (o->key != NULL)
		return session_key_load(o->key, o->passphrase_file, &o->own, w);
	return rsa_key_new(RSA_BITS_DEFAULT, &o->own, w);
}

/* ---- what is said of it ---- */

/* Of a document that verified and a session that was refused all the same. */
static const char *code_of(const char *field)
{
	static const char *const codes[][2] = {
		{"user_key_hash", "user_key_mismatch"},
		{"scope_hash", "scope_mismatch"},
		{"encrypted_session_key", "session_key_mismatch"},
	};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(field, codes[i][0]) == 0)
			return codes[i][1];
	return verify_code_name(VERIFY_REPLY_MALFORMED);
}

static const char *code(const struct opening *o, const struct why *w)
{
	if (o->session != NULL)
		return "opened";
	if (o->verdict != NULL)
		return verify_verdict_good(o->verdict) ? code_of(w->field)
						       : verify_code_name(verify_verdict_code(o->verdict));
	return o->got ? verify_code_name(VERIFY_REPLY_MALFORMED) : "server_refused";
}

static void put_json(const struct opening *o, const struct why *w, struct buf *out)
{
	/* One that is good and stands beside a refusal would be taken for the answer. */
	const bool shown = o->verdict != NULL && (o->session != NULL || !verify_verdict_good(o->verdict));
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "opened");
	json_put_bool(out, o->session != NULL);
	JSON_PUT_KEY(out, "code");
	json_put_cstr(out, code(o, w));
	JSON_PUT_KEY(out, "message");
	json_put_cstr(out, o->session != NULL ? "The session is open." : w->text);
	JSON_PUT_KEY(out, "session");
	if (o->session != NULL)
		user_session_show(o->session, clock_wall(&o->clock) / 1000, out);
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "verdict");
	if (shown)
		verify_verdict_json(o->verdict, out);
	else
		json_put_cstr(out, NULL);
	buf_put_str(out, "}\n");
}

static void put_text(const struct opening *o, struct buf *out)
{
	char end[CLOCK_TEXT_SIZE];
	clock_text(user_session_expires_s(o->session) * 1000, end);
	buf_put_str(out, "Opened. The session is in ");
	buf_put_str(out, o->out);
	buf_put_str(
		out,
		".\nWhat the enclave signed of both keys was compared with yours and the session's.\nsession_id     ");
	buf_put_bytes(out, user_session_id(o->session));
	buf_put_str(out, "\nuser_key_hash  ");
	buf_put_hex(out, bytes_of(user_session_key_hash(o->session), SHA256_SIZE));
	buf_printf(out, "\nexpires        %s (the server's word)\n", end);
}

/* A verdict that is good explains nothing where the session was refused all the same. */
static enum err say(const struct opening *o, const struct why *said, struct why *w)
{
	struct buf out = BUF_INIT(OUTPUT_MAX), explained = BUF_INIT(OUTPUT_MAX);
	if (o->json)
		put_json(o, said, &out);
	else if (o->session != NULL)
		put_text(o, &out);
	if (!o->json && o->session != NULL)
		verify_verdict_findings(o->verdict, output_wants_colour(STDERR_FILENO), &explained);
	else if (!o->json && o->verdict != NULL && !verify_verdict_good(o->verdict))
		verify_verdict_text(o->verdict, output_wants_colour(STDERR_FILENO), &explained);
	enum err e = buf_check(&out, w);
	if (e == ERR_OK)
		e = buf_check(&explained, w);
	if (e == ERR_OK && explained.n > 0)
		fwrite(explained.p, 1, explained.n, stderr);
	if (e == ERR_OK && out.n > 0)
		fwrite(out.p, 1, out.n, stdout);
	buf_free(&explained);
	buf_free(&out);
	return e;
}

/* ---- opening ---- */

static enum err open_it(struct opening *o, struct why *w)
{
	enum err e;
	if ((e = session_begin(&o->crypto, w)) != ERR_OK ||
	    (e = private_file_absent(SESSION_FILE, o->out, w)) != ERR_OK ||
	    (e = verify_new(&o->verify, o->crypto, &o->clock, w)) != ERR_OK || (e = get_key(o, w)) != ERR_OK ||
	    (e = get_reply(o, w)) != ERR_OK)
		return e;
	const struct user_open open = {
		.crypto = o->crypto,
		.verify = o->verify,
		.key = o->own,
		.policy = &o->policy,
		.scope = scope_of(o),
		.now_s = clock_wall(&o->clock) / 1000,
	};
	e = user_open(&open, json_root(o->reply), &o->session, &o->verdict, w);
	/* It opens this and every other session that was made for it. */
	rsa_key_free(o->own);
	o->own = NULL;
	if (e != ERR_OK)
		return e;
	private_signals_hold(&o->before);
	return session_file_draft(o->out, o->session, &o->draft, w);
}

/* Whoever is told by a signal that it did not end well must find no session. */
static enum err place(struct opening *o, struct why *w)
{
	if (private_signals_wait())
		return why_set(w, ERR_ENVIRONMENT, "interrupted");
	return private_draft_place(SESSION_FILE, &o->draft, false, w);
}

/* The session gets its name last, when nothing can fail any more. */
static int open_and_say(struct opening *o)
{
	struct why w = {0}, unsaid = {0};
	const enum err e = open_it(o, &w);
	int status = CMD_OK;
	if (e != ERR_OK) {
		user_session_free(o->session);
		o->session = NULL;
	}
	if ((e == ERR_OK || cmd_status(&w) == CMD_FALSE) && say(o, &w, &unsaid) != ERR_OK)
		status = cmd_fail(&unsaid);
	if (e != ERR_OK)
		status = cmd_fail(&w);
	const int printed = cmd_printed();
	if (status == CMD_OK)
		status = printed;
	if (status == CMD_OK && place(o, &w) != ERR_OK)
		status = cmd_fail(&w);
	if (status != CMD_OK)
		fprintf(stderr, "attestd session open: no session was opened\n");
	private_draft_end(&o->draft);
	if (status != CMD_OK)
		private_signals_release(&o->before);
	return status;
}

static void close_parts(struct opening *o)
{
	user_session_free(o->session);
	verify_verdict_free(o->verdict);
	json_free(o->reply);
	rsa_key_free(o->own);
	verify_free(o->verify);
	crypto_free(o->crypto);
}

/* ---- the command line ---- */

static int check(const struct args *a, const struct opening *o)
{
	const bool reads_stdin = o->url == NULL && (o->reply_path == NULL || strcmp(o->reply_path, "-") == 0);
	if (o->out == NULL || o->out[0] == '\0')
		return args_fault(a, "--out SESSION must say where the session goes");
	if (o->url != NULL && o->reply_path != NULL)
		return args_fault(a, "--url asks for a reply, so `%s` cannot be one, too", o->reply_path);
	if (o->url == NULL && o->key == NULL)
		return args_fault(a, "--key KEY.pem must name the private key whose public half was sent, or "
				     "--url the server to ask");
	if (o->passphrase_file != NULL && o->key == NULL)
		return args_fault(a, "--passphrase-file is for --key");
	if (reads_stdin && o->passphrase_file != NULL && strcmp(o->passphrase_file, "-") == 0)
		return args_fault(a, "the reply and the passphrase cannot both be on the standard input");
	if (o->scope != NULL &&
	    (o->scope[0] == '\0' || strlen(o->scope) > SESSION_SCOPE_MAX || !utf8_valid(bytes_str(o->scope))))
		return args_fault(a, "--scope must be 1 to %d bytes of UTF-8", SESSION_SCOPE_MAX);
	return CMD_OK;
}

static int run(const struct args *a)
{
	struct opening o = {.key = args_value(a, "--key"),
			    .passphrase_file = args_value(a, "--passphrase-file"),
			    .out = args_value(a, "--out"),
			    .url = args_value(a, "--url"),
			    .scope = args_value(a, "--scope"),
			    .json = args_has(a, "--json")};
	struct why w = {0};
	int status = args_only(a, &o.reply_path);
	if (status == CMD_OK)
		status = check(a, &o);
	if (status != CMD_OK)
		return status;
	if (policy_flags_make(a, &o.policy, &w) != ERR_OK)
		return cmd_fail(&w);
	if (o.policy.purpose[0] != '\0' && strcmp(o.policy.purpose, "key-exchange") != 0)
		return args_fault(a,
				  "the policy wants a document of purpose %s, and a session is opened with one of "
				  "purpose key-exchange",
				  o.policy.purpose);
	status = policy_flags_fresh(a, &o.policy, o.url != NULL);
	if (status == CMD_OK)
		status = enclave_pin_check(a, &o.policy);
	if (status != CMD_OK)
		return status;
	if (o.url == NULL && !o.policy.nonce.present)
		fprintf(stderr,
			"attestd %s: WARNING: without --nonce this may be the copy of an old exchange that somebody plays to you "
			"again. Send a fresh nonce with the next one (openssl rand -hex 32) and give it here.\n",
			a->command->name);
	o.clock = clock_system();
	o.draft = PRIVATE_DRAFT_NONE;
	(void)sigprocmask(SIG_BLOCK, NULL, &o.before);
	signal(SIGPIPE, SIG_IGN); /* nobody reads what is printed: then no half of a session stays */
	status = open_and_say(&o);
	close_parts(&o);
	return status;
}

const struct command session_open = {
	.name = "session open",
	.summary = "verify an enclave's reply to a key exchange, and open the session that it offers",
	.synopsis = "--key KEY.pem --out SESSION --pcr N=HEX... [--nonce N] [OPTIONS] [REPLY.json|-]\n"
		    "--url URL --out SESSION --pcr N=HEX... [--key KEY.pem] [OPTIONS]",
	.help = help,
	.exits = "0 opened, 1 refused, 2 usage, or a policy that does not say which enclave is meant, 3 a file or the "
		 "server fails. Unless it is 0, there is no session file.",
	.examples = "attestd session open --url $URL --policy image.json --out chat.session\n",
	.run = run,
};
