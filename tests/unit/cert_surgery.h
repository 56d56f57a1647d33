/* cert_surgery.h - one part of a certificate is exchanged and the whole signed anew, so that what a test names is its
 * only defect; and what is made of the chain then. Include cmocka.h before it. */
#ifndef ATTESTD_TESTS_CERT_SURGERY_H
#define ATTESTD_TESTS_CERT_SURGERY_H

#include <openssl/err.h>

#include "cert_fixture.h"
#include "der_hex.h"

#define ECDSA_SHA384 "300a06082a8648ce3d040303"
#define ECDSA_SHA256 "300a06082a8648ce3d040302"
#define CA	     "300f0603551d130101ff040530030101ff" /* basicConstraints, critical, CA:TRUE */
#define NO_CA	     "300c0603551d130101ff04023000"
#define CERT_SIGN    "300e0603551d0f0101ff040403020204" /* keyUsage, critical */
#define DIGITAL	     "300e0603551d0f0101ff040403020780"

enum { ROOT, REGION, ZONE, INSTANCE, LEAF, N = LEAF };

enum part { VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, SPKI, EXTENSIONS, PARTS };

/* The parts of a certificate as they stand in it, heads included. */
static inline void take_apart(struct bytes der, struct bytes parts[PARTS])
{
	static const uint8_t tags[PARTS] = {0xa0, 0x02, 0x30, 0x30, 0x30, 0x30, 0x30, 0xa3};
	struct bytes whole, tbs, content;

	assert_true(der_take(&der, DER_SEQUENCE, &whole));
	assert_true(der_take(&whole, DER_SEQUENCE, &tbs));
	for (int i = 0; i < PARTS; i++) {
		const uint8_t *from = tbs.p;

		assert_true(der_take(&tbs, tags[i], &content));
		parts[i] = bytes_of(from, (size_t)(tbs.p - from));
	}
}

static inline void put_integer(struct buf *b, const uint8_t *p, size_t n)
{
	struct buf v = BUF_INIT(SURGERY_MAX);

	for (; n > 1 && *p == 0; n--)
		p++;
	if (*p >= 0x80)
		buf_put_u8(&v, 0);
	buf_put(&v, p, n);
	put_tlv(b, DER_INTEGER, buf_bytes(&v));
	buf_free(&v);
}

/* A certificate around what is to be signed. outer: the algorithm beside the signature, in hex. */
static inline void sign_anew(struct cert_fixture *f, const struct cert_key *key, struct bytes tbs, const char *outer,
			     struct buf *out)
{
	struct buf body = BUF_INIT(SURGERY_MAX), numbers = BUF_INIT(SURGERY_MAX), sig = BUF_INIT(SURGERY_MAX);
	uint8_t raw[CERT_SIGNATURE_SIZE];
	struct why w = {0};

	put_tlv(&body, DER_SEQUENCE, tbs);
	assert_int_equal(cert_key_sign(f->c, key, buf_bytes(&body), raw, &w), ERR_OK);
	put_integer(&numbers, raw, 48);
	put_integer(&numbers, raw + 48, 48);
	buf_put_u8(&sig, 0);
	put_tlv(&sig, DER_SEQUENCE, buf_bytes(&numbers));
	put_hex(&body, outer);
	put_tlv(&body, DER_BIT_STRING, buf_bytes(&sig));
	buf_free(out);
	*out = BUF_INIT(SURGERY_MAX);
	put_tlv(out, DER_SEQUENCE, buf_bytes(&body));
	buf_free(&body);
	buf_free(&numbers);
	buf_free(&sig);
}

/* Exchanges one part of certificate i, signed by the key of certificate `by`. */
static inline void exchange_under(struct cert_fixture *f, int i, enum part part, struct bytes with, const char *outer,
				  int by)
{
	struct buf tbs = BUF_INIT(SURGERY_MAX);
	struct bytes parts[PARTS];

	take_apart(cert_fixture_der(f, i), parts);
	parts[part] = with;
	for (int p = 0; p < PARTS; p++)
		buf_put_bytes(&tbs, parts[p]);
	sign_anew(f, f->key[by], buf_bytes(&tbs), outer, &f->der[i]);
	buf_free(&tbs);
}

static inline void exchange(struct cert_fixture *f, int i, enum part part, const char *hex)
{
	struct buf with = BUF_INIT(SURGERY_MAX);

	put_hex(&with, hex);
	exchange_under(f, i, part, buf_bytes(&with), ECDSA_SHA384, i > 0 ? i - 1 : 0);
	buf_free(&with);
}

/* The extensions of certificate i are to be these. */
static inline void extend(struct cert_fixture *f, int i, const char *hex)
{
	struct buf list = BUF_INIT(SURGERY_MAX), seq = BUF_INIT(SURGERY_MAX), with = BUF_INIT(SURGERY_MAX);

	put_hex(&list, hex);
	put_tlv(&seq, DER_SEQUENCE, buf_bytes(&list));
	put_tlv(&with, 0xa3, buf_bytes(&seq));
	exchange_under(f, i, EXTENSIONS, buf_bytes(&with), ECDSA_SHA384, i > 0 ? i - 1 : 0);
	buf_free(&list);
	buf_free(&seq);
	buf_free(&with);
}

static inline struct cert_chain *accept(struct bytes root, const struct bytes *bundle, size_t n, struct bytes leaf)
{
	enum cert_fault fault = CERT_BROKEN;
	struct cert_chain *chain = NULL;
	struct why w = {0};

	if (cert_chain_check(root, bundle, n, leaf, &chain, &fault, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_int_equal(ERR_peek_error(), 0);
	assert_non_null(chain);
	return chain;
}

static inline void refuse(struct bytes root, const struct bytes *bundle, size_t n, struct bytes leaf,
			  enum cert_fault want, const char *says)
{
	enum cert_fault fault = (enum cert_fault)99;
	struct cert_chain *chain = NULL;
	struct why w = {0};

	assert_int_equal(cert_chain_check(root, bundle, n, leaf, &chain, &fault, &w), ERR_INVALID);
	assert_int_equal(ERR_peek_error(), 0);
	assert_null(chain);
	assert_true(w.tell);
	if (fault != want || strstr(w.text, says) == NULL)
		fail_msg("fault %d, wanted %d and \"%s\": %s", (int)fault, (int)want, says, w.text);
}

static inline void bundle_of(const struct cert_fixture *f, struct bytes out[CERT_FIXTURE_ALL])
{
	for (int i = 0; i < CERT_FIXTURE_ALL; i++)
		out[i] = cert_fixture_der(f, i);
}

static inline struct cert_chain *accept_fixture(const struct cert_fixture *f)
{
	struct bytes all[CERT_FIXTURE_ALL];

	bundle_of(f, all);
	return accept(all[0], all, N, all[LEAF]);
}

static inline void refuse_fixture(const struct cert_fixture *f, enum cert_fault want, const char *says)
{
	struct bytes all[CERT_FIXTURE_ALL];

	bundle_of(f, all);
	refuse(all[0], all, N, all[LEAF], want, says);
}

#endif
