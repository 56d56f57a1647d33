/* attest.c - `attestd attest`: prove it. A fresh attestation is fetched, verified, and compared with what was asked. */
#include "attest_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "enclave_pin.h"
#include "harden.h"
#include "input.h"
#include "policy_flags.h"
#include "private_file.h"

enum { OUTPUT_MAX = 1024 * 1024, NONCE_SIZE = 32 };

static const struct help_row rows[] = {
	{"--url", "URL", "the server: http://HOST:PORT, unix:PATH or vsock:CID:PORT"},
	{"--custom-data", "FILE|JSON",
	 "have this JSON attested, too, and make sure that it was; what is no JSON is the name of a file that holds "
	 "some (- is the standard input; ./true is a file, true is JSON)"},
	{"--out", "FILE", "keep the reply, whatever is found, where only you may read it: attestd verify takes it"},
	{"--json", NULL,
	 "one JSON object: verified, code (the verdict's, or custom_digest_mismatch or info_mismatch), message, "
	 "custom_data_compared, info, and verdict, which is null where a document that verified was refused all the same"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Asks the server at URL for an attestation with a fresh nonce, verifies it as attestd verify does, "
		 "and prints the verdict. Beside the server that is POST /attestation; where only its public routes "
		 "are, GET /attestation, and GET /info is compared with what is attested of it. --purpose attestation "
		 "or info takes one of them."},
	{.rows = rows},
	{.rows = enclave_pin_rows},
	{.rows = policy_rows},
	{0},
};

struct attesting {
	const char *url, *custom, *out;
	bool json;
	struct verify_policy policy;
	struct clock clock;
	struct crypto *crypto;
	struct verify *verify;
	struct buf custom_text;
	struct json *custom_json;
	struct verify_verdict *verdict;
	struct attest_asked asked;
};

/* ---- what is asked ---- */

static enum err use_custom(struct attesting *a, struct bytes text, const char *name, struct why *w)
{
	struct why inner = {0};
	const enum err e = json_parse(&a->custom_json, text, &inner);
	if (e == ERR_INVALID)
		return why_set(w, ERR_USAGE, "--custom-data: %.100s is not well-formed JSON: %s", name, inner.text);
	if (e != ERR_OK) {
		*w = inner;
		return e;
	}
	a->asked.custom_value = json_root(a->custom_json);
	a->asked.custom = text;
	if (json_type(a->asked.custom_value) == JSON_NULL)
		return why_set(w, ERR_USAGE, "--custom-data: null means that there is none");
	return ERR_OK;
}

static enum err read_custom(struct attesting *a, struct why *w)
{
	struct why inner = {0};
	struct json *json = NULL;
	if (a->custom == NULL)
		return ERR_OK;
	const enum err e = json_parse(&json, bytes_str(a->custom), &inner);
	json_free(json);
	if (e == ERR_OK)
		return use_custom(a, bytes_str(a->custom), "the value", w);
	/* Nobody calls a file so. */
	if (a->custom[0] == '{' || a->custom[0] == '[' || a->custom[0] == '"')
		return why_set(w, ERR_USAGE, "--custom-data: the value is not well-formed JSON: %s", inner.text);
	const enum err read = input_read("attest", a->custom, ATTEST_CUSTOM_MAX, &a->custom_text, w);
	return read == ERR_OK ? use_custom(a, buf_bytes(&a->custom_text), a->custom, w) : read;
}

static enum err fresh_nonce(struct attesting *a, struct why *w)
{
	const struct random random = crypto_random(a->crypto);
	struct verify_wanted *nonce = &a->policy.nonce;
	if (nonce->present)
		return ERR_OK;
	const enum err e = random_fill(&random, nonce->b, NONCE_SIZE, w);
	nonce->n = NONCE_SIZE;
	nonce->present = e == ERR_OK;
	return e;
}

static enum err fetch_and_verify(struct attesting *a, const struct remote *server, struct why *w)
{
	enum err e;
	a->asked.crypto = a->crypto;
	a->asked.server = server;
	a->asked.policy = &a->policy;
	if ((e = fresh_nonce(a, w)) != ERR_OK || (e = attest_ask(&a->asked, w)) != ERR_OK)
		return e;
	if (a->out != NULL && (e = private_file_output("the reply", a->out, buf_bytes(&a->asked.reply), w)) != ERR_OK)
		return e;
	if ((e = verify_input(a->verify, buf_bytes(&a->asked.reply), VERIFY_REPLY, &a->policy, &a->verdict, w)) !=
	    ERR_OK)
		return e;
	if (!verify_verdict_good(a->verdict))
		return why_tell(w, ERR_INVALID, NULL, "%s", verify_verdict_message(a->verdict));
	return attest_check(&a->asked, a->verdict, w);
}

/* ---- what is said of it ---- */

static void put_info(const struct attesting *a, bool good, struct buf *out)
{
	struct json *json = NULL;
	struct why unsaid = {0};
	if (good && a->asked.info.n > 0 &&
	    json_parse_bounded(&json, buf_bytes(&a->asked.info), VERIFY_VALUES_MAX, &unsaid) == ERR_OK)
		buf_put_bytes(out, buf_bytes(&a->asked.info));
	else
		json_put_cstr(out, NULL);
	json_free(json);
}

static const char *code(const struct attesting *a, bool good, const struct why *w)
{
	if (good || !verify_verdict_good(a->verdict))
		return verify_code_name(verify_verdict_code(a->verdict));
	return strcmp(w->field, "info_digest") == 0 ? "info_mismatch" : "custom_digest_mismatch";
}

static void put_json(const struct attesting *a, bool good, const struct why *w, struct buf *out)
{
	buf_put_str(out, "{");
	json_put_key(out, "verified");
	json_put_bool(out, good);
	json_put_key(out, "code");
	json_put_cstr(out, code(a, good, w));
	json_put_key(out, "message");
	json_put_cstr(out, good ? verify_verdict_message(a->verdict) : w->text);
	json_put_key(out, "custom_data_compared");
	json_put_bool(out, good && a->asked.custom_value != NULL);
	json_put_key(out, "info");
	put_info(a, good, out);
	json_put_key(out, "verdict");
	/* One that is good and stands beside a refusal would be taken for the answer. */
	if (good || !verify_verdict_good(a->verdict))
		verify_verdict_json(a->verdict, out);
	else
		json_put_cstr(out, NULL);
	buf_put_str(out, "}\n");
}

static void put_text(const struct attesting *a, bool good, const struct why *w, struct buf *out)
{
	if (!good && verify_verdict_good(a->verdict)) {
		buf_put_str(out, "NOT VERIFIED: ");
		buf_put_str(out, w->text);
		buf_put_str(out, "\n");
		return;
	}
	verify_verdict_text(a->verdict, output_wants_colour(STDOUT_FILENO), out);
	if (good && a->asked.custom_value != NULL)
		buf_put_str(out, "\nThe custom data that you gave is what the enclave attests.\n");
	if (good && a->asked.info.n > 0) {
		buf_put_str(out, "\nWhat GET /info answers is what the enclave attests: ");
		buf_put_plain(out, buf_bytes(&a->asked.info));
		buf_put_str(out, "\n");
	}
}

static int say(const struct attesting *a, bool good, const struct why *said)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct why w = {0};
	if (a->json)
		put_json(a, good, said, &out);
	else
		put_text(a, good, said, &out);
	const enum err e = buf_check(&out, &w);
	if (e == ERR_OK)
		fwrite(out.p, 1, out.n, stdout);
	buf_free(&out);
	return e == ERR_OK ? cmd_printed() : cmd_fail(&w);
}

/* ---- the command ---- */

static int attest(struct attesting *a)
{
	struct remote server;
	struct why w = {0};
	enum err e;
	int status = CMD_OK;

	json_init();
	a->clock = clock_system();
	if ((e = remote_init(&server, a->url, &w)) == ERR_OK && (e = read_custom(a, &w)) == ERR_OK &&
	    (e = harden(&w)) == ERR_OK && (e = crypto_new(&a->crypto, &w)) == ERR_OK &&
	    (e = verify_new(&a->verify, a->crypto, &a->clock, &w)) == ERR_OK)
		e = fetch_and_verify(a, &server, &w);
	if (a->verdict != NULL && (e == ERR_OK || e == ERR_INVALID)) {
		status = say(a, e == ERR_OK, &w);
		if (status == CMD_OK && e != ERR_OK)
			status = CMD_FALSE;
	} else if (e != ERR_OK) {
		status = cmd_fail(&w);
	}
	return status;
}

static void close_parts(struct attesting *a)
{
	verify_verdict_free(a->verdict);
	json_free(a->custom_json);
	buf_free(&a->custom_text);
	buf_free(&a->asked.reply);
	buf_free(&a->asked.info);
	verify_free(a->verify);
	crypto_free(a->crypto);
}

static int run(const struct args *line)
{
	struct attesting a = {.url = args_value(line, "--url"),
			      .custom = args_value(line, "--custom-data"),
			      .out = args_value(line, "--out"),
			      .json = args_has(line, "--json"),
			      .custom_text = BUF_INIT(0),
			      .asked = {.reply = BUF_INIT(0), .info = BUF_INIT(0)}};
	struct why w = {0};
	int status = args_none(line);
	if (status != CMD_OK)
		return status;
	if (a.url == NULL)
		return args_fault(line, "--url URL must say which server to ask");
	if (policy_flags_make(line, &a.policy, &w) != ERR_OK)
		return cmd_fail(&w);
	const char *purpose = a.policy.purpose;
	if (purpose[0] != '\0' && strcmp(purpose, "attestation") != 0 && strcmp(purpose, "info") != 0)
		return args_fault(line,
				  "the policy wants a document of purpose %s, and this asks for attestation or info",
				  purpose);
	if (a.custom != NULL && strcmp(purpose, "info") == 0)
		return args_fault(line, "a document of purpose info holds no custom data");
	status = policy_flags_fresh(line, &a.policy, true);
	if (status == CMD_OK)
		status = enclave_pin_check(line, &a.policy);
	if (status != CMD_OK)
		return status;
	status = attest(&a);
	close_parts(&a);
	return status;
}

const struct command cmd_attest = {
	.name = "attest",
	.summary = "ask a server for a fresh attestation and verify it",
	.synopsis = "--url URL --pcr N=HEX... [--custom-data FILE|JSON] [OPTIONS]",
	.help = help,
	.exits = "0 verified, 1 not verified or refused by the server, 2 usage, or a policy that does not say which "
		 "enclave is meant, 3 a file or the server fails.",
	.examples = "attestd attest --url $URL --policy image.json --custom-data answer.json\n",
	.run = run,
};
