#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "crypto/internal.h"
#include "rsa_fixture.h"

/* The DER inside a well-formed PEM text. */
static struct buf unarmour(const char *pem)
{
	struct buf text = BUF_INIT(RSA_PEM_MAX), der = BUF_INIT(RSA_PEM_MAX);
	size_t n = 0;

	for (const char *p = strchr(pem, '\n'); strncmp(p, "\n-----END", 9) != 0; p++)
		if (*p != '\n')
			buf_put_u8(&text, (uint8_t)*p);
	assert_non_null(buf_reserve(&der, BASE64_DECODED_MAX(text.n)));
	assert_true(base64_decode(buf_bytes(&text), der.p, &n));
	der.n = n;
	buf_free(&text);
	return der;
}

static struct buf armour(const char *label, struct bytes der)
{
	struct buf pem = BUF_INIT(2 * RSA_PEM_MAX);

	buf_printf(&pem, "-----BEGIN %s-----\n", label);
	buf_put_base64(&pem, der);
	buf_printf(&pem, "\n-----END %s-----\n", label);
	assert_false(pem.failed);
	return pem;
}

/* Wraps what is in *b from `from` on into an element. */
static void wrap_der(struct buf *b, uint8_t tag, const char *prefix_hex)
{
	struct buf in = *b;
	uint8_t prefix[16];
	size_t n = 0, all;

	assert_true(hex_decode(bytes_str(prefix_hex), prefix, &n));
	all = n + in.n;
	*b = BUF_INIT(RSA_PEM_MAX);
	buf_put_u8(b, tag);
	if (all >= 256) {
		buf_put_u8(b, 0x82);
		buf_put_u8(b, (uint8_t)(all >> 8));
	} else if (all >= 128) {
		buf_put_u8(b, 0x81);
	}
	buf_put_u8(b, (uint8_t)all);
	buf_put(b, prefix, n);
	buf_put_bytes(b, buf_bytes(&in));
	buf_free(&in);
}

/* An RSAPublicKey with a modulus of so many bits, all set but the last, which is as given; e is DER. */
static struct buf numbers(size_t bits, bool odd, const char *e_hex)
{
	struct buf b = BUF_INIT(RSA_PEM_MAX), e = BUF_INIT(64);
	size_t n = (bits + 7) / 8, en = 0;

	for (size_t i = 0; i < n; i++)
		buf_put_u8(&b, (uint8_t)(i == 0 && bits % 8 != 0 ? (1u << bits % 8) - 1 : 0xff));
	if (!odd)
		b.p[n - 1] = 0xfe;
	wrap_der(&b, 0x02, bits % 8 == 0 ? "00" : "");
	assert_non_null(buf_reserve(&e, 64));
	assert_true(hex_decode(bytes_str(e_hex), e.p, &en));
	e.n = en;
	buf_put_bytes(&b, buf_bytes(&e));
	wrap_der(&b, 0x30, "");
	buf_free(&e);
	return b;
}

static unsigned bits_of(struct bytes pem)
{
	struct crypto_numbers read = {.bits = 0};
	struct buf der = BUF_INIT(RSA_PEM_MAX);
	struct why w;

	assert_int_equal(crypto_pem_read(pem, &der, &read, &w), ERR_OK);
	buf_free(&der);
	return read.bits;
}

static void both_forms_of_every_size_give_the_same_canonical_spki(void **state)
{
	static const struct {
		unsigned bits;
		const char *spki, *pkcs1;
	} keys[] = {
		{2048, rsa_2048_spki, rsa_2048_pkcs1},
		{3072, rsa_3072_spki, rsa_3072_pkcs1},
		{4096, rsa_4096_spki, rsa_4096_pkcs1},
		{8192, rsa_8192_spki, rsa_8192_pkcs1},
	};
	struct crypto *c = *state;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct crypto_rsa *a = accepted(c, bytes_str(keys[i].spki)), *b = accepted(c, bytes_str(keys[i].pkcs1));
		struct buf want = unarmour(keys[i].spki);

		assert_int_equal(bits_of(bytes_str(keys[i].spki)), keys[i].bits);
		assert_int_equal(bits_of(bytes_str(keys[i].pkcs1)), keys[i].bits);
		assert_true(bytes_equal(crypto_rsa_spki(a), buf_bytes(&want)));
		assert_true(bytes_equal(crypto_rsa_spki(b), buf_bytes(&want)));
		buf_free(&want);
		crypto_rsa_free(a);
		crypto_rsa_free(b);
	}
	crypto_rsa_free(NULL);
}

static void wrapping_appends_bits_over_8_bytes_and_never_repeats(void **state)
{
	static const struct {
		const char *pem;
		size_t n;
	} keys[] = {{rsa_2048_spki, 256}, {rsa_8192_pkcs1, 1024}};
	struct crypto *c = *state;
	uint8_t secret[32] = {1};
	struct why w;

	for (size_t i = 0; i < 2; i++) {
		struct crypto_rsa *k = accepted(c, bytes_str(keys[i].pem));
		size_t n = keys[i].n;
		struct buf out = BUF_INIT(2 * n + 3);

		buf_put_str(&out, "abc");
		assert_int_equal(crypto_rsa_wrap(c, k, bytes_of(secret, 32), &out, &w), ERR_OK);
		assert_int_equal(out.n, 3 + n);
		assert_memory_equal(out.p, "abc", 3);
		assert_int_equal(crypto_rsa_wrap(c, k, bytes_of(secret, 32), &out, &w), ERR_OK);
		assert_memory_not_equal(out.p + 3, out.p + 3 + n, n);
		assert_int_equal(crypto_rsa_wrap(c, k, bytes_of(secret, 32), &out, &w), ERR_MEMORY);
		assert_int_equal(out.n, 3 + 2 * n);
		buf_free(&out);
		crypto_rsa_free(k);
	}
}

static void wrapping_takes_what_oaep_has_room_for_and_not_one_byte_more(void **state)
{
	struct crypto *c = *state;
	struct crypto_rsa *k = accepted(c, bytes_str(rsa_2048_spki));
	struct buf out = BUF_INIT(1024);
	uint8_t secret[256] = {0};
	struct why w;

	assert_int_equal(crypto_rsa_wrap(c, k, bytes_of(secret, 256 - 66), &out, &w), ERR_OK);
	assert_int_equal(crypto_rsa_wrap(c, k, bytes_of(secret, 256 - 65), &out, &w), ERR_CRYPTO);
	assert_int_equal(out.n, 256);
	buf_free(&out);
	crypto_rsa_free(k);
}

static void sizes_and_exponents_are_checked_at_their_limits(void **state)
{
	static const struct {
		size_t bits;
		bool odd;
		const char *e;
		const char *because; /* NULL: accepted */
	} cases[] = {
		{2048, true, "0203010001", NULL},
		{2047, true, "0203010001", "2047 bits"},
		{2049, true, "0203010001", NULL},
		{8191, true, "0203010001", NULL},
		{8192, true, "0203010001", NULL},
		{8193, true, "0203010001", "8193 bits; at most 8192"},
		{2048, false, "0203010001", "modulus is even"},
		{2048, true, "020103", NULL},
		{2048, true, "020101", "exponent is 1"},
		{2048, true, "020102", "exponent is even"},
		{2048, true, "0203010000", "exponent is even"},
		{2048, true, "020900ffffffffffffffff", NULL},
		{2048, true, "0209010000000000000001", "more than 64 bits"},
		{2048, true, "020100", "two positive numbers"},
		{2048, true, "0200", "two positive numbers"},
		{2048, true, "0201ff", "two positive numbers"},
		{2048, true, "02020003", "two positive numbers"},
		{2048, true, "0203010001020100", "two positive numbers"},
		{2048, true, "", "two positive numbers"},
		{2048, true, "0403010001", "two positive numbers"},
		{2048, true, "0204010001", "two positive numbers"},
		{2048, true, "028103010001", "two positive numbers"},
	};
	struct crypto *c = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf der = numbers(cases[i].bits, cases[i].odd, cases[i].e);
		struct buf pem = armour("RSA PUBLIC KEY", buf_bytes(&der));

		if (cases[i].because != NULL) {
			assert_refused(c, buf_bytes(&pem), cases[i].because);
		} else {
			struct crypto_rsa *k = accepted(c, buf_bytes(&pem));
			struct buf out = BUF_INIT(RSA_WRAPPED_MAX);
			struct why w;

			assert_int_equal(bits_of(buf_bytes(&pem)), cases[i].bits);
			assert_int_equal(crypto_rsa_wrap(c, k, BYTES_LIT("key"), &out, &w), ERR_OK);
			assert_int_equal(out.n, (cases[i].bits + 7) / 8);
			buf_free(&out);
			crypto_rsa_free(k);
		}
		buf_free(&pem);
		buf_free(&der);
	}
}

/* Replaces `cut` bytes at `at` of a good key's DER. */
static void assert_edit_refused(struct crypto *c, const char *good, size_t at, size_t cut, const char *hex,
				const char *because)
{
	struct buf der = unarmour(good), edited = BUF_INIT(RSA_PEM_MAX), pem;
	uint8_t with[32];
	size_t n = 0;

	assert_true(hex_decode(bytes_str(hex), with, &n));
	buf_put(&edited, der.p, at);
	buf_put(&edited, with, n);
	buf_put(&edited, der.p + at + cut, der.n - at - cut);
	pem = armour("PUBLIC KEY", buf_bytes(&edited));
	assert_refused(c, buf_bytes(&pem), because);
	buf_free(&der);
	buf_free(&edited);
	buf_free(&pem);
}

static void only_strict_der_is_read(void **state)
{
	/* 30820122 300d 0609.. 0500 0382010f00 3082010a 0282010100.. */
	static const struct {
		size_t at, cut;
		const char *with, *because;
	} cases[] = {
		{294, 0, "00", "not one complete DER"},
		{0, 1, "31", "not one complete DER"},
		{0, 4, "3080", "not one complete DER"},
		{0, 4, "3083000122", "not one complete DER"},
		{3, 1, "23", "not one complete DER"},
		{3, 1, "21", "not one complete DER"},
		{2, 4, "012330810d", "not a SubjectPublicKeyInfo"},
		{5, 1, "0c", "must have NULL parameters"},
		{7, 1, "08", "unknown algorithm"},
		{16, 1, "02", "unknown algorithm"},
		{17, 2, "0400", "must have NULL parameters"},
		{17, 2, "0501", "must have NULL parameters"},
		{19, 1, "04", "exactly one public key"},
		{23, 1, "01", "exactly one public key"},
		{24, 1, "31", "two positive numbers"},
		{27, 1, "09", "two positive numbers"},
		{32, 1, "80", "two positive numbers"},
		{33, 1, "7f", "two positive numbers"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_edit_refused(*state, rsa_2048_spki, cases[i].at, cases[i].cut, cases[i].with, cases[i].because);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_of_every_size_give_the_same_canonical_spki),
		cmocka_unit_test(wrapping_appends_bits_over_8_bytes_and_never_repeats),
		cmocka_unit_test(wrapping_takes_what_oaep_has_room_for_and_not_one_byte_more),
		cmocka_unit_test(sizes_and_exponents_are_checked_at_their_limits),
		cmocka_unit_test(only_strict_der_is_read),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
