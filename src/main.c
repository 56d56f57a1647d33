/* main.c - the table of commands, and what each of them may rely on. */
#include "cmd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
	&cmd_serve,  &cmd_verify, &cmd_attest,	 &cmd_session, &cmd_peer,
#ifndef ATTESTD_ENCLAVE
	&cmd_client, &cmd_proxy,  &cmd_simulate,
#endif
	&cmd_nsm,    &cmd_config, &cmd_man,	 NULL,
};

static const struct command all = {
	.name = "",
	.summary = "attestation server for AWS Nitro Enclaves, and verifier",
	.exits = "0 success, 1 the thing asked about is false or failed, 2 usage, 3 the environment failed.",
	.commands = commands,
};

/* A file of ours must not be what others take for the standard output. To use what was closed still fails: the one is
 * open the wrong way. */
static bool standard_files_are_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	if (!standard_files_are_open())
		return CMD_ENVIRONMENT;
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		printf("attestd %s\n", ATTESTD_VERSION);
		return cmd_printed();
	}
	return cmd_main(&all, argc, argv);
}
