/* cmd.h - the commands. Each takes its own argv (argv[0] is the command's name) and returns the exit status:
 * 0 success, 1 the thing asked about is false or failed, 2 usage, 3 the environment failed.
 */
#ifndef ATTESTD_CMD_H
#define ATTESTD_CMD_H

#include "base/err.h"

enum { CMD_OK = 0, CMD_FALSE = 1, CMD_USAGE = 2, CMD_ENVIRONMENT = 3 };

int cmd_serve(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_nsm(int argc, char **argv);
int cmd_config(int argc, char **argv);

/* Prints `attestd: TEXT` to stderr and returns the exit status that fits the fault. */
int cmd_fail(const struct why *w);
/* To be called after the last output to stdout: CMD_OK, or CMD_ENVIRONMENT when it could not be written, told on
 * stderr. */
int cmd_printed(void);

#endif
