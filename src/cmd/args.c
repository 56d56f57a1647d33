/* args.c - from the words of the command line to options and arguments. */
#include "args.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int args_fault(const struct args *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "attestd %s: ", a->command->name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; see attestd %s --help\n", a->command->name);
	va_end(ap);
	return CMD_USAGE;
}

/* The option argv[*i], whose value may be the word behind it. */
static int take(struct args *a, int argc, char **argv, int *i)
{
	char *word = argv[*i];
	const size_t n = strcspn(word, "=");
	const bool has_value = word[n] == '=';
	const struct help_row *row = help_option(a->command, word, n);

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		a->help = true;
		return CMD_OK;
	}
	if (row == NULL || (row->value == NULL && has_value))
		return args_fault(a, "%s is no option", word);
	if (row->value != NULL && !has_value && ++*i == argc)
		return args_fault(a, "%s lacks its value", word);
	/* The first may be the stricter one, or the one that is meant. */
	if (row->value != NULL && !help_is_many(row) && args_value(a, row->term) != NULL)
		return args_fault(a, "%s is given twice", row->term);
	char *value = has_value ? word + n + 1 : argv[*i];
	a->options[a->n_options++] = (struct arg){row->term, row->value != NULL ? value : NULL};
	return CMD_OK;
}

int args_read(struct args *a, const struct command *c, int argc, char **argv)
{
	const size_t n = (size_t)argc;
	*a = (struct args){
		.command = c, .options = calloc(n + 1, sizeof *a->options), .rest = calloc(n + 1, sizeof *a->rest)};
	if (a->options == NULL || a->rest == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});

	bool ended = false;
	int status = CMD_OK;
	for (int i = 1; i < argc && status == CMD_OK; i++) {
		if (!ended && strcmp(argv[i], "--") == 0)
			ended = true;
		else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0')
			status = take(a, argc, argv, &i);
		else
			a->rest[a->n_rest++] = argv[i];
	}
	return status;
}

void args_free(struct args *a)
{
	free(a->options);
	free(a->rest);
	*a = (struct args){0};
}

static const struct arg *find(const struct args *a, const char *name)
{
	assert(help_option(a->command, name, strlen(name)) != NULL);
	for (size_t i = a->n_options; i > 0; i--)
		if (strcmp(a->options[i - 1].name, name) == 0)
			return &a->options[i - 1];
	return NULL;
}

bool args_has(const struct args *a, const char *name)
{
	return find(a, name) != NULL;
}

const char *args_value(const struct args *a, const char *name)
{
	const struct arg *o = find(a, name);
	return o != NULL ? o->value : NULL;
}

int args_none(const struct args *a)
{
	return a->n_rest == 0 ? CMD_OK : args_fault(a, "unexpected argument `%s`", a->rest[0]);
}

int args_only(const struct args *a, const char **out)
{
	if (a->n_rest > 1)
		return args_fault(a, "`%s` is one argument too many", a->rest[1]);
	*out = a->n_rest == 1 ? a->rest[0] : NULL;
	return CMD_OK;
}

int args_int(const struct args *a, const char *name, int64_t lo, int64_t hi, int64_t *out)
{
	const char *text = args_value(a, name);
	return text == NULL || args_number(text, lo, hi, out)
		       ? CMD_OK
		       : args_fault(a, "%s must be a number from %" PRId64 " to %" PRId64 ", not `%s`", name, lo, hi,
				    text);
}

bool args_number(const char *text, int64_t lo, int64_t hi, int64_t *out)
{
	const bool minus = lo < 0 && text[0] == '-';
	int64_t v = 0;
	/* 010 is eight to some. */
	if (text[minus] == '\0' || (text[minus] == '0' && text[minus + 1] != '\0'))
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
