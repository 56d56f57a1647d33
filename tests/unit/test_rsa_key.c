#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "crypto/rsa_key.h"
#include "rsa_fixture.h"
#include "rsa_key_fixture.h"

extern char **environ;

enum { SHORT_PEM = 800, NO_OPENSSL = 127 };

static const struct bytes none = {NULL, 0};

static struct rsa_key *opened(struct bytes pem, struct bytes passphrase)
{
	struct rsa_key *k = NULL;
	bool encrypted = passphrase.p == NULL;
	struct why w = {0};

	if (rsa_key_read(pem, passphrase, &k, &encrypted, &w) != ERR_OK)
		assert_string_equal(w.text, "");
	assert_non_null(k);
	assert_int_equal(encrypted, passphrase.p != NULL);
	return k;
}

static void assert_key_refused(struct bytes pem, struct bytes passphrase, const char *because)
{
	struct rsa_key *k = NULL;
	bool encrypted = false;
	struct why w = {0};

	assert_int_equal(rsa_key_read(pem, passphrase, &k, &encrypted, &w), ERR_BAD_KEY);
	assert_null(k);
	assert_true(w.tell);
	if (strstr(w.text, because) == NULL)
		assert_string_equal(w.text, because);
}

static struct buf private_pem(const struct rsa_key *k, struct bytes passphrase)
{
	struct buf pem = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	struct why w = {0};

	assert_int_equal(rsa_key_put_private(k, passphrase, &pem, &w), ERR_OK);
	return pem;
}

static struct buf armoured(const char *label, struct bytes der)
{
	struct buf pem = BUF_INIT(2 * RSA_PRIVATE_PEM_MAX);

	pem_put(label, der, &pem);
	assert_false(pem.failed);
	return pem;
}

static void assert_der_refused(const char *label, struct bytes der, struct bytes passphrase, const char *because)
{
	struct buf pem = armoured(label, der);

	assert_key_refused(buf_bytes(&pem), passphrase, because);
	buf_free(&pem);
}

/* The RSAPrivateKey of the fixtures. */
static struct buf pkcs1_der(void)
{
	struct buf der = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	bool encrypted = true;
	struct why w = {0};

	assert_int_equal(rsa_key_unpack(bytes_str(key_plain), none, &der, &encrypted, &w), ERR_OK);
	return der;
}

static void put(struct buf *b, enum der_tag tag, struct buf *content)
{
	rsa_der_put(tag, buf_bytes(content), b);
	buf_free(content);
}

static void put_hex(struct buf *b, const char *hex)
{
	size_t n = 0;
	uint8_t *to = buf_reserve(b, strlen(hex) / 2);

	assert_non_null(to);
	assert_true(hex_decode(bytes_str(hex), to, &n));
	b->n += n;
}

static void a_new_key_comes_back_from_its_pem(void **state)
{
	(void)state;
	struct rsa_key *k = NULL, *other = NULL;
	struct why w = {0};

	assert_int_equal(rsa_key_new(RSA_BITS_MIN, &k, &w), ERR_OK);
	assert_int_equal(rsa_key_new(RSA_BITS_MIN + 8, &other, &w), ERR_OK);
	assert_int_equal(rsa_key_bits(k), RSA_BITS_MIN);
	assert_int_equal(rsa_key_bits(other), RSA_BITS_MIN + 8);
	struct buf pem = private_pem(k, none), twice;
	struct rsa_key *again = opened(buf_bytes(&pem), none);

	assert_true(bytes_equal(rsa_key_spki(k), rsa_key_spki(again)));
	assert_false(bytes_equal(rsa_key_spki(k), rsa_key_spki(other)));
	twice = private_pem(again, none);
	assert_true(bytes_equal(buf_bytes(&pem), buf_bytes(&twice)));
	buf_free(&pem);
	buf_free(&twice);
	rsa_key_free(again);
	rsa_key_free(other);
	rsa_key_free(k);
	rsa_key_free(NULL);
}

static void only_useful_sizes_are_made(void **state)
{
	(void)state;
	static const unsigned sizes[] = {0, 1024, RSA_BITS_MIN - 8, RSA_BITS_MIN + 1, RSA_BITS_MAX + 8, 1u << 31};
	struct rsa_key *k = NULL;
	struct why w = {0};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		assert_int_equal(rsa_key_new(sizes[i], &k, &w), ERR_INVALID);
		assert_true(w.tell);
		assert_null(k);
	}
}

static void the_public_half_is_what_the_server_sees(void **state)
{
	static const char *const keys[] = {key_plain, key_8192};
	struct crypto *c = *state;
	struct why w = {0};

	for (size_t i = 0; i < 2; i++) {
		struct rsa_key *k = opened(bytes_str(keys[i]), none);
		struct buf pem = BUF_INIT(RSA_PEM_MAX);

		assert_int_equal(rsa_key_put_public(k, &pem, &w), ERR_OK);
		struct crypto_rsa *seen = accepted(c, buf_bytes(&pem));

		assert_true(bytes_equal(rsa_key_spki(k), crypto_rsa_spki(seen)));
		if (i == 0)
			assert_true(bytes_is(buf_bytes(&pem), key_public));
		crypto_rsa_free(seen);
		buf_free(&pem);
		rsa_key_free(k);
	}
}

static void every_form_that_openssl_writes_is_the_same_key(void **state)
{
	static const struct {
		const char *pem;
		bool encrypted;
	} forms[] = {
		{key_plain, false}, {key_pkcs1, false}, {key_pbkdf2, true}, {key_scrypt, true}, {key_des3, true},
	};
	struct crypto *c = *state;
	struct crypto_rsa *public = accepted(c, bytes_str(key_public));

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct bytes passphrase = forms[i].encrypted ? BYTES_LIT("correct") : none;
		struct rsa_key *k = opened(bytes_str(forms[i].pem), passphrase);

		assert_true(bytes_equal(rsa_key_spki(k), crypto_rsa_spki(public)));
		assert_int_equal(rsa_key_bits(k), 2048);
		/* Unencrypted it is written as openssl writes it. */
		struct buf pem = private_pem(k, none);

		assert_true(bytes_is(buf_bytes(&pem), key_plain));
		buf_free(&pem);
		rsa_key_free(k);
	}
	crypto_rsa_free(public);
}

static void white_space_around_and_crlf_and_a_needless_passphrase_do_no_harm(void **state)
{
	(void)state;
	struct buf pem = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	struct rsa_key *k = NULL;
	bool encrypted = true;
	struct why w = {0};

	buf_put_str(&pem, "\r\n \t\n");
	for (const char *p = key_plain; *p != '\0'; p++) {
		if (*p == '\n')
			buf_put_u8(&pem, '\r');
		buf_put_u8(&pem, (uint8_t)*p);
	}
	buf_put_str(&pem, " \n\n");
	assert_int_equal(rsa_key_read(buf_bytes(&pem), BYTES_LIT("x"), &k, &encrypted, &w), ERR_OK);
	assert_false(encrypted);
	rsa_key_free(k);
	buf_free(&pem);
}

/* Once, because each use of such a passphrase takes 600 000 rounds: the longest one, with a NUL in it. */
static void a_passphrase_protects_the_key(void **state)
{
	(void)state;
	/* PBES2; 600 000 rounds of HMAC-SHA256; AES-256-CBC. */
	static const char *const parts[] = {"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", "\x02\x03\x09\x27\xc0",
					    "\x2a\x86\x48\x86\xf7\x0d\x02\x09", "\x60\x86\x48\x01\x65\x03\x04\x01\x2a"};
	struct rsa_key *k = opened(bytes_str(key_plain), none);
	char passphrase[RSA_PASSPHRASE_MAX];
	struct why w = {0};

	memset(passphrase, 'x', sizeof passphrase);
	passphrase[1] = '\0';
	struct buf pem = private_pem(k, bytes_of(passphrase, sizeof passphrase)), der = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	struct rsa_key *again = opened(buf_bytes(&pem), bytes_of(passphrase, sizeof passphrase));
	const char *line = strchr(buf_cstr(&pem), '\n') + 1;

	assert_true(bytes_equal(rsa_key_spki(k), rsa_key_spki(again)));
	assert_true(pem_starts_with(buf_bytes(&pem), "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
	assert_int_equal(pem_unbase64(bytes_of(line, (size_t)(strstr(line, "-----END") - line)), ERR_BAD_KEY, &der, &w),
			 ERR_OK);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		assert_true(pem_find(buf_bytes(&der), parts[i]) < 160);
	rsa_key_free(again);
	rsa_key_free(k);
	buf_free(&der);
	buf_free(&pem);
}

static void wrong_and_missing_passphrases_are_told_apart(void **state)
{
	(void)state;
	static const char *const encrypted[] = {key_pbkdf2, key_scrypt, key_des3};
	struct rsa_key *k = NULL;
	bool asked = false;
	struct why w = {0};

	for (size_t i = 0; i < 3; i++) {
		assert_key_refused(bytes_str(encrypted[i]), none, "its passphrase is needed");
		assert_key_refused(bytes_str(encrypted[i]), BYTES_LIT("wrong"), "The passphrase is wrong");
		assert_key_refused(bytes_str(encrypted[i]), BYTES_LIT("correct\0x"), "The passphrase is wrong");
		assert_key_refused(bytes_str(encrypted[i]), BYTES_LIT(""), "The passphrase is wrong");
	}
	assert_int_equal(rsa_key_read(bytes_str(key_scrypt), none, &k, &asked, &w), ERR_BAD_KEY);
	assert_true(asked);
	assert_int_equal(rsa_key_read(bytes_str(key_ec), none, &k, &asked, &w), ERR_BAD_KEY);
	assert_false(asked);
}

/* One wrong passphrase in 256 does; this one was searched for. */
static void a_wrong_passphrase_that_yields_good_padding_is_still_wrong(void **state)
{
	(void)state;
	assert_key_refused(bytes_str(key_pbkdf2), BYTES_LIT("wrong 282"), "The passphrase is wrong");
}

static void passphrases_are_limited(void **state)
{
	(void)state;
	struct rsa_key *k = opened(bytes_str(key_plain), none);
	struct buf pem = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	char passphrase[RSA_PASSPHRASE_MAX + 1];
	struct why w = {0};

	memset(passphrase, 'x', sizeof passphrase);
	assert_int_equal(rsa_key_put_private(k, bytes_of(passphrase, sizeof passphrase), &pem, &w), ERR_INVALID);
	assert_true(w.tell);
	assert_int_equal(rsa_key_put_private(k, BYTES_LIT(""), &pem, &w), ERR_INVALID);
	assert_int_equal(pem.n, 0);
	assert_key_refused(bytes_str(key_pbkdf2), bytes_of(passphrase, sizeof passphrase),
			   "1025 bytes; at most 1024 are taken");
	assert_key_refused(bytes_str(key_pbkdf2), bytes_of(passphrase, RSA_PASSPHRASE_MAX), "The passphrase is wrong");
	buf_free(&pem);
	rsa_key_free(k);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	(void)state;
	struct rsa_key *k = opened(bytes_str(key_plain), none);
	struct buf pem = BUF_INIT(SHORT_PEM), public = BUF_INIT(SHORT_PEM / 2);
	struct why w = {0};

	buf_put_str(&pem, "abc");
	assert_int_equal(rsa_key_put_private(k, none, &pem, &w), ERR_MEMORY);
	assert_true(bytes_is(buf_bytes(&pem), "abc"));
	assert_int_equal(rsa_key_put_public(k, &public, &w), ERR_MEMORY);
	assert_int_equal(public.n, 0);
	buf_free(&pem);
	buf_free(&public);
	rsa_key_free(k);
}

static void other_things_are_refused_by_name(void **state)
{
	(void)state;
	static const struct {
		const char *text, *because;
	} cases[] = {
		{"", "is empty"},
		{" \n", "is empty"},
		{"hello", "not PEM"},
		{"\x30\x82", "binary DER; PEM is needed (openssl pkey"},
		{"Bag Attributes\n-----BEGIN PRIVATE KEY-----\n", "text before the BEGIN line"},
		{key_public, "a public key; the file with the private key"},
		{rsa_2048_pkcs1, "a public key; the file with the private key"},
		{certificate, "a certificate; the file with the private key"},
		{"-----BEGIN CERTIFICATE REQUEST-----\n", "a certificate request; the file"},
		{key_openssh, "ssh-keygen -p -m PKCS8"},
		{key_ec, "an EC key; RSA is needed (attestd session keygen"},
		{key_ec_sec1, "an EC key; RSA is needed (attestd session keygen"},
		{"-----BEGIN EC PARAMETERS-----\n", "an EC key"},
		{"-----BEGIN DSA PRIVATE KEY-----\n", "a DSA key"},
		{key_ed25519, "an Ed25519 key; RSA is needed (attestd session keygen"},
		{key_pss, "an RSASSA-PSS key, which may only sign"},
		{key_1024, "1024 bits; at least 2048 are needed (attestd session keygen"},
		{key_three_primes, "more than two primes"},
		{key_legacy, "openssl pkcs8 -topk8"},
		{"-----BEGIN AGE SECRET KEY-----\n", "another kind"},
		{"-----BEGIN PRIVATE KEY", "BEGIN line is damaged"},
		{"-----BEGIN PRIV\nATE KEY-----", "BEGIN line is damaged"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n", "END line is missing"},
		{"-----BEGIN PRIVATE KEY-----MIIB\n-----END PRIVATE KEY-----", "line of its own"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB-----END PRIVATE KEY-----", "line of its own"},
		{"-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----", "line of its own"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PUBLIC KEY-----", "does not match"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY", "does not match"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\nmore", "after the END line"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n-----BEGIN X-----", "more than one"},
		{"-----BEGIN PRIVATE KEY-----\nA: b\n\nMIIB\n-----END PRIVATE KEY-----", "has headers"},
		{"-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----", "not base64"},
		{"-----BEGIN PRIVATE KEY-----\n\n-----END PRIVATE KEY-----", "nothing between"},
		{"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "not one complete DER PrivateKeyInfo"},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "DER RSAPrivateKey"},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----",
		 "passphrase is needed"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_key_refused(bytes_str(cases[i].text), none, cases[i].because);
	assert_key_refused(bytes_str(key_ec_encrypted), BYTES_LIT("correct"), "an EC key; RSA is needed");
	assert_key_refused(bytes_str(key_pbes1), BYTES_LIT("correct"), "openssl pkcs8 -topk8");
}

static void a_text_is_read_up_to_its_limit(void **state)
{
	(void)state;
	struct buf pem = BUF_INIT(RSA_PRIVATE_PEM_MAX + 1);

	buf_put_str(&pem, key_plain);
	while (pem.n < RSA_PRIVATE_PEM_MAX)
		buf_put_u8(&pem, '\n');
	rsa_key_free(opened(buf_bytes(&pem), none));
	buf_put_u8(&pem, '\n');
	assert_key_refused(buf_bytes(&pem), none, "16385 bytes; at most 16384 are read");
	buf_free(&pem);
}

/* A DER INTEGER of so many bits, all of them set. */
static void put_ones(struct buf *b, size_t bits)
{
	struct buf v = BUF_INIT(RSA_PRIVATE_PEM_MAX);

	if (bits % 8 == 0)
		buf_put_u8(&v, 0);
	for (size_t i = 0; i < (bits + 7) / 8; i++)
		buf_put_u8(&v, (uint8_t)(i == 0 && bits % 8 != 0 ? (1u << bits % 8) - 1 : 0xff));
	put(b, DER_INTEGER, &v);
}

static void sizes_are_checked_before_anything_costly(void **state)
{
	(void)state;
	static const struct {
		size_t bits;
		const char *because;
	} cases[] = {
		{RSA_BITS_MIN - 1, "2047 bits; at least 2048"},
		{RSA_BITS_MIN, "do not belong together"},
		{RSA_BITS_MAX, "do not belong together"},
		{RSA_BITS_MAX + 1, "8193 bits; at most 8192"},
		{60000, "60000 bits; at most 8192"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf numbers = BUF_INIT(RSA_PRIVATE_PEM_MAX), der = BUF_INIT(RSA_PRIVATE_PEM_MAX);

		put_hex(&numbers, "020100");
		put_ones(&numbers, cases[i].bits);
		put_hex(&numbers, "0203010001");
		for (int j = 0; j < 6; j++)
			put_ones(&numbers, 32);
		put(&der, DER_SEQUENCE, &numbers);
		assert_der_refused("RSA PRIVATE KEY", buf_bytes(&der), none, cases[i].because);
		buf_free(&der);
	}
	rsa_key_free(opened(bytes_str(key_8192), none));
}

static void numbers_that_do_not_belong_together_are_refused(void **state)
{
	(void)state;
	struct buf der = pkcs1_der();
	struct bytes at = buf_bytes(&der), rest, v;

	assert_true(der_take(&at, DER_SEQUENCE, &rest) && der_take(&rest, DER_INTEGER, &v));
	for (int i = 0; i < 8; i++) {
		assert_true(der_take(&rest, DER_INTEGER, &v));
		size_t last = (size_t)(v.p - der.p) + v.n - 1;

		der.p[last] ^= 2;
		assert_der_refused("RSA PRIVATE KEY", buf_bytes(&der), none, "do not belong together");
		der.p[last] ^= 2;
	}
	buf_free(&der);
}

/* The fixtures' key with another INTEGER in place of the one at `place` of RSAPrivateKey. */
static void assert_number_refused(int place, const char *hex, const char *because)
{
	struct buf good = pkcs1_der(), numbers = BUF_INIT(RSA_PRIVATE_PEM_MAX), der = BUF_INIT(RSA_PRIVATE_PEM_MAX);
	struct bytes at = buf_bytes(&good), rest, v;

	assert_true(der_take(&at, DER_SEQUENCE, &rest));
	for (int i = 0; rest.n > 0; i++) {
		assert_true(der_take(&rest, DER_INTEGER, &v));
		if (i == place)
			put_hex(&numbers, hex);
		else
			rsa_der_put(DER_INTEGER, v, &numbers);
	}
	put(&der, DER_SEQUENCE, &numbers);
	assert_der_refused("RSA PRIVATE KEY", buf_bytes(&der), none, because);
	buf_free(&der);
	buf_free(&good);
}

static void numbers_out_of_their_ranges_are_refused(void **state)
{
	(void)state;
	static const char negative[] = "02018f", zero[] = "020100", together[] = "do not belong together",
			  eight[] = "does not hold the eight numbers";

	assert_number_refused(0, "020102", "more than the eight numbers");
	assert_number_refused(1, zero, "two positive numbers");
	assert_number_refused(2, zero, "two positive numbers");
	assert_number_refused(2, "020103", together);
	for (int i = 1; i <= 8; i++)
		assert_number_refused(i, negative, eight);
	for (int i = 3; i <= 8; i++) {
		assert_number_refused(i, zero, together);
		assert_number_refused(i, "020101", together);
	}
	assert_number_refused(3, large_d, together);
	assert_number_refused(6, large_dp, together);
	assert_number_refused(7, large_dq, together);
	assert_number_refused(8, large_qinv, together);
	assert_number_refused(8, "", eight);
	assert_number_refused(8, "040101", eight);
}

static void only_a_whole_rsa_private_key_is_read(void **state)
{
	(void)state;
	struct buf der = pkcs1_der(), numbers = BUF_INIT(RSA_PRIVATE_PEM_MAX), longer = BUF_INIT(RSA_PRIVATE_PEM_MAX);

	buf_put(&numbers, der.p + 4, der.n - 4);
	put_hex(&numbers, "020101");
	put(&longer, DER_SEQUENCE, &numbers);
	assert_der_refused("RSA PRIVATE KEY", buf_bytes(&longer), none, "more than the eight numbers");
	buf_put_u8(&der, 0);
	assert_der_refused("RSA PRIVATE KEY", buf_bytes(&der), none, "not one complete DER");
	assert_der_refused("RSA PRIVATE KEY", bytes_of(der.p, der.n - 2), none, "not one complete DER");
	buf_free(&longer);
	buf_free(&der);
}

static struct buf pkcs8(const char *algorithm, const char *behind)
{
	struct buf key = pkcs1_der(), info = BUF_INIT(RSA_PRIVATE_PEM_MAX), der = BUF_INIT(RSA_PRIVATE_PEM_MAX);

	put_hex(&info, "020100");
	put_hex(&info, algorithm);
	put(&info, DER_OCTET_STRING, &key);
	put_hex(&info, behind);
	put(&der, DER_SEQUENCE, &info);
	return der;
}

#define ALGORITHM_RSA "300d06092a864886f70d0101010500"

static void pkcs8_may_have_attributes_but_only_one_identifier_of_rsa(void **state)
{
	(void)state;
	static const struct {
		const char *algorithm, *behind, *because;
	} cases[] = {
		{"300b06092a864886f70d010101", "", "must have NULL parameters"},
		{"300d06092a864886f70d0101070500", "", "RSAES-OAEP identifier"},
		{"300d06092a864886f70d0101630500", "", "unknown algorithm; RSA is needed"},
		{"3000", "", "not a SubjectPublicKeyInfo"},
		{"3100", "", "not one complete DER PrivateKeyInfo"},
		{ALGORITHM_RSA, "05", "not one complete DER PrivateKeyInfo"},
	};
	struct buf der = pkcs8(ALGORITHM_RSA, "a00d300b0603551d0f310403020410"),
		   pem = armoured("PRIVATE KEY", buf_bytes(&der));

	rsa_key_free(opened(buf_bytes(&pem), none));
	buf_free(&pem);
	buf_free(&der);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		der = pkcs8(cases[i].algorithm, cases[i].behind);
		assert_der_refused("PRIVATE KEY", buf_bytes(&der), none, cases[i].because);
		buf_free(&der);
	}
}

/* PBES2 with a cipher that nobody has: what comes after the limits is refused without any work. */
static struct buf encrypted_with(const char *kdf, const char *kdf_numbers)
{
	struct buf numbers = BUF_INIT(256), function = BUF_INIT(256), both = BUF_INIT(256), scheme = BUF_INIT(256);
	struct buf info = BUF_INIT(512), der = BUF_INIT(512);

	put_hex(&numbers, "04080102030405060708");
	put_hex(&numbers, kdf_numbers);
	put_hex(&function, kdf);
	put(&function, DER_SEQUENCE, &numbers);
	put(&both, DER_SEQUENCE, &function);
	put_hex(&both, "300506032a0304");
	put_hex(&scheme, "06092a864886f70d01050d");
	put(&scheme, DER_SEQUENCE, &both);
	put(&info, DER_SEQUENCE, &scheme);
	put_hex(&info, "041000112233445566778899aabbccddeeff");
	put(&der, DER_SEQUENCE, &info);
	return der;
}

/* 10 000 000 rounds; N, r, p of 2^14, 2^3, 2^5. */
static void no_file_makes_the_derivation_of_its_key_take_hours(void **state)
{
	(void)state;
	static const char pbkdf2[] = "06092a864886f70d01050c", scrypt[] = "06092b06010401da47040b";
	static const struct {
		const char *kdf, *numbers, *because;
	} cases[] = {
		{pbkdf2, "020400989680", "not supported"},
		{pbkdf2, "020400989681", "10000000 rounds"},
		{pbkdf2, "02047fffffff", "10000000 rounds"},
		{pbkdf2, "02087fffffffffffffff", "10000000 rounds"},
		{pbkdf2, "0209008000000000000000", "10000000 rounds"},
		{pbkdf2, "020100", "10000000 rounds"},
		{pbkdf2, "0201ff", "10000000 rounds"},
		{pbkdf2, "", "10000000 rounds"},
		{scrypt, "02024000020108020120", "not supported"},
		{scrypt, "02024000020108020121", "4194304"},
		{scrypt, "02050100000000020101020101", "4194304"},
		{scrypt, "020500800000000205008000000002050080000000", "4194304"},
		{scrypt, "02024000020100020101", "4194304"},
		{scrypt, "020240000201080201f0", "4194304"},
		{scrypt, "02024000020108", "4194304"},
		{"06032a0304", "02020800", "unknown way"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf der = encrypted_with(cases[i].kdf, cases[i].numbers);

		assert_der_refused("ENCRYPTED PRIVATE KEY", buf_bytes(&der), BYTES_LIT("p"), cases[i].because);
		buf_free(&der);
	}
}

static void damaged_encryption_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *hex, *because;
	} cases[] = {
		{"3000", "not one complete DER"},
		{"30023000", "not one complete DER"},
		{"300d300b06092a864886f70d01050d00", "not one complete DER"},
		{"300d300b06092a864886f70d01050d", "does not say how"},
		{"300d300b06092a864886f70d010503", "old scheme"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf der = BUF_INIT(256);

		put_hex(&der, cases[i].hex);
		assert_der_refused("ENCRYPTED PRIVATE KEY", buf_bytes(&der), BYTES_LIT("p"), cases[i].because);
		buf_free(&der);
	}
}

static void what_the_server_wraps_is_unwrapped(void **state)
{
	static const size_t sizes[] = {0, 1, 32, SECRET_MAX};
	static const char *const keys[] = {key_plain, key_8192};
	struct crypto *c = *state;
	uint8_t plain[SECRET_MAX + 1];
	struct why w = {0};

	memset(plain, 0xa5, sizeof plain);
	for (size_t i = 0; i < 2; i++) {
		struct rsa_key *k = opened(bytes_str(keys[i]), none);
		struct buf pem = BUF_INIT(RSA_PEM_MAX), wrapped = BUF_INIT(RSA_WRAPPED_MAX);
		struct secret got = SECRET_INIT;

		assert_int_equal(rsa_key_put_public(k, &pem, &w), ERR_OK);
		struct crypto_rsa *public = accepted(c, buf_bytes(&pem));

		for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
			buf_reset(&wrapped);
			assert_int_equal(crypto_rsa_wrap(c, public, bytes_of(plain, sizes[j]), &wrapped, &w), ERR_OK);
			assert_int_equal(rsa_key_unwrap(k, buf_bytes(&wrapped), &got, &w), ERR_OK);
			assert_true(bytes_equal(secret_view(&got), bytes_of(plain, sizes[j])));
		}
		buf_reset(&wrapped);
		assert_int_equal(crypto_rsa_wrap(c, public, bytes_of(plain, sizeof plain), &wrapped, &w), ERR_OK);
		assert_int_equal(rsa_key_unwrap(k, buf_bytes(&wrapped), &got, &w), ERR_BAD_MESSAGE);
		assert_true(w.tell);
		assert_int_equal(got.n, SECRET_MAX);
		secret_wipe(&got);
		crypto_rsa_free(public);
		buf_free(&wrapped);
		buf_free(&pem);
		rsa_key_free(k);
	}
}

static void what_was_wrapped_otherwise_is_refused_in_one_sentence(void **state)
{
	(void)state;
	static const char *const others[] = {wrapped_oaep_sha1, wrapped_oaep_sha256_mgf1_sha1, wrapped_with_label,
					     wrapped_pkcs1};
	struct rsa_key *k = opened(bytes_str(key_plain), none);
	struct buf wrapped = BUF_INIT(RSA_WRAPPED_MAX);
	struct secret got = SECRET_INIT;
	struct why first = {0}, w = {0};

	put_hex(&wrapped, wrapped_oaep_sha256);
	assert_int_equal(rsa_key_unwrap(k, buf_bytes(&wrapped), &got, &w), ERR_OK);
	assert_true(bytes_is(secret_view(&got), WRAPPED_TEXT));
	secret_wipe(&got);
	assert_int_equal(rsa_key_unwrap(k, none, &got, &first), ERR_BAD_MESSAGE);
	assert_true(first.tell);
	/* Altered, one short, one long. */
	for (size_t i = 0; i < 3; i++) {
		struct bytes x = buf_bytes(&wrapped);

		wrapped.p[wrapped.n - 1] ^= i == 0;
		x.n = i == 1 ? 255 : x.n;
		if (i == 2) {
			wrapped.p[wrapped.n - 1] ^= 1;
			buf_put_u8(&wrapped, 0);
			x = buf_bytes(&wrapped);
		}
		assert_int_equal(rsa_key_unwrap(k, x, &got, &w), ERR_BAD_MESSAGE);
		assert_string_equal(w.text, first.text);
	}
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		buf_reset(&wrapped);
		put_hex(&wrapped, others[i]);
		assert_int_equal(rsa_key_unwrap(k, buf_bytes(&wrapped), &got, &w), ERR_BAD_MESSAGE);
		assert_string_equal(w.text, first.text);
	}
	assert_int_equal(got.n, 0);
	buf_free(&wrapped);
	rsa_key_free(k);
}

/* The exit status of: openssl pkey -in PATH -check -noout -passin PASSPHRASE. */
static int openssl_check(char *path, char *passphrase)
{
	char openssl[] = "openssl", pkey[] = "pkey", in[] = "-in", check[] = "-check", noout[] = "-noout",
	     passin[] = "-passin";
	char *const arguments[] = {openssl, pkey, in, path, check, noout, passin, passphrase, NULL};
	posix_spawn_file_actions_t silent;
	int status = -1;
	pid_t pid;

	assert_int_equal(posix_spawn_file_actions_init(&silent), 0);
	for (int fd = 0; fd < 3; fd++)
		assert_int_equal(posix_spawn_file_actions_addopen(&silent, fd, "/dev/null", O_RDWR, 0), 0);
	int fault = posix_spawnp(&pid, openssl, &silent, NULL, arguments, environ);

	assert_int_equal(posix_spawn_file_actions_destroy(&silent), 0);
	if (fault != 0)
		return NO_OPENSSL;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void the_openssl_command_reads_what_is_written(void **state)
{
	(void)state;
	static const char *const passphrases[] = {NULL, "correct"};
	struct rsa_key *k = opened(bytes_str(key_plain), none);
	char given[] = "pass:correct", wrong[] = "pass:wrong";

	for (size_t i = 0; i < 2; i++) {
		struct buf pem = private_pem(k, passphrases[i] != NULL ? bytes_str(passphrases[i]) : none);
		char path[] = "/tmp/test_rsa_key_XXXXXX";
		int fd = mkstemp(path);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, pem.p, pem.n), pem.n);
		int good = openssl_check(path, given), bad = openssl_check(path, wrong);

		assert_int_equal(close(fd), 0);
		assert_int_equal(unlink(path), 0);
		buf_free(&pem);
		if (good == NO_OPENSSL) {
			rsa_key_free(k);
			print_message("there is no openssl command to agree with\n");
			skip();
		}
		assert_int_equal(good, 0);
		assert_int_equal(bad == 0, i == 0);
	}
	rsa_key_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_comes_back_from_its_pem),
		cmocka_unit_test(only_useful_sizes_are_made),
		cmocka_unit_test(the_public_half_is_what_the_server_sees),
		cmocka_unit_test(every_form_that_openssl_writes_is_the_same_key),
		cmocka_unit_test(white_space_around_and_crlf_and_a_needless_passphrase_do_no_harm),
		cmocka_unit_test(a_passphrase_protects_the_key),
		cmocka_unit_test(wrong_and_missing_passphrases_are_told_apart),
		cmocka_unit_test(a_wrong_passphrase_that_yields_good_padding_is_still_wrong),
		cmocka_unit_test(passphrases_are_limited),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(other_things_are_refused_by_name),
		cmocka_unit_test(a_text_is_read_up_to_its_limit),
		cmocka_unit_test(sizes_are_checked_before_anything_costly),
		cmocka_unit_test(numbers_that_do_not_belong_together_are_refused),
		cmocka_unit_test(numbers_out_of_their_ranges_are_refused),
		cmocka_unit_test(only_a_whole_rsa_private_key_is_read),
		cmocka_unit_test(pkcs8_may_have_attributes_but_only_one_identifier_of_rsa),
		cmocka_unit_test(no_file_makes_the_derivation_of_its_key_take_hours),
		cmocka_unit_test(damaged_encryption_is_refused),
		cmocka_unit_test(what_the_server_wraps_is_unwrapped),
		cmocka_unit_test(what_was_wrapped_otherwise_is_refused_in_one_sentence),
		cmocka_unit_test(the_openssl_command_reads_what_is_written),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
