/* cmd.h - the commands. What a command is called, takes and does is said once, in its struct command: main's table, the
 * reading of the command line, `attestd COMMAND --help` and the man page are all made from it.
 *
 * Exit status: 0 success, 1 the thing asked about is false or failed, 2 usage, 3 the environment failed.
 */
#ifndef ATTESTD_CMD_H
#define ATTESTD_CMD_H

#include "base/bytes.h"

enum { CMD_OK = 0, CMD_FALSE = 1, CMD_USAGE = 2, CMD_ENVIRONMENT = 3 };

struct args;	  /* src/cmd/args.h: the command line, read */
struct help_part; /* src/cmd/help.h: paragraphs and options */

struct command {
	const char *name;	      /* as it is called: "verify", "session open"; main's table of all: "" */
	const char *summary;	      /* a few words, as lists of commands show them */
	const char *synopsis;	      /* what follows the name; a line for each way to call it */
	const struct help_part *help; /* NULL: nothing more to tell, of a list of commands */
	const char *exits;	      /* what its exit statuses mean: "0 verified, 1 ..." */
	const char *examples;	      /* command lines, each with its newline; or NULL */

	/* It is either one of several commands, in a list that ends with NULL, or it runs and returns its exit status.
	 */
	const struct command *const *commands;
	int (*run)(const struct args *a);
};

extern const struct command cmd_serve, cmd_verify, cmd_attest, cmd_session, cmd_client, cmd_peer, cmd_proxy,
	cmd_simulate, cmd_nsm, cmd_config, cmd_man;

/* Finds among `all` the command that the words call, reads the rest of them by its help, and runs it, or prints its
 * help. Returns the exit status. */
int cmd_main(const struct command *all, int argc, char **argv);

/* The exit status that fits a fault. */
int cmd_status(const struct why *w);
/* Prints `attestd: TEXT` to stderr and returns cmd_status. */
int cmd_fail(const struct why *w);
/* Prints all of it to stdout, as the last output: cmd_printed, or the status of what failed before, told on stderr. */
int cmd_print(const struct buf *b);
/* To be called after the last output to stdout: CMD_OK, or CMD_ENVIRONMENT when it could not be written, told on
 * stderr. */
int cmd_printed(void);

#endif
