#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <pthread.h>

#include "cert_surgery.h"

static struct crypto *c;

static int setup(void **state)
{
	struct why w;

	(void)state;
	return crypto_new(&c, &w) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	crypto_free(c);
	return 0;
}

static void a_chain_of_nitros_shape_holds_and_tells_its_window(void **state)
{
	struct cert_chain *chain;
	struct cert_fixture f;
	int64_t from, until;

	(void)state;
	cert_fixture_new(&f, c);
	chain = accept_fixture(&f);
	cert_chain_window(chain, &from, &until);
	assert_int_equal(from, CERT_FIXTURE_FROM + LEAF);
	assert_int_equal(until, CERT_FIXTURE_UNTIL - LEAF);
	cert_chain_free(chain);
	f.spec[ROOT].not_before_s = CERT_FIXTURE_FROM + 100;
	f.spec[ZONE].not_after_s = CERT_FIXTURE_UNTIL - 100;
	cert_fixture_make(&f);
	chain = accept_fixture(&f);
	cert_chain_window(chain, &from, &until);
	assert_int_equal(from, CERT_FIXTURE_FROM + 100);
	assert_int_equal(until, CERT_FIXTURE_UNTIL - 100);
	cert_chain_free(chain);
	cert_chain_free(NULL);
	cert_fixture_free(&f);
}

static void a_chain_holds_at_any_time(void **state)
{
	struct cert_chain *chain;
	struct cert_fixture f;
	int64_t from, until;

	(void)state;
	cert_fixture_new(&f, c);
	for (int i = 0; i < CERT_FIXTURE_ALL; i++) {
		f.spec[i].not_before_s = 0;
		f.spec[i].not_after_s = i == LEAF ? 1 : INT64_C(4000000000);
	}
	cert_fixture_make(&f);
	chain = accept_fixture(&f);
	cert_chain_window(chain, &from, &until);
	assert_int_equal(from, 0);
	assert_int_equal(until, 1);
	cert_chain_free(chain);
	cert_fixture_free(&f);
}

static void the_leafs_key_signs(void **state)
{
	uint8_t sig[CERT_SIGNATURE_SIZE];
	struct cert_chain *chain;
	struct cert_fixture f;
	struct why w = {0};

	(void)state;
	cert_fixture_new(&f, c);
	chain = accept_fixture(&f);
	assert_int_equal(cert_key_sign(c, f.key[LEAF], bytes_str("message"), sig, &w), ERR_OK);
	assert_true(cert_chain_signed(c, chain, bytes_str("message"), sig));
	assert_false(cert_chain_signed(c, chain, bytes_str("massage"), sig));
	assert_int_equal(cert_key_sign(c, f.key[INSTANCE], bytes_str("message"), sig, &w), ERR_OK);
	assert_false(cert_chain_signed(c, chain, bytes_str("message"), sig));
	cert_chain_free(chain);
	cert_fixture_free(&f);
}

struct shared {
	struct cert_chain *chain;
	uint8_t sig[CERT_SIGNATURE_SIZE];
};

static void *use(void *arg)
{
	struct shared *s = arg;
	bool good = true;

	for (int i = 0; i < 20; i++)
		good &= cert_chain_signed(c, s->chain, bytes_str("message"), s->sig);
	cert_chain_free(s->chain);
	return good ? s : NULL;
}

static void threads_share_a_chain(void **state)
{
	struct cert_chain *chain;
	struct shared s[4];
	struct cert_fixture f;
	pthread_t thread[4];
	struct why w = {0};

	(void)state;
	cert_fixture_new(&f, c);
	chain = accept_fixture(&f);
	for (size_t i = 0; i < 4; i++) {
		s[i].chain = cert_chain_ref(chain);
		assert_int_equal(cert_key_sign(c, f.key[LEAF], bytes_str("message"), s[i].sig, &w), ERR_OK);
		assert_int_equal(pthread_create(&thread[i], NULL, use, &s[i]), 0);
	}
	cert_chain_free(chain);
	for (size_t i = 0; i < 4; i++) {
		void *good = NULL;

		assert_int_equal(pthread_join(thread[i], &good), 0);
		assert_non_null(good);
	}
	cert_fixture_free(&f);
}

/* ---- order ---- */

static void the_bundle_begins_with_the_very_root(void **state)
{
	struct bytes all[CERT_FIXTURE_ALL];
	struct cert_fixture f, other;

	(void)state;
	cert_fixture_new(&f, c);
	cert_fixture_new(&other, c);
	bundle_of(&f, all);
	refuse(cert_fixture_der(&other, ROOT), all, N, all[LEAF], CERT_UNTRUSTED, "byte for byte");
	refuse(all[ROOT], all + 1, N - 1, all[LEAF], CERT_UNTRUSTED, "byte for byte");
	bundle_of(&other, all);
	refuse(cert_fixture_der(&f, ROOT), all, N, all[LEAF], CERT_UNTRUSTED, "byte for byte");
	/* The pinned root before a chain of another root of the same name and serial number. */
	all[ROOT] = cert_fixture_der(&f, ROOT);
	refuse(all[ROOT], all, N, all[LEAF], CERT_BROKEN, "Certificate 2 of the bundle was not issued");
	/* The same key and name, but other bytes. */
	bundle_of(&f, all);
	struct buf before = BUF_INIT(CERT_DER_MAX);
	buf_put_bytes(&before, all[ROOT]);
	cert_fixture_remake(&f, ROOT);
	bundle_of(&f, all);
	refuse(buf_bytes(&before), all, N, all[LEAF], CERT_UNTRUSTED, "byte for byte");
	buf_free(&before);
	cert_fixture_free(&f);
	cert_fixture_free(&other);
}

static void the_bundle_is_exactly_the_line_from_root_to_leaf(void **state)
{
	static const struct {
		int order[8], leaf; /* -1 ends it */
		enum cert_fault fault;
		const char *says;
	} cases[] = {
		{{-1}, LEAF, CERT_BROKEN, "empty"},
		{{0, -1}, LEAF, CERT_BROKEN, "The leaf certificate names another issuer"},
		{{0, 2, 3, -1}, LEAF, CERT_BROKEN, "Certificate 2 of the bundle names another issuer"},
		{{0, 1, 3, -1}, LEAF, CERT_BROKEN, "Certificate 3 of the bundle names another issuer"},
		{{0, 1, 2, -1}, LEAF, CERT_BROKEN, "The leaf certificate names another issuer"},
		{{3, 2, 1, 0, -1}, LEAF, CERT_UNTRUSTED, "does not begin with the root"},
		{{1, 2, 3, 0, -1}, LEAF, CERT_UNTRUSTED, "does not begin with the root"},
		{{0, 2, 1, 3, -1}, LEAF, CERT_BROKEN, "Certificate 2 of the bundle names another issuer"},
		{{0, 1, 3, 2, -1}, LEAF, CERT_BROKEN, "Certificate 3 of the bundle names another issuer"},
		{{0, 0, 1, 2, 3, -1}, LEAF, CERT_BROKEN, "Certificate 2 of the bundle names itself"},
		{{0, 1, 1, 2, 3, -1}, LEAF, CERT_BROKEN, "Certificate 3 of the bundle names another issuer"},
		{{0, 1, 2, 3, 0, -1}, LEAF, CERT_BROKEN, "Certificate 5 of the bundle names itself"},
		{{0, 1, 2, 3, 4, -1}, LEAF, CERT_BROKEN, "The leaf certificate names another issuer"},
		{{0, -1}, ROOT, CERT_BROKEN, "The leaf certificate names itself"},
		{{0, 1, 2, -1}, INSTANCE, CERT_CONSTRAINT, "The leaf certificate is a CA's"},
	};
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bytes bundle[8];
		size_t n = 0;

		for (; cases[i].order[n] >= 0; n++)
			bundle[n] = cert_fixture_der(&f, cases[i].order[n]);
		refuse(cert_fixture_der(&f, ROOT), bundle, n, cert_fixture_der(&f, cases[i].leaf), cases[i].fault,
		       cases[i].says);
	}
	cert_fixture_free(&f);
}

static void the_bundle_has_at_most_8_certificates(void **state)
{
	struct buf der[CERT_BUNDLE_MAX + 2];
	struct bytes bundle[CERT_BUNDLE_MAX + 2];
	struct cert_fixture f;
	struct why w = {0};
	char name[2] = "a";

	(void)state;
	cert_fixture_new(&f, c);
	for (size_t i = 0; i < CERT_BUNDLE_MAX + 1; i++, name[0]++) {
		struct cert_attribute subject = {"CN", name};
		struct cert_spec spec = f.spec[ROOT];

		spec.subject = &subject;
		der[i] = BUF_INIT(CERT_DER_MAX);
		assert_int_equal(cert_make(c, &spec, f.key[0], i > 0 ? bundle[i - 1] : bytes_of(NULL, 0),
					   i > 0 ? f.key[0] : NULL, &der[i], &w),
				 ERR_OK);
		bundle[i] = buf_bytes(&der[i]);
	}
	for (size_t n = 1; n <= CERT_BUNDLE_MAX + 1; n++) {
		struct buf leaf = BUF_INIT(CERT_DER_MAX);

		assert_int_equal(cert_make(c, &f.spec[LEAF], f.key[LEAF], bundle[n - 1], f.key[0], &leaf, &w), ERR_OK);
		if (n <= CERT_BUNDLE_MAX)
			cert_chain_free(accept(bundle[0], bundle, n, buf_bytes(&leaf)));
		else
			refuse(bundle[0], bundle, n, buf_bytes(&leaf), CERT_BROKEN, "9 certificates; at most 8");
		buf_free(&leaf);
	}
	for (size_t i = 0; i < CERT_BUNDLE_MAX + 1; i++)
		buf_free(&der[i]);
	cert_fixture_free(&f);
}

/* The last CA has the root's name and key, so a path builder needs neither it nor the others. */
static void a_bundle_that_can_be_read_as_another_chain_is_refused(void **state)
{
	struct cert_fixture f;
	struct cert_key *own;

	(void)state;
	cert_fixture_new(&f, c);
	own = f.key[INSTANCE];
	f.key[INSTANCE] = f.key[ROOT];
	f.spec[INSTANCE].subject = f.spec[ROOT].subject;
	cert_fixture_remake(&f, INSTANCE);
	cert_fixture_remake(&f, LEAF);
	refuse_fixture(&f, CERT_BROKEN, "can also be read as another chain");
	f.key[INSTANCE] = own;
	cert_fixture_free(&f);
}

static void the_root_is_its_own_issuer(void **state)
{
	struct bytes all[CERT_FIXTURE_ALL];
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	bundle_of(&f, all);
	refuse(all[REGION], all + 1, N - 1, all[LEAF], CERT_BROKEN, "The root names another certificate");
	cert_fixture_free(&f);
}

static void every_signature_is_verified(void **state)
{
	static const char *const says[] = {
		"", "Certificate 2 of the bundle was not signed", "Certificate 3 of the bundle was not signed",
		"Certificate 4 of the bundle was not signed", "The leaf certificate was not signed"};
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	for (int i = 1; i < CERT_FIXTURE_ALL; i++) {
		f.der[i].p[f.der[i].n - 1] ^= 1;
		refuse_fixture(&f, CERT_BROKEN, says[i]);
		f.der[i].p[f.der[i].n - 1] ^= 1;
	}
	/* By a key that is not the issuer's: a leaf that names the right issuer. */
	struct bytes parts[PARTS];
	take_apart(cert_fixture_der(&f, LEAF), parts);
	exchange_under(&f, LEAF, SERIAL, parts[SERIAL], ECDSA_SHA384, LEAF);
	refuse_fixture(&f, CERT_BROKEN, says[LEAF]);
	cert_fixture_free(&f);
}

/* A CA was made anew with another key, but what it issued names the old one's identifier. */
static void key_identifiers_must_fit_where_there_are_some(void **state)
{
	struct cert_fixture f;
	struct cert_key *own;

	(void)state;
	cert_fixture_new(&f, c);
	own = f.key[REGION];
	f.key[REGION] = f.key[ROOT];
	cert_fixture_remake(&f, REGION);
	refuse_fixture(&f, CERT_BROKEN, "Certificate 3 of the bundle was not issued");
	f.key[REGION] = own;
	cert_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_of_nitros_shape_holds_and_tells_its_window),
		cmocka_unit_test(a_chain_holds_at_any_time),
		cmocka_unit_test(the_leafs_key_signs),
		cmocka_unit_test(threads_share_a_chain),
		cmocka_unit_test(the_bundle_begins_with_the_very_root),
		cmocka_unit_test(the_bundle_is_exactly_the_line_from_root_to_leaf),
		cmocka_unit_test(the_bundle_has_at_most_8_certificates),
		cmocka_unit_test(a_bundle_that_can_be_read_as_another_chain_is_refused),
		cmocka_unit_test(the_root_is_its_own_issuer),
		cmocka_unit_test(every_signature_is_verified),
		cmocka_unit_test(key_identifiers_must_fit_where_there_are_some),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
