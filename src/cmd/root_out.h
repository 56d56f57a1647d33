/* root_out.h - a simulator's root certificate, where a verifier finds it. Private to src/cmd. */
#ifndef ATTESTD_CMD_ROOT_OUT_H
#define ATTESTD_CMD_ROOT_OUT_H

#include "base/bytes.h"

/* Writes the certificate as PEM, mode 0644, by the rules of output_file.h; nobody is there who could use force. */
enum err root_out_write(const char *path, struct bytes der, struct why *w) MUST_USE;

#endif
