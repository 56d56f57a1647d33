/* policy_flags.c - from flags and a policy file to a policy. */
#include "policy_flags.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cmd.h"
#include "options.h"

enum { OPT_HELP = OPTIONS_LONG, OPT_PCR, OPT_ALLOW_DEBUG, OPT_VALUE };

enum { VALUES = 7, FIXED = 3 };

int policy_flags_read(struct policy_flags *f, const struct policy_own_flag *own, size_t n_own, int argc, char **argv)
{
	struct option longs[FIXED + VALUES + POLICY_OWN_FLAGS_MAX + 1] = {
		{"help", no_argument, NULL, OPT_HELP},
		{"pcr", required_argument, NULL, OPT_PCR},
		{"allow-debug", no_argument, NULL, OPT_ALLOW_DEBUG},
	};
	*f = (struct policy_flags){.pcrs = calloc((size_t)argc + 1, sizeof *f->pcrs)};
	if (f->pcrs == NULL) {
		fprintf(stderr, "attestd: out of memory\n");
		return CMD_ENVIRONMENT;
	}
	const struct policy_own_flag values[VALUES] = {
		{"--policy", &f->file, NULL},	      {"--root", &f->root, NULL},	{"--nonce", &f->nonce, NULL},
		{"--user-data", &f->user_data, NULL}, {"--max-age", &f->max_age, NULL}, {"--at", &f->at, NULL},
		{"--purpose", &f->purpose, NULL},
	};
	for (size_t i = 0; i < VALUES + n_own && i < VALUES + POLICY_OWN_FLAGS_MAX; i++) {
		const struct policy_own_flag *flag = i < VALUES ? &values[i] : &own[i - VALUES];
		longs[FIXED + i] = (struct option){flag->name + 2,
						   flag->value != NULL ? required_argument : no_argument, NULL,
						   OPT_VALUE + (int)i};
	}

	int opt;
	optind = 0; /* starts over, whoever parsed options before */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		const size_t i = opt >= OPT_VALUE ? (size_t)(opt - OPT_VALUE) : 0;
		const struct policy_own_flag *flag = i < VALUES ? &values[i] : &own[i - VALUES];
		if (opt == OPT_HELP || opt == 'h')
			f->help = true;
		else if (opt == OPT_PCR)
			f->pcrs[f->n_pcrs++] = optarg;
		else if (opt == OPT_ALLOW_DEBUG)
			f->allow_debug = true;
		else if (opt == ':' || opt == '?')
			return options_unread(argv, opt);
		else if (flag->value != NULL)
			*flag->value = optarg;
		else
			*flag->on = true;
	}
	f->args = argv + optind;
	f->n_args = (size_t)(argc - optind);
	return CMD_OK;
}

void policy_flags_free(struct policy_flags *f)
{
	free(f->pcrs);
	*f = (struct policy_flags){0};
}

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

static enum err put_pcrs(const struct policy_flags *f, struct verify_policy *p, struct why *w)
{
	struct verify_policy given;
	size_t kept = 0;

	verify_policy_init(&given);
	for (size_t i = 0; i < f->n_pcrs; i++)
		if (verify_policy_pcr(&given, bytes_str(f->pcrs[i]), w) != ERR_OK)
			return usage_of("--pcr", f->pcrs[i], w);
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

static enum err put_values(const struct policy_flags *f, struct verify_policy *p, struct why *w)
{
	const struct {
		const char *flag, *value;
		enum err (*put)(struct verify_policy *p, struct bytes text, struct why *w);
	} values[] = {
		{"--nonce", f->nonce, verify_policy_nonce},
		{"--user-data", f->user_data, verify_policy_user_data},
		{"--max-age", f->max_age, verify_policy_max_age},
		{"--at", f->at, verify_policy_at},
		{"--purpose", f->purpose, verify_policy_purpose},
	};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		if (values[i].value != NULL && values[i].put(p, bytes_str(values[i].value), w) != ERR_OK)
			return usage_of(values[i].flag, "", w);
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

enum err policy_flags_make(const struct policy_flags *f, struct verify_policy *out, struct why *w)
{
	struct verify_policy p;
	enum err e;

	verify_policy_init(&p);
	if (f->file != NULL && (e = put_file("--policy", "the policy file", f->file, VERIFY_POLICY_MAX,
					     verify_policy_text, &p, w)) != ERR_OK)
		return e;
	if (f->root != NULL && (e = put_file("--root", "the root certificate", f->root, CERT_PEM_MAX,
					     verify_policy_root, &p, w)) != ERR_OK)
		return e;
	if ((e = put_pcrs(f, &p, w)) != ERR_OK || (e = put_values(f, &p, w)) != ERR_OK)
		return e;
	p.allow_debug |= f->allow_debug;
	*out = p;
	return ERR_OK;
}
