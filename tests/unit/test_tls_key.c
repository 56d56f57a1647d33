#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/encode.h"
#include "rsa_fixture.h"
#include "tls.h"

/* Made with the openssl command line; their private halves were thrown away. The second to the fourth are other
 * spellings of the first. */
static const char p256[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQW5pFeIqL/YA+LRUpeo/FGwN0lWc\n"
			   "GAzT+bZ1m9O25KRKGcaUE35ZXs3j9Z57XMGkUGl+peUrF+1Y3jRmDNuKcg==\n"
			   "-----END PUBLIC KEY-----\n";

static const char p256_compressed[] = "-----BEGIN PUBLIC KEY-----\n"
				      "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACQW5pFeIqL/YA+LRUpeo/FGwN0lWc\n"
				      "GAzT+bZ1m9O25KQ=\n"
				      "-----END PUBLIC KEY-----\n";

static const char p256_hybrid[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAGQW5pFeIqL/YA+LRUpeo/FGwN0lWc\n"
				  "GAzT+bZ1m9O25KRKGcaUE35ZXs3j9Z57XMGkUGl+peUrF+1Y3jRmDNuKcg==\n"
				  "-----END PUBLIC KEY-----\n";

static const char p256_explicit[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n"
				    "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n"
				    "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n"
				    "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n"
				    "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n"
				    "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABEFuaRXiKi/2APi0VKXqPxRs\n"
				    "DdJVnBgM0/m2dZvTtuSkShnGlBN+WV7N4/Wee1zBpFBpfqXlKxftWN40ZgzbinI=\n"
				    "-----END PUBLIC KEY-----\n";

static const char p384[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEajgczvI4eVe0NlZMDB36547GqP77oSmd\n"
			   "7xuwQ0/WCiCByROLjwqae+3ivJwPMbsezAX6BZ4kqbW8RtsUexKkxvvvEuNsz/mq\n"
			   "vRhx/GHOKVQdpzKpgHBQF7sPHquOqcX4\n"
			   "-----END PUBLIC KEY-----\n";

static const char p521[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQASnFRwBII8lkxaurxljTGrTmgX/I9\n"
			   "5CnA6eeWFqNDx5JskojJVVy5U7CGCc6A+1WZ8h2hT6htGsffkzhQJ8XNgk4BlHUZ\n"
			   "drtwMBYD8yTliUq7sOH7JG4KH9DTRU6tPeME35v4sEGRwPabXhUwEG35Df8rMiyo\n"
			   "h6jU37JB2Riwz5L/wGA=\n"
			   "-----END PUBLIC KEY-----\n";

static const char k256[] = "-----BEGIN PUBLIC KEY-----\n"
			   "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE861YF7SCGdfwbsQj6H/gFpwySYNblpRF\n"
			   "3kEDItIxEV9LLvf/5Nsp1eAulGr3IsKA+BrNL/gtL/pfnAas9CxL7w==\n"
			   "-----END PUBLIC KEY-----\n";

static const char ed448[] = "-----BEGIN PUBLIC KEY-----\n"
			    "MEMwBQYDK2VxAzoANTrb4KH2gVmWU65x46j4ot5jZlSJ7sOSvbDnjzVkKT+ecS5R\n"
			    "YPgTgPLWsjNnS9vFwI0BYf31dW+A\n"
			    "-----END PUBLIC KEY-----\n";

static const char x25519[] = "-----BEGIN PUBLIC KEY-----\n"
			     "MCowBQYDK2VuAyEA/zmgr/UlMzv7Szgti2k+jsx8XIg7F4eZsO1E1RY9mC8=\n"
			     "-----END PUBLIC KEY-----\n";

static struct crypto *crypto;

static enum err read(const char *pem, struct buf *spki, struct why *w)
{
	return tls_key_read(bytes_str(pem), spki, w);
}

static void taken(const char *pem)
{
	struct buf spki = BUF_INIT(TLS_KEY_PEM_MAX), again = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	if (read(pem, &spki, &w) != ERR_OK)
		fail_msg("%s", w.text);
	tls_key_put(buf_bytes(&spki), &again);
	assert_true(bytes_is(buf_bytes(&again), pem));
	buf_free(&spki);
	buf_free(&again);
}

static void refused(const char *pem, const char *says)
{
	struct buf spki = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	assert_int_equal(read(pem, &spki, &w), ERR_BAD_KEY);
	assert_int_equal(spki.n, 0);
	assert_true(w.tell);
	if (strstr(w.text, says) == NULL)
		fail_msg("\"%s\" is not in: %s", says, w.text);
}

static void keys_of_the_kinds_that_tls_uses_are_taken(void **state)
{
	(void)state;
	taken(p256);
	taken(p384);
	taken(ed25519);
	taken(rsa_2048_spki);
}

static void other_kinds_of_keys_are_refused(void **state)
{
	(void)state;
	refused(p521, "must be P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits");
	refused(k256, "must be P-256");
	refused(ed448, "must be P-256");
	refused(x25519, "must be P-256");
	refused(rsa_pss_2048, "must be P-256");
	refused(rsa_1024_spki, "must be P-256");
}

/* Otherwise one key would have several hashes. */
static void a_key_has_one_spelling(void **state)
{
	(void)state;
	refused(p256_compressed, "usual form");
	refused(p256_hybrid, "usual form");
	refused(p256_explicit, "usual form");
}

static void what_is_no_public_key_in_pem_is_refused(void **state)
{
	(void)state;
	refused("", "not PEM");
	refused("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "not PEM");
	refused(rsa_1024_pkcs1, "of another kind");
	refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "never be sent to anybody");
	refused("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "never be sent to anybody");
	refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "of another kind");
	refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "does not hold one public key");
	refused("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "nothing between");
	refused("-----BEGIN PUBLIC KEY-----\nAA:A\n-----END PUBLIC KEY-----\n", "headers");
	refused("-----BEGIN PUBLIC KEY-----\nAAAA\n", "cut short");
}

static void nothing_stands_before_or_behind_it_but_white_space(void **state)
{
	struct buf text = BUF_INIT(TLS_KEY_PEM_MAX), spki = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	(void)state;
	buf_printf(&text, " \n%s\r\n\t", p256);
	assert_int_equal(tls_key_read(buf_bytes(&text), &spki, &w), ERR_OK);
	buf_reset(&text);
	buf_printf(&text, "%s%s", p256, p256);
	refused(buf_cstr(&text), "more than one PEM block");
	buf_reset(&text);
	buf_printf(&text, "%sx", p256);
	refused(buf_cstr(&text), "after the END line");
	buf_reset(&text);
	buf_printf(&text, "x%s", p256);
	refused(buf_cstr(&text), "not PEM");
	buf_free(&text);
	buf_free(&spki);
}

/* Each in its place: a byte behind the key, a point that is not on the curve. */
static void a_damaged_key_is_refused(void **state)
{
	struct buf spki = BUF_INIT(TLS_KEY_PEM_MAX), pem = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	(void)state;
	assert_int_equal(read(p256, &spki, &w), ERR_OK);
	buf_put_u8(&spki, 0);
	tls_key_put(buf_bytes(&spki), &pem);
	refused(buf_cstr(&pem), "does not hold one public key");
	buf_reset(&pem);
	spki.n -= 2;
	buf_put_u8(&spki, (uint8_t)~spki.p[spki.n]);
	tls_key_put(buf_bytes(&spki), &pem);
	refused(buf_cstr(&pem), "does not hold one public key");
	buf_free(&spki);
	buf_free(&pem);
}

static void a_text_at_the_limit_is_read_and_one_byte_more_is_not(void **state)
{
	struct buf text = BUF_INIT(TLS_KEY_PEM_MAX + 1), spki = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	(void)state;
	buf_put_str(&text, p256);
	while (text.n < TLS_KEY_PEM_MAX)
		buf_put_u8(&text, '\n');
	assert_int_equal(tls_key_read(buf_bytes(&text), &spki, &w), ERR_OK);
	buf_put_u8(&text, '\n');
	assert_int_equal(tls_key_read(buf_bytes(&text), &spki, &w), ERR_BAD_KEY);
	assert_non_null(strstr(w.text, "at most 4096"));
	buf_free(&text);
	buf_free(&spki);
}

/* What is read is what a certificate is made for, and what the handshake will show. */
static void a_certificate_for_a_key_holds_that_key(void **state)
{
	static const char *const keys[] = {p256, p384, ed25519, rsa_2048_spki};
	struct tls_ca *ca = NULL;
	struct why w = {0};

	(void)state;
	assert_int_equal(tls_ca_new(crypto, 1800000000, &ca, &w), ERR_OK);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct buf spki = BUF_INIT(TLS_KEY_PEM_MAX), der = BUF_INIT(TLS_CERT_DER_MAX),
			   seen = BUF_INIT(TLS_KEY_PEM_MAX);
		assert_int_equal(read(keys[i], &spki, &w), ERR_OK);
		assert_int_equal(tls_ca_issue(crypto, ca, buf_bytes(&spki), 1800000000, 60, &der, &w), ERR_OK);
		assert_int_equal(tls_cert_spki(buf_bytes(&der), &seen, &w), ERR_OK);
		assert_true(bytes_equal(buf_bytes(&seen), buf_bytes(&spki)));
		buf_free(&spki);
		buf_free(&der);
		buf_free(&seen);
	}
	tls_ca_free(ca);
}

static int setup(void **state)
{
	struct why w = {0};
	(void)state;
	return crypto_new(&crypto, &w) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	crypto_free(crypto);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_the_kinds_that_tls_uses_are_taken),
		cmocka_unit_test(other_kinds_of_keys_are_refused),
		cmocka_unit_test(a_key_has_one_spelling),
		cmocka_unit_test(what_is_no_public_key_in_pem_is_refused),
		cmocka_unit_test(nothing_stands_before_or_behind_it_but_white_space),
		cmocka_unit_test(a_damaged_key_is_refused),
		cmocka_unit_test(a_text_at_the_limit_is_read_and_one_byte_more_is_not),
		cmocka_unit_test(a_certificate_for_a_key_holds_that_key),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
