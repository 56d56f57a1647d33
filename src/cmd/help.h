/* help.h - what a command is and takes, as its --help and the man page tell of it. Private to src/cmd.
 *
 * Options are read by these tables, too (args.h): one that is not told of is none.
 */
#ifndef ATTESTD_CMD_HELP_H
#define ATTESTD_CMD_HELP_H

#include "base/bytes.h"
#include "cmd.h"

enum { HELP_WIDTH = 80, HELP_MAX = 256 * 1024 };

struct help_row {
	const char *term;  /* an option, with its two dashes, or whatever is to be told of; {0} ends a list */
	const char *value; /* what stands for the value of an option, "..." behind it if it may be given again; NULL: it
			      takes none */
	const char *text;
};

/* A paragraph, a list, or both; {0} ends a help. In a list of options a row that is none tells of the option above it.
 */
struct help_part {
	const char *text;
	const struct help_row *rows;
	bool keys; /* the configuration's keys are its list */
};
#define HELP_END                  \
	{                         \
		NULL, NULL, false \
	}

/* The last word of its name: what it is called by among those that it is one of. */
const char *help_word(const struct command *c);
bool help_is_end(const struct help_part *p); /* of a command's help */
bool help_is_option(const struct help_row *row);
bool help_is_many(const struct help_row *row);
/* The option of this name (n bytes), or NULL. --help is none: every command has it. */
const struct help_row *help_option(const struct command *c, const char *name, size_t n);

/* Appends what `attestd COMMAND --help` prints, HELP_WIDTH columns wide. */
void help_put(const struct command *c, struct buf *out);
/* Appends words to a line that has `column` columns already, going on with lines that begin with `indent` spaces;
 * and the newline. `whole`: what is in brackets stays on one line. */
void help_put_words(struct buf *out, size_t column, size_t indent, struct bytes text, bool whole);

#endif
