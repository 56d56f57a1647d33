#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "crypto.h"

static struct buf unhex(const char *hex)
{
	struct buf b = BUF_INIT(4096);
	uint8_t *to = buf_reserve(&b, strlen(hex) / 2);
	size_t n = 0;

	assert_non_null(to);
	assert_true(hex_decode(bytes_str(hex), to, &n));
	b.n = n;
	return b;
}

static void assert_hex(struct bytes got, const char *hex)
{
	struct buf want = unhex(hex);

	assert_int_equal(got.n, want.n);
	assert_true(bytes_equal(got, buf_bytes(&want)));
	buf_free(&want);
}

static void sha256_has_the_values_of_fips_180(void **state)
{
	static const struct {
		const char *in, *hash;
	} cases[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	struct crypto *c = *state;
	uint8_t out[SHA256_SIZE];
	struct why w;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(crypto_sha256(c, bytes_str(cases[i].in), out, &w), ERR_OK);
		assert_hex(bytes_of(out, sizeof out), cases[i].hash);
	}
	assert_int_equal(crypto_sha256(c, bytes_of(NULL, 0), out, &w), ERR_OK);
	assert_hex(bytes_of(out, sizeof out), cases[0].hash);
}

static void sha384_has_the_values_of_fips_180(void **state)
{
	struct crypto *c = *state;
	uint8_t out[SHA384_SIZE];
	struct why w;

	assert_int_equal(crypto_sha384(c, bytes_of(NULL, 0), out, &w), ERR_OK);
	assert_hex(bytes_of(out, sizeof out),
		   "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b");
	assert_int_equal(crypto_sha384(c, BYTES_LIT("abc"), out, &w), ERR_OK);
	assert_hex(bytes_of(out, sizeof out),
		   "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
}

static void sha256_piece_by_piece_is_the_same(void **state)
{
	struct crypto *c = *state;
	struct crypto_hash *h = NULL;
	uint8_t out[SHA256_SIZE], part[1000];
	struct why w;

	memset(part, 'a', sizeof part);
	assert_int_equal(crypto_hash_new(c, &h, &w), ERR_OK);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(crypto_hash_add(h, bytes_of(part, sizeof part), &w), ERR_OK);
	assert_int_equal(crypto_hash_add(h, bytes_of(NULL, 0), &w), ERR_OK);
	assert_int_equal(crypto_hash_end(h, out, &w), ERR_OK);
	assert_hex(bytes_of(out, sizeof out), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	crypto_hash_free(h);
	crypto_hash_free(NULL);
}

static void hmac_has_the_value_of_rfc_4231_case_2(void **state)
{
	struct crypto *c = *state;
	uint8_t mac[SHA256_SIZE];
	struct why w;

	assert_int_equal(crypto_hmac(c, BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), mac, &w), ERR_OK);
	assert_hex(bytes_of(mac, sizeof mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void hkdf_has_the_value_of_rfc_5869_case_3(void **state)
{
	struct crypto *c = *state;
	struct secret out = SECRET_INIT;
	uint8_t ikm[22];
	struct why w;

	memset(ikm, 0x0b, sizeof ikm);
	assert_int_equal(crypto_hkdf(c, bytes_of(ikm, sizeof ikm), "", 42, &out, &w), ERR_OK);
	assert_hex(secret_view(&out),
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
	secret_wipe(&out);
}

static void hkdf_depends_on_info_and_gives_at_most_64_bytes(void **state)
{
	struct crypto *c = *state;
	struct secret out = SECRET_INIT;
	uint8_t ikm[32];
	struct why w;

	for (uint8_t i = 0; i < 32; i++)
		ikm[i] = i;
	assert_int_equal(crypto_hkdf(c, bytes_of(ikm, 32), "attestd test", 64, &out, &w), ERR_OK);
	assert_hex(secret_view(&out), "69faa83381020b265d45cb9320b89594ad203b71ff1d061a5d37666f069b786d"
				      "b5e901258d3b0a82464da69201f8812a155a6328a4face66736740dd1ce2644b");
	assert_int_equal(crypto_hkdf(c, bytes_of(ikm, 32), "attestd test", 65, &out, &w), ERR_INTERNAL);
	assert_int_equal(crypto_hkdf(c, bytes_of(ikm, 32), "attestd test", 0, &out, &w), ERR_INTERNAL);
	assert_int_equal(out.n, 64);
	secret_wipe(&out);
}

/* Test cases 13 to 16 of the GCM specification that NIST took over. */
static const struct {
	const char *key, *iv, *aad, *plain, *sealed;
} gcm[] = {
	{"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "",
	 "530f8afbc74536b9a963b4f1c4cb738b"},
	{"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
	 "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	 "b094dac5d93471bdec1a502270e3cc6c"},
	{"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	 "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
};

static void aes_gcm_has_the_published_values(void **state)
{
	struct crypto *c = *state;
	struct why w;

	for (size_t i = 0; i < sizeof gcm / sizeof gcm[0]; i++) {
		struct buf key = unhex(gcm[i].key), iv = unhex(gcm[i].iv), aad = unhex(gcm[i].aad);
		struct buf plain = unhex(gcm[i].plain), sealed = unhex(gcm[i].sealed);
		uint8_t out[96];

		assert_int_equal(crypto_seal(c, key.p, iv.p, buf_bytes(&aad), buf_bytes(&plain), out, &w), ERR_OK);
		assert_true(bytes_equal(bytes_of(out, plain.n + AEAD_TAG_SIZE), buf_bytes(&sealed)));
		assert_int_equal(crypto_open(c, key.p, iv.p, buf_bytes(&aad), buf_bytes(&sealed), out, &w), ERR_OK);
		assert_true(bytes_equal(bytes_of(out, plain.n), buf_bytes(&plain)));
		buf_free(&key);
		buf_free(&iv);
		buf_free(&aad);
		buf_free(&plain);
		buf_free(&sealed);
	}
}

static void no_altered_bit_of_a_sealed_message_opens(void **state)
{
	struct crypto *c = *state;
	uint8_t k[AEAD_KEY_SIZE] = "text", iv[AEAD_IV_SIZE] = {1}, aad[3] = {1, 2, 3}, in[40] = "text", sealed[56],
		out[40];
	uint8_t *parts[] = {sealed, iv, aad, k};
	const size_t sizes[] = {sizeof sealed, sizeof iv, sizeof aad, sizeof k};
	struct why w;

	assert_int_equal(crypto_seal(c, k, iv, bytes_of(aad, 3), bytes_of(in, 40), sealed, &w), ERR_OK);
	for (size_t part = 0; part < 4; part++) {
		for (size_t bit = 0; bit < sizes[part] * 8; bit++) {
			parts[part][bit / 8] ^= (uint8_t)(1u << bit % 8);
			memset(out, 0xee, sizeof out);
			assert_int_equal(crypto_open(c, k, iv, bytes_of(aad, 3), bytes_of(sealed, 56), out, &w),
					 ERR_BAD_MESSAGE);
			assert_true(bytes_is_zero(bytes_of(out, sizeof out)));
			parts[part][bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	for (size_t n = 0; n < 56; n++)
		assert_int_equal(crypto_open(c, k, iv, bytes_of(aad, 3), bytes_of(sealed, n), out, &w),
				 ERR_BAD_MESSAGE);
	assert_int_equal(crypto_open(c, k, iv, bytes_of(aad, 3), bytes_of(sealed, 56), out, &w), ERR_OK);
	sealed[0] ^= 1;
	assert_int_equal(crypto_open(c, k, iv, bytes_of(aad, 3), bytes_of(sealed, 56), sealed, &w), ERR_BAD_MESSAGE);
	assert_true(bytes_is_zero(bytes_of(sealed, 40)));
}

static void a_key_kept_ready_seals_and_opens_as_one_that_is_not(void **state)
{
	struct crypto *c = *state;
	uint8_t k[AEAD_KEY_SIZE] = "text", in[40] = "text", fresh[56], kept[56], out[40];
	const struct bytes none = {NULL, 0};
	struct crypto_aead *a = NULL;
	struct why w;

	assert_int_equal(crypto_aead_new(c, k, &a, &w), ERR_OK);
	for (uint8_t i = 0; i <= 40; i++) {
		const uint8_t iv[AEAD_IV_SIZE] = {i};
		const struct bytes text = {in, i};

		assert_int_equal(crypto_seal(c, k, iv, none, text, fresh, &w), ERR_OK);
		assert_int_equal(crypto_aead_seal(a, iv, none, text, kept, &w), ERR_OK);
		assert_memory_equal(kept, fresh, i + AEAD_TAG_SIZE);
		kept[i] ^= 1;
		memset(out, 0xee, sizeof out);
		assert_int_equal(crypto_aead_open(a, iv, none, bytes_of(kept, i + AEAD_TAG_SIZE), out, &w),
				 ERR_BAD_MESSAGE);
		assert_true(bytes_is_zero(bytes_of(out, i)));
		assert_int_equal(crypto_aead_open(a, iv, none, bytes_of(fresh, i + AEAD_TAG_SIZE), out, &w), ERR_OK);
		assert_memory_equal(out, in, i);
		assert_int_equal(crypto_aead_open(a, iv, none, bytes_of(fresh, AEAD_TAG_SIZE - 1), out, &w),
				 ERR_BAD_MESSAGE);
	}
	crypto_aead_free(a);
	crypto_aead_free(NULL);
}

static void sealing_wants_a_message_below_2_gib(void **state)
{
	struct crypto *c = *state;
	uint8_t k[AEAD_KEY_SIZE] = {0}, iv[AEAD_IV_SIZE] = {0}, in[64] = {0}, out[80];
	const struct bytes huge = {in, ((size_t)1 << 31) - 63}, none = {NULL, 0};
	struct why w;

	assert_int_equal(crypto_seal(c, k, iv, none, huge, out, &w), ERR_INTERNAL);
	assert_int_equal(crypto_seal(c, k, iv, huge, none, out, &w), ERR_INTERNAL);

	struct crypto_aead *a = NULL;
	assert_int_equal(crypto_aead_new(c, k, &a, &w), ERR_OK);
	assert_int_equal(crypto_aead_seal(a, iv, none, huge, out, &w), ERR_INTERNAL);
	crypto_aead_free(a);
}

static void a_mebibyte_round_trips(void **state)
{
	const size_t n = 1 << 20;
	struct crypto *c = *state;
	uint8_t k[AEAD_KEY_SIZE] = {8}, iv[AEAD_IV_SIZE] = {9}, *in = malloc(n), *sealed = malloc(n + AEAD_TAG_SIZE),
		*out = malloc(n);
	struct random r = crypto_random(c);
	struct why w;

	assert_true(in != NULL && sealed != NULL && out != NULL);
	assert_int_equal(random_fill(&r, in, n, &w), ERR_OK);
	assert_int_equal(crypto_seal(c, k, iv, bytes_of(NULL, 0), bytes_of(in, n), sealed, &w), ERR_OK);
	assert_int_equal(crypto_open(c, k, iv, bytes_of(NULL, 0), bytes_of(sealed, n + AEAD_TAG_SIZE), out, &w),
			 ERR_OK);
	assert_memory_equal(in, out, n);
	assert_int_equal(crypto_open(c, k, iv, bytes_of(NULL, 0), bytes_of(sealed, n + AEAD_TAG_SIZE), sealed, &w),
			 ERR_OK);
	assert_memory_equal(in, sealed, n);
	free(in);
	free(sealed);
	free(out);
}

static void random_bytes_differ_and_seeding_keeps_them_coming(void **state)
{
	struct crypto *c = *state;
	struct random r = crypto_random(c);
	uint8_t a[32] = {0}, b[32] = {0}, entropy[256] = {7};
	struct why w;

	assert_int_equal(random_fill(&r, a, sizeof a, &w), ERR_OK);
	assert_int_equal(crypto_seed(c, bytes_of(entropy, sizeof entropy), &w), ERR_OK);
	assert_int_equal(random_fill(&r, b, sizeof b, &w), ERR_OK);
	assert_memory_not_equal(a, b, sizeof a);
	assert_false(bytes_is_zero(bytes_of(a, sizeof a)) || bytes_is_zero(bytes_of(b, sizeof b)));
	assert_int_equal(crypto_seed(c, bytes_of(NULL, 0), &w), ERR_OK);
	assert_int_equal(random_fill(&r, a, 0, &w), ERR_OK);
	assert_int_equal(random_fill(&r, a, (size_t)1 << 31, &w), ERR_INTERNAL);
}

static void *seal_many(void *arg)
{
	struct crypto *c = arg;
	struct random r = crypto_random(c);
	uint8_t k[AEAD_KEY_SIZE] = {3}, in[64], out[80], iv[AEAD_IV_SIZE];
	struct why w;

	for (int i = 0; i < 200; i++) {
		if (random_fill(&r, in, sizeof in, &w) != ERR_OK || random_fill(&r, iv, sizeof iv, &w) != ERR_OK ||
		    crypto_seal(c, k, iv, bytes_of(iv, 4), bytes_of(in, 64), out, &w) != ERR_OK ||
		    crypto_open(c, k, iv, bytes_of(iv, 4), bytes_of(out, 80), in, &w) != ERR_OK)
			return arg;
	}
	return NULL;
}

static void threads_share_one_crypto(void **state)
{
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_many, *state), 0);
	for (size_t i = 0; i < 4; i++) {
		void *failed = NULL;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

static int start(void **state)
{
	struct crypto *c = NULL;
	struct why w;

	if (crypto_new(&c, &w) != ERR_OK)
		return -1;
	*state = c;
	return 0;
}

static int stop(void **state)
{
	crypto_free(*state);
	crypto_free(NULL);
	return 0;
}

/* How many of the bytes at p are `mark`: through a descriptor, because the memory is nobody's. */
static size_t marks_at(const uint8_t *p, size_t n, uint8_t mark)
{
	const int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	uint8_t *seen = calloc(1, n);
	size_t found = 0;

	assert_true(mem >= 0);
	assert_non_null(seen);
	if (pread(mem, seen, n, (off_t)(uintptr_t)p) == (ssize_t)n)
		for (size_t i = 0; i < n; i++)
			found += seen[i] == mark;
	free(seen);
	close(mem);
	return found;
}

static void what_openssl_frees_is_wiped(void **state)
{
	enum { SIZE = 4096, MARK = 0xa5 };
	uint8_t *p = OPENSSL_malloc(SIZE);

	(void)state;
	assert_non_null(p);
	memset(p, MARK, SIZE);
	assert_int_equal(marks_at(p, SIZE, MARK), SIZE);
	uint8_t *moved = OPENSSL_realloc(p, (size_t)64 * SIZE);
	assert_non_null(moved);
	assert_int_equal(moved[SIZE - 1], MARK);
	if (moved != p)
		assert_true(marks_at(p, SIZE, MARK) < 16);
	OPENSSL_free(moved);
	assert_true(marks_at(moved, SIZE, MARK) < 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_openssl_frees_is_wiped),
		cmocka_unit_test(sha256_has_the_values_of_fips_180),
		cmocka_unit_test(sha384_has_the_values_of_fips_180),
		cmocka_unit_test(sha256_piece_by_piece_is_the_same),
		cmocka_unit_test(hmac_has_the_value_of_rfc_4231_case_2),
		cmocka_unit_test(hkdf_has_the_value_of_rfc_5869_case_3),
		cmocka_unit_test(hkdf_depends_on_info_and_gives_at_most_64_bytes),
		cmocka_unit_test(aes_gcm_has_the_published_values),
		cmocka_unit_test(no_altered_bit_of_a_sealed_message_opens),
		cmocka_unit_test(a_key_kept_ready_seals_and_opens_as_one_that_is_not),
		cmocka_unit_test(sealing_wants_a_message_below_2_gib),
		cmocka_unit_test(a_mebibyte_round_trips),
		cmocka_unit_test(random_bytes_differ_and_seeding_keeps_them_coming),
		cmocka_unit_test(threads_share_one_crypto),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
