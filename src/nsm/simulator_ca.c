/* simulator_ca.c - the simulator's certificates.
 *
 * Names, usages, path lengths, identifiers, serial numbers and validities are those of the chains that AWS's NSM gave
 * between 2025 and 2026; what would claim to be Amazon's says attestd instead.
 */
#include "simulator_ca.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR, SUBJECT_MAX = 6, NAME_SIZE = 80 };

#define CA_USAGE (CERT_DIGITAL_SIGNATURE | CERT_CERT_SIGN | CERT_CRL_SIGN)
#define CRL	 "http://crl.sim.nitro-enclaves.invalid/crl/"

/* NULL stands for the name that each certificate is given. */
static const struct cert_attribute plain[] = {{"C", "US"}, {"O", "attestd"}, {"OU", "Simulator"}, {"CN", NULL}};
static const struct cert_attribute zonal[] = {{"CN", NULL}, {"OU", "Simulator"}, {"O", "attestd"},
					      {"C", "US"},  {"ST", "WA"},	 {"L", "Seattle"}};
static const struct cert_attribute local[] = {{"C", "US"},	{"ST", "Washington"}, {"L", "Seattle"},
					      {"O", "attestd"}, {"OU", "Simulator"},  {"CN", NULL}};

static const struct level {
	const struct cert_attribute *subject;
	size_t n_subject, serial_size;
	int64_t before_s, life_s; /* valid from so long before now to so long after now */
	int path_length;
	unsigned usage;
	const char *crl_url;
} levels[SIMULATOR_LEVELS] = {
	{plain, 4, 16, HOUR, INT64_C(10958) * DAY, CERT_NO_PATH_LENGTH, CA_USAGE, NULL},
	{plain, 4, 16, HOUR, 20 * DAY, 2, CA_USAGE, CRL "region.crl"},
	{zonal, 6, 16, HOUR, 6 * DAY, 1, CA_USAGE, CRL "zone.crl"},
	{local, 6, 20, MINUTE, DAY - MINUTE, 0, CERT_CERT_SIGN, NULL},
	{local, 6, 16, 3, 3 * HOUR, CERT_NO_CA, CERT_DIGITAL_SIGNATURE | CERT_NON_REPUDIATION, NULL},
};

static void clear(struct simulator_certificate *c)
{
	cert_key_free(c->key);
	buf_free(&c->der);
	*c = (struct simulator_certificate){.der = BUF_INIT(CERT_DER_MAX)};
}

void simulator_ca_clear(struct simulator_ca *ca)
{
	for (size_t i = 0; i < SIMULATOR_LEVELS; i++)
		clear(&ca->level[i]);
}

static enum err common_name(const struct simulator_ca *ca, enum simulator_level at, char out[NAME_SIZE], struct why *w)
{
	static const char domain[] = "us-east-1.sim";
	uint8_t id[8];
	enum err e = random_fill(&ca->random, id, sizeof id, w);
	if (e != ERR_OK)
		return e;
	char hex[HEX_SIZE(sizeof id)];
	hex_encode(bytes_of(id, sizeof id), hex);
	if (at == SIMULATOR_ROOT)
		(void)snprintf(out, NAME_SIZE, "sim.nitro-enclaves");
	else if (at == SIMULATOR_INSTANCE)
		(void)snprintf(out, NAME_SIZE, "%s.%s.nitro-enclaves", ca->instance, domain);
	else if (at == SIMULATOR_LEAF)
		(void)snprintf(out, NAME_SIZE, "%s.%s", ca->module_id, domain);
	else
		(void)snprintf(out, NAME_SIZE, "%.*s.%s%s.nitro-enclaves", (int)sizeof hex, hex,
			       at == SIMULATOR_ZONE ? "zonal." : "", domain);
	return ERR_OK;
}

/* AWS numbers a leaf by the enclave and the second it was issued in. */
static enum err serial(const struct simulator_ca *ca, enum simulator_level at, int64_t issued_s,
		       uint8_t out[CERT_SERIAL_MAX], struct why *w)
{
	if (at != SIMULATOR_LEAF)
		return random_fill(&ca->random, out, levels[at].serial_size, w);
	memcpy(out, ca->enclave, sizeof ca->enclave);
	put_be(out + sizeof ca->enclave, 8, (uint64_t)issued_s);
	return ERR_OK;
}

static enum err make(struct simulator_ca *ca, enum simulator_level at, int64_t now_s, struct why *w)
{
	const struct level *l = &levels[at];
	const struct simulator_certificate *issuer = at == SIMULATOR_ROOT ? NULL : &ca->level[at - 1];
	const int64_t age_s = at == SIMULATOR_LEAF && ca->expired ? l->life_s + SIMULATOR_LEAF_EXPIRED_S : 0;
	struct simulator_certificate c = {.der = BUF_INIT(CERT_DER_MAX),
					  .not_before_s = now_s - age_s - l->before_s,
					  .not_after_s = now_s - age_s + l->life_s};
	struct cert_attribute subject[SUBJECT_MAX];
	uint8_t number[CERT_SERIAL_MAX];
	char name[NAME_SIZE];
	enum err e = common_name(ca, at, name, w);
	if (e == ERR_OK)
		e = serial(ca, at, now_s - age_s, number, w);
	if (e == ERR_OK)
		e = cert_key_new(ca->crypto, &c.key, w);
	if (e != ERR_OK)
		goto out;
	for (size_t i = 0; i < l->n_subject; i++) {
		subject[i] = l->subject[i];
		if (subject[i].value == NULL)
			subject[i].value = name;
	}
	const struct cert_spec spec = {.subject = subject,
				       .n_subject = l->n_subject,
				       .serial = bytes_of(number, l->serial_size),
				       .not_before_s = c.not_before_s,
				       .not_after_s = c.not_after_s,
				       .path_length = l->path_length,
				       .usage = l->usage,
				       .usage_critical = at != SIMULATOR_LEAF,
				       .key_identifiers = at != SIMULATOR_LEAF,
				       .crl_url = l->crl_url};
	e = cert_make(ca->crypto, &spec, c.key, issuer != NULL ? buf_bytes(&issuer->der) : bytes_of(NULL, 0),
		      issuer != NULL ? issuer->key : NULL, &c.der, w);
	if (e != ERR_OK)
		goto out;
	/* Nothing may outlast the issuer that it names, even if this call goes no further. */
	for (size_t i = at; i < SIMULATOR_LEVELS; i++)
		clear(&ca->level[i]);
	ca->level[at] = c;
	c = (struct simulator_certificate){.key = NULL};
out:
	clear(&c);
	return e;
}

/* An enclave's number is the time it was started at and two random bytes, an instance's is any. */
static enum err make_names(struct simulator_ca *ca, int64_t now_ms, struct why *w)
{
	uint8_t id[8];
	enum err e = random_fill(&ca->random, id, sizeof id, w);
	if (e == ERR_OK)
		e = random_fill(&ca->random, ca->enclave, sizeof ca->enclave, w);
	if (e != ERR_OK)
		return e;
	put_be(ca->enclave, 6, (uint64_t)now_ms);
	char hex[HEX_SIZE(8)], enclave[HEX_SIZE(8)];
	hex_encode(bytes_of(id, sizeof id), hex);
	hex_encode(bytes_of(ca->enclave, sizeof ca->enclave), enclave);
	(void)snprintf(ca->instance, sizeof ca->instance, "i-0%.*s", (int)sizeof hex, hex);
	(void)snprintf(ca->module_id, sizeof ca->module_id, "%s-enc%.*s", ca->instance, (int)sizeof enclave, enclave);
	return ERR_OK;
}

enum err simulator_ca_init(struct simulator_ca *ca, int64_t now_ms, struct why *w)
{
	simulator_ca_clear(ca);
	enum err e = make_names(ca, now_ms, w);
	return e == ERR_OK ? make(ca, SIMULATOR_ROOT, now_ms / 1000, w) : e;
}

/* A clock that was set back makes certificates that do not hold yet: those are as bad as ones that end. */
static bool holds(const struct simulator_certificate *c, int64_t now_s, int64_t until_s)
{
	return c->key != NULL && c->not_before_s <= now_s && until_s <= c->not_after_s;
}

enum err simulator_ca_renew(struct simulator_ca *ca, int64_t now_s, struct why *w)
{
	size_t first = SIMULATOR_LEVELS;
	for (int64_t until_s = now_s + SIMULATOR_LEAF_MARGIN_S; !holds(&ca->level[first - 1], now_s, until_s);) {
		first--;
		if (first == SIMULATOR_ROOT)
			return why_set(w, ERR_NSM,
				       "the simulator's clock says %" PRId64
				       ", too early or too late for its root certificate: start it again",
				       now_s);
		until_s = now_s + levels[first].life_s; /* of what its issuer is about to sign */
	}
	for (size_t i = first; i < SIMULATOR_LEVELS; i++) {
		enum err e = make(ca, (enum simulator_level)i, now_s, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}
