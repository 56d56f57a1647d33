/* passphrase.h - a passphrase, from a file or from the terminal, never from the command line. Private to src/cmd. */
#ifndef ATTESTD_CMD_PASSPHRASE_H
#define ATTESTD_CMD_PASSPHRASE_H

#include "base/bytes.h"

/* The file's first line, which must be all of it; "-" is the standard input. *out is freed by the caller in any case.
 */
enum err passphrase_file(const char *path, struct buf *out, struct why *w) MUST_USE;
/* Asks on the process's terminal without showing what is typed; twice, if it is to be a new one. ERR_ENVIRONMENT
 * without a terminal, and when a signal such as Ctrl-C ends it. */
enum err passphrase_ask(const char *what_for, bool twice, struct buf *out, struct why *w) MUST_USE;

#endif
