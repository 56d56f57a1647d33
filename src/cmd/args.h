/* args.h - a command's line. Private to src/cmd.
 *
 * Options are the ones that the command's help tells of, by their whole names: --NAME VALUE or --NAME=VALUE. They may
 * stand before, between and behind the arguments; `--` ends them. One that takes a value is given once, unless its help
 * says otherwise (help.h).
 */
#ifndef ATTESTD_CMD_ARGS_H
#define ATTESTD_CMD_ARGS_H

#include "help.h"

/* An option as it was given. */
struct arg {
	const char *name; /* with its two dashes */
	char *value;	  /* NULL: it takes none; points into argv */
};

struct args {
	const struct command *all, *command; /* main's table, and what of it was called */
	struct arg *options;		     /* in the order given */
	size_t n_options;
	char **rest; /* what is no option */
	size_t n_rest;
	bool help;
};

/* argv[0] is the last word of the command's name. CMD_OK, or the exit status after having said on stderr what is wrong.
 * To be followed by args_free in any case. */
int args_read(struct args *a, const struct command *c, int argc, char **argv);
void args_free(struct args *a);

/* `attestd COMMAND: TEXT; see attestd COMMAND --help` on stderr; returns CMD_USAGE. */
int args_fault(const struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Of an option that the command's help tells of. */
bool args_has(const struct args *a, const char *name);
const char *args_value(const struct args *a, const char *name); /* NULL: not given */

/* An option's number; where it was not given *out is not touched. CMD_OK, or CMD_USAGE with the range told. */
int args_int(const struct args *a, const char *name, int64_t lo, int64_t hi, int64_t *out);

/* CMD_USAGE if there are arguments. */
int args_none(const struct args *a);
/* The only argument, or NULL if there is none; CMD_USAGE if there are more. */
int args_only(const struct args *a, const char **out);

/* The whole text as a decimal number from lo to hi: digits only, but for a minus sign where lo is negative. */
bool args_number(const char *text, int64_t lo, int64_t hi, int64_t *out);

#endif
