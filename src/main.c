/* main.c - the table of commands, nothing else. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&cmd_serve, &cmd_verify, &cmd_attest, &cmd_session, &cmd_simulate, &cmd_nsm, &cmd_config, &cmd_man, NULL,
};

static const struct command all = {
	.name = "",
	.summary = "attestation server for AWS Nitro Enclaves, and verifier",
	.exits = "0 success, 1 the thing asked about is false or failed, 2 usage, 3 the environment failed.",
	.commands = commands,
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("attestd %s\n", ATTESTD_VERSION);
		return cmd_printed();
	}
	return cmd_main(&all, argc, argv);
}
