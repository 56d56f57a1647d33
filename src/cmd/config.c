/* config.c - `attestd config`: judges a configuration as serve would, or prints the values in force. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "listeners.h"
#include "options.h"

enum { OUTPUT_MAX = 256 * 1024 };

static const char usage[] =
	"usage: attestd config check [--config FILE] [--set KEY=VALUE]...\n"
	"       attestd config show [--security] [--config FILE] [--set KEY=VALUE]...\n"
	"       attestd config show --example\n"
	"\n"
	"check says whether the configuration is right; show prints the values in force.\n"
	"\n"
	"  --config FILE    the file to read; else $ATTESTD_CONFIG, else none\n"
	"  --set KEY=VALUE  sets a key, over the file and over ATTESTD_* variables\n"
	"  --security       only the keys that enter config_digest, which is the SHA-256 of this output\n"
	"  --example        an annotated file with every key at its default\n"
	"  --help           this text\n"
	"\n"
	"Exit status: 0 right, 1 wrong, 2 usage, 3 the file cannot be read.\n";

static int print(const void *p, size_t n)
{
	fwrite(p, 1, n, stdout);
	return cmd_printed();
}

static int print_buf(const struct buf *b)
{
	struct why w = {0};
	return buf_check(b, &w) != ERR_OK ? cmd_fail(&w) : print(b->p, b->n);
}

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
		const char *file = options_file(o);
		buf_put_str(&out, "ok (file: ");
		buf_put_str(&out, file != NULL ? file : "none");
		buf_printf(&out, "; ATTESTD_* variables: %zu; flags: %zu)\n", count_variables(), o->n_sets);
	}
	status = print_buf(&out);
out:
	buf_free(&out);
	config_free(c);
	return status;
}

static int example(void)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	config_example(&out);
	const int status = print_buf(&out);
	buf_free(&out);
	return status;
}

static int run(const struct options *o, const char *command, bool security, bool with_example)
{
	const char *action = o->n_args > 0 ? o->args[0] : "";
	const bool show = strcmp(action, "show") == 0;

	if (o->help)
		return print(usage, sizeof usage - 1);
	if (o->n_args > 1)
		return options_fault(command, "`%s` is one argument too many", o->args[1]);
	if (!show && strcmp(action, "check") != 0)
		return options_fault(command, "say check or show");
	if ((security || with_example) && !show)
		return options_fault(command, "--security and --example belong to show");
	if (with_example && (security || o->file != NULL || o->n_sets > 0))
		return options_fault(command, "--example takes no other option");
	return with_example ? example() : act(o, show, security);
}

int cmd_config(int argc, char **argv)
{
	bool security = false, with_example = false;
	const struct option_flag flags[] = {{"--security", NULL, &security}, {"--example", NULL, &with_example}};
	struct options o;
	int status = options_read(&o, flags, sizeof flags / sizeof flags[0], argc, argv);
	if (status == CMD_OK)
		status = run(&o, argv[0], security, with_example);
	options_free(&o);
	return status;
}
