#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cborio.h"
#include "json.h"
#include "nsm.h"

static void a_pcr_is_given_as_its_number_and_96_digits(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "=", "0", "32=", "00=", "-1=", " 1=", "1 =", "+1=", "x=", "100="};
	char text[128];
	uint8_t value[NSM_PCR_SIZE];
	unsigned index = 99;
	struct why w;
	for (int i = 0; i < 3; i++) {
		const int sizes[] = {96, 95, 97};
		(void)snprintf(text, sizeof text, "31=%0*d", sizes[i], 7);
		assert_int_equal(nsm_pcr_parse(bytes_str(text), &index, value, &w), i == 0 ? ERR_OK : ERR_INVALID);
		assert_int_equal(index, 31);
		assert_int_equal(value[NSM_PCR_SIZE - 1], 7);
	}
	assert_non_null(strstr(w.text, "PCR31 is not 96 hex digits"));
	assert_non_null(strstr(w.text, "it has 97 characters"));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%096d", bad[i], 0);
		assert_int_equal(nsm_pcr_parse(bytes_str(text), &index, value, &w), ERR_INVALID);
		assert_string_equal(w.field, "pcr");
		assert_non_null(strstr(w.text, "given as N=HEX"));
	}
	assert_int_equal(nsm_pcr_parse(bytes_of(NULL, 0), &index, value, &w), ERR_INVALID);
	assert_int_equal(index, 31);
}

static void a_set_of_pcrs_is_a_list_of_numbers(void **s)
{
	(void)s;
	static const struct {
		uint32_t set;
		const char *text;
	} sets[] = {
		{0, "[]"}, {1, "[0]"}, {UINT32_C(1) << 31, "[31]"}, {0x80000105, "[0,2,8,31]"}, {0xffff, NULL},
	};
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		struct buf out = BUF_INIT(128);
		nsm_pcrs_json(sets[i].set, &out);
		assert_string_equal(buf_cstr(&out),
				    sets[i].text != NULL ? sets[i].text : "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]");
		buf_free(&out);
	}
}

static struct nsm *open_dummy(void)
{
	const struct nsm_env env = {.device_path = NSM_DEVICE_PATH};
	struct nsm *n = NULL;
	struct why w;
	bool fell;
	assert_int_equal(nsm_open(&n, "dummy", &env, &fell, &w), ERR_OK);
	assert_false(fell);
	return n;
}

/* ---- opening ---- */

static void a_missing_device_says_what_to_do(void **s)
{
	(void)s;
	struct nsm *n = NULL;
	struct why w;
	bool fell = true;
	assert_int_equal(nsm_open(&n, "device", &(struct nsm_env){.device_path = "/nonexistent/nsm"}, &fell, &w),
			 ERR_ENVIRONMENT);
	assert_string_equal(w.text, "/nonexistent/nsm is missing: this is not a Nitro Enclave, or its kernel lacks the "
				    "nsm driver; for development use nsm = simulator");
	assert_null(n);
	assert_true(fell);
}

static void auto_falls_back_only_when_the_device_is_missing(void **s)
{
	(void)s;
	struct nsm *n = NULL;
	struct why w;
	bool fell = false;
	assert_int_equal(nsm_open(&n, "auto", &(struct nsm_env){.device_path = "/nonexistent/nsm"}, &fell, &w), ERR_OK);
	assert_true(fell);
	assert_true(nsm_is_dummy(n));
	assert_false(nsm_is_device(n));
	assert_string_equal(nsm_name(n), "dummy");
	nsm_close(n);
	n = NULL;
	assert_int_equal(nsm_open(&n, "auto", &(struct nsm_env){.device_path = "/dev/null"}, &fell, &w), ERR_OK);
	assert_false(fell);
	assert_true(nsm_is_device(n));
	assert_false(nsm_is_dummy(n));
	assert_string_equal(nsm_name(n), "device");
	nsm_close(n);
	n = NULL;
	/* there, and not to be opened: a directory */
	assert_int_equal(nsm_open(&n, "auto", &(struct nsm_env){.device_path = "/dev"}, &fell, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "EISDIR"));
	assert_null(n);
}

static void an_unknown_back_end_is_a_configuration_error(void **s)
{
	(void)s;
	struct nsm *n = NULL;
	struct why w;
	bool fell;
	static const char *const unknown[] = {"", "simulater", "Device", "socket", "/dev/nsm"};
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		const struct nsm_env env = {.device_path = NSM_DEVICE_PATH};
		assert_int_equal(nsm_open(&n, unknown[i], &env, &fell, &w), ERR_CONFIG);
		assert_non_null(strstr(w.text, "say auto, device, simulator, dummy or socket:PATH"));
		assert_null(n);
	}
	nsm_close(NULL);
}

/* Whatever is behind a socket: a real NSM never is. */
static void a_simulator_is_one_in_process_and_behind_a_socket(void **s)
{
	(void)s;
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct why w = {0};
	char dir[] = "/tmp/nsm-XXXXXX";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char spec[128];
	assert_non_null(mkdtemp(dir));
	(void)snprintf(at.sun_path, sizeof at.sun_path, "%s/s", dir);
	(void)snprintf(spec, sizeof spec, "socket:%s", at.sun_path);
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(crypto_new(&crypto, &w), ERR_OK);
	const struct {
		const char *spec;
		bool simulated, root;
	} ways[] = {{"dummy", false, false}, {"device", false, false}, {"simulator", true, true}, {spec, true, false}};
	const struct nsm_env env = {"/dev/null", crypto, &clock, crypto_random(crypto), 1000};
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		struct nsm *n = NULL;
		bool fell;
		if (nsm_open(&n, ways[i].spec, &env, &fell, &w) != ERR_OK)
			fail_msg("%s: %s", ways[i].spec, w.text);
		assert_int_equal(nsm_is_simulated(n), ways[i].simulated);
		assert_int_equal(nsm_root(n).n > 0, ways[i].root);
		nsm_close(n);
	}
	crypto_free(crypto);
	close(listener);
	unlink(at.sun_path);
	rmdir(dir);
}

static void what_is_no_nsm_fails_by_name(void **s)
{
	(void)s;
	struct nsm *n = NULL;
	struct nsm_description d;
	struct why w;
	bool fell;
	assert_int_equal(nsm_open(&n, "device", &(struct nsm_env){.device_path = "/dev/null"}, &fell, &w), ERR_OK);
	assert_int_equal(nsm_describe(n, &d, &w), ERR_NSM);
	assert_string_equal(w.text, "the NSM device failed with ENOTTY");
	nsm_close(n);
}

static void a_device_that_goes_and_returns_is_found_by_each_call(void **s)
{
	(void)s;
	char dir[] = "/tmp/attestd-nsm-XXXXXX", path[sizeof dir + 8];
	struct nsm *n = NULL;
	struct nsm_description d;
	struct why w;
	bool fell;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/nsm", dir);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(nsm_open(&n, "device", &(struct nsm_env){.device_path = path}, &fell, &w), ERR_OK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(nsm_describe(n, &d, &w), ERR_NSM);
	assert_non_null(strstr(w.text, "/nsm cannot be opened any more (ENOENT)"));
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(nsm_describe(n, &d, &w), ERR_NSM);
	assert_string_equal(w.text, "the NSM device failed with ENOTTY");
	nsm_close(n);
	unlink(path);
	rmdir(dir);
}

static void the_device_takes_requests_up_to_4096_bytes(void **s)
{
	(void)s;
	static uint8_t request[NSM_REQUEST_MAX + 1];
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct why w;
	void *state = NULL;
	assert_int_equal(nsm_device.open(&state, &(struct nsm_env){.device_path = "/dev/null"}, "", &w), ERR_OK);
	assert_int_equal(nsm_device.call(state, bytes_of(request, 0), &reply, &w), ERR_INTERNAL);
	assert_int_equal(nsm_device.call(state, bytes_of(request, 1), &reply, &w), ERR_NSM);
	assert_int_equal(nsm_device.call(state, bytes_of(request, NSM_REQUEST_MAX), &reply, &w), ERR_NSM);
	assert_int_equal(nsm_device.call(state, bytes_of(request, NSM_REQUEST_MAX + 1), &reply, &w), ERR_INTERNAL);
	assert_int_equal(reply.n, 0);
	struct buf small = BUF_INIT(NSM_REPLY_MAX - 1);
	assert_int_equal(nsm_device.call(state, bytes_of(request, 1), &small, &w), ERR_MEMORY);
	nsm_device.close(state);
	nsm_device.close(NULL);
	buf_free(&reply);
	buf_free(&small);
}

/* ---- the dummy ---- */

static void the_dummy_describes_itself(void **s)
{
	(void)s;
	struct nsm *n = open_dummy();
	struct nsm_description d;
	struct why w;
	assert_int_equal(nsm_describe(n, &d, &w), ERR_OK);
	assert_string_equal(d.module_id, "dummy");
	assert_string_equal(d.digest, "SHA384");
	assert_int_equal(d.max_pcrs, 16);
	assert_int_equal(d.locked_pcrs, 0x11f);
	assert_int_equal(d.version_major, 1);
	nsm_close(n);
}

static void the_dummys_pcrs_are_one_digit_repeated(void **s)
{
	(void)s;
	struct nsm *n = open_dummy();
	struct why w;
	for (unsigned i = 0; i <= NSM_PCRS_MAX; i++) {
		struct buf v = BUF_INIT(NSM_PCR_SIZE);
		bool locked = false, known = i <= 4 || i == 8;
		enum err e = nsm_pcr(n, i, &v, &locked, &w);
		assert_int_equal(e, known ? ERR_OK : ERR_NSM_REFUSED);
		if (known) {
			assert_int_equal(v.n, NSM_PCR_SIZE);
			for (size_t k = 0; k < v.n; k++)
				assert_int_equal(v.p[k], i * 0x11);
			assert_true(locked);
		} else {
			assert_string_equal(w.text, "the NSM refused DescribePCR with InvalidIndex");
			assert_int_equal(v.n, 0);
		}
		buf_free(&v);
	}
	nsm_close(n);
}

static void the_dummy_gives_neither_randomness_nor_documents(void **s)
{
	(void)s;
	struct nsm *n = open_dummy();
	struct buf doc = BUF_INIT(NSM_REPLY_MAX);
	uint8_t out[4] = {1, 2, 3, 4};
	struct why w;
	assert_int_equal(nsm_random(n, out, sizeof(out), &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused GetRandom with InvalidOperation");
	assert_memory_equal(out, ((uint8_t[]){1, 2, 3, 4}), 4);
	assert_int_equal(nsm_attest(n, &(struct nsm_attestation){.nonce = BYTES_LIT("x")}, &doc, &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused Attestation with InvalidOperation");
	assert_int_equal(doc.n, 0);
	assert_int_equal(nsm_root(n).n, 0);
	nsm_close(n);
}

static void the_dummys_pcrs_cannot_be_changed(void **s)
{
	(void)s;
	struct nsm *n = open_dummy();
	struct buf v = BUF_INIT(NSM_PCR_SIZE);
	struct why w;
	assert_int_equal(nsm_extend(n, 16, BYTES_LIT("x"), &v, &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused ExtendPCR with InvalidOperation");
	assert_int_equal(v.n, 0);
	assert_int_equal(nsm_lock(n, 16, &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused LockPCR with InvalidOperation");
	assert_int_equal(nsm_lock_below(n, 16, &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused LockPCRs with InvalidOperation");
	nsm_close(n);
}

static void dummy_answers(struct bytes request, const char *error)
{
	struct buf reply = BUF_INIT(256), want = BUF_INIT(256);
	struct why w;
	assert_int_equal(nsm_dummy.call(NULL, request, &reply, &w), ERR_OK);
	cborio_put_map(&want, 1);
	cborio_put_cstr(&want, "Error");
	cborio_put_cstr(&want, error);
	assert_true(bytes_equal(buf_bytes(&reply), buf_bytes(&want)));
	buf_free(&reply);
	buf_free(&want);
}

static void dummy_attestation_answers(size_t user_data, size_t nonce, size_t public_key, const char *error)
{
	static const uint8_t zeros[2048];
	struct buf b = BUF_INIT(NSM_REQUEST_MAX);
	cborio_put_map(&b, 1);
	cborio_put_cstr(&b, "Attestation");
	cborio_put_map(&b, 3);
	cborio_put_cstr(&b, "user_data");
	cborio_put_bytes(&b, bytes_of(zeros, user_data));
	cborio_put_cstr(&b, "nonce");
	cborio_put_bytes(&b, bytes_of(zeros, nonce));
	cborio_put_cstr(&b, "public_key");
	cborio_put_bytes(&b, bytes_of(zeros, public_key));
	dummy_answers(buf_bytes(&b), error);
	buf_free(&b);
}

static void the_dummy_keeps_the_nsms_limits(void **s)
{
	(void)s;
	dummy_attestation_answers(512, 512, 1024, "InvalidOperation");
	dummy_attestation_answers(513, 0, 0, "InputTooLarge");
	dummy_attestation_answers(0, 513, 0, "InputTooLarge");
	dummy_attestation_answers(0, 0, 1025, "InputTooLarge");
}

static void the_dummy_refuses_what_it_does_not_know(void **s)
{
	(void)s;
	dummy_answers(BYTES_LIT(""), "InvalidArgument");
	dummy_answers(BYTES_LIT("\xff"), "InvalidArgument");
	dummy_answers(BYTES_LIT("\x65"
				"Bogus"),
		      "InvalidArgument");
	dummy_answers(BYTES_LIT("\xa1\x6b"
				"Attestation\xa0"),
		      "InvalidArgument");
	dummy_answers(BYTES_LIT("\xa1\x6b"
				"Attestation\xa3\x61x\xf6\x61y\xf6\x61z\xf6"),
		      "InvalidArgument");
	dummy_answers(BYTES_LIT("\xa1\x6b"
				"DescribePCR\xa1\x65index\x20"),
		      "InvalidArgument");
	dummy_answers(BYTES_LIT("\xa1\x6b"
				"DescribePCR\xa1\x65index\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
		      "InvalidIndex");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pcr_is_given_as_its_number_and_96_digits),
		cmocka_unit_test(a_set_of_pcrs_is_a_list_of_numbers),
		cmocka_unit_test(a_simulator_is_one_in_process_and_behind_a_socket),
		cmocka_unit_test(a_missing_device_says_what_to_do),
		cmocka_unit_test(auto_falls_back_only_when_the_device_is_missing),
		cmocka_unit_test(an_unknown_back_end_is_a_configuration_error),
		cmocka_unit_test(what_is_no_nsm_fails_by_name),
		cmocka_unit_test(a_device_that_goes_and_returns_is_found_by_each_call),
		cmocka_unit_test(the_device_takes_requests_up_to_4096_bytes),
		cmocka_unit_test(the_dummy_describes_itself),
		cmocka_unit_test(the_dummys_pcrs_are_one_digit_repeated),
		cmocka_unit_test(the_dummy_gives_neither_randomness_nor_documents),
		cmocka_unit_test(the_dummys_pcrs_cannot_be_changed),
		cmocka_unit_test(the_dummy_keeps_the_nsms_limits),
		cmocka_unit_test(the_dummy_refuses_what_it_does_not_know),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
