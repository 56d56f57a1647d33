/* main.c - the table of commands, nothing else. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"serve", cmd_serve, "run the REST server inside the enclave"},
	{"verify", cmd_verify, "verify an attestation document, or a reply that holds one"},
	{"simulate", cmd_simulate, "run a software NSM that really signs, for development and tests"},
	{"nsm", cmd_nsm, "ask the NSM by hand: describe, pcr, extend, lock, random"},
	{"config", cmd_config, "check a configuration, or show the values in force"},
};

static void help(FILE *to)
{
	fprintf(to, "usage: attestd COMMAND [OPTIONS]\n\n");
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fprintf(to,
		"\nattestd COMMAND --help tells more; attestd --version names the version.\n"
		"Exit status: 0 success, 1 the thing asked about is false or failed, 2 usage, 3 the environment failed.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return CMD_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help(stdout);
		return cmd_printed();
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("attestd %s\n", ATTESTD_VERSION);
		return cmd_printed();
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "attestd: there is no command `%s`; see attestd --help\n", argv[1]);
	return CMD_USAGE;
}
