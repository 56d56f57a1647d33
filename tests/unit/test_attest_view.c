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

static enum err parse(const struct doc_spec *s, struct attest_view *v, struct why *w)
{
	struct buf doc = BUF_INIT(65536);
	doc_make(s, &doc);
	enum err e = attest_view_parse(buf_bytes(&doc), v, w);
	buf_free(&doc);
	return e;
}

static void good(const struct doc_spec *s)
{
	struct attest_view v;
	struct why w = {.text = ""};
	if (parse(s, &v, &w) != ERR_OK)
		fail_msg("%s", w.text);
}

static void bad(const struct doc_spec *s, const char *says)
{
	struct attest_view v = {.timestamp_ms = 5};
	struct why w;
	assert_int_equal(parse(s, &v, &w), ERR_NSM);
	assert_false(w.tell);
	if (strstr(w.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", w.text, says);
	assert_int_equal(v.timestamp_ms, 5);
}

/* One change to a good document, and what is said of it. */
#define BAD(says, ...)                               \
	do {                                         \
		struct doc_spec d = doc_spec_good(); \
		__VA_ARGS__;                         \
		bad(&d, says);                       \
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
	BAD("the tag is not that", d.tagged = true, d.tag = 17);
}

static void a_cose_sign1_has_four_parts_of_the_right_kind(void **s)
{
	(void)s;
	BAD("four parts", d.parts = 3);
	BAD("four parts", d.parts = 5);
	BAD("unprotected header is not empty", d.unprotected = true);
	BAD("size", d.signature_size = 95);
	BAD("size", d.signature_size = 97);
	BAD("size", d.protected_size = 0);
	GOOD(d.protected_size = 64);
	BAD("size", d.protected_size = 65);
	BAD("bytes follow", d.behind = "x");
	BAD("bytes follow", d.behind_payload = "x");
}

static void each_member_comes_once_with_its_type(void **s)
{
	(void)s;
	for (int m = 0; m < DOC_MEMBERS; m++) {
		BAD("a member is missing", d.skip = 1u << m);
		BAD("a member is missing", d.skip = 1u << m, d.indefinite = true);
		BAD("unknown or comes twice", d.twice = m);
		BAD("unknown or comes twice", d.unknown = m);
		BAD("expected", d.wrong_type = m);
	}
}

static void fields_have_limits(void **s)
{
	(void)s;
	BAD("module_id is empty", d.module_id = BYTES_LIT(""));
	BAD("not SHA384", d.digest = "SHA512");
	BAD("timestamp", d.timestamp = 0);
	GOOD(d.timestamp = INT64_MAX);
	BAD("timestamp", d.timestamp = (uint64_t)INT64_MAX + 1);
	GOOD(d.certificate = bytes_of(zeros, 1024));
	BAD("size", d.certificate = bytes_of(zeros, 1025));
	BAD("size", d.certificate = bytes_of(zeros, 0));
	GOOD(d.user_data = bytes_of(zeros, 1024));
	BAD("size", d.user_data = bytes_of(zeros, 1025));
	GOOD(d.nonce = bytes_of(zeros, 0));
	BAD("size", d.nonce = bytes_of(zeros, 1025));
	GOOD(d.public_key = bytes_of(zeros, 1024));
	BAD("size", d.public_key = bytes_of(zeros, 1025));
}

static void pcrs_have_indices_of_their_own_below_32_and_48_bytes(void **s)
{
	(void)s;
	BAD("no PCRs", d.n_pcrs = 0);
	BAD("index", d.pcr_index[3] = 32);
	BAD("index", d.pcr_index[3] = UINT64_MAX);
	BAD("index", d.pcr_index[3] = 1);
	BAD("size", d.pcr_size = 47);
	BAD("size", d.pcr_size = 49);
	GOOD(d.n_pcrs = 32; for (size_t i = 0; i < 32; i++) d.pcr_index[i] = 31 - i);
	BAD("index", d.n_pcrs = 33; for (size_t i = 0; i < 33; i++) d.pcr_index[i] = 32 - i);
}

static void a_cabundle_holds_1_to_16_certificates(void **s)
{
	(void)s;
	BAD("cabundle is empty", d.n_cabundle = 0);
	GOOD(d.n_cabundle = 16; for (size_t i = 0; i < 16; i++) d.cabundle[i] = bytes_of(zeros, 900));
	BAD("too many certificates", d.n_cabundle = 17;
	    for (size_t i = 0; i < 17; i++) d.cabundle[i] = bytes_of(zeros, 1));
	GOOD(d.cabundle[1] = bytes_of(zeros, 1024));
	BAD("size", d.cabundle[1] = bytes_of(zeros, 1025));
	BAD("size", d.cabundle[1] = bytes_of(zeros, 0));
}

static void every_truncation_is_refused(void **s)
{
	(void)s;
	const struct doc_spec d = doc_spec_good();
	struct buf doc = BUF_INIT(65536);
	struct attest_view v;
	struct why w;
	doc_make(&d, &doc);
	for (size_t n = 0; n < doc.n; n++)
		assert_int_equal(attest_view_parse(bytes_of(doc.p, n), &v, &w), ERR_NSM);
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
			struct why w = {.text = ""};
			if (strstr(f->d_name, ".bin") == NULL)
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s/%s", root, folders[i], f->d_name);
			FILE *in = fopen(path, "rb");
			assert_non_null(in);
			size_t got = fread(bytes, 1, sizeof(bytes), in);
			(void)fclose(in);
			if (attest_view_parse(bytes_of(bytes, got), &v, &w) != ERR_OK)
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
		cmocka_unit_test(each_member_comes_once_with_its_type),
		cmocka_unit_test(fields_have_limits),
		cmocka_unit_test(pcrs_have_indices_of_their_own_below_32_and_48_bytes),
		cmocka_unit_test(a_cabundle_holds_1_to_16_certificates),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(genuine_documents_can_be_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
