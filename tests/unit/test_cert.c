#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cert_surgery.h"

static struct cert_fixture f;

static int setup(void **state)
{
	struct crypto *c = NULL;
	struct why w;

	(void)state;
	if (crypto_new(&c, &w) != ERR_OK)
		return -1;
	cert_fixture_new(&f, c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cert_fixture_free(&f);
	crypto_free(f.c);
	return 0;
}

/* ---- keys ---- */

static const uint8_t order[48] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				  0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
				  0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};

static bool verifies(const struct cert_key *k, const char *message, const uint8_t *sig)
{
	bool good = cert_es384_verify(f.c, k->key, bytes_str(message), sig);

	assert_int_equal(ERR_peek_error(), 0);
	return good;
}

static void a_signature_verifies_under_its_key_and_message_only(void **state)
{
	uint8_t sig[CERT_SIGNATURE_SIZE], again[CERT_SIGNATURE_SIZE];
	struct why w = {0};

	(void)state;
	assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_str("message"), sig, &w), ERR_OK);
	assert_true(verifies(f.key[0], "message", sig));
	assert_false(verifies(f.key[0], "Message", sig));
	assert_false(verifies(f.key[1], "message", sig));
	assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_str("message"), again, &w), ERR_OK);
	assert_memory_not_equal(sig, again, sizeof sig);
	for (size_t i = 0; i < sizeof sig; i++) {
		sig[i] ^= 1;
		assert_false(verifies(f.key[0], "message", sig));
		sig[i] ^= 1;
	}
	assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_of(NULL, 0), sig, &w), ERR_OK);
	assert_true(verifies(f.key[0], "", sig));
}

static void low_and_high_s_are_both_signatures(void **state)
{
	uint8_t sig[CERT_SIGNATURE_SIZE];
	struct why w = {0};
	int borrow = 0;

	(void)state;
	assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_str("message"), sig, &w), ERR_OK);
	for (int i = 47; i >= 0; i--) {
		int d = order[i] - sig[48 + i] - borrow;

		borrow = d < 0;
		sig[48 + i] = (uint8_t)d;
	}
	assert_true(verifies(f.key[0], "message", sig));
}

static void r_and_s_are_from_1_to_below_the_order(void **state)
{
	uint8_t good[CERT_SIGNATURE_SIZE], sig[CERT_SIGNATURE_SIZE];
	struct why w = {0};

	(void)state;
	assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_str("message"), good, &w), ERR_OK);
	for (size_t half = 0; half < sizeof sig; half += 48) {
		memcpy(sig, good, sizeof sig);
		memset(sig + half, 0, 48);
		assert_false(verifies(f.key[0], "message", sig));
		memcpy(sig + half, order, 48);
		assert_false(verifies(f.key[0], "message", sig));
		memset(sig + half, 0xff, 48);
		assert_false(verifies(f.key[0], "message", sig));
	}
	memset(sig, 0, sizeof sig);
	assert_false(verifies(f.key[0], "message", sig));
}

static void short_numbers_are_padded_on_the_left(void **state)
{
	uint8_t sig[CERT_SIGNATURE_SIZE];
	struct why w = {0};
	int seen = 0;

	(void)state;
	/* A leading zero byte comes once in 256 numbers. */
	for (int i = 0; i < 5000 && seen < 2; i++) {
		assert_int_equal(cert_key_sign(f.c, f.key[0], bytes_str("message"), sig, &w), ERR_OK);
		if (sig[0] == 0 || sig[48] == 0) {
			assert_true(verifies(f.key[0], "message", sig));
			seen++;
		}
	}
	assert_int_equal(seen, 2);
}

/* ---- making ---- */

static struct cert_fields fields(struct bytes der)
{
	struct cert_fields out = {.path_length = 0};
	enum cert_fault fault = CERT_BROKEN;
	struct why w = {0};

	if (cert_fields_read(der, "It", &out, &fault, &w) != ERR_OK)
		fail_msg("%s", w.text);
	return out;
}

static void certificates_say_what_was_asked_for(void **state)
{
	struct cert_fields root = fields(cert_fixture_der(&f, 0)), zone = fields(cert_fixture_der(&f, 2)),
			   leaf = fields(cert_fixture_der(&f, CERT_FIXTURE_LEAF));

	(void)state;
	assert_true(bytes_equal(root.issuer, root.subject));
	assert_true(bytes_equal(zone.issuer, fields(cert_fixture_der(&f, 1)).subject));
	assert_true(root.ca && zone.ca && !leaf.ca);
	assert_true(root.has_constraints && root.constraints_critical && leaf.constraints_critical);
	assert_int_equal(root.path_length, UINT_MAX);
	assert_int_equal(zone.path_length, 1);
	assert_int_equal(root.usage, CERT_DIGITAL_SIGNATURE | CERT_CERT_SIGN | CERT_CRL_SIGN);
	assert_int_equal(leaf.usage, CERT_DIGITAL_SIGNATURE | CERT_NON_REPUDIATION);
	assert_int_equal(leaf.not_before_s, CERT_FIXTURE_FROM + 4);
	assert_int_equal(leaf.not_after_s, CERT_FIXTURE_UNTIL - 4);
}

static void names_have_all_their_attributes_in_order(void **state)
{
	static const struct cert_attribute name[] = {{"C", "US"},
						     {"ST", "Washington"},
						     {"L", "S\xc3\xa9"
							   "attle"},
						     {"O", "Amazon"},
						     {"OU", "AWS"},
						     {"CN", "i-0.enclave"}};
	static const char hex[] = "310b3009060355040613025553"
				  "3113301106035504080c0a57617368696e67746f6e"
				  "3111300f06035504070c0853c3a96174746c65"
				  "310f300d060355040a0c06416d617a6f6e"
				  "310c300a060355040b0c03415753"
				  "3114301206035504030c0b692d302e656e636c617665";
	struct buf want = BUF_INIT(SURGERY_MAX);

	(void)state;
	f.spec[4].subject = name;
	f.spec[4].n_subject = sizeof name / sizeof name[0];
	cert_fixture_remake(&f, 4);
	put_hex(&want, hex);
	assert_true(bytes_equal(fields(cert_fixture_der(&f, 4)).subject, buf_bytes(&want)));
	f.spec[4].subject = &f.name[4];
	f.spec[4].n_subject = 1;
	buf_free(&want);
}

static enum err make(const struct cert_spec *spec, struct bytes issuer, struct buf *der, struct why *w)
{
	return cert_make(f.c, spec, f.key[4], issuer, f.key[3], der, w);
}

static void serial_numbers_have_1_to_20_bytes_and_are_positive(void **state)
{
	uint8_t serial[CERT_SERIAL_MAX + 1];
	struct buf der = BUF_INIT(SURGERY_MAX);
	struct cert_spec spec = f.spec[4];
	struct bytes parts[PARTS];
	struct why w = {0};

	(void)state;
	memset(serial, 0xff, sizeof serial);
	for (size_t n = 1; n <= CERT_SERIAL_MAX; n++) {
		spec.serial = bytes_of(serial, n);
		assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_OK);
		(void)fields(buf_bytes(&der));
		take_apart(buf_bytes(&der), parts);
		assert_int_equal(parts[SERIAL].n, 2 + 1 + n);
		assert_int_equal(parts[SERIAL].p[2], 0);
		assert_int_equal(parts[SERIAL].p[3], 0xff);
		buf_reset(&der);
	}
	spec.serial = bytes_of(serial, sizeof serial);
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_INTERNAL);
	spec.serial = bytes_of(serial, 0);
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_INTERNAL);
	assert_int_equal(der.n, 0);
	buf_free(&der);
}

static void what_cannot_be_made_leaves_nothing(void **state)
{
	struct cert_attribute name = {"CN", "leaf"}, wrong = {"nothing", "x"};
	struct buf der = BUF_INIT(SURGERY_MAX), url = BUF_INIT(SURGERY_MAX);
	struct cert_spec spec = f.spec[4];
	struct why w = {0};

	(void)state;
	assert_int_equal(make(&spec, BYTES_LIT("no certificate"), &der, &w), ERR_CRYPTO);
	spec.subject = &wrong;
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_CRYPTO);
	spec.subject = &name;
	spec.not_after_s = INT64_MAX;
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_CRYPTO);
	spec.not_after_s = CERT_FIXTURE_UNTIL;
	buf_put_str(&url, "http://crl.test/");
	while (url.n < 480)
		buf_put_u8(&url, 'a');
	spec.crl_url = buf_cstr(&url);
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_OK);
	buf_reset(&der);
	while (url.n < 1000)
		buf_put_u8(&url, 'a');
	spec.crl_url = buf_cstr(&url);
	assert_int_not_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_OK);
	assert_int_equal(der.n, 0);
	assert_int_equal(ERR_peek_error(), 0);
	buf_free(&der);
	buf_free(&url);
}

static void a_certificate_over_1024_bytes_is_not_made(void **state)
{
	struct cert_attribute names[12];
	struct buf der = BUF_INIT(SURGERY_MAX);
	struct cert_spec spec = f.spec[4];
	struct why w = {0};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		names[i] = (struct cert_attribute){"OU",
						   "sixty-four bytes: 0123456789012345678901234567890123456789012345"};
	spec.subject = names;
	spec.n_subject = 4;
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_OK);
	buf_reset(&der);
	spec.n_subject = 12;
	assert_int_equal(make(&spec, cert_fixture_der(&f, 3), &der, &w), ERR_INTERNAL);
	assert_int_equal(der.n, 0);
	buf_free(&der);
}

/* ---- PEM ---- */

static struct buf pem_of(struct bytes der)
{
	struct buf pem = BUF_INIT(2 * CERT_PEM_MAX);

	cert_pem_put(der, &pem);
	assert_false(pem.failed);
	return pem;
}

static void pem_round_trips_in_lines_of_64(void **state)
{
	struct buf der = BUF_INIT(CERT_DER_MAX);
	struct buf pem = pem_of(cert_fixture_der(&f, 0));
	const char *text = buf_cstr(&pem);
	struct why w = {0};

	(void)state;
	assert_int_equal(strncmp(text, "-----BEGIN CERTIFICATE-----\n", 28), 0);
	assert_int_equal(text[28 + 64], '\n');
	assert_string_equal(text + pem.n - 26, "-----END CERTIFICATE-----\n");
	assert_int_equal(cert_pem_read(buf_bytes(&pem), &der, &w), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&der), cert_fixture_der(&f, 0)));
	buf_free(&der);
	buf_free(&pem);
}

static void pem_is_one_certificate_block_and_white_space(void **state)
{
	static const struct {
		const char *pem, *says; /* NULL: fine */
	} cases[] = {
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", NULL},
		{" \n\t-----BEGIN CERTIFICATE-----\r\nMA\r\nA=\r\n-----END CERTIFICATE-----\r\n\r\n ", NULL},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", NULL},
		{"", "does not begin"},
		{"MAA=", "does not begin"},
		{"subject=CN\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "does not begin"},
		{"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "does not begin"},
		{"-----BEGIN TRUSTED CERTIFICATE-----\nMAA=\n-----END TRUSTED CERTIFICATE-----\n", "does not begin"},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\nx", "text after"},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
		 "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
		 "more than one"},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
		 "not base64"},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n", "cut short"},
		{"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE----\n", "does not match"},
		{"-----BEGIN CERTIFICATE-----", "line of its own"},
		{"-----BEGIN CERTIFICATE-----MAA=\n-----END CERTIFICATE-----\n", "line of its own"},
		{"-----BEGIN CERTIFICATE-----\nMAA=-----END CERTIFICATE-----\n", "line of its own"},
		{"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "nothing between"},
		{"-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----\n", "not base64"},
		{"-----BEGIN CERTIFICATE-----\nMA A=\n-----END CERTIFICATE-----\n", "not base64"},
		{"-----BEGIN CERTIFICATE-----\nMAB=\n-----END CERTIFICATE-----\n", "not base64"},
		{"-----BEGIN CERTIFICATE-----\nx: y\n\nMAA=\n-----END CERTIFICATE-----\n", "headers"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf der = BUF_INIT(CERT_DER_MAX);
		struct why w = {0};

		if (cases[i].says == NULL) {
			assert_int_equal(cert_pem_read(bytes_str(cases[i].pem), &der, &w), ERR_OK);
			assert_true(bytes_equal(buf_bytes(&der), BYTES_LIT("\x30\x00")));
		} else {
			assert_int_equal(cert_pem_read(bytes_str(cases[i].pem), &der, &w), ERR_INVALID);
			assert_true(w.tell);
			if (strstr(w.text, cases[i].says) == NULL)
				fail_msg("case %zu: %s", i, w.text);
			assert_int_equal(der.n, 0);
		}
		buf_free(&der);
	}
}

static void pem_has_at_most_16_kib_and_1024_bytes_inside(void **state)
{
	static const uint8_t zero[CERT_DER_MAX + 1];
	struct buf der = BUF_INIT(2 * CERT_DER_MAX);
	struct buf pem = pem_of(bytes_of(zero, CERT_DER_MAX));
	struct why w = {0};

	(void)state;
	assert_int_equal(cert_pem_read(buf_bytes(&pem), &der, &w), ERR_OK);
	assert_int_equal(der.n, CERT_DER_MAX);
	buf_reset(&der);
	while (pem.n < CERT_PEM_MAX)
		buf_put_u8(&pem, '\n');
	assert_int_equal(cert_pem_read(buf_bytes(&pem), &der, &w), ERR_OK);
	buf_reset(&der);
	buf_put_u8(&pem, '\n');
	assert_int_equal(cert_pem_read(buf_bytes(&pem), &der, &w), ERR_INVALID);
	buf_free(&pem);
	pem = pem_of(bytes_of(zero, CERT_DER_MAX + 1));
	assert_int_equal(cert_pem_read(buf_bytes(&pem), &der, &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "1025 bytes; at most 1024"));
	assert_int_equal(der.n, 0);
	buf_free(&pem);
	buf_free(&der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_verifies_under_its_key_and_message_only),
		cmocka_unit_test(low_and_high_s_are_both_signatures),
		cmocka_unit_test(r_and_s_are_from_1_to_below_the_order),
		cmocka_unit_test(short_numbers_are_padded_on_the_left),
		cmocka_unit_test(certificates_say_what_was_asked_for),
		cmocka_unit_test(names_have_all_their_attributes_in_order),
		cmocka_unit_test(serial_numbers_have_1_to_20_bytes_and_are_positive),
		cmocka_unit_test(what_cannot_be_made_leaves_nothing),
		cmocka_unit_test(a_certificate_over_1024_bytes_is_not_made),
		cmocka_unit_test(pem_round_trips_in_lines_of_64),
		cmocka_unit_test(pem_is_one_certificate_block_and_white_space),
		cmocka_unit_test(pem_has_at_most_16_kib_and_1024_bytes_inside),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
