#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "attest/verdict.h"
#include "cert_fixture.h"

struct world {
	struct crypto *crypto;
	struct cert_fixture f;
	struct chain_cache *cache;
};

static int setup(void **s)
{
	struct world *t = calloc(1, sizeof *t);
	struct why w;
	assert_int_equal(crypto_new(&t->crypto, &w), ERR_OK);
	cert_fixture_new(&t->f, t->crypto);
	assert_int_equal(chain_cache_new(&t->cache, t->crypto, &w), ERR_OK);
	*s = t;
	return 0;
}

static int teardown(void **s)
{
	struct world *t = *s;
	chain_cache_free(t->cache);
	cert_fixture_free(&t->f);
	crypto_free(t->crypto);
	free(t);
	return 0;
}

static enum err get(struct world *t, struct bytes leaf, struct cert_chain **out, enum cert_fault *fault)
{
	struct bytes bundle[CERT_FIXTURE_CAS];
	struct why w = {0};
	for (int i = 0; i < CERT_FIXTURE_CAS; i++)
		bundle[i] = cert_fixture_der(&t->f, i);
	return chain_cache_get(t->cache, bundle[0], bundle, CERT_FIXTURE_CAS, leaf, out, fault, &w);
}

static struct cert_chain *good(struct world *t, struct bytes leaf)
{
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	assert_int_equal(get(t, leaf, &chain, &fault), ERR_OK);
	assert_non_null(chain);
	return chain;
}

static struct bytes leaf_of(struct world *t)
{
	return cert_fixture_der(&t->f, CERT_FIXTURE_LEAF);
}

static void a_chain_that_was_seen_is_not_checked_again(void **s)
{
	struct world *t = *s;
	struct cert_chain *first = good(t, leaf_of(t)), *second = good(t, leaf_of(t));
	assert_ptr_equal(first, second);
	cert_chain_free(first);
	cert_chain_free(second);
	chain_cache_free(NULL);
}

static void a_chain_outlives_its_place_in_the_cache(void **s)
{
	struct world *t = *s;
	struct why w;
	struct cert_chain *chain = good(t, leaf_of(t));
	int64_t from, to;
	chain_cache_free(t->cache);
	assert_int_equal(chain_cache_new(&t->cache, t->crypto, &w), ERR_OK);
	cert_chain_window(chain, &from, &to);
	assert_int_equal(from, CERT_FIXTURE_FROM + CERT_FIXTURE_LEAF);
	assert_int_equal(to, CERT_FIXTURE_UNTIL - CERT_FIXTURE_LEAF);
	cert_chain_free(chain);
}

static void what_does_not_hold_is_not_kept(void **s)
{
	struct world *t = *s;
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	uint8_t leaf[CERT_DER_MAX];
	const size_t n = leaf_of(t).n;
	memcpy(leaf, leaf_of(t).p, n);
	leaf[n - 1] ^= 1;
	for (int i = 0; i < 2; i++) {
		fault = CERT_MALFORMED;
		assert_int_equal(get(t, bytes_of(leaf, n), &chain, &fault), ERR_INVALID);
		assert_int_equal(fault, CERT_BROKEN);
		assert_null(chain);
	}
	cert_chain_free(good(t, leaf_of(t)));
	assert_int_equal(get(t, bytes_of(leaf, n), &chain, &fault), ERR_INVALID);
}

/* The same bytes in the same order, but with other borders. */
static void the_borders_of_the_parts_belong_to_the_key(void **s)
{
	struct world *t = *s;
	struct bytes bundle[CERT_FIXTURE_CAS];
	struct cert_chain *chain = NULL;
	struct buf all = BUF_INIT(8192);
	enum cert_fault fault;
	struct why w;
	cert_chain_free(good(t, leaf_of(t)));
	for (int i = 0; i < CERT_FIXTURE_ALL; i++)
		buf_put_bytes(&all, cert_fixture_der(&t->f, i));
	const uint8_t *p = all.p;
	for (int i = 0; i < CERT_FIXTURE_CAS; i++) {
		size_t n = cert_fixture_der(&t->f, i).n;
		if (i == CERT_FIXTURE_CAS - 1)
			n--;
		bundle[i] = bytes_of(p, n);
		p += n;
	}
	assert_int_equal(chain_cache_get(t->cache, bundle[0], bundle, CERT_FIXTURE_CAS, bytes_of(p, leaf_of(t).n + 1),
					 &chain, &fault, &w),
			 ERR_INVALID);
	p = bundle[CERT_FIXTURE_CAS - 1].p;
	assert_int_equal(chain_cache_get(t->cache, bundle[0], bundle, CERT_FIXTURE_CAS - 1,
					 bytes_of(p, all.n - (size_t)(p - all.p)), &chain, &fault, &w),
			 ERR_INVALID);
	assert_null(chain);
	buf_free(&all);
}

/* A chain that holds under one root says nothing under another. */
static void the_root_belongs_to_the_key(void **s)
{
	struct world *t = *s;
	struct bytes bundle[CERT_FIXTURE_CAS];
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	struct why w;
	cert_chain_free(good(t, leaf_of(t)));
	for (int i = 0; i < CERT_FIXTURE_CAS; i++)
		bundle[i] = cert_fixture_der(&t->f, i);
	assert_int_equal(
		chain_cache_get(t->cache, verify_aws_root(), bundle, CERT_FIXTURE_CAS, leaf_of(t), &chain, &fault, &w),
		ERR_INVALID);
	assert_int_equal(fault, CERT_UNTRUSTED);
}

static void the_least_recently_used_chain_goes_first(void **s)
{
	struct world *t = *s;
	static struct buf leaves[CHAIN_CACHE_SIZE + 1];
	struct cert_chain *chains[CHAIN_CACHE_SIZE + 1], *again;
	for (int i = 0; i <= CHAIN_CACHE_SIZE; i++) {
		t->f.serial[CERT_FIXTURE_LEAF] = (uint8_t)(i + 1);
		cert_fixture_remake(&t->f, CERT_FIXTURE_LEAF);
		leaves[i] = BUF_INIT(CERT_DER_MAX);
		buf_put_bytes(&leaves[i], leaf_of(t));
	}
	for (int i = 0; i < CHAIN_CACHE_SIZE; i++)
		chains[i] = good(t, buf_bytes(&leaves[i]));
	/* All are there; the first is used once more, so the second is now the oldest. */
	for (int i = CHAIN_CACHE_SIZE; i-- > 1;) {
		again = good(t, buf_bytes(&leaves[CHAIN_CACHE_SIZE - i]));
		assert_ptr_equal(again, chains[CHAIN_CACHE_SIZE - i]);
		cert_chain_free(again);
	}
	again = good(t, buf_bytes(&leaves[0]));
	assert_ptr_equal(again, chains[0]);
	cert_chain_free(again);
	chains[CHAIN_CACHE_SIZE] = good(t, buf_bytes(&leaves[CHAIN_CACHE_SIZE]));
	again = good(t, buf_bytes(&leaves[0]));
	assert_ptr_equal(again, chains[0]);
	cert_chain_free(again);
	again = good(t, buf_bytes(&leaves[1]));
	assert_ptr_not_equal(again, chains[1]);
	cert_chain_free(again);
	again = good(t, buf_bytes(&leaves[3]));
	assert_ptr_equal(again, chains[3]);
	cert_chain_free(again);
	for (int i = 0; i <= CHAIN_CACHE_SIZE; i++) {
		cert_chain_free(chains[i]);
		buf_free(&leaves[i]);
	}
}

static void *ask_often(void *ctx)
{
	struct world *t = ctx;
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	for (int i = 0; i < 50; i++) {
		if (get(t, leaf_of(t), &chain, &fault) != ERR_OK)
			return t;
		cert_chain_free(chain);
	}
	return NULL;
}

static void threads_share_it(void **s)
{
	struct world *t = *s;
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, t), 0);
	for (size_t i = 0; i < 4; i++) {
		void *failed;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_that_was_seen_is_not_checked_again),
		TEST(a_chain_outlives_its_place_in_the_cache),
		TEST(what_does_not_hold_is_not_kept),
		TEST(the_borders_of_the_parts_belong_to_the_key),
		TEST(the_root_belongs_to_the_key),
		TEST(the_least_recently_used_chain_goes_first),
		TEST(threads_share_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
