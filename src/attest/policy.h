/* policy.h - pinning a PCR, whichever form the policy came in. Private to src/attest. */
#ifndef ATTESTD_ATTEST_POLICY_H
#define ATTESTD_ATTEST_POLICY_H

#include "verify.h"

/* hex: 96 digits. ERR_INVALID, told, on `field`. */
enum err policy_pin(struct verify_policy *p, unsigned index, struct bytes hex, const char *field,
		    struct why *w) MUST_USE;

#endif
