/* enclave_pin.h - a relay with an enclave of its own passes every signature, so the policy must tell which one is
 * meant. Private to src/cmd. */
#ifndef ATTESTD_CMD_ENCLAVE_PIN_H
#define ATTESTD_CMD_ENCLAVE_PIN_H

#include "args.h"
#include "verify.h"

extern const struct help_row enclave_pin_rows[];

/* CMD_OK if the policy pins one, or --any-enclave was given, which is said loudly on stderr; else CMD_USAGE, with how
 * to get the PCRs. */
int enclave_pin_check(const struct args *a, const struct verify_policy *p);

#endif
