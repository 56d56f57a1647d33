/* enclave_key.h - ENCLAVE_KEY_BASE64: the one secret that is taken from the environment. Private to src/cmd. */
#ifndef ATTESTD_CMD_ENCLAVE_KEY_H
#define ATTESTD_CMD_ENCLAVE_KEY_H

#include "session.h"

/* Moves the key out of the environment, whose copy is wiped whatever comes of it; *out stays as it is where there is
 * none. Before there are threads. ERR_CONFIG: it is not SESSION_KEK_SIZE bytes in padded base64, or zeros. */
enum err enclave_key_take(struct session_kek *out, struct why *w) MUST_USE;

#endif
