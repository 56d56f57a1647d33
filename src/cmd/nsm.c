/* nsm.c - `attestd nsm`: the NSM by hand. */
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/file.h"
#include "nsm.h"
#include "nsm_show.h"
#include "options.h"

enum { RANDOM_DEFAULT = 32, RANDOM_MAX = 4096, NUMBER_MAX = UINT16_MAX, OUTPUT_MAX = 64 * 1024 };

static const char usage[] =
	"usage: attestd nsm [--nsm BACKEND] [--json] describe\n"
	"       attestd nsm [--nsm BACKEND] [--json] pcr [N]\n"
	"       attestd nsm [--nsm BACKEND] [--json] extend N (HEX | --file FILE)\n"
	"       attestd nsm [--nsm BACKEND] [--json] lock (N | --below N)\n"
	"       attestd nsm [--nsm BACKEND] [--json] random [BYTES]\n"
	"\n"
	"Asks the Nitro Secure Module by hand.\n"
	"\n"
	"  describe       its version, module id, digest, number of PCRs, and which of them are locked\n"
	"  pcr            all PCRs, or PCR N: locked or not, value, and whether it is all zeros\n"
	"  extend         PCR N becomes SHA-384(its value, the data); prints the new value. The data are 1 to 1024 bytes, in\n"
	"                 hex or as the contents of FILE.\n"
	"  lock           PCR N, or all PCRs below N, can no longer be extended\n"
	"  random         random bytes in hex, 1 to 4096 of them, else 32\n"
	"\n"
	"  --nsm BACKEND  device (unless told otherwise), simulator, socket:PATH, dummy or auto, as for attestd serve\n"
	"  --json         the result as one JSON object\n"
	"  --help         this text\n"
	"\n"
	"extend and lock cannot be undone: what they do lasts until the enclave ends. (A simulator that is not behind a\n"
	"socket ends with this command.) Only locked PCRs are in attestation documents.\n"
	"\n"
	"Exit status: 0 done, 1 the NSM refused or failed (its error is named), 2 usage, 3 there is no device or nobody\n"
	"answers on the socket.\n";

struct ask {
	const char *backend, *file, *below;
	bool json, help;
	char **args; /* behind the action */
	int n_args;

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
		nsm_show_description(out, a->json, nsm_name(n), &d);
	return e;
}

static enum err one_pcr(struct ask *a, struct nsm *n, unsigned i, struct buf *out, struct why *w)
{
	struct buf value = BUF_INIT(NSM_PCR_SIZE);
	bool locked;
	const enum err e = nsm_pcr(n, i, &value, &locked, w);
	if (e == ERR_OK)
		nsm_show_pcr(out, a->json, i, buf_bytes(&value), locked);
	buf_free(&value);
	return e;
}

static enum err all_pcrs(struct ask *a, struct nsm *n, struct buf *out, struct why *w)
{
	struct nsm_description d;
	enum err e = nsm_describe(n, &d, w);
	const char *comma = "";
	buf_put_str(out, a->json ? "{\"pcrs\":[" : "");
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

static int read_index(struct ask *a, const char *command, const char *text)
{
	int64_t i;
	if (!options_number(text, 0, NUMBER_MAX, &i))
		return options_fault(command, "`%s` is no number of a PCR", text);
	a->index = (unsigned)i;
	a->has_index = true;
	return CMD_OK;
}

static int read_nothing(struct ask *a, const char *command)
{
	return a->n_args == 0 ? CMD_OK : options_fault(command, "unexpected argument `%s`", a->args[0]);
}

static int read_pcr(struct ask *a, const char *command)
{
	if (a->n_args > 1)
		return options_fault(command, "unexpected argument `%s`", a->args[1]);
	return a->n_args == 1 ? read_index(a, command, a->args[0]) : CMD_OK;
}

static int read_data(struct ask *a, const char *command)
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
		return options_fault(command,
				     "%s has more than the %d bytes that a PCR can be extended with; take its digest "
				     "instead: attestd nsm extend %u \"$(sha384sum <FILE | cut -c-96)\"",
				     a->file, NSM_EXTEND_MAX, a->index);
	if (a->file == NULL) {
		const struct bytes hex = bytes_str(a->args[1]);
		if (hex.n > HEX_SIZE(NSM_EXTEND_MAX) || !hex_decode(hex, to, &n))
			return options_fault(command, "the data must be an even number of hex digits, at most %d",
					     HEX_SIZE(NSM_EXTEND_MAX));
	}
	if (n == 0)
		return options_fault(command, "there must be at least one byte to extend a PCR with");
	a->data.n = n;
	return CMD_OK;
}

static int read_extend(struct ask *a, const char *command)
{
	if (a->n_args != (a->file != NULL ? 1 : 2))
		return options_fault(command, "extend takes the number of a PCR, and either HEX or --file FILE");
	const int status = read_index(a, command, a->args[0]);
	return status != CMD_OK ? status : read_data(a, command);
}

static int read_lock(struct ask *a, const char *command)
{
	if (a->n_args != (a->below != NULL ? 0 : 1))
		return options_fault(command, "lock takes either the number of a PCR or --below N");
	return read_index(a, command, a->below != NULL ? a->below : a->args[0]);
}

static int read_random(struct ask *a, const char *command)
{
	int64_t n = RANDOM_DEFAULT;
	if (a->n_args > 1)
		return options_fault(command, "unexpected argument `%s`", a->args[1]);
	if (a->n_args == 1 && !options_number(a->args[0], 1, RANDOM_MAX, &n))
		return options_fault(command, "random gives 1 to %d bytes, not `%s`", RANDOM_MAX, a->args[0]);
	a->n_random = (size_t)n;
	return CMD_OK;
}

static const struct action {
	const char *name;
	int (*read)(struct ask *a, const char *command);
	enum err (*act)(struct ask *a, struct nsm *n, struct buf *out, struct why *w);
} actions[] = {{"describe", read_nothing, describe},
	       {"pcr", read_pcr, pcr},
	       {"extend", read_extend, extend},
	       {"lock", read_lock, lock},
	       {"random", read_random, random_bytes}};

static int read_options(struct ask *a, int argc, char **argv)
{
	enum { NSM = OPTIONS_LONG, FILE_NAME, BELOW, JSON, HELP };
	static const struct option longs[] = {
		{"nsm", required_argument, NULL, NSM},	   {"file", required_argument, NULL, FILE_NAME},
		{"below", required_argument, NULL, BELOW}, {"json", no_argument, NULL, JSON},
		{"help", no_argument, NULL, HELP},	   {NULL, 0, NULL, 0}};
	int opt;
	optind = 0; /* starts over, whoever parsed options before */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (opt == NSM)
			a->backend = optarg;
		else if (opt == FILE_NAME)
			a->file = optarg;
		else if (opt == BELOW)
			a->below = optarg;
		else if (opt == JSON)
			a->json = true;
		else if (opt == HELP || opt == 'h')
			a->help = true;
		else
			return options_unread(argv, opt);
	}
	a->args = argv + optind;
	a->n_args = argc - optind;
	return CMD_OK;
}

/* ---- the command ---- */

static int run(struct ask *a, const char *command, const struct action *what)
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
	const struct nsm_env env = {NSM_DEVICE_PATH, crypto, &clock, crypto_random(crypto)};
	enum err e = nsm_open(&n, a->backend, &env, &fell_back, &w);
	if (e != ERR_OK) {
		status = e == ERR_CONFIG ? options_fault(command, "--nsm: %s", w.text) : cmd_fail(&w);
		goto out;
	}
	if (fell_back)
		fprintf(stderr, "attestd: there is no " NSM_DEVICE_PATH ": the dummy answers\n");
	if (what->act(a, n, &out, &w) != ERR_OK || buf_check(&out, &w) != ERR_OK) {
		status = cmd_fail(&w);
		if (w.err == ERR_NSM)
			status = CMD_FALSE;
		goto out;
	}
	fwrite(out.p, 1, out.n, stdout);
	status = cmd_printed();
out:
	buf_free(&out);
	nsm_close(n);
	crypto_free(crypto);
	return status;
}

static int find(struct ask *a, const char *command, const struct action **out)
{
	const char *name = a->n_args > 0 ? a->args[0] : "";
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(name, actions[i].name) == 0)
			*out = &actions[i];
	if (*out == NULL)
		return options_fault(command, "say describe, pcr, extend, lock or random");
	if (a->file != NULL && (*out)->act != extend)
		return options_fault(command, "--file belongs to extend");
	if (a->below != NULL && (*out)->act != lock)
		return options_fault(command, "--below belongs to lock");
	a->args++;
	a->n_args--;
	return (*out)->read(a, command);
}

int cmd_nsm(int argc, char **argv)
{
	struct ask a = {.backend = "device", .data = BUF_INIT(NSM_EXTEND_MAX + 1)};
	const struct action *what = NULL;
	int status = read_options(&a, argc, argv);
	if (status == CMD_OK && a.help) {
		fputs(usage, stdout);
		return cmd_printed();
	}
	if (status == CMD_OK)
		status = find(&a, argv[0], &what);
	if (status == CMD_OK)
		status = run(&a, argv[0], what);
	buf_free(&a.data);
	return status;
}
