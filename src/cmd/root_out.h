/* root_out.h - a simulator's root certificate, where a verifier finds it. Private to src/cmd. */
#ifndef ATTESTD_CMD_ROOT_OUT_H
#define ATTESTD_CMD_ROOT_OUT_H

#include "base/bytes.h"

/* Writes the certificate as PEM. A file (or what a symbolic link to one leads to) is replaced, mode 0644: whoever reads
 * it finds all of it, or what was there before. A character device or a FIFO, such as /dev/stdout, is written to. What
 * is anything else is ERR_ENVIRONMENT and left alone. */
enum err root_out_write(const char *path, struct bytes der, struct why *w) MUST_USE;

#endif
