/* client.c - `attestd client`: the parent instance asks its enclave, over vsock. */
#include "client_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "enclave_pin.h"
#include "output_file.h"
#include "policy_flags.h"
#include "private_file.h"
#include "vsock.h"

enum { TIMEOUT_S = 30, TIMEOUT_MAX_S = 3600 };

static const struct help_row action_rows[] = {
	{"--ping", NULL, "does the enclave answer?"},
	{"--status", NULL, "what its server says of itself"},
	{"--attest", NULL, "an attestation document, as it comes"},
	{"--verify", NULL, "an attestation document, verified as attestd verify does"},
	{0},
};

static const struct help_row common_rows[] = {
	{"--cid", "N", "the enclave's CID; without it nitro-cli describe-enclaves tells, if one enclave runs"},
	{"--port", "N", "the port that its server listens on (9000)"},
	{"--to", "TARGET", "in place of both: vsock:CID:PORT, unix:PATH or tcp:HOST:PORT, through a proxy"},
	{"--timeout", "SECONDS",
	 "the longest that the answer may take (30); a name's look-up and nitro-cli (10 s) take their own time besides"},
	{"--json", NULL,
	 "one JSON object: the server's reply; with --verify its members as far as they are signed, null unless "
	 "verified, and verified, verification (the verdict) and verification_error"},
	{0},
};

static const struct help_row attest_rows[] = {
	{"--user-data", "TEXT", "text to be attested; without it the server attests " VSOCK_USER_DATA},
	{"--nonce", "TEXT", "a nonce, always taken as text; without it --verify makes a fresh one"},
	{"--generate-key", NULL, "have the enclave make a key pair and attest its public half"},
	{"--save", "FILE",
	 "write the document to FILE in base64, with --verify only if it verified; - is the standard output, and "
	 "everything else then goes to stderr. It replaces what is empty or an attestation, and nothing else"},
	{"--force", NULL, "have --save replace any file"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Asks the server in an enclave (attestd serve with vsock_listen) from the parent instance. Give one of "
		 "ping, status and attest, or the same as an option."},
	{.rows = action_rows},
	{.rows = common_rows},
	{.text = "What may be asked for with attest and --verify:", .rows = attest_rows},
	{.text = "What the document must be, with --verify. It must hold the nonce and the user data that were asked "
		 "for, and a public key just where one was.",
	 .rows = enclave_pin_rows},
	{.rows = policy_rows},
	{0},
};

/* ---- the command line ---- */

static int read_action(struct client *c)
{
	static const struct {
		const char *flag, *word;
		unsigned action;
	} actions[] = {
		{"--ping", "ping", CLIENT_PING},
		{"--status", "status", CLIENT_STATUS},
		{"--attest", "attest", CLIENT_ATTEST},
		{"--verify", NULL, CLIENT_VERIFY},
	};
	const struct args *a = c->line;
	size_t n = a->n_rest;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		const bool flag = args_has(a, actions[i].flag);
		const bool word = a->n_rest == 1 && actions[i].word != NULL && strcmp(a->rest[0], actions[i].word) == 0;
		n += flag;
		c->action |= flag || word ? actions[i].action : 0;
	}
	if (n == 2 && c->action == CLIENT_FETCHES) {
		c->action = CLIENT_VERIFY;
		return CMD_OK;
	}
	if (n == 1 && c->action != 0)
		return CMD_OK;
	return args_fault(a, "give one of ping, status, attest and attest --verify, as a word or as --ping, --status, "
			     "--attest and --verify");
}

static bool is_in(const struct help_row *rows, const char *name)
{
	while (rows->term != NULL && strcmp(rows->term, name) != 0)
		rows++;
	return rows->term != NULL;
}

/* Whoever pins a PCR and forgets --verify must not take what comes for verified. */
static int check_options(const struct client *c)
{
	for (size_t i = 0; i < c->line->n_options; i++) {
		const char *name = c->line->options[i].name;
		if ((c->action & CLIENT_FETCHES) == 0 && is_in(attest_rows, name))
			return args_fault(c->line, "%s is for attest and --verify", name);
		if (c->action != CLIENT_VERIFY && (is_in(policy_rows, name) || is_in(enclave_pin_rows, name)))
			return args_fault(c->line, "%s is for --verify", name);
	}
	return CMD_OK;
}

static int read_text(const struct client *c, const char *option, size_t min, size_t max, struct bytes *out)
{
	const char *text = args_value(c->line, option);
	if (text == NULL)
		return CMD_OK;
	const struct bytes x = bytes_str(text);
	if (x.n < min || x.n > max || !utf8_valid(x))
		return args_fault(c->line, "%s must be %zu to %zu bytes of UTF-8", option, min, max);
	*out = x;
	return CMD_OK;
}

static int read_values(struct client *c)
{
	int64_t s = TIMEOUT_S;
	int status = args_int(c->line, "--timeout", 1, TIMEOUT_MAX_S, &s);
	if (status != CMD_OK)
		return status;
	c->timeout_ms = s * 1000;
	if (c->save == NULL && args_has(c->line, "--force"))
		return args_fault(c->line, "--force is for --save");
	if (c->json && c->save != NULL && strcmp(c->save, "-") == 0)
		return args_fault(c->line, "--save - and --json cannot both have the standard output");
	status = read_text(c, "--user-data", 0, NSM_USER_DATA_MAX, &c->user_data);
	return status == CMD_OK ? read_text(c, "--nonce", 1, NSM_NONCE_MAX, &c->nonce) : status;
}

static int read_line(struct client *c)
{
	int status = read_action(c);
	if (status == CMD_OK)
		status = check_options(c);
	if (status == CMD_OK)
		status = read_values(c);
	if (status == CMD_OK && c->action == CLIENT_VERIFY)
		status = client_policy(c);
	return status == CMD_OK ? client_target(c) : status;
}

/* ---- asking ---- */

/* No secret, and what root has asked for others may read. */
static struct output_file target(const struct client *c)
{
	return (struct output_file){.what = "the attestation document",
				    .path = c->save,
				    .kind = OUTPUT_ATTESTATION,
				    .mode = PUBLIC_MODE,
				    .commanded = true,
				    .force = args_has(c->line, "--force")};
}

static enum err save(const struct client *c, const struct output_file *to, struct why *w)
{
	struct buf text = BUF_INIT(BASE64_SIZE(VERIFY_DOCUMENT_MAX) + 8);
	client_put_document(c, &text);
	enum err e = buf_check(&text, w);
	if (e == ERR_OK)
		e = output_file_write(to, buf_bytes(&text), w);
	buf_free(&text);
	return e;
}

static int ask(struct client *c)
{
	const bool to_file = c->save != NULL && strcmp(c->save, "-") != 0;
	const struct output_file to = target(c);
	struct why w = {0};
	enum err e;
	if ((to_file && (e = output_file_check(&to, &w)) != ERR_OK) || (e = crypto_new(&c->crypto, &w)) != ERR_OK ||
	    (e = verify_new(&c->verify, c->crypto, &c->clock, &w)) != ERR_OK ||
	    (c->action == CLIENT_VERIFY && (e = client_nonce(c, &w)) != ERR_OK))
		return cmd_fail(&w);
	e = client_ask(c, &w);
	if (e == ERR_OK && c->action == CLIENT_VERIFY)
		e = client_verify(c, &w);
	if (e == ERR_OK && to_file)
		e = save(c, &to, &w);
	return e == ERR_OK || e == ERR_INVALID ? client_show(c, e, &w) : cmd_fail(&w);
}

static void close_parts(struct client *c)
{
	verify_verdict_free(c->verdict);
	buf_free(&c->document);
	json_free(c->reply);
	verify_free(c->verify);
	crypto_free(c->crypto);
}

static int run(const struct args *a)
{
	struct client c = {.line = a,
			   .save = args_value(a, "--save"),
			   .generate_key = args_has(a, "--generate-key"),
			   .json = args_has(a, "--json"),
			   .clock = clock_system(),
			   .document = BUF_INIT(BASE64_DECODED_MAX(BASE64_SIZE(VERIFY_DOCUMENT_MAX)))};
	int status = read_line(&c);
	if (status == CMD_OK)
		status = ask(&c);
	close_parts(&c);
	return status;
}

const struct command cmd_client = {
	.name = "client",
	.summary = "ask an enclave over vsock, from its parent instance",
	.synopsis = "ping|--ping [OPTIONS]\n"
		    "status|--status [OPTIONS]\n"
		    "attest|--attest [--user-data TEXT] [--nonce TEXT] [--generate-key] [OPTIONS]\n"
		    "--verify --pcr N=HEX... [--user-data TEXT] [--generate-key] [OPTIONS]",
	.help = help,
	.exits =
		"0 done, with --verify: verified; 1 not verified, or refused by the enclave; 2 usage, several enclaves to "
		"choose from, or a policy that does not say which enclave is meant; 3 no enclave, no answer, no answer of "
		"this protocol, or a file fails.",
	.examples = "attestd client --ping\n"
		    "attestd client --verify --policy image.json --generate-key --json\n",
	.run = run,
};
