#include "config.h"
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

struct options {
	const char *file;
	bool security, example, help;
	struct config_set *sets; /* room for argc */
	size_t n_sets;
	const char *action;
};

static int usage_error(const char *text)
{
	fprintf(stderr, "attestd config: %s; see attestd config --help\n", text);
	return CMD_USAGE;
}

static int print(const void *p, size_t n)
{
	fwrite(p, 1, n, stdout);
	return cmd_printed();
}

/* Cuts `KEY=VALUE` in two, in place. */
static bool add_set(struct options *o, char *arg)
{
	char *eq = strchr(arg, '=');

	if (!eq || eq == arg)
		return false;
	*eq = '\0';
	o->sets[o->n_sets++] = (struct config_set){"--set", arg, eq + 1};
	return true;
}

static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
		{"security", no_argument, NULL, 'S'},	  {"example", no_argument, NULL, 'e'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	int opt;

	optind = 0; /* starts over, whoever parsed options before */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o->file = optarg;
			break;
		case 's':
			if (!add_set(o, optarg))
				return usage_error("--set needs KEY=VALUE");
			break;
		case 'S':
			o->security = true;
			break;
		case 'e':
			o->example = true;
			break;
		case 'h':
			o->help = true;
			break;
		case ':':
			return usage_error("an option lacks its value");
		default:
			return usage_error("unknown option");
		}
	}
	if (optind < argc)
		o->action = argv[optind++];
	if (optind < argc)
		return usage_error("too many arguments");
	return CMD_OK;
}

static size_t count_variables(void)
{
	size_t n = 0;

	for (char **e = environ; *e; e++)
		n += strncmp(*e, "ATTESTD_", 8) == 0 && strncmp(*e, "ATTESTD_CONFIG=", 15) != 0;
	return n;
}

static int act(const struct options *o)
{
	const char *file = o->file ? o->file : getenv("ATTESTD_CONFIG");
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct config *c = NULL;
	struct why w;
	enum err e;
	int status;

	e = config_load(&c, file && *file ? file : NULL, environ, o->sets, o->n_sets, &w);
	if (e) {
		status = cmd_fail(&w);
		goto out;
	}
	if (strcmp(o->action, "show") == 0) {
		config_show(c, o->security, &out);
	} else {
		buf_put_str(&out, "ok (file: ");
		buf_put_str(&out, file && *file ? file : "none");
		buf_printf(&out, "; ATTESTD_* variables: %zu; flags: %zu)\n", count_variables(), o->n_sets);
	}
	status = buf_check(&out, &w) ? cmd_fail(&w) : print(out.p, out.n);
out:
	buf_free(&out);
	config_free(c);
	return status;
}

static int example(void)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct why w;
	int status;

	config_example(&out);
	status = buf_check(&out, &w) ? cmd_fail(&w) : print(out.p, out.n);
	buf_free(&out);
	return status;
}

int cmd_config(int argc, char **argv)
{
	struct options o = {.sets = calloc((size_t)argc + 1, sizeof(struct config_set))};
	int status;

	if (!o.sets) {
		fprintf(stderr, "attestd: out of memory\n");
		return CMD_ENVIRONMENT;
	}
	status = read_options(&o, argc, argv);
	if (status != CMD_OK)
		goto out;
	if (o.help)
		status = print(usage, sizeof(usage) - 1);
	else if (!o.action || (strcmp(o.action, "check") != 0 && strcmp(o.action, "show") != 0))
		status = usage_error("say check or show");
	else if ((o.security || o.example) && strcmp(o.action, "show") != 0)
		status = usage_error("--security and --example belong to show");
	else if (o.example && (o.security || o.file || o.n_sets > 0))
		status = usage_error("--example takes no other option");
	else
		status = o.example ? example() : act(&o);
out:
	free(o.sets);
	return status;
}
