/* input.h - what a command is given to work on, and where it shows what came of it. Private to src/cmd. */
#ifndef ATTESTD_CMD_INPUT_H
#define ATTESTD_CMD_INPUT_H

#include "base/bytes.h"

/* path NULL or "-": the standard input; `command` then says on stderr that it waits, if that is a terminal. *out is
 * made here with room for `max` bytes; ERR_ENVIRONMENT when there are more. The caller frees it in any case. */
enum err input_read(const char *command, const char *path, size_t max, struct buf *out, struct why *w) MUST_USE;

/* What is known beforehand to keep output_write from writing: ERR_ENVIRONMENT. */
enum err output_check(struct why *w) MUST_USE;
/* All of it to the standard output, past stdio, which would keep a copy. */
enum err output_write(struct bytes text, struct why *w) MUST_USE;
/* Does what reads `fd` show colours, and is nothing set against them? */
bool output_wants_colour(int fd);

#endif
