/* advice.h - what a person does after having read a verdict. Private to src/attest. */
#ifndef ATTESTD_ATTEST_ADVICE_H
#define ATTESTD_ATTEST_ADVICE_H

#include "verdict.h"

/* The items of "What to do next". */
void advice_put(const struct verify_verdict *d, struct buf *out);

#endif
