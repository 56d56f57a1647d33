/* claim_table.h - every claim that user_data can hold: one table for making, reserving and reading them. Private to
 * src/attest.
 */
#ifndef ATTESTD_ATTEST_CLAIM_TABLE_H
#define ATTESTD_ATTEST_CLAIM_TABLE_H

#include "attest.h"

enum { CLAIM_COUNT = 21 };
enum claim_form {
	CLAIM_PURPOSE,
	CLAIM_TIMESTAMP,
	CLAIM_TEXT,
	CLAIM_HASH,
	CLAIM_SESSION_ID,
	CLAIM_METHOD,
	CLAIM_VERSION,
	CLAIM_ROLE,
	CLAIM_ORIGIN,
	CLAIM_FORMS
};

#define CLAIM_OF(purpose) (1u << (purpose))
#define CLAIM_COMMON	  (CLAIM_OF(ATTEST_PURPOSES) - 1)

struct claim {
	const char *name;
	unsigned purposes; /* mask of CLAIM_OF() */
	enum claim_form form;
	bool required;
	const char *with; /* never without this one; NULL if it stands alone */
};
extern const struct claim claim_table[CLAIM_COUNT];

const struct claim *claim_find(struct bytes name); /* NULL: a name of metadata */
bool claim_fits(const struct claim *c, struct bytes value);
const char *claim_form_text(const struct claim *c); /* "64 lower-case hex digits" */
/* The longest value of a form; "" for those whose length is the configuration's. */
const char *claim_longest(const struct claim *c);

#endif
