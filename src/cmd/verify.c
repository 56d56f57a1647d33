/* verify.c - `attestd verify`: is this document genuine, and is it the one that was wanted? */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "input.h"
#include "policy_flags.h"

enum { INPUT_MAX = 256 * 1024 * 1024, OUTPUT_MAX = 1024 * 1024 };

static const struct help_row rows[] = {
	{"--format", "F", "what FILE is: auto (default), raw, base64, hex or reply"},
	{"--json", NULL, "the verdict as JSON (openapi.yaml: Verdict), not as an explanation"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Says whether FILE (or the standard input) is a genuine attestation document of a Nitro enclave, and "
		 "whether it is the one that was wanted. It may be the document itself or a reply of the server, whose "
		 "own members are then checked, too; where it is a pipe or a FIFO, its end is waited for. "
		 "Without --pcr or a policy this proves that it is a genuine enclave, but not which one."},
	{.rows = policy_rows},
	{.rows = policy_kind_rows},
	{.rows = policy_value_rows},
	{.rows = rows},
	{0},
};

struct wanted {
	const char *path; /* NULL or "-": standard input */
	enum verify_format format;
	struct verify_policy policy;
	bool json;
};

static int print(const struct verify_verdict *d, bool json)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	if (json) {
		verify_verdict_json(d, &out);
		buf_put_str(&out, "\n");
	} else {
		verify_verdict_text(d, output_wants_colour(STDOUT_FILENO), &out);
	}
	const int status = cmd_print(&out);
	buf_free(&out);
	return status;
}

static int judge(const struct wanted *o)
{
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct verify *verify = NULL;
	struct verify_verdict *verdict = NULL;
	struct buf input = BUF_INIT(0);
	struct why w = {0};
	int status;

	if (input_read("verify", o->path, INPUT_MAX, &input, &w) != ERR_OK || crypto_new(&crypto, &w) != ERR_OK ||
	    verify_new(&verify, crypto, &clock, &w) != ERR_OK ||
	    verify_input(verify, buf_bytes(&input), o->format, &o->policy, &verdict, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	status = print(verdict, o->json);
	if (status == CMD_OK && !verify_verdict_good(verdict))
		status = CMD_FALSE;
out:
	verify_verdict_free(verdict);
	verify_free(verify);
	crypto_free(crypto);
	buf_free(&input);
	return status;
}

static int run(const struct args *a)
{
	struct wanted o = {.json = args_has(a, "--json")};
	const char *format = args_value(a, "--format"), *path;
	struct why w = {0};

	const int status = args_only(a, &path);
	if (status != CMD_OK)
		return status;
	if (format != NULL && !verify_format_parse(bytes_str(format), &o.format))
		return args_fault(a, "--format must be auto, raw, base64, hex or reply, not `%s`", format);
	if (policy_flags_make(a, &o.policy, &w) != ERR_OK)
		return cmd_fail(&w);
	o.path = path;
	return judge(&o);
}

const struct command cmd_verify = {
	.name = "verify",
	.summary = "verify an attestation document, or a reply that holds one",
	.synopsis = "[FILE|-] [--pcr N=HEX]... [--nonce N] [OPTIONS]",
	.help = help,
	.exits = "0 verified, 1 not verified, 2 usage or a malformed policy, flag or root, 3 a file cannot be read.",
	.examples = "attestd verify reply.json --nonce $NONCE --policy image.json\n",
	.run = run,
};
