/* options.h - the options of the commands that read a configuration. Private to src/cmd.
 *
 * These take --config FILE and --set KEY=VALUE; any other option with a value is short for --set of the key that has
 * its name. Without --config the file is the one that $ATTESTD_CONFIG names; an empty name means none.
 */
#ifndef ATTESTD_CMD_OPTIONS_H
#define ATTESTD_CMD_OPTIONS_H

#include "args.h"
#include "config.h"

extern const struct help_row options_rows[];

struct options {
	const char *file; /* to be read, or NULL */
	struct config_set *sets;
	size_t n_sets;
};

/* CMD_OK, or the exit status after having said on stderr what is wrong. Cuts `KEY=VALUE` in two within argv. To be
 * followed by options_free in any case. */
int options_read(struct options *o, const struct args *a);
/* The same for a command some of whose options are its own: only those in `keys` are short for --set. */
int options_read_some(struct options *o, const struct args *a, const struct help_row *keys);
void options_free(struct options *o);

/* The configuration that file, environment and flags make. */
enum err options_load(const struct options *o, struct config **out, struct why *w) MUST_USE;

#endif
