/* find.c - from main's table to the command that is called. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "args.h"

static int print_help(const struct command *c, FILE *to)
{
	struct buf text = BUF_INIT(HELP_MAX);
	struct why w = {0};
	help_put(c, &text);
	const enum err e = buf_check(&text, &w);
	if (e == ERR_OK)
		fwrite(text.p, 1, text.n, to);
	buf_free(&text);
	return e != ERR_OK ? cmd_fail(&w) : cmd_printed();
}

static const struct command *find(const struct command *c, const char *word)
{
	for (const struct command *const *one = c->commands; *one != NULL; one++)
		if (strcmp(word, help_word(*one)) == 0)
			return *one;
	return NULL;
}

static int run(const struct command *all, const struct command *c, int argc, char **argv)
{
	struct args a;
	int status = args_read(&a, c, argc, argv);
	a.all = all;
	if (status == CMD_OK)
		status = a.help ? print_help(c, stdout) : c->run(&a);
	args_free(&a);
	return status;
}

int cmd_main(const struct command *all, int argc, char **argv)
{
	const struct command *c = all;
	while (c->commands != NULL) {
		if (argc < 2) {
			(void)print_help(c, stderr);
			return CMD_USAGE;
		}
		if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
			return print_help(c, stdout);
		const struct command *called = find(c, argv[1]);
		if (called == NULL) {
			const char *space = c->name[0] != '\0' ? " " : "";
			fprintf(stderr, "attestd%s%s: there is no command `%s`; see attestd%s%s --help\n", space,
				c->name, argv[1], space, c->name);
			return CMD_USAGE;
		}
		c = called;
		argc--;
		argv++;
	}
	return run(all, c, argc, argv);
}
