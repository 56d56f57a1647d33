/* The first byte chooses the purpose that is wanted, or none; the rest is the signed user data. What is taken for
 * claims begins with the purpose, uses the names of no other, and has all of its own. */
#include <stdlib.h>
#include <string.h>

#include "attest/claim_table.h"
#include "attest/verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void look(const struct verify_verdict *d)
{
	struct bytes key;
	const struct json_value *v = NULL, *root = json_root(d->claims);
	enum attest_purpose p;
	must(attest_purpose_parse(bytes_str(d->purpose), &p));
	must(json_next(root, &key, &v) && bytes_is(key, "purpose") && bytes_is(json_string(v), d->purpose));
	while (json_next(root, &key, &v)) {
		const struct claim *c = claim_find(key);
		must(c == NULL || ((c->purposes & CLAIM_OF(p)) != 0 && claim_fits(c, json_string(v))));
	}
	for (size_t i = 0; i < CLAIM_COUNT; i++)
		must(!claim_table[i].required || (claim_table[i].purposes & CLAIM_OF(p)) == 0 ||
		     json_get(root, claim_table[i].name) != NULL);
}

static void judge(const char *wanted, const struct verify_verdict *d)
{
	const enum check_result result = d->results[CHECK_PURPOSE];
	for (const char *c = d->details[CHECK_PURPOSE]; *c != '\0'; c++)
		must(*c >= ' ' && *c <= '~');
	must((d->claims != NULL) == (d->purpose[0] != '\0'));
	if (d->claims != NULL)
		look(d);
	if (wanted[0] == '\0') {
		must(result == CHECK_NOT_ASKED);
		return;
	}
	must((result == CHECK_PASS) == (strcmp(d->purpose, wanted) == 0));
	must(result == CHECK_PASS || result == CHECK_FAIL);
	if (result == CHECK_FAIL)
		must((d->code == VERIFY_PURPOSE_MISMATCH) == (d->claims != NULL) && d->message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct why w = {0};
	if (size == 0)
		return 0;
	const unsigned choice = data[0] % (ATTEST_PURPOSES + 1);
	const char *wanted = choice == ATTEST_PURPOSES ? "" : attest_purpose_name((enum attest_purpose)choice);
	struct verify_verdict *d = calloc(1, sizeof *d);
	must(d != NULL);
	d->view.user_data = bytes_of(data + 1, size - 1);
	must(verify_claims(wanted, d, &w) == ERR_OK);
	judge(wanted, d);
	verify_verdict_free(d);
	return 0;
}
