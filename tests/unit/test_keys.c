#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "keys.h"

/* A key takes some tenths of a second, so all tests share two. Each that is given to a table is held first. */
enum { LIFETIME_MS = 300 * 1000, SHARED = 2 };

struct fixture {
	int64_t boot, wall;
	struct clock clock;
	struct crypto *c;
	struct keys_key *key[SHARED];
	struct keys *k;
	struct why w;
};

#define OK(call) assert_int_equal((call), ERR_OK)

static int64_t boot_ms(void *ctx)
{
	return ((struct fixture *)ctx)->boot;
}

/* The enclave's wall clock is the parent's word: nothing may hang on it. */
static int64_t wall_ms(void *ctx)
{
	struct fixture *f = ctx;

	return f->wall += INT64_C(1000) * LIFETIME_MS;
}

static void open_table(struct fixture *f, uint64_t max)
{
	const struct keys_options o = {.lifetime_ms = LIFETIME_MS, .max = max};

	keys_free(f->k);
	f->k = NULL;
	OK(keys_new(&f->k, &f->clock, &o, &f->w));
}

static void keep(struct fixture *f, size_t i)
{
	OK(keys_reserve(f->k, &f->w));
	keys_hold(f->key[i]);
	keys_commit(f->k, f->key[i]);
}

static struct bytes id_of(const struct fixture *f, size_t i)
{
	return bytes_of(keys_id(f->key[i]), KEYS_ID_SIZE);
}

static bool finds(struct fixture *f, struct bytes id, const struct keys_key *want)
{
	struct keys_key *got = NULL;
	const enum err e = keys_find(f->k, id, &got, &f->w);

	if (e == ERR_OK) {
		assert_ptr_equal(got, want);
		return true;
	}
	assert_int_equal(e, ERR_KEY_GONE);
	assert_true(f->w.tell);
	assert_null(got);
	return false;
}

static void encrypt(struct fixture *f, const struct keys_key *key, struct bytes plain, struct buf *out)
{
	const struct bytes spki = keys_spki(key);
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	struct crypto_rsa *public = NULL;

	buf_put_str(&pem, "-----BEGIN PUBLIC KEY-----");
	for (size_t at = 0; at < spki.n; at += 48) {
		buf_put_u8(&pem, '\n');
		buf_put_base64(&pem, bytes_of(spki.p + at, spki.n - at < 48 ? spki.n - at : 48));
	}
	buf_put_str(&pem, "\n-----END PUBLIC KEY-----\n");
	OK(crypto_rsa_parse(f->c, buf_bytes(&pem), &public, &f->w));
	OK(crypto_rsa_wrap(f->c, public, plain, out, &f->w));
	crypto_rsa_free(public);
	buf_free(&pem);
}

/* ---- tests ---- */

static void an_id_is_the_hash_of_the_public_key(void **state)
{
	struct fixture *f = *state;
	uint8_t hash[SHA256_SIZE];
	char hex[KEYS_ID_SIZE];

	for (size_t i = 0; i < SHARED; i++) {
		OK(crypto_sha256(f->c, keys_spki(f->key[i]), hash, &f->w));
		hex_encode(bytes_of(hash, sizeof hash), hex);
		assert_memory_equal(keys_id(f->key[i]), hex, sizeof hex);
	}
	assert_false(bytes_equal(id_of(f, 0), id_of(f, 1)));
}

static void a_key_lives_until_the_exact_millisecond(void **state)
{
	struct fixture *f = *state;

	open_table(f, 2);
	assert_false(finds(f, id_of(f, 0), NULL)); /* made, but not yet kept */
	keep(f, 0);
	assert_int_equal(keys_left_ms(f->k, f->key[0]), LIFETIME_MS);
	f->boot += LIFETIME_MS / 2;
	keep(f, 1);
	assert_int_equal(keys_count(f->k), 2);
	f->boot += LIFETIME_MS / 2 - 1;
	assert_int_equal(keys_left_ms(f->k, f->key[0]), 1);
	assert_true(finds(f, id_of(f, 0), f->key[0]));
	assert_true(finds(f, id_of(f, 1), f->key[1]));
	f->boot++;
	assert_int_equal(keys_left_ms(f->k, f->key[0]), 0);
	assert_false(finds(f, id_of(f, 0), NULL));
	assert_true(finds(f, id_of(f, 1), f->key[1]));
	assert_int_equal(keys_count(f->k), 1);
	f->boot += LIFETIME_MS / 2 - 1;
	keys_sweep(f->k);
	assert_int_equal(keys_count(f->k), 1);
	f->boot++;
	keys_sweep(f->k);
	assert_int_equal(keys_count(f->k), 0);
	f->boot += LIFETIME_MS;
	assert_int_equal(keys_left_ms(f->k, f->key[1]), 0);
	/* An emptied table takes new ones. */
	keep(f, 0);
	assert_true(finds(f, id_of(f, 0), f->key[0]));
}

static void room_is_for_what_is_kept_and_being_made_together(void **state)
{
	struct fixture *f = *state;

	open_table(f, 3);
	keep(f, 0);
	f->boot += 1500;
	keep(f, 1);
	OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	assert_true(f->w.tell);
	assert_non_null(strstr(f->w.text, "All 3 generated keys"));
	assert_non_null(strstr(f->w.text, "300 seconds"));
	assert_int_equal(f->w.retry_after_s, LIFETIME_MS / 1000 - 1); /* 298.5 seconds until the first one goes */
	/* A generation that failed gives its room back, */
	keys_cancel(f->k, NULL);
	OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	/* one whose document failed does so with its key, */
	keys_hold(f->key[0]);
	keys_cancel(f->k, f->key[0]);
	OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	assert_int_equal(keys_count(f->k), 2);
	/* and so does a key that expires, swept or not. */
	f->boot += LIFETIME_MS - 1501;
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	assert_int_equal(f->w.retry_after_s, 1);
	f->boot++;
	OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	for (int i = 0; i < 2; i++)
		keys_cancel(f->k, NULL);
	assert_int_equal(keys_count(f->k), 1);
}

static void only_so_many_keys_are_made_at_once(void **state)
{
	struct fixture *f = *state;

	open_table(f, 100);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_BUSY);
	assert_true(f->w.tell);
	assert_int_equal(f->w.retry_after_s, 1);
	/* One that is done, and so kept, is no longer being made. */
	keys_hold(f->key[0]);
	keys_commit(f->k, f->key[0]);
	OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_BUSY);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		keys_cancel(f->k, NULL);
	/* Of a full table it is told that it is full, which lasts longer. */
	open_table(f, KEYS_MAKING_MAX);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		OK(keys_reserve(f->k, &f->w));
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_KEYS_FULL);
	assert_int_equal(f->w.retry_after_s, 1);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		keys_cancel(f->k, NULL);
}

static void generations_that_are_given_up_are_limited_by_the_second(void **state)
{
	struct fixture *f = *state;

	open_table(f, 100);
	for (int i = 0; i < KEYS_BURST; i++) {
		OK(keys_reserve(f->k, &f->w));
		keys_cancel(f->k, NULL);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(keys_reserve(f->k, &f->w), ERR_RATE);
		assert_true(f->w.tell);
		assert_int_equal(f->w.retry_after_s, 1);
		f->boot += 1000 / KEYS_RATE - 1;
		assert_int_equal(keys_reserve(f->k, &f->w), ERR_RATE);
		f->boot++;
		OK(keys_reserve(f->k, &f->w));
		keys_cancel(f->k, NULL);
	}
	/* What is refused for another reason takes nothing. */
	f->boot += KEYS_BURST * 1000;
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		OK(keys_reserve(f->k, &f->w));
	for (int i = 0; i < KEYS_BURST; i++)
		assert_int_equal(keys_reserve(f->k, &f->w), ERR_BUSY);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		keys_cancel(f->k, NULL);
	for (int i = KEYS_MAKING_MAX; i < KEYS_BURST; i++) {
		OK(keys_reserve(f->k, &f->w));
		keys_cancel(f->k, NULL);
	}
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_RATE);
	/* It does not save up for more than a burst. */
	f->boot += 100 * KEYS_BURST * 1000;
	for (int i = 0; i < KEYS_BURST; i++) {
		OK(keys_reserve(f->k, &f->w));
		keys_cancel(f->k, NULL);
	}
	assert_int_equal(keys_reserve(f->k, &f->w), ERR_RATE);
}

static void whatever_is_wrong_with_an_id_the_answer_is_the_same(void **state)
{
	struct fixture *f = *state;
	char id[KEYS_ID_SIZE + 1], upper[KEYS_ID_SIZE], other[KEYS_ID_SIZE];
	struct why first = {0};
	struct keys_key *got = NULL;

	open_table(f, 2);
	keep(f, 0);
	memcpy(id, keys_id(f->key[0]), KEYS_ID_SIZE);
	id[KEYS_ID_SIZE] = '0';
	for (size_t i = 0; i < KEYS_ID_SIZE; i++)
		upper[i] = id[i] >= 'a' ? (char)(id[i] - 32) : id[i];
	memcpy(other, id, sizeof other);
	other[KEYS_ID_SIZE - 1] = other[KEYS_ID_SIZE - 1] == '0' ? '1' : '0';
	assert_true(finds(f, bytes_of(id, KEYS_ID_SIZE), f->key[0]));
	assert_int_equal(keys_find(f->k, id_of(f, 1), &got, &first), ERR_KEY_GONE); /* not kept here */
	const struct bytes wrong[] = {
		bytes_of(other, sizeof other), bytes_of(upper, sizeof upper),	  bytes_of(id, KEYS_ID_SIZE - 1),
		bytes_of(id, sizeof id),       bytes_of(id + 1, KEYS_ID_SIZE),	  bytes_of(NULL, 0),
		BYTES_LIT("not an id"),	       BYTES_LIT("\0\xff\r\n/%{key_id}"),
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_false(finds(f, wrong[i], NULL));
		assert_memory_equal(&f->w, &first, sizeof first);
	}
	f->boot += LIFETIME_MS;
	assert_false(finds(f, bytes_of(id, KEYS_ID_SIZE), NULL)); /* expired */
	assert_memory_equal(&f->w, &first, sizeof first);
}

static void every_message_that_fits_is_decrypted(void **state)
{
	static const size_t sizes[] = {0, 1, 64, 65, KEYS_PLAIN_MAX};
	struct fixture *f = *state;
	uint8_t plain[KEYS_PLAIN_MAX];

	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)i; /* no text */
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct buf sealed = BUF_INIT(RSA_WRAPPED_MAX), got = BUF_INIT(KEYS_PLAIN_MAX);

		encrypt(f, f->key[0], bytes_of(plain, sizes[i]), &sealed);
		assert_int_equal(sealed.n, KEYS_CIPHERTEXT_SIZE);
		OK(keys_decrypt(f->key[0], buf_bytes(&sealed), &got, &f->w));
		assert_true(bytes_equal(buf_bytes(&got), bytes_of(plain, sizes[i])));
		buf_free(&got);
		buf_free(&sealed);
	}
}

static void whatever_is_wrong_with_a_ciphertext_the_answer_is_the_same(void **state)
{
	struct fixture *f = *state;
	uint8_t zero[KEYS_CIPHERTEXT_SIZE] = {0}, one[KEYS_CIPHERTEXT_SIZE] = {0}, ones[KEYS_CIPHERTEXT_SIZE];
	struct buf other = BUF_INIT(RSA_WRAPPED_MAX), altered = BUF_INIT(RSA_WRAPPED_MAX), got = BUF_INIT(64);
	struct why first = {0};

	one[KEYS_CIPHERTEXT_SIZE - 1] = 1;
	memset(ones, 0xff, sizeof ones); /* above the modulus */
	encrypt(f, f->key[1], BYTES_LIT("for another key"), &other);
	encrypt(f, f->key[0], BYTES_LIT("for this key"), &altered);
	OK(keys_decrypt(f->key[0], buf_bytes(&altered), &got, &f->w));
	assert_true(bytes_is(buf_bytes(&got), "for this key"));
	buf_free(&got);
	altered.p[altered.n / 2] ^= 1;
	assert_int_equal(keys_decrypt(f->key[0], bytes_of(NULL, 0), &got, &first), ERR_BAD_MESSAGE);
	assert_true(first.tell);
	const struct bytes wrong[] = {
		buf_bytes(&other),	     buf_bytes(&altered),	bytes_of(altered.p, altered.n - 1),
		bytes_of(zero, sizeof zero), bytes_of(one, sizeof one), bytes_of(ones, sizeof ones),
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(keys_decrypt(f->key[0], wrong[i], &got, &f->w), ERR_BAD_MESSAGE);
		assert_memory_equal(&f->w, &first, sizeof first);
		assert_int_equal(got.n, 0);
	}
	buf_free(&other);
	buf_free(&altered);
	buf_free(&got);
}

struct work {
	const struct keys_key *key;
	struct bytes sealed;
	bool good;
};

static void *decrypt_many(void *ctx)
{
	struct work *x = ctx;

	x->good = true;
	for (int i = 0; i < 20 && x->good; i++) {
		struct buf got = BUF_INIT(KEYS_PLAIN_MAX);
		struct why w = {0};

		x->good = keys_decrypt(x->key, x->sealed, &got, &w) == ERR_OK &&
			  bytes_is(buf_bytes(&got), "by many at once");
		buf_free(&got);
	}
	return NULL;
}

static void several_threads_decrypt_with_one_key(void **state)
{
	struct fixture *f = *state;
	struct buf sealed = BUF_INIT(RSA_WRAPPED_MAX);
	pthread_t thread[4];
	struct work work[4];

	encrypt(f, f->key[0], BYTES_LIT("by many at once"), &sealed);
	for (size_t i = 0; i < 4; i++) {
		work[i] = (struct work){.key = f->key[0], .sealed = buf_bytes(&sealed)};
		assert_int_equal(pthread_create(&thread[i], NULL, decrypt_many, &work[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_true(work[i].good);
	}
	buf_free(&sealed);
}

/* ---- what stays in memory ---- */

enum { CHUNK = 1 << 20, NEEDLE_MAX = 256 };

struct search {
	uint8_t chunk[CHUNK + NEEDLE_MAX], needle[NEEDLE_MAX];
	size_t n; /* of the needle */
};

static bool is_ours(const struct search *s, uint64_t at)
{
	return at >= (uintptr_t)s && at < (uintptr_t)s + sizeof *s;
}

/* How often the needle stands in this process's memory, and where last. Through a descriptor: a sanitizer would not
 * allow anybody to look around, and what cannot be read is passed over. */
static size_t count_in_memory(struct search *s, uint64_t *where)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	const int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char line[512];
	size_t found = 0;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof line, maps) != NULL) {
		uint64_t from, to;
		char mode[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, mode) != 3 || strncmp(mode, "rw", 2) != 0 ||
		    to - from > (uint64_t)1 << 30) /* a sanitizer's shadow */
			continue;
		for (uint64_t at = from; at < to; at += CHUNK) {
			const size_t want = to - at < sizeof s->chunk ? (size_t)(to - at) : sizeof s->chunk;
			const ssize_t n = pread(mem, s->chunk, want, (off_t)at);

			for (const uint8_t *p = s->chunk; n > 0; p++) {
				p = memmem(p, (size_t)(s->chunk + n - p), s->needle, s->n);
				if (p == NULL || p - s->chunk >= CHUNK)
					break;
				if (!is_ours(s, at + (uint64_t)(p - s->chunk))) {
					*where = at + (uint64_t)(p - s->chunk);
					found++;
				}
			}
		}
	}
	fclose(maps);
	close(mem);
	return found;
}

enum { PRIME = KEYS_BITS / 16, PRIME_LOOKED_FOR = 128 };

/* Both ways round, as in DER and as the words of a number. `prime` is kept with every bit turned, so as not to be found
 * itself. */
static size_t count_prime(struct search *s, const uint8_t prime[PRIME], bool words)
{
	uint64_t where;
	size_t found;

	for (size_t i = 0; i < PRIME_LOOKED_FOR; i++)
		s->needle[i] = (uint8_t)~prime[words ? PRIME - 1 - i : i];
	s->n = PRIME_LOOKED_FOR;
	found = count_in_memory(s, &where);
	mem_wipe(s, sizeof *s);
	return found;
}

/* Finds the first prime in an RSAPrivateKey: modulus, 65537, private exponent, prime. */
static void take_prime(struct search *s, struct bytes spki, uint8_t prime[PRIME])
{
	static const uint8_t behind[] = {0x02, 0x03, 0x01, 0x00, 0x01, 0x02, 0x82};
	enum { TAIL = 64 }; /* of the modulus, behind which the public key has the exponent and nothing else */
	uint64_t where = 0;

	memcpy(s->needle, spki.p + spki.n - 5 - TAIL, TAIL);
	memcpy(s->needle + TAIL, behind, sizeof behind);
	s->n = TAIL + sizeof behind;
	assert_int_equal(count_in_memory(s, &where), 1);
	const uint8_t *at = (const uint8_t *)(uintptr_t)where + s->n;
	at += 2 + at[0] * 256 + at[1];
	assert_memory_equal(at, "\x02\x81\xc1\x00", 4);
	for (size_t i = 0; i < PRIME; i++)
		prime[i] = (uint8_t)~at[4 + i];
}

static void a_key_that_a_worker_holds_outlives_its_time_and_is_then_wiped(void **state)
{
	struct fixture *f = *state;
	struct search *s = calloc(1, sizeof *s);
	struct buf sealed = BUF_INIT(RSA_WRAPPED_MAX), got = BUF_INIT(KEYS_PLAIN_MAX);
	struct keys_key *key = NULL, *found = NULL;
	uint8_t prime[PRIME];
	char id[KEYS_ID_SIZE];

	assert_non_null(s);
	open_table(f, 1);
	OK(keys_reserve(f->k, &f->w));
	OK(keys_make(f->c, &key, &f->w));
	memcpy(id, keys_id(key), sizeof id);
	encrypt(f, key, BYTES_LIT("just in time"), &sealed);
	take_prime(s, keys_spki(key), prime);
	keys_commit(f->k, key);

	OK(keys_find(f->k, bytes_of(id, sizeof id), &found, &f->w));
	keys_hold(found);
	f->boot += LIFETIME_MS;
	keys_sweep(f->k);
	assert_int_equal(keys_count(f->k), 0);
	assert_false(finds(f, bytes_of(id, sizeof id), NULL));
	OK(keys_reserve(f->k, &f->w)); /* and it is in nobody's way */
	keys_cancel(f->k, NULL);
	OK(keys_decrypt(found, buf_bytes(&sealed), &got, &f->w));
	assert_true(bytes_is(buf_bytes(&got), "just in time"));

	assert_true(count_prime(s, prime, false) > 0);
	assert_true(count_prime(s, prime, true) > 0);
	keys_release(found);
	assert_int_equal(count_prime(s, prime, false), 0);
	assert_int_equal(count_prime(s, prime, true), 0);
	buf_free(&sealed);
	buf_free(&got);
	free(s);
}

static void a_table_that_ends_leaves_held_keys_to_their_holders(void **state)
{
	struct fixture *f = *state;
	struct buf sealed = BUF_INIT(RSA_WRAPPED_MAX), got = BUF_INIT(KEYS_PLAIN_MAX);

	open_table(f, 2);
	keep(f, 0);
	keep(f, 1);
	keys_free(f->k);
	f->k = NULL;
	encrypt(f, f->key[0], BYTES_LIT("late"), &sealed);
	OK(keys_decrypt(f->key[0], buf_bytes(&sealed), &got, &f->w));
	buf_free(&sealed);
	buf_free(&got);
	keys_free(NULL);
	keys_release(NULL);
}

/* ---- set up ---- */

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return -1;
	f->clock = (struct clock){.ctx = f, .boot_ms = boot_ms, .wall_ms = wall_ms};
	f->boot = 12345;
	*state = f;
	if (crypto_new(&f->c, &f->w) != ERR_OK)
		return -1;
	for (size_t i = 0; i < SHARED; i++)
		if (keys_make(f->c, &f->key[i], &f->w) != ERR_OK)
			return -1;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	keys_free(f->k);
	for (size_t i = 0; i < SHARED; i++)
		keys_release(f->key[i]);
	crypto_free(f->c);
	free(f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_the_hash_of_the_public_key),
		cmocka_unit_test(a_key_lives_until_the_exact_millisecond),
		cmocka_unit_test(room_is_for_what_is_kept_and_being_made_together),
		cmocka_unit_test(only_so_many_keys_are_made_at_once),
		cmocka_unit_test(generations_that_are_given_up_are_limited_by_the_second),
		cmocka_unit_test(whatever_is_wrong_with_an_id_the_answer_is_the_same),
		cmocka_unit_test(every_message_that_fits_is_decrypted),
		cmocka_unit_test(whatever_is_wrong_with_a_ciphertext_the_answer_is_the_same),
		cmocka_unit_test(several_threads_decrypt_with_one_key),
		cmocka_unit_test(a_key_that_a_worker_holds_outlives_its_time_and_is_then_wiped),
		cmocka_unit_test(a_table_that_ends_leaves_held_keys_to_their_holders),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
