/* nsm.c - `attestd nsm`: the NSM by hand. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "args.h"
#include "base/encode.h"
#include "base/file.h"
#include "config.h"
#include "nsm.h"
#include "nsm_show.h"

enum { RANDOM_DEFAULT = 32, RANDOM_MAX = 4096, NUMBER_MAX = UINT16_MAX, OUTPUT_MAX = 64 * 1024, WAIT_MS = 30 * 1000 };

static const struct help_row action_rows[] = {
	{"describe", NULL, "its version, module id, digest, number of PCRs, and which of them are locked"},
	{"pcr", NULL, "all PCRs, or PCR N: locked or not, value, and whether it is all zeros"},
	{"extend", NULL,
	 "PCR N becomes SHA-384(its value, the data); prints the new value. The data are 1 to 1024 bytes, in hex or as the "
	 "contents of FILE."},
	{"lock", NULL, "PCR N, or all PCRs below N, can no longer be extended"},
	{"random", NULL, "random bytes in hex, 1 to 4096 of them, else 32"},
	{0},
};

static const struct help_row rows[] = {
	{"--nsm", "BACKEND", CONFIG_NSM_NAMES ", as for attestd serve; device unless told otherwise"},
	{"--file", "FILE", "extend with what is in FILE"},
	{"--below", "N", "lock all PCRs below N"},
	{"--json", NULL, "the result as one JSON object"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Asks the Nitro Secure Module by hand."},
	{.rows = action_rows},
	{.rows = rows},
	{.text = "extend and lock cannot be undone: what they do lasts until the enclave ends. "
#ifndef ATTESTD_ENCLAVE
		 "(A simulator that is not behind a socket ends with this command.) "
#endif
		 "Only locked PCRs are in attestation documents."},
	{0},
};

struct ask {
	const struct args *line;
	const char *backend, *file, *below;
	bool json;
	char **args; /* behind the action */
	size_t n_args;

	/* what they mean */
	unsigned index;
	bool has_index;
	struct buf data;
	size_t n_random;
};

/* ---- actions ---- */

static enum err describe(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	struct nsm_description d;
	const enum err e = nsm_describe(n, &d, w);
	if (e == ERR_OK)
		nsm_show_description(out, a->json, n, &d);
	return e;
}

static enum err one_pcr(struct ask *a, struct nsm *n, unsigned i, struct buf *out, struct why *w)
{
	struct buf value = BUF_INIT(NSM_PCR_SIZE);
	bool locked;
	const enum err e = nsm_pcr(n, i, &value, &locked, w);
	if (e == ERR_OK)
		nsm_show_pcr(out, a->json, n, i, buf_bytes(&value), locked);
	buf_free(&value);
	return e;
}

static enum err all_pcrs(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	struct nsm_description d;
	enum err e = nsm_describe(n, &d, w);
	const char *comma = "";
	if (a->json)
		buf_put_str(out, nsm_is_dummy(n) ? "{\"dummy\":true,\"pcrs\":[" : "{\"pcrs\":[");
	for (unsigned i = 0; e == ERR_OK && i < d.max_pcrs; i++) {
		/* The dummy knows those that it lists and no others. */
		if (nsm_is_dummy(n) && (d.locked_pcrs >> i & 1u) == 0)
			continue;
		buf_put_str(out, a->json ? comma : "");
		comma = ",";
		e = one_pcr(a, n, i, out, w);
	}
	buf_put_str(out, a->json ? "]}\n" : "");
	return e;
}

static enum err pcr(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	if (!a->has_index)
		return all_pcrs(a, n, out, w);
	const enum err e = one_pcr(a, n, a->index, out, w);
	buf_put_str(out, a->json ? "\n" : "");
	return e;
}

static enum err extend(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	struct buf value = BUF_INIT(NSM_PCR_SIZE);
	const enum err e = nsm_extend(n, a->index, buf_bytes(&a->data), &value, w);
	if (a->json)
		buf_printf(out, "{\"index\":%u,\"value\":\"", a->index);
	buf_put_hex(out, buf_bytes(&value));
	buf_put_str(out, a->json ? "\"}\n" : "\n");
	buf_free(&value);
	return e;
}

static enum err lock(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	const bool below = a->below != NULL;
	const enum err e = below ? nsm_lock_below(n, a->index, w) : nsm_lock(n, a->index, w);
	if (a->json)
		buf_printf(out, "{\"%s\":%u,\"locked\":true}\n", below ? "below" : "index", a->index);
	else if (below)
		buf_printf(out, "All PCRs below %u are locked until the enclave ends.\n", a->index);
	else
		buf_printf(out, "PCR%u is locked until the enclave ends.\n", a->index);
	return e;
}

static enum err random_bytes(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	uint8_t got[RANDOM_MAX];
	const enum err e = nsm_random(n, got, a->n_random, w);
	if (e != ERR_OK)
		return e;
	buf_put_str(out, a->json ? "{\"random\":\"" : "");
	buf_put_hex(out, bytes_of(got, a->n_random));
	buf_put_str(out, a->json ? "\"}\n" : "\n");
	mem_wipe(got, sizeof got);
	return ERR_OK;
}

/* ---- the command line ---- */

static int read_index(struct ask *a, const char *text)
{
	int64_t i;
	if (!args_number(text, 0, NUMBER_MAX, &i))
		return args_fault(a->line, "`%s` is no number of a PCR", text);
	a->index = (unsigned)i;
	a->has_index = true;
	return CMD_OK;
}

static int read_nothing(struct ask *a)
{
	return a->n_args == 0 ? CMD_OK : args_fault(a->line, "unexpected argument `%s`", a->args[0]);
}

static int read_pcr(struct ask *a)
{
	if (a->n_args > 1)
		return args_fault(a->line, "unexpected argument `%s`", a->args[1]);
	return a->n_args == 1 ? read_index(a, a->args[0]) : CMD_OK;
}

static int read_data(struct ask *a)
{
	struct why w = {0};
	size_t n = 0;
	/* One more than is allowed, so that too much is seen. */
	uint8_t *to = buf_reserve(&a->data, NSM_EXTEND_MAX + 1);
	if (to == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	if (a->file != NULL && file_load("the file", a->file, to, NSM_EXTEND_MAX + 1, &n, &w) != ERR_OK)
		return cmd_fail(&w);
	if (a->file != NULL && n > NSM_EXTEND_MAX)
		return args_fault(a->line,
				  "%s has more than the %d bytes that a PCR can be extended with; take its digest "
				  "instead: attestd nsm extend %u \"$(sha384sum <FILE | cut -c-96)\"",
				  a->file, NSM_EXTEND_MAX, a->index);
	if (a->file == NULL) {
		const struct bytes hex = bytes_str(a->args[1]);
		if (hex.n > HEX_SIZE(NSM_EXTEND_MAX) || !hex_decode(hex, to, &n))
			return args_fault(a->line, "the data must be an even number of hex digits, at most %d",
					  HEX_SIZE(NSM_EXTEND_MAX));
	}
	if (n == 0)
		return args_fault(a->line, "there must be at least one byte to extend a PCR with");
	a->data.n = n;
	return CMD_OK;
}

static int read_extend(struct ask *a)
{
	if (a->n_args != (a->file != NULL ? 1 : 2))
		return args_fault(a->line, "extend takes the number of a PCR, and either HEX or --file FILE");
	const int status = read_index(a, a->args[0]);
	return status != CMD_OK ? status : read_data(a);
}

static int read_lock(struct ask *a)
{
	if (a->n_args != (a->below != NULL ? 0 : 1))
		return args_fault(a->line, "lock takes either the number of a PCR or --below N");
	return read_index(a, a->below != NULL ? a->below : a->args[0]);
}

static int read_random(struct ask *a)
{
	int64_t n = RANDOM_DEFAULT;
	if (a->n_args > 1)
		return args_fault(a->line, "unexpected argument `%s`", a->args[1]);
	if (a->n_args == 1 && !args_number(a->args[0], 1, RANDOM_MAX, &n))
		return args_fault(a->line, "random gives 1 to %d bytes, not `%s`", RANDOM_MAX, a->args[0]);
	a->n_random = (size_t)n;
	return CMD_OK;
}

static const struct action {
	const char *name;
	int (*read)(struct ask *a);
	enum err (*act)(struct ask *a, struct nsm *n, struct buf *out, struct why *w);
} actions[] = {{"describe", read_nothing, describe},
	       {"pcr", read_pcr, pcr},
	       {"extend", read_extend, extend},
	       {"lock", read_lock, lock},
	       {"random", read_random, random_bytes}};

/* ---- the command ---- */

static int run(struct ask *a, const struct action *what)
{
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct nsm *n = NULL;
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct why w = {0};
	bool fell_back = false;
	int status = CMD_OK;

	if (crypto_new(&crypto, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	const struct nsm_env env = {NSM_DEVICE_PATH, crypto, &clock, crypto_random(crypto), WAIT_MS};
	enum err e = nsm_open(&n, a->backend, &env, &fell_back, &w);
	if (e != ERR_OK) {
		status = e == ERR_CONFIG ? args_fault(a->line, "--nsm: %s", w.text) : cmd_fail(&w);
		goto out;
	}
	if (fell_back)
		fprintf(stderr, "attestd: there is no " NSM_DEVICE_PATH ": the dummy answers\n");
	if (what->act(a, n, &out, &w) != ERR_OK) {
		status = cmd_fail(&w);
		if (w.err == ERR_NSM_REFUSED)
			status = CMD_FALSE;
		goto out;
	}
	status = cmd_print(&out);
out:
	buf_free(&out);
	nsm_close(n);
	crypto_free(crypto);
	return status;
}

static int find(struct ask *a, const struct action **out)
{
	const char *name = a->n_args > 0 ? a->args[0] : "";
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(name, actions[i].name) == 0)
			*out = &actions[i];
	if (*out == NULL)
		return args_fault(a->line, "say describe, pcr, extend, lock or random");
	if (a->file != NULL && (*out)->act != extend)
		return args_fault(a->line, "--file belongs to extend");
	if (a->below != NULL && (*out)->act != lock)
		return args_fault(a->line, "--below belongs to lock");
	a->args++;
	a->n_args--;
	return (*out)->read(a);
}

static int ask(const struct args *line)
{
	struct ask a = {.line = line,
			.backend = args_value(line, "--nsm"),
			.file = args_value(line, "--file"),
			.below = args_value(line, "--below"),
			.json = args_has(line, "--json"),
			.args = line->rest,
			.n_args = line->n_rest,
			.data = BUF_INIT(NSM_EXTEND_MAX + 1)};
	const struct action *what = NULL;
	if (a.backend == NULL)
		a.backend = "device";
	int status = find(&a, &what);
	if (status == CMD_OK)
		status = run(&a, what);
	buf_free(&a.data);
	return status;
}

const struct command cmd_nsm = {
	.name = "nsm",
	.summary = "ask the NSM by hand: describe, pcr, extend, lock, random",
	.synopsis = "[--nsm BACKEND] [--json] describe\n"
		    "[--nsm BACKEND] [--json] pcr [N]\n"
		    "[--nsm BACKEND] [--json] extend N (HEX | --file FILE)\n"
		    "[--nsm BACKEND] [--json] lock (N | --below N)\n"
		    "[--nsm BACKEND] [--json] random [BYTES]",
	.help = help,
	.exits = "0 done, 1 the NSM refused (its error is named), 2 usage, 3 there is no NSM, or it does not answer, "
		 "or with what is not understood.",
	.examples = "attestd nsm describe\n"
		    "attestd nsm extend 16 \"$(sha384sum <agent.conf | cut -c-96)\"\n",
	.run = ask,
};
