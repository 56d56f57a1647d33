#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rsa_fixture.h"

static void line_ends_and_white_space_around_do_not_matter(void **state)
{
	struct crypto *c = *state;
	struct crypto_rsa *plain = accepted(c, bytes_str(rsa_2048_spki)), *k;
	struct buf b = BUF_INIT(RSA_PEM_MAX);

	buf_put_str(&b, " \r\n\t\n");
	for (const char *p = rsa_2048_spki; *p != '\0'; p++) {
		if (*p == '\n')
			buf_put_u8(&b, '\r');
		buf_put_u8(&b, (uint8_t)*p);
	}
	buf_put_str(&b, "\t \n");
	k = accepted(c, buf_bytes(&b));
	assert_true(bytes_equal(crypto_rsa_spki(k), crypto_rsa_spki(plain)));
	crypto_rsa_free(k);
	k = accepted(c, bytes_of(rsa_2048_spki, sizeof rsa_2048_spki - 2));
	crypto_rsa_free(k);
	crypto_rsa_free(plain);
	buf_free(&b);
}

static void keys_of_other_kinds_are_named(void **state)
{
	static const struct {
		const char *pem, *because;
	} cases[] = {
		{rsa_1024_spki, "has 1024 bits; at least 2048"},
		{rsa_1024_pkcs1, "has 1024 bits; at least 2048"},
		{ec_p256, "an EC key; RSA is needed"},
		{ed25519, "an Ed25519 key; RSA is needed"},
		{dsa_1024, "a DSA key; RSA is needed"},
		{rsa_pss_2048, "RSASSA-PSS"},
		{certificate, "a certificate;"},
		{"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "private key"},
		{"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "private key"},
		{"-----BEGIN EC PRIVATE KEY-----\n", "private key"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"},
		{"-----BEGIN CERTIFICATE REQUEST-----\n", "certificate request"},
		{"-----BEGIN EC PARAMETERS-----\n", "an EC key"},
		{"-----BEGIN DSA PARAMETERS-----\n", "a DSA key"},
		{"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "another kind"},
		{"-----BEGIN -----\n", "another kind"},
		{"---- BEGIN SSH2 PUBLIC KEY ----\n", "ssh-keygen"},
		{"ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB me@here", "ssh-keygen"},
		{"0\x82\x01\x22"
		 "0",
		 "binary DER"},
		{"", "is empty"},
		{" \r\n\t", "is empty"},
		{"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "is not PEM"},
		{"hello\n-----BEGIN PUBLIC KEY-----\n", "text before the BEGIN line"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_refused(*state, bytes_str(cases[i].pem), cases[i].because);
}

static void damaged_armour_is_refused_with_its_reason(void **state)
{
#define B "-----BEGIN PUBLIC KEY-----"
#define E "-----END PUBLIC KEY-----"
	static const struct {
		const char *pem, *because;
	} cases[] = {
		{"-----BEGIN PUBLIC KEY", "BEGIN line is damaged"},
		{"-----BEGIN PUBLIC KEY\n-----", "BEGIN line is damaged"},
		{B, "line of its own"},
		{B "AAAA" E, "line of its own"},
		{B " \nAAAA\n" E, "line of its own"},
		{B "\\nAAAA\\n" E, "backslash"},
		{B "\nAAAA\n", "END line is missing"},
		{B "\nAAAA" E, "END line must be"},
		{B "\nAAAA\n-----END RSA PUBLIC KEY-----\n", "does not match"},
		{B "\nAAAA\n-----END PUBLIC KEY----", "does not match"},
		{B "\nAAAA\n-----END PUBLIC KE", "does not match"},
		{B "\nAAAA\n" E "\n" B "\nAAAA\n" E "\n", "more than one PEM block"},
		{B "\nAAAA\n" E "\nx", "text after the END line"},
		{B "\nAAAA\n" E "-", "text after the END line"},
		{B "\n" E, "nothing between"},
		{B "\n\n\r\n" E, "nothing between"},
		{B "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n" E, "headers"},
		{B "\nAAA\n" E, "not base64, or were cut short"},
		{B "\nAA AA\n" E, "not base64"},
		{B "\nAA\rAA\n" E, "not base64"},
		{B "\nAA-_\n" E, "not base64"},
		{B "\nAAB=\n" E, "not base64"},
		{B "\nAAAA\n" E, "not one complete DER"},
		{B "\nMAA=\n" E, "not a SubjectPublicKeyInfo"},
	};
#undef B
#undef E

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_refused(*state, bytes_str(cases[i].pem), cases[i].because);
	assert_refused(*state, BYTES_LIT("-----BEGIN PUBLIC KEY-----\nAA\0A\n-----END PUBLIC KEY-----"), "not base64");
}

static void no_cut_key_is_accepted(void **state)
{
	for (size_t n = 0; n < sizeof rsa_2048_spki - 2; n++) {
		struct crypto_rsa *k = NULL;
		struct why w;

		assert_int_equal(crypto_rsa_parse(*state, bytes_of(rsa_2048_spki, n), &k, &w), ERR_BAD_KEY);
		assert_null(k);
	}
}

static void no_changed_byte_gives_the_same_key(void **state)
{
	struct crypto *c = *state;
	struct crypto_rsa *good = accepted(c, bytes_str(rsa_2048_spki));
	char pem[sizeof rsa_2048_spki];

	for (size_t i = 0; i < sizeof pem - 2; i++) {
		static const char others[] = {'A', '/', '=', '-', ' ', '\0', '\x80'};

		for (size_t o = 0; o < sizeof others; o++) {
			struct crypto_rsa *k = NULL;
			struct why w;

			memcpy(pem, rsa_2048_spki, sizeof pem);
			if (pem[i] == others[o])
				continue;
			pem[i] = others[o];
			if (crypto_rsa_parse(c, bytes_of(pem, sizeof pem - 1), &k, &w) == ERR_OK)
				assert_false(bytes_equal(crypto_rsa_spki(k), crypto_rsa_spki(good)));
			crypto_rsa_free(k);
		}
	}
	crypto_rsa_free(good);
}

static void a_text_of_16_kib_is_read_and_one_more_byte_is_not(void **state)
{
	char *pem = malloc(RSA_PEM_MAX + 1);

	assert_non_null(pem);
	memset(pem, ' ', RSA_PEM_MAX + 1);
	memcpy(pem, rsa_8192_spki, sizeof rsa_8192_spki - 1);
	crypto_rsa_free(accepted(*state, bytes_of(pem, RSA_PEM_MAX)));
	assert_refused(*state, bytes_of(pem, RSA_PEM_MAX + 1), "at most 16384");
	free(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_and_white_space_around_do_not_matter),
		cmocka_unit_test(keys_of_other_kinds_are_named),
		cmocka_unit_test(damaged_armour_is_refused_with_its_reason),
		cmocka_unit_test(no_cut_key_is_accepted),
		cmocka_unit_test(no_changed_byte_gives_the_same_key),
		cmocka_unit_test(a_text_of_16_kib_is_read_and_one_more_byte_is_not),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
