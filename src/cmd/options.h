/* options.h - what the commands' lines have in common. Private to src/cmd.
 *
 * The commands that read a configuration take --config FILE, --set KEY=VALUE and --help, and flags of their own.
 * Without --config the file is the one that $ATTESTD_CONFIG names; an empty name means none. The others call
 * getopt_long themselves and leave its faults to options_unread.
 */
#ifndef ATTESTD_CMD_OPTIONS_H
#define ATTESTD_CMD_OPTIONS_H

#include "config.h"

enum { OPTIONS_FLAGS_MAX = 8 };

/* Where the values of long options begin: beyond the letters, so that getopt's optopt tells the two apart. */
enum { OPTIONS_LONG = 256 };

/* A flag of one command: with `key` it takes a value and is short for --set KEY=VALUE, else it sets *on. */
struct option_flag {
	const char *name; /* with its two dashes */
	const char *key;
	bool *on;
};

struct options {
	const char *file; /* what --config says, or NULL */
	struct config_set *sets;
	size_t n_sets;
	bool help;
	char **args; /* what is no option; points into argv */
	size_t n_args;
};

/* CMD_OK, or the exit status after having said on stderr what is wrong. Cuts `KEY=VALUE` in two within argv. To be
 * followed by options_free in any case. */
int options_read(struct options *o, const struct option_flag *flags, size_t n_flags, int argc, char **argv);
void options_free(struct options *o);

/* `attestd COMMAND: TEXT; see attestd COMMAND --help` on stderr; returns CMD_USAGE. */
int options_fault(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* What getopt_long returned is ':' or '?' (with opterr = 0 and ":" first among the letters): says on stderr why;
 * returns CMD_USAGE. */
int options_unread(char **argv, int opt);

/* The whole text as a decimal number from lo to hi: digits only, but for a minus sign where lo is negative. */
bool options_number(const char *text, int64_t lo, int64_t hi, int64_t *out);

/* The configuration file to read, or NULL. */
const char *options_file(const struct options *o);
/* The configuration that file, environment and flags make. */
enum err options_load(const struct options *o, struct config **out, struct why *w) MUST_USE;

#endif
