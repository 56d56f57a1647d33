/* options.c - the options of the commands that read a configuration. */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct help_row options_rows[] = {
	{"--config", "FILE", "the file, or open pipe, to read; else $ATTESTD_CONFIG, else none"},
	{"--set", "KEY=VALUE...", "sets any key, over the file and over ATTESTD_* variables"},
	{0},
};

static bool add_pair(struct options *o, char *pair)
{
	char *eq = strchr(pair, '=');
	if (eq == NULL || eq == pair)
		return false;
	*eq = '\0';
	o->sets[o->n_sets++] = (struct config_set){"--set", pair, eq + 1};
	return true;
}

static bool is_in(const struct help_row *rows, const char *name)
{
	while (rows->term != NULL && strcmp(rows->term, name) != 0)
		rows++;
	return rows->term != NULL;
}

int options_read_some(struct options *o, const struct args *a, const struct help_row *keys)
{
	const char *file = args_value(a, "--config");
	if (file == NULL)
		file = getenv("ATTESTD_CONFIG");
	*o = (struct options){.file = file != NULL && file[0] != '\0' ? file : NULL,
			      .sets = calloc(a->n_options + 1, sizeof *o->sets)};
	if (o->sets == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	for (const struct arg *one = a->options; one < a->options + a->n_options; one++) {
		if (one->value == NULL || strcmp(one->name, "--config") == 0)
			continue;
		if (strcmp(one->name, "--set") == 0) {
			if (!add_pair(o, one->value))
				return args_fault(a, "--set needs KEY=VALUE, not `%s`", one->value);
		} else if (keys == NULL || is_in(keys, one->name)) {
			o->sets[o->n_sets++] = (struct config_set){one->name, one->name + 2, one->value};
		}
	}
	return CMD_OK;
}

int options_read(struct options *o, const struct args *a)
{
	return options_read_some(o, a, NULL);
}

void options_free(struct options *o)
{
	free(o->sets);
	*o = (struct options){0};
}

enum err options_load(const struct options *o, struct config **out, struct why *w)
{
	return config_load(out, o->file, environ, o->sets, o->n_sets, w);
}
