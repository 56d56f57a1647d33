#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

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

static void the_parts_of_a_certificate_are_as_nitros(void **state)
{
	static const struct {
		enum part part;
		const char *hex;
		enum cert_fault fault;
		const char *says;
	} cases[] = {
		{VERSION, "", CERT_MALFORMED, "version 3"},
		{VERSION, "a003020101", CERT_MALFORMED, "version 3"},
		{VERSION, "a003020103", CERT_MALFORMED, "version 3"},
		{VERSION, "a00402020002", CERT_MALFORMED, "not in strict DER"},
		{VERSION, "a006020102020102", CERT_MALFORMED, "version 3"},
		{SERIAL, "0201ff", CERT_MALFORMED, "serial number"},
		{SERIAL, "0215010000000000000000000000000000000000000000", CERT_MALFORMED, "serial number"},
		{SERIAL, "0200", CERT_MALFORMED, "strict DER"},
		{SERIAL, "02020001", CERT_MALFORMED, "strict DER"},
		{SERIAL, "", CERT_MALFORMED, "serial number"},
		{ALGORITHM, ECDSA_SHA256, CERT_MALFORMED, "two different signature algorithms"},
		{ALGORITHM, "300c06082a8648ce3d0403030500", CERT_MALFORMED, "two different signature algorithms"},
		{ISSUER, "3000", CERT_BROKEN, "names another issuer"},
		{VALIDITY, "301e170d3236303130313030303030305a170d3236303130323030303030301a", CERT_MALFORMED,
		 "validity"},
		{VALIDITY, "300f170d3236303130313030303030305a", CERT_MALFORMED, "validity"},
		{VALIDITY,
		 "302d170d3236303130313030303030305a170d3236303130323030303030305a170d3236303130323030303030305a",
		 CERT_MALFORMED, "validity"},
		{VALIDITY, "3020180f32303236303130313030303030305a170d3236303130323030303030305a", CERT_MALFORMED,
		 "validity"},
		{SUBJECT, "31003000", CERT_MALFORMED, "names no subject"},
		{SUBJECT, "3080060355040300000000", CERT_MALFORMED, "strict DER"},
		{SPKI, "", CERT_MALFORMED, "no public key"},
		{EXTENSIONS, "", CERT_CONSTRAINT, "basicConstraints"},
		{EXTENSIONS, "a3023000", CERT_MALFORMED, "other than extensions"},
		{EXTENSIONS, "a3020500", CERT_MALFORMED, "other than extensions"},
		{EXTENSIONS, "a302300081020000", CERT_MALFORMED, "other than extensions"},
		{EXTENSIONS, "81020000", CERT_MALFORMED, "other than extensions"},
		{EXTENSIONS, "a30430023000", CERT_MALFORMED, "extensions that cannot be read"},
		{EXTENSIONS, "a3073005300306012a", CERT_MALFORMED, "extension that is not in DER"},
	};

	(void)state;
	for (int at = REGION; at <= LEAF; at += LEAF - REGION)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			struct cert_fixture f;

			cert_fixture_new(&f, c);
			exchange(&f, at, cases[i].part, cases[i].hex);
			refuse_fixture(&f, cases[i].fault, cases[i].says);
			refuse_fixture(&f, cases[i].fault,
				       at == LEAF ? "The leaf certificate" : "Certificate 2 of the bundle");
			cert_fixture_free(&f);
		}
}

static void what_the_parts_may_be(void **state)
{
	static const struct {
		enum part part;
		const char *hex;
	} cases[] = {
		{SERIAL, "021500ffffffffffffffffffffffffffffffffffffffff"},
		{SERIAL, "02147fffffffffffffffffffffffffffffffffffffff"},
		{SERIAL, "020100"},
		{VALIDITY, "3020170d3236303130313030303030305a180f32303530303130313030303030305a"},
	};
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		exchange(&f, LEAF, cases[i].part, cases[i].hex);
		cert_chain_free(accept_fixture(&f));
	}
	cert_fixture_free(&f);
}

static void only_ecdsa_with_sha384_without_parameters_signs(void **state)
{
	static const struct {
		const char *inner, *outer;
		enum cert_fault fault;
	} cases[] = {
		{ECDSA_SHA256, ECDSA_SHA256, CERT_UNSUPPORTED},
		{"300c06082a8648ce3d0403030500", "300c06082a8648ce3d0403030500", CERT_UNSUPPORTED},
		{"300d06092a864886f70d01010c0500", "300d06092a864886f70d01010c0500", CERT_UNSUPPORTED},
		{ECDSA_SHA384, ECDSA_SHA256, CERT_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf inner = BUF_INIT(SURGERY_MAX);
		struct cert_fixture f;

		cert_fixture_new(&f, c);
		put_hex(&inner, cases[i].inner);
		exchange_under(&f, ZONE, ALGORITHM, buf_bytes(&inner), cases[i].outer, REGION);
		refuse_fixture(&f, cases[i].fault, "Certificate 3 of the bundle");
		buf_free(&inner);
		cert_fixture_free(&f);
	}
}

static void keys_are_points_of_the_named_curve_p384(void **state)
{
	static const char head[] = "3076301006072a8648ce3d020106052b81040022036200";
	struct buf good = BUF_INIT(SURGERY_MAX), b = BUF_INIT(SURGERY_MAX);
	struct bytes parts[PARTS];
	struct cert_fixture f;
	const uint8_t *x;

	(void)state;
	cert_fixture_new(&f, c);
	take_apart(cert_fixture_der(&f, LEAF), parts);
	buf_put_bytes(&good, parts[SPKI]);
	assert_int_equal(good.n, 120);
	x = good.p + 24;
	/* flipped, (0, 0), x = 2^384 - 1 */
	for (int i = 0; i < 3; i++) {
		put_hex(&b, head);
		buf_put_u8(&b, 0x04);
		for (int j = 0; j < 96; j++)
			buf_put_u8(&b, (uint8_t)(i == 0 ? x[j] ^ (j == 95) : i == 1 ? 0 : j < 48 ? 0xff : x[j]));
		exchange_under(&f, LEAF, SPKI, buf_bytes(&b), ECDSA_SHA384, INSTANCE);
		refuse_fixture(&f, CERT_UNSUPPORTED, "not a point of P-384");
		buf_reset(&b);
	}
	/* hybrid */
	buf_put_bytes(&b, buf_bytes(&good));
	b.p[23] = (uint8_t)(6 + (x[95] & 1));
	exchange_under(&f, LEAF, SPKI, buf_bytes(&b), ECDSA_SHA384, INSTANCE);
	refuse_fixture(&f, CERT_UNSUPPORTED, "uncompressed point of the named curve");
	buf_reset(&b);
	/* compressed */
	put_hex(&b, "3046301006072a8648ce3d020106052b81040022033200");
	buf_put_u8(&b, (uint8_t)(2 + (x[95] & 1)));
	buf_put(&b, x, 48);
	exchange_under(&f, LEAF, SPKI, buf_bytes(&b), ECDSA_SHA384, INSTANCE);
	refuse_fixture(&f, CERT_UNSUPPORTED, "uncompressed point of the named curve");
	buf_reset(&b);
	/* infinity */
	put_hex(&b, "3016301006072a8648ce3d020106052b8104002203020000");
	exchange_under(&f, LEAF, SPKI, buf_bytes(&b), ECDSA_SHA384, INSTANCE);
	refuse_fixture(&f, CERT_UNSUPPORTED, "uncompressed point of the named curve");
	/* P-256, Ed25519 */
	exchange(
		&f, LEAF, SPKI,
		"3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0"
		"f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
	refuse_fixture(&f, CERT_UNSUPPORTED, "uncompressed point of the named curve");
	exchange(&f, LEAF, SPKI,
		 "302a300506032b65700321000000000000000000000000000000000000000000000000000000000000000000");
	refuse_fixture(&f, CERT_UNSUPPORTED, "uncompressed point of the named curve");
	/* of a CA */
	exchange(&f, ZONE, SPKI,
		 "302a300506032b65700321000000000000000000000000000000000000000000000000000000000000000000");
	refuse_fixture(&f, CERT_UNSUPPORTED, "Certificate 3 of the bundle has a public key");
	buf_free(&good);
	buf_free(&b);
	cert_fixture_free(&f);
}

static void extensions_say_what_each_certificate_may_do(void **state)
{
#define UNKNOWN	  "300806032a030404010a"       /* not critical */
#define UNKNOWN_2 "300b06032a03040101ff04010a" /* the same, critical */
	static const struct {
		int at;
		const char *hex;
		enum cert_fault fault;
		const char *says; /* NULL: fine */
	} cases[] = {
		{ZONE, CA CERT_SIGN, CERT_BROKEN, NULL},
		{LEAF, NO_CA DIGITAL, CERT_BROKEN, NULL},
		{LEAF, DIGITAL NO_CA UNKNOWN, CERT_BROKEN, NULL},
		{ZONE, CERT_SIGN, CERT_CONSTRAINT, "no critical basicConstraints"},
		{ZONE, "300c0603551d13040530030101ff" CERT_SIGN, CERT_CONSTRAINT, "no critical basicConstraints"},
		{ZONE, NO_CA CERT_SIGN, CERT_CONSTRAINT, "is not a CA's"},
		{ZONE, CA, CERT_CONSTRAINT, "keyCertSign"},
		{ZONE, CA DIGITAL, CERT_CONSTRAINT, "keyCertSign"},
		{ZONE, CA NO_CA CERT_SIGN, CERT_CONSTRAINT, "twice"},
		{ZONE, CA CERT_SIGN CERT_SIGN, CERT_CONSTRAINT, "twice"},
		{ZONE, CA CERT_SIGN UNKNOWN UNKNOWN, CERT_CONSTRAINT, "twice"},
		{ZONE, CA CERT_SIGN UNKNOWN_2, CERT_CONSTRAINT, "critical extension other than"},
		{ROOT, CA DIGITAL, CERT_CONSTRAINT, "The root has no keyUsage"},
		{LEAF, DIGITAL, CERT_CONSTRAINT, "no critical basicConstraints"},
		{LEAF, "30090603551d1304023000" DIGITAL, CERT_CONSTRAINT, "no critical basicConstraints"},
		{LEAF, CA DIGITAL, CERT_CONSTRAINT, "is a CA's"},
		{LEAF, NO_CA, CERT_CONSTRAINT, "digitalSignature"},
		{LEAF, NO_CA CERT_SIGN, CERT_CONSTRAINT, "digitalSignature"},
		{LEAF, NO_CA DIGITAL UNKNOWN_2, CERT_CONSTRAINT, "critical extension other than"},
		/* critical FALSE, critical 1, no value, something behind the value */
		{LEAF, NO_CA DIGITAL "300b06032a030401010004010a", CERT_MALFORMED, "not in DER"},
		{LEAF, NO_CA DIGITAL "300b06032a030401010104010a", CERT_MALFORMED, "strict DER"},
		{LEAF, NO_CA DIGITAL "300506032a0304", CERT_MALFORMED, "not in DER"},
		{LEAF, NO_CA DIGITAL "300a06032a030404010a0500", CERT_MALFORMED, "not in DER"},
		/* cA FALSE in full, a path length without cA, a negative one, something behind it, no SEQUENCE */
		{LEAF, "300f0603551d130101ff04053003010100" DIGITAL, CERT_MALFORMED, "basicConstraints"},
		{LEAF, "300f0603551d130101ff04053003020100" DIGITAL, CERT_MALFORMED, "basicConstraints"},
		{ZONE, "30120603551d130101ff040830060101ff0201ff" CERT_SIGN, CERT_MALFORMED, "basicConstraints"},
		{ZONE, "30110603551d130101ff040730050101ff0500" CERT_SIGN, CERT_MALFORMED, "basicConstraints"},
		{ZONE, "30110603551d130101ff040730030101ff0500" CERT_SIGN, CERT_MALFORMED, "basicConstraints"},
		{ZONE, "300d0603551d130101ff04030101ff" CERT_SIGN, CERT_MALFORMED, "basicConstraints"},
		/* keyUsage with zero bits at its end, without bits, of three bytes, not a BIT STRING */
		{LEAF, NO_CA "300e0603551d0f0101ff040403020080", CERT_MALFORMED, "keyUsage"},
		{LEAF, NO_CA "300d0603551d0f0101ff0403030100", CERT_MALFORMED, "keyUsage"},
		{LEAF, NO_CA "30100603551d0f0101ff0406030400800001", CERT_MALFORMED, "keyUsage"},
		{LEAF, NO_CA "300e0603551d0f0101ff040404020780", CERT_MALFORMED, "keyUsage"},
		/* one that we do not read, but OpenSSL does: a subjectKeyIdentifier and a subjectAltName of garbage */
		{LEAF, NO_CA DIGITAL "30080603551d0e040105", CERT_MALFORMED, "extension that is not as RFC 5280"},
		{LEAF, NO_CA DIGITAL "30080603551d11040105", CERT_MALFORMED, "extension that is not as RFC 5280"},
		/* nameConstraints that permit example.com alone, not critical */
		{ZONE, CA CERT_SIGN "301a0603551d1e04133011a00f300d820b6578616d706c652e636f6d", CERT_CONSTRAINT,
		 "permitted subtree violation"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct cert_fixture f;

		cert_fixture_new(&f, c);
		extend(&f, cases[i].at, cases[i].hex);
		if (cases[i].says == NULL)
			cert_chain_free(accept_fixture(&f));
		else
			refuse_fixture(&f, cases[i].fault, cases[i].says);
		cert_fixture_free(&f);
	}
}

static void a_certificate_has_at_most_16_extensions(void **state)
{
	struct buf hex = BUF_INIT(SURGERY_MAX);
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	buf_put_str(&hex, NO_CA DIGITAL);
	for (unsigned i = 2; i < 16; i++)
		buf_printf(&hex, "300706032a03%02x0400", i);
	extend(&f, LEAF, buf_cstr(&hex));
	cert_chain_free(accept_fixture(&f));
	buf_put_str(&hex, "300706032a03100400");
	extend(&f, LEAF, buf_cstr(&hex));
	refuse_fixture(&f, CERT_CONSTRAINT, "more than 16");
	buf_free(&hex);
	cert_fixture_free(&f);
}

static void path_lengths_count_the_cas_below(void **state)
{
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	f.spec[ROOT].path_length = 3;
	cert_fixture_make(&f);
	cert_chain_free(accept_fixture(&f));
	for (int i = ROOT; i < INSTANCE; i++) {
		f.spec[i].path_length = 2 - i;
		cert_fixture_make(&f);
		refuse_fixture(&f, CERT_CONSTRAINT, "pathLenConstraint");
		f.spec[i].path_length = 3 - i;
	}
	f.spec[ROOT].path_length = 1000;
	f.spec[ZONE].path_length = CERT_NO_PATH_LENGTH;
	cert_fixture_make(&f);
	cert_chain_free(accept_fixture(&f));
	cert_fixture_free(&f);
}

static void a_certificate_has_at_most_1024_bytes(void **state)
{
	struct buf hex = BUF_INIT(SURGERY_MAX);
	struct cert_fixture f;
	bool at = false, past = false;
	int pad = 500;

	(void)state;
	cert_fixture_new(&f, c);
	/* The length of a signature varies by a few bytes. */
	for (int i = 0; i < 500 && !(at && past); i++) {
		buf_reset(&hex);
		buf_printf(&hex, NO_CA DIGITAL "3082%04x06032a03040482%04x", pad + 9, pad);
		for (int j = 0; j < pad; j++)
			buf_put_str(&hex, "00");
		extend(&f, LEAF, buf_cstr(&hex));
		if (f.der[LEAF].n == CERT_DER_MAX) {
			cert_chain_free(accept_fixture(&f));
			at = true;
		} else if (f.der[LEAF].n == CERT_DER_MAX + 1) {
			refuse_fixture(&f, CERT_MALFORMED, "The leaf certificate has 1025 bytes; at most 1024");
			past = true;
		}
		pad += (at ? CERT_DER_MAX + 1 : CERT_DER_MAX) - (int)f.der[LEAF].n;
	}
	assert_true(at && past);
	buf_free(&hex);
	cert_fixture_free(&f);
}

static void nothing_may_be_missing_or_behind(void **state)
{
	struct bytes all[CERT_FIXTURE_ALL];
	struct buf b = BUF_INIT(SURGERY_MAX);
	struct cert_fixture f;

	(void)state;
	cert_fixture_new(&f, c);
	for (int i = REGION; i <= LEAF; i++) {
		bundle_of(&f, all);
		struct bytes own = all[i];

		buf_put_bytes(&b, own);
		buf_put_u8(&b, 0);
		all[i] = buf_bytes(&b);
		refuse(all[0], all, N, all[LEAF], CERT_MALFORMED, "bytes behind its end");
		buf_reset(&b);
		for (size_t n = 0; n < own.n; n++) {
			all[i] = bytes_of(own.p, n);
			refuse(all[0], all, N, all[LEAF], CERT_MALFORMED, "not a complete X.509 certificate");
		}
		/* BER's open length */
		put_hex(&b, "3080");
		buf_put(&b, own.p + 4, own.n - 4);
		put_hex(&b, "0000");
		all[i] = buf_bytes(&b);
		refuse(all[0], all, N, all[LEAF], CERT_MALFORMED, "not a complete X.509 certificate");
		buf_reset(&b);
		/* a length in one byte more than it needs */
		put_hex(&b, "308300");
		buf_put(&b, own.p + 2, own.n - 2);
		all[i] = buf_bytes(&b);
		refuse(all[0], all, N, all[LEAF], CERT_MALFORMED, "not a complete X.509 certificate");
		buf_reset(&b);
		/* a fourth part */
		put_head(&b, DER_SEQUENCE, own.n - 4 + 2);
		buf_put(&b, own.p + 4, own.n - 4);
		put_hex(&b, "0500");
		all[i] = buf_bytes(&b);
		refuse(all[0], all, N, all[LEAF], CERT_MALFORMED, "three parts");
		buf_reset(&b);
	}
	buf_free(&b);
	cert_fixture_free(&f);
}

static void no_byte_of_a_chain_can_be_changed(void **state)
{
	enum cert_fault fault = CERT_BROKEN;
	struct cert_chain *chain = NULL;
	struct bytes all[CERT_FIXTURE_ALL];
	struct cert_fixture f;
	struct why w = {0};

	(void)state;
	cert_fixture_new(&f, c);
	bundle_of(&f, all);
	for (int i = REGION; i <= LEAF; i += LEAF - REGION)
		for (size_t at = 0; at < all[i].n; at++) {
			f.der[i].p[at] ^= (uint8_t)(1u << at % 8);
			if (cert_chain_check(all[0], all, N, all[LEAF], &chain, &fault, &w) != ERR_INVALID)
				fail_msg("byte %zu of certificate %d may be changed", at, i);
			f.der[i].p[at] ^= (uint8_t)(1u << at % 8);
		}
	cert_chain_free(accept_fixture(&f));
	cert_fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_of_a_certificate_are_as_nitros),
		cmocka_unit_test(what_the_parts_may_be),
		cmocka_unit_test(only_ecdsa_with_sha384_without_parameters_signs),
		cmocka_unit_test(keys_are_points_of_the_named_curve_p384),
		cmocka_unit_test(extensions_say_what_each_certificate_may_do),
		cmocka_unit_test(a_certificate_has_at_most_16_extensions),
		cmocka_unit_test(path_lengths_count_the_cas_below),
		cmocka_unit_test(a_certificate_has_at_most_1024_bytes),
		cmocka_unit_test(nothing_may_be_missing_or_behind),
		cmocka_unit_test(no_byte_of_a_chain_can_be_changed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
