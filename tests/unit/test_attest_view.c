#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "attest/internal.h"
#include "attest_doc.h"

static const uint8_t zeros[2048];
static const char letters[] = "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"
			      "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii";

static enum err parse(const struct doc_spec *s, struct attest_view *v, enum verify_code *fault, struct why *w)
{
	struct buf doc = BUF_INIT(65536);
	doc_make(s, &doc);
	enum err e = attest_view_parse(buf_bytes(&doc), v, fault, w);
	buf_free(&doc);
	return e;
}

static void good(const struct doc_spec *s)
{
	struct attest_view v;
	enum verify_code fault;
	struct why w = {.text = ""};
	if (parse(s, &v, &fault, &w) != ERR_OK)
		fail_msg("%s", w.text);
}

static void bad(const struct doc_spec *s, enum verify_code code, const char *says)
{
	struct attest_view v = {.timestamp_ms = 5};
	enum verify_code fault = VERIFY_VERIFIED;
	struct why w;
	assert_int_equal(parse(s, &v, &fault, &w), ERR_MALFORMED);
	assert_string_equal(verify_code_name(fault), verify_code_name(code));
	assert_false(w.tell);
	if (strstr(w.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", w.text, says);
	assert_int_equal(v.timestamp_ms, 5);
}

/* One change to a good document, and what is said of it. */
#define BAD(code, says, ...)                         \
	do {                                         \
		struct doc_spec d = doc_spec_good(); \
		__VA_ARGS__;                         \
		bad(&d, VERIFY_##code, says);        \
	} while (0)
#define GOOD(...)                                    \
	do {                                         \
		struct doc_spec d = doc_spec_good(); \
		__VA_ARGS__;                         \
		good(&d);                            \
	} while (0)

static void tag_and_map_have_two_accepted_forms_each(void **s)
{
	(void)s;
	GOOD(d.tagged = true);
	GOOD(d.indefinite = true);
	GOOD(d.indefinite = d.tagged = true);
	BAD(COSE_MALFORMED, "the tag is not that", d.tagged = true, d.tag = 17);
}

static void a_cose_sign1_has_four_parts_of_the_right_kind(void **s)
{
	(void)s;
	BAD(COSE_MALFORMED, "four parts", d.parts = 3);
	BAD(COSE_MALFORMED, "four parts", d.parts = 5);
	BAD(COSE_MALFORMED, "unprotected header is not empty", d.unprotected = true);
	BAD(COSE_MALFORMED, "size", d.signature_size = 95);
	BAD(COSE_MALFORMED, "size", d.signature_size = 97);
	BAD(COSE_MALFORMED, "bytes follow", d.behind = "x");
	BAD(PAYLOAD_MALFORMED, "bytes follow", d.behind_payload = "x");
}

static void the_protected_header_is_that_of_es384_byte_for_byte(void **s)
{
	(void)s;
	BAD(ALGORITHM, "ES256", d.protected_header = BYTES_LIT("\xa1\x01\x26"));
	BAD(ALGORITHM, "ES256", d.protected_header = BYTES_LIT("\xa1\x01\x26"), d.signature_size = 64);
	BAD(ALGORITHM, "ES512", d.protected_header = BYTES_LIT("\xa1\x01\x38\x23"), d.signature_size = 132);
	BAD(ALGORITHM, "EdDSA", d.protected_header = BYTES_LIT("\xa1\x01\x27"));
	BAD(COSE_MALFORMED, "length 0", d.protected_header = BYTES_LIT(""));
	BAD(ALGORITHM, "{1: -35}", d.protected_header = BYTES_LIT("\xa1\x01\x39\x00\x22"));
	BAD(COSE_MALFORMED, "{1: -35}", d.protected_header = BYTES_LIT("\xbf\x01\x38\x22\xff"));
	BAD(COSE_MALFORMED, "{1: -35}", d.protected_header = BYTES_LIT("\xa2\x01\x38\x22\x04\x40"));
	BAD(COSE_MALFORMED, "length 2048", d.protected_header = bytes_of(zeros, 2048));
}

static void each_member_comes_once_with_its_type(void **s)
{
	(void)s;
	for (int m = 0; m < DOC_MEMBERS; m++) {
		BAD(PAYLOAD_MALFORMED, "a member is missing", d.skip = 1u << m);
		BAD(PAYLOAD_MALFORMED, "a member is missing", d.skip = 1u << m, d.indefinite = true);
		BAD(PAYLOAD_MALFORMED, "unknown or comes twice", d.twice = m);
		BAD(PAYLOAD_MALFORMED, "unknown or comes twice", d.unknown = m);
		BAD(PAYLOAD_MALFORMED, "expected", d.wrong_type = m);
	}
}

static void a_nitrotpm_document_is_called_that(void **s)
{
	(void)s;
	BAD(NITROTPM, "NitroTPM", d.pcrs_name = "nitrotpm_pcrs");
	BAD(NITROTPM, "NitroTPM", d.pcrs_name = "nitrotpm_pcrs", d.n_pcrs = 3, d.pcr_size = 32, d.indefinite = true);
	BAD(PAYLOAD_MALFORMED, "a byte string was expected", d.pcrs_name = "nitrotpm_pcrs", d.wrong_type = DOC_NONCE);
}

static void fields_have_limits(void **s)
{
	(void)s;
	GOOD(d.module_id = bytes_str("i"));
	GOOD(d.module_id = bytes_of(letters, 127));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = bytes_of(letters, 128));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT(""));
	GOOD(d.module_id = BYTES_LIT(" ~"));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT("i-0\x1b[2J"));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT("i-0\n"));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT("i-0\0"));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT("i-0\x7f"));
	BAD(PAYLOAD_MALFORMED, "module_id", d.module_id = BYTES_LIT("i-\xc3\xa9"));
	BAD(PAYLOAD_MALFORMED, "UTF-8", d.module_id = BYTES_LIT("i-\xff"));
	BAD(PAYLOAD_MALFORMED, "not SHA384", d.digest = "SHA512");
	GOOD(d.timestamp = 1);
	BAD(PAYLOAD_MALFORMED, "timestamp", d.timestamp = 0);
	GOOD(d.timestamp = INT64_MAX);
	BAD(PAYLOAD_MALFORMED, "timestamp", d.timestamp = (uint64_t)INT64_MAX + 1);
	GOOD(d.certificate = bytes_of(zeros, 1));
	GOOD(d.certificate = bytes_of(zeros, 1024));
	BAD(PAYLOAD_MALFORMED, "size", d.certificate = bytes_of(zeros, 1025));
	BAD(PAYLOAD_MALFORMED, "size", d.certificate = bytes_of(zeros, 0));
	GOOD(d.user_data = bytes_of(NULL, 0));
	GOOD(d.user_data = bytes_of(zeros, 0));
	GOOD(d.user_data = bytes_of(zeros, 1024));
	BAD(PAYLOAD_MALFORMED, "size", d.user_data = bytes_of(zeros, 1025));
	GOOD(d.nonce = bytes_of(zeros, 0));
	GOOD(d.nonce = bytes_of(zeros, 1024));
	BAD(PAYLOAD_MALFORMED, "size", d.nonce = bytes_of(zeros, 1025));
	GOOD(d.public_key = bytes_of(zeros, 0));
	GOOD(d.public_key = bytes_of(zeros, 1024));
	BAD(PAYLOAD_MALFORMED, "size", d.public_key = bytes_of(zeros, 1025));
}

static void there_are_16_to_32_pcrs_of_48_bytes_from_0_to_15_all(void **s)
{
	(void)s;
	BAD(PAYLOAD_MALFORMED, "missing", d.n_pcrs = 0);
	BAD(PAYLOAD_MALFORMED, "missing", d.n_pcrs = 15);
	GOOD(d.n_pcrs = 16);
	BAD(PAYLOAD_MALFORMED, "missing", d.n_pcrs = 16, d.pcr_index[15] = 16);
	GOOD(d.pcr_index[3] = 16, d.pcr_index[16] = 3);
	BAD(PAYLOAD_MALFORMED, "index", d.pcr_index[16] = 32);
	BAD(PAYLOAD_MALFORMED, "index", d.pcr_index[16] = UINT64_MAX);
	BAD(PAYLOAD_MALFORMED, "index", d.pcr_index[16] = 1);
	BAD(PAYLOAD_MALFORMED, "size", d.pcr_size = 47);
	BAD(PAYLOAD_MALFORMED, "size", d.pcr_size = 49);
	GOOD(d.n_pcrs = 32; for (size_t i = 0; i < 32; i++) d.pcr_index[i] = 31 - i);
	BAD(PAYLOAD_MALFORMED, "index", d.n_pcrs = 33; for (size_t i = 0; i < 33; i++) d.pcr_index[i] = 32 - i);
}

static void a_cabundle_holds_1_to_8_certificates(void **s)
{
	(void)s;
	BAD(PAYLOAD_MALFORMED, "cabundle is empty", d.n_cabundle = 0);
	GOOD(d.n_cabundle = 1);
	GOOD(d.n_cabundle = 8; for (size_t i = 0; i < 8; i++) d.cabundle[i] = bytes_of(zeros, 1024));
	BAD(PAYLOAD_MALFORMED, "too many certificates", d.n_cabundle = 9;
	    for (size_t i = 0; i < 9; i++) d.cabundle[i] = bytes_of(zeros, 1));
	BAD(PAYLOAD_MALFORMED, "size", d.cabundle[1] = bytes_of(zeros, 1025));
	BAD(PAYLOAD_MALFORMED, "size", d.cabundle[1] = bytes_of(zeros, 0));
}

static void what_is_read_points_into_the_document(void **s)
{
	(void)s;
	const struct doc_spec d = doc_spec_good();
	struct buf doc = BUF_INIT(65536);
	struct attest_view v;
	enum verify_code fault;
	struct why w;
	doc_make(&d, &doc);
	assert_int_equal(attest_view_parse(buf_bytes(&doc), &v, &fault, &w), ERR_OK);
	assert_ptr_equal(v.protected_header.p, doc.p + 2);
	assert_int_equal(v.protected_header.n, 4);
	assert_ptr_equal(v.signature.p, doc.p + doc.n - CERT_SIGNATURE_SIZE);
	assert_ptr_equal(v.payload.p + v.payload.n + 2, v.signature.p);
	assert_true(bytes_is(v.module_id, "i-0-enc1") && bytes_is(v.nonce, "nonce"));
	assert_null(v.public_key.p);
	buf_free(&doc);
}

static void every_truncation_is_refused(void **s)
{
	(void)s;
	const struct doc_spec d = doc_spec_good();
	struct buf doc = BUF_INIT(65536);
	struct attest_view v;
	enum verify_code fault;
	struct why w;
	doc_make(&d, &doc);
	for (size_t n = 0; n < doc.n; n++) {
		assert_int_equal(attest_view_parse(bytes_of(doc.p, n), &v, &fault, &w), ERR_MALFORMED);
		assert_int_equal(fault, VERIFY_COSE_MALFORMED);
	}
	buf_free(&doc);
}

/* Documents that AWS signed: ATTESTATION_VECTORS names the folder that holds `genuine` and `limits`. */
static void genuine_documents_can_be_shown(void **s)
{
	(void)s;
	static const char *const folders[] = {"genuine", "limits"};
	const char *root = getenv("ATTESTATION_VECTORS");
	if (root == NULL) {
		print_message("ATTESTATION_VECTORS is not set: the genuine documents were not read\n");
		skip();
	}
	size_t n = 0;
	for (size_t i = 0; i < 2; i++) {
		char path[1024];
		(void)snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		DIR *dir = opendir(path);
		assert_non_null(dir);
		for (struct dirent *f; (f = readdir(dir)) != NULL;) {
			static uint8_t bytes[65536];
			struct attest_view v;
			enum verify_code fault;
			struct why w = {.text = ""};
			if (strstr(f->d_name, ".bin") == NULL)
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s/%s", root, folders[i], f->d_name);
			FILE *in = fopen(path, "rb");
			assert_non_null(in);
			size_t got = fread(bytes, 1, sizeof(bytes), in);
			(void)fclose(in);
			if (attest_view_parse(bytes_of(bytes, got), &v, &fault, &w) != ERR_OK)
				fail_msg("%s: %s", f->d_name, w.text);
			assert_int_equal(v.n_cabundle, 4);
			n++;
		}
		(void)closedir(dir);
	}
	print_message("%zu genuine documents\n", n);
	assert_true(n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tag_and_map_have_two_accepted_forms_each),
		cmocka_unit_test(a_cose_sign1_has_four_parts_of_the_right_kind),
		cmocka_unit_test(the_protected_header_is_that_of_es384_byte_for_byte),
		cmocka_unit_test(a_nitrotpm_document_is_called_that),
		cmocka_unit_test(each_member_comes_once_with_its_type),
		cmocka_unit_test(fields_have_limits),
		cmocka_unit_test(there_are_16_to_32_pcrs_of_48_bytes_from_0_to_15_all),
		cmocka_unit_test(a_cabundle_holds_1_to_8_certificates),
		cmocka_unit_test(what_is_read_points_into_the_document),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(genuine_documents_can_be_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
