/* options.c - what the commands' lines have in common, and those of the commands that read a configuration. */
#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

enum { OPT_CONFIG = OPTIONS_LONG, OPT_SET, OPT_HELP, OPT_FLAG };

int options_fault(const char *command, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "attestd %s: ", command);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; see attestd %s --help\n", command);
	va_end(ap);
	return CMD_USAGE;
}

int options_unread(char **argv, int opt)
{
	if (opt == ':')
		return options_fault(argv[0], "%s lacks its value", argv[optind - 1]);
	if (optopt > 0 && optopt < OPTIONS_LONG)
		return options_fault(argv[0], "-%c is no option", optopt);
	return options_fault(argv[0], "%s is no option", argv[optind - 1]);
}

bool options_number(const char *text, int64_t lo, int64_t hi, int64_t *out)
{
	const bool minus = lo < 0 && text[0] == '-';
	int64_t v = 0;
	if (text[minus] == '\0')
		return false;
	for (const char *p = text + minus; *p != '\0'; p++)
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *p - '0', &v))
			return false;
	if (minus)
		v = -v;
	if (v < lo || v > hi)
		return false;
	*out = v;
	return true;
}

static void add_set(struct options *o, const char *origin, const char *key, const char *value)
{
	o->sets[o->n_sets++] = (struct config_set){origin, key, value};
}

static bool add_pair(struct options *o, char *pair)
{
	char *eq = strchr(pair, '=');
	if (eq == NULL || eq == pair)
		return false;
	*eq = '\0';
	add_set(o, "--set", pair, eq + 1);
	return true;
}

int options_read(struct options *o, const struct option_flag *flags, size_t n_flags, int argc, char **argv)
{
	struct option longs[OPTIONS_FLAGS_MAX + 4] = {{"config", required_argument, NULL, OPT_CONFIG},
						      {"set", required_argument, NULL, OPT_SET},
						      {"help", no_argument, NULL, OPT_HELP}};
	for (size_t i = 0; i < n_flags && i < OPTIONS_FLAGS_MAX; i++)
		longs[3 + i] = (struct option){flags[i].name + 2,
					       flags[i].key != NULL ? required_argument : no_argument, NULL,
					       OPT_FLAG + (int)i};
	*o = (struct options){.sets = calloc((size_t)argc + 1, sizeof *o->sets)};
	if (o->sets == NULL) {
		fprintf(stderr, "attestd: out of memory\n");
		return CMD_ENVIRONMENT;
	}

	int opt;
	optind = 0; /* starts over, whoever parsed options before */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		const struct option_flag *flag = opt >= OPT_FLAG ? &flags[opt - OPT_FLAG] : NULL;
		if (opt == OPT_CONFIG)
			o->file = optarg;
		else if (opt == OPT_HELP || opt == 'h')
			o->help = true;
		else if (opt == OPT_SET && !add_pair(o, optarg))
			return options_fault(argv[0], "--set needs KEY=VALUE, not `%s`", optarg);
		else if (opt == ':' || opt == '?')
			return options_unread(argv, opt);
		else if (flag != NULL && flag->key != NULL)
			add_set(o, flag->name, flag->key, optarg);
		else if (flag != NULL)
			*flag->on = true;
	}
	o->args = argv + optind;
	o->n_args = (size_t)(argc - optind);
	return CMD_OK;
}

void options_free(struct options *o)
{
	free(o->sets);
	*o = (struct options){0};
}

const char *options_file(const struct options *o)
{
	const char *file = o->file != NULL ? o->file : getenv("ATTESTD_CONFIG");
	return file != NULL && file[0] != '\0' ? file : NULL;
}

enum err options_load(const struct options *o, struct config **out, struct why *w)
{
	return config_load(out, options_file(o), environ, o->sets, o->n_sets, w);
}
