/* policy_flags.c - from flags and a policy file to a policy. */
#include "policy_flags.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

enum { NONCE_SIZE = 32 };

const struct help_row policy_rows[] = {
	{"--pcr", "N=HEX...", "PCR N must have this value; several values of one PCR: any of them"},
	{"--policy", "FILE",
	 "the same and more in JSON (docs/VERIFYING.md), or what nitro-cli build-enclave prints; flags go over it, a --pcr over "
	 "all that it pins for that PCR"},
	{"--max-age", "SECONDS", "the oldest document that will do (300), by the NSM's clock; any: every age"},
	{"--allow-debug", NULL, "accept an enclave in debug mode, which protects nothing"},
	{"--root", "PEM",
	 "a file with the root to trust in place of AWS's: a simulator's. It and the policy may come through open pipes, as "
	 "<(command) gives them, and through no FIFO"},
	{0},
};
const struct help_row policy_kind_rows[] = {
	{"--at", "TIME", "judge as of now (default), document (its own time), or Unix seconds"},
	{"--purpose", "P", "what the document must have been made for: attestation, key-exchange, info, ..."},
	{0},
};
const struct help_row policy_value_rows[] = {
	{"--nonce", "N", "the nonce that was sent: hex, base64 or text; hex:, base64: or text: in front decide"},
	{"--user-data", "D", "the very bytes that must be attested, written like a nonce"},
	{0},
};

/* What is wrong with a flag's value is wrong usage, not a document that does not verify. Of a policy file it also says
 * which member is meant, `policy.` left out. */
static enum err usage_of(const char *flag, const char *value, struct why *w)
{
	static const char prefix[] = "policy.";
	if (w->err != ERR_INVALID)
		return w->err;
	const bool member = strncmp(w->field, prefix, sizeof prefix - 1) == 0;
	return why_set(w, ERR_USAGE, "%s%s%.100s: %s%s%s", flag, value[0] != '\0' ? " " : "", value,
		       member ? w->field + sizeof prefix - 1 : "", member ? ": " : "", w->text);
}

/* At most `max` bytes of the file at `path`, into memory that the caller frees. */
static enum err load(const char *what, const char *path, size_t max, struct buf *out, struct why *w)
{
	*out = BUF_INIT(max + 1);
	uint8_t *p = buf_reserve(out, max + 1);
	size_t n = 0;
	if (p == NULL)
		return buf_check(out, w);
	const enum err e = file_load(what, path, p, max + 1, &n, w);
	if (e != ERR_OK)
		return e;
	if (n > max)
		return why_tell(w, ERR_INVALID, NULL, "Is longer than %zu bytes.", max);
	out->n = n;
	return ERR_OK;
}

static bool pins(const struct verify_policy *p, unsigned index)
{
	for (size_t i = 0; i < p->n_pins; i++)
		if (p->pins[i].index == index)
			return true;
	return false;
}

static enum err put_pcrs(const struct args *a, struct verify_policy *p, struct why *w)
{
	struct verify_policy given;
	size_t kept = 0;

	verify_policy_init(&given);
	for (const struct arg *one = a->options; one < a->options + a->n_options; one++)
		if (strcmp(one->name, "--pcr") == 0 && verify_policy_pcr(&given, bytes_str(one->value), w) != ERR_OK)
			return usage_of("--pcr", one->value, w);
	for (size_t i = 0; i < p->n_pins; i++)
		if (!pins(&given, p->pins[i].index))
			p->pins[kept++] = p->pins[i];
	if (kept + given.n_pins > VERIFY_PINS_MAX)
		return why_set(w, ERR_USAGE, "--pcr and the policy file together pin more than %d values",
			       VERIFY_PINS_MAX);
	memcpy(p->pins + kept, given.pins, given.n_pins * sizeof *given.pins);
	p->n_pins = kept + given.n_pins;
	return ERR_OK;
}

static bool takes(const struct command *c, const struct help_row *rows)
{
	const struct help_part *p = c->help;
	while (!help_is_end(p) && p->rows != rows)
		p++;
	return p->rows == rows;
}

static enum err put_values(const struct args *a, struct verify_policy *p, struct why *w)
{
	static const struct {
		const struct help_row *rows;
		const char *flag;
		enum err (*put)(struct verify_policy *p, struct bytes text, struct why *w);
	} values[] = {
		{policy_value_rows, "--nonce", verify_policy_nonce},
		{policy_value_rows, "--user-data", verify_policy_user_data},
		{policy_rows, "--max-age", verify_policy_max_age},
		{policy_kind_rows, "--at", verify_policy_at},
		{policy_kind_rows, "--purpose", verify_policy_purpose},
	};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		const char *value = takes(a->command, values[i].rows) ? args_value(a, values[i].flag) : NULL;
		if (value != NULL && values[i].put(p, bytes_str(value), w) != ERR_OK)
			return usage_of(values[i].flag, "", w);
	}
	return ERR_OK;
}

/* Reads a file and makes it part of the policy. */
static enum err put_file(const char *flag, const char *what, const char *path, size_t max,
			 enum err (*put)(struct verify_policy *p, struct bytes text, struct why *w),
			 struct verify_policy *p, struct why *w)
{
	struct buf text = BUF_INIT(0);
	enum err e = load(what, path, max, &text, w);
	if (e == ERR_OK)
		e = put(p, buf_bytes(&text), w);
	buf_free(&text);
	return e != ERR_OK ? usage_of(flag, path, w) : ERR_OK;
}

/* Flags over the configuration's: a file takes the place of its file, and a root from whichever file is kept. */
static enum err put_files(const struct args *a, const struct config *c, struct verify_policy *p, struct why *w)
{
	const char *file = args_value(a, "--policy"), *root = args_value(a, "--root");
	const char *file_flag = "--policy", *root_flag = "--root";
	if (file == NULL && c != NULL && c->peer_policy[0] != '\0') {
		file_flag = "peer_policy";
		file = c->peer_policy;
	}
	if (file != NULL) {
		const enum err e = put_file(file_flag, "the policy file", file, VERIFY_POLICY_MAX, verify_policy_text,
					    p, w);
		if (e != ERR_OK)
			return e;
	}
	if (root == NULL && c != NULL && c->peer_root[0] != '\0' && !p->own_root) {
		root_flag = "peer_root";
		root = c->peer_root;
	}
	if (root == NULL)
		return ERR_OK;
	return put_file(root_flag, "the root certificate", root, CERT_PEM_MAX, verify_policy_root, p, w);
}

enum err policy_flags_over(const struct args *a, const struct config *c, struct verify_policy *out, struct why *w)
{
	struct verify_policy p;
	enum err e;

	verify_policy_init(&p);
	if ((e = put_files(a, c, &p, w)) != ERR_OK || (e = put_pcrs(a, &p, w)) != ERR_OK ||
	    (e = put_values(a, &p, w)) != ERR_OK)
		return e;
	if (verify_policy_check(&p, w) != ERR_OK)
		return usage_of("--max-age", "", w);
	p.allow_debug |= args_has(a, "--allow-debug");
	*out = p;
	return ERR_OK;
}

enum err policy_flags_make(const struct args *a, struct verify_policy *out, struct why *w)
{
	return policy_flags_over(a, NULL, out, w);
}

int policy_flags_fresh(const struct args *a, const struct verify_policy *p, bool asks)
{
	if (p->at != VERIFY_AT_NOW)
		return args_fault(
			a,
			"this judges as of now, and the policy names another time (at): leave it out; attestd verify "
			"looks at old documents");
	if (!asks || !p->nonce.present)
		return CMD_OK;
	if (args_value(a, "--nonce") == NULL)
		return args_fault(
			a,
			"the policy file holds a nonce, which would be the same each time, so that an old reply passes "
			"for a new one: leave it out, and a fresh one is made");
	fprintf(stderr,
		"attestd %s: WARNING: --nonce must be random, of your own making, and for this one request: whoever has a "
		"reply to the same nonce can play it to you again. Without --nonce a fresh one is made.\n",
		a->command->name);
	return CMD_OK;
}

enum err policy_flags_nonce(struct crypto *c, struct verify_policy *p, struct why *w)
{
	const struct random random = crypto_random(c);
	if (p->nonce.present)
		return ERR_OK;
	const enum err e = random_fill(&random, p->nonce.b, NONCE_SIZE, w);
	p->nonce.n = NONCE_SIZE;
	p->nonce.present = e == ERR_OK;
	return e;
}
