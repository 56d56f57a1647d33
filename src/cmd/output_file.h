/* output_file.h - a file that a command was told to write, and what must not be lost by that. Private to src/cmd.
 *
 * What is there is replaced if it is empty or what such a command wrote before, else left alone: a slip of the pen, or
 * another spelling of a path, must not cost a key or a database. Who reads it finds all of the new one, or what was
 * there before; a link stays a link. A FIFO or a character device, such as /dev/stdout, is written to.
 */
#ifndef ATTESTD_CMD_OUTPUT_FILE_H
#define ATTESTD_CMD_OUTPUT_FILE_H

#include <sys/types.h>

#include "base/bytes.h"

enum output_kind {
	OUTPUT_ATTESTATION, /* a server's reply, or a document in base64 */
	OUTPUT_CERTIFICATE, /* just one, in PEM */
};

struct output_file {
	const char *what, *path; /* "the reply" */
	enum output_kind kind;
	mode_t mode;
	bool commanded; /* by a person: --force helps, and who reads a pipe is waited for */
	bool force;	/* replaces any regular file */
};

/* Could it be written? To be asked before the work is done. Both: ERR_ENVIRONMENT. */
enum err output_file_check(const struct output_file *f, struct why *w) MUST_USE;
/* Asks again, and writes it. */
enum err output_file_write(const struct output_file *f, struct bytes text, struct why *w) MUST_USE;

#endif
