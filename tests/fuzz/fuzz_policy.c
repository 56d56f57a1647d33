/* A policy file: what is accepted is within its limits, what is refused is explained and changes nothing. The same
 * bytes are tried as the value of each flag. */
#include <stdlib.h>
#include <string.h>

#include "attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void look(const struct verify_policy *p)
{
	enum attest_purpose purpose;
	uint32_t pinned = 0;
	must(p->n_pins <= VERIFY_PINS_MAX);
	for (size_t i = 0; i < p->n_pins; i++) {
		must(p->pins[i].index < NSM_PCRS_MAX);
		if (!bytes_is_zero(bytes_of(p->pins[i].value, NSM_PCR_SIZE)))
			pinned |= 1u << p->pins[i].index;
	}
	must(!p->nonce.present || (p->nonce.n >= 1 && p->nonce.n <= VERIFY_NONCE_MAX));
	must(!p->user_data.present || p->user_data.n <= VERIFY_USER_DATA_MAX);
	must(p->max_age_s >= -1 && p->max_age_s <= INT64_C(315360000));
	must(p->purpose[0] == '\0' || attest_purpose_parse(bytes_str(p->purpose), &purpose));
	must(p->at == VERIFY_AT_TIME ? p->at_s >= 0 && p->at_s <= INT64_C(253402300799) : p->at_s == 0);
	must(!p->own_root || (p->root_n >= 1 && p->root_n <= CERT_DER_MAX));
	if (verify_policy_identity(p) == VERIFY_COMPARED)
		must((pinned & 1u << 0) != 0 || (pinned & 6u) == 6u || (pinned & 1u << 8) != 0);
	else if (pinned == 0)
		must(verify_policy_identity(p) == VERIFY_NOT_COMPARED);
}

static void try(enum err (*set)(struct verify_policy *p, struct bytes text, struct why *w), const char *field,
		struct bytes text)
{
	struct verify_policy p, before;
	struct why w = {0};
	verify_policy_init(&p);
	before = p;
	if (set(&p, text, &w) == ERR_OK) {
		look(&p);
		return;
	}
	must(w.err == ERR_INVALID && w.tell && w.text[0] != '\0');
	must(strncmp(w.field, field, strlen(field)) == 0);
	must(memcmp(&p, &before, sizeof p) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bytes text = {data, size};
	try(verify_policy_text, "policy", text);
	try(verify_policy_pcr, "pcr", text);
	try(verify_policy_nonce, "nonce", text);
	try(verify_policy_user_data, "user_data", text);
	try(verify_policy_max_age, "max_age", text);
	try(verify_policy_at, "at", text);
	try(verify_policy_purpose, "purpose", text);
	try(verify_policy_root, "root", text);
	return 0;
}
