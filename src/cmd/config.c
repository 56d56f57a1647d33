/* config.c - `attestd config`: judges a configuration as serve would, or prints the values in force. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "listeners.h"
#include "options.h"

enum { OUTPUT_MAX = 256 * 1024 };

static const struct help_row rows[] = {
	{"--security", NULL, "only the keys that enter config_digest, which is the SHA-256 of this output"},
	{"--example", NULL, "an annotated file with every key at its default"},
	{0},
};

static const struct help_part help[] = {
	{.text = "check says whether the configuration is right; show prints the values in force."},
	{.rows = options_rows},
	{.rows = rows},
	{0},
};

static size_t count_variables(void)
{
	size_t n = 0;
	for (char **e = environ; *e != NULL; e++)
		n += strncmp(*e, "ATTESTD_", 8) == 0 && strncmp(*e, "ATTESTD_CONFIG=", 15) != 0;
	return n;
}

static int act(const struct options *o, bool show, bool security)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct config *c = NULL;
	struct why w = {0};
	int status;

	if (options_load(o, &c, &w) != ERR_OK || (!show && listeners_check(c, &w) != ERR_OK)) {
		status = cmd_fail(&w);
		goto out;
	}
	if (show) {
		config_show(c, security, &out);
	} else {
		buf_put_str(&out, "ok (file: ");
		buf_put_str(&out, o->file != NULL ? o->file : "none");
		buf_printf(&out, "; ATTESTD_* variables: %zu; flags: %zu)\n", count_variables(), o->n_sets);
	}
	status = cmd_print(&out);
out:
	buf_free(&out);
	config_free(c);
	return status;
}

static int example(void)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	config_example(&out);
	const int status = cmd_print(&out);
	buf_free(&out);
	return status;
}

static int judge(const struct args *a, const struct options *o)
{
	const char *action = a->n_rest > 0 ? a->rest[0] : "";
	const bool show = strcmp(action, "show") == 0, security = args_has(a, "--security"),
		   with_example = args_has(a, "--example");

	if (a->n_rest > 1)
		return args_fault(a, "`%s` is one argument too many", a->rest[1]);
	if (!show && strcmp(action, "check") != 0)
		return args_fault(a, "say check or show");
	if ((security || with_example) && !show)
		return args_fault(a, "--security and --example belong to show");
	if (with_example && a->n_options > 1)
		return args_fault(a, "--example takes no other option");
	return with_example ? example() : act(o, show, security);
}

static int run(const struct args *a)
{
	struct options o;
	int status = options_read(&o, a);
	if (status == CMD_OK)
		status = judge(a, &o);
	options_free(&o);
	return status;
}

const struct command cmd_config = {
	.name = "config",
	.summary = "check a configuration, or show the values in force",
	.synopsis = "check [--config FILE] [--set KEY=VALUE]...\n"
		    "show [--security] [--config FILE] [--set KEY=VALUE]...\n"
		    "show --example",
	.help = help,
	.exits = "0 right, 1 wrong, 2 usage, 3 the file cannot be read.",
	.run = run,
};
