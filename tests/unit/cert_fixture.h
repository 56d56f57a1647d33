/* cert_fixture.h - a chain of Nitro's shape (root, region, zone, instance, leaf) with its keys. Include cmocka.h
 * before it. */
#ifndef ATTESTD_TESTS_CERT_FIXTURE_H
#define ATTESTD_TESTS_CERT_FIXTURE_H

#include <string.h>

#include "cert.h"

enum { CERT_FIXTURE_CAS = 4, CERT_FIXTURE_LEAF = CERT_FIXTURE_CAS, CERT_FIXTURE_ALL };

/* Certificate i is valid from CERT_FIXTURE_FROM + i to CERT_FIXTURE_UNTIL - i, the leaf so the shortest. */
static const int64_t CERT_FIXTURE_FROM = 1767225600, CERT_FIXTURE_UNTIL = 1767312000; /* 2026-01-01 and -02 */

struct cert_fixture {
	struct crypto *c;
	struct cert_key *key[CERT_FIXTURE_ALL];
	struct cert_attribute name[CERT_FIXTURE_ALL];
	uint8_t serial[CERT_FIXTURE_ALL];
	struct cert_spec spec[CERT_FIXTURE_ALL]; /* may be changed; cert_fixture_make() makes what it says */
	struct buf der[CERT_FIXTURE_ALL];	 /* root first, leaf last */
};

static struct bytes cert_fixture_der(const struct cert_fixture *f, int i)
{
	return buf_bytes(&f->der[i]);
}

/* Makes certificate i anew, under the one before it. */
static void cert_fixture_remake(struct cert_fixture *f, int i)
{
	struct why w = {0};

	buf_free(&f->der[i]);
	assert_int_equal(cert_make(f->c, &f->spec[i], f->key[i], i > 0 ? cert_fixture_der(f, i - 1) : bytes_of(NULL, 0),
				   i > 0 ? f->key[i - 1] : NULL, &f->der[i], &w),
			 ERR_OK);
}

static void cert_fixture_make(struct cert_fixture *f)
{
	for (int i = 0; i < CERT_FIXTURE_ALL; i++)
		cert_fixture_remake(f, i);
}

/* `c` is borrowed. */
static void cert_fixture_new(struct cert_fixture *f, struct crypto *c)
{
	static const char *const names[] = {"test.nitro-enclaves", "region.test.nitro-enclaves",
					    "zone.test.nitro-enclaves", "instance.test.nitro-enclaves",
					    "enclave.instance.test.nitro-enclaves"};
	struct why w = {0};

	memset(f, 0, sizeof *f);
	f->c = c;
	for (int i = 0; i < CERT_FIXTURE_ALL; i++) {
		bool leaf = i == CERT_FIXTURE_LEAF;

		assert_int_equal(cert_key_new(c, &f->key[i], &w), ERR_OK);
		f->name[i] = (struct cert_attribute){"CN", names[i]};
		f->serial[i] = (uint8_t)(i + 1);
		f->spec[i] = (struct cert_spec){
			.subject = &f->name[i],
			.n_subject = 1,
			.serial = bytes_of(&f->serial[i], 1),
			.not_before_s = CERT_FIXTURE_FROM + i,
			.not_after_s = CERT_FIXTURE_UNTIL - i,
			.path_length = leaf	? CERT_NO_CA
				       : i == 0 ? CERT_NO_PATH_LENGTH
						: CERT_FIXTURE_CAS - 1 - i,
			.usage = leaf ? CERT_DIGITAL_SIGNATURE | CERT_NON_REPUDIATION
				      : CERT_DIGITAL_SIGNATURE | CERT_CERT_SIGN | CERT_CRL_SIGN,
			.usage_critical = !leaf,
			.key_identifiers = !leaf,
			.crl_url = i == 1 || i == 2 ? "http://crl.test/1.crl" : NULL,
		};
		f->der[i] = BUF_INIT(CERT_DER_MAX);
	}
	cert_fixture_make(f);
}

static void cert_fixture_free(struct cert_fixture *f)
{
	for (int i = 0; i < CERT_FIXTURE_ALL; i++) {
		buf_free(&f->der[i]);
		cert_key_free(f->key[i]);
	}
}

#endif
