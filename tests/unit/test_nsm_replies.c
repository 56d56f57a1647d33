#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cborio.h"
#include "fake_nsm.h"
#include "nsm.h"

#define REPLY(s) BYTES_LIT(s)

static void assert_request(const struct fake *f, struct bytes want)
{
	assert_int_equal(f->request_n, want.n);
	assert_memory_equal(f->request, want.p, want.n);
}

#define ZEROS_48 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PCR_REPLY(data)                   \
	"\xa1\x6b"                        \
	"DescribePCR\xa2\x64lock\xf5\x64" \
	"data\x58" data

static void requests_are_the_ones_that_the_nsm_knows(void **s)
{
	(void)s;
	struct fake f = {.replies = {REPLY("\xa0")}};
	struct nsm *n = fake_nsm(&f);
	struct nsm_description d;
	struct buf out = BUF_INIT(NSM_REPLY_MAX);
	uint8_t r[1];
	bool locked;
	struct why w;
	assert_int_equal(nsm_describe(n, &d, &w), ERR_NSM);
	assert_request(&f, REPLY("\x6b"
				 "DescribeNSM"));
	assert_int_equal(nsm_random(n, r, 1, &w), ERR_NSM);
	assert_request(&f, REPLY("\x69"
				 "GetRandom"));
	assert_int_equal(nsm_pcr(n, 31, &out, &locked, &w), ERR_NSM);
	assert_request(&f, REPLY("\xa1\x6b"
				 "DescribePCR\xa1\x65index\x18\x1f"));
	assert_int_equal(
		nsm_attest(n, &(struct nsm_attestation){.user_data = BYTES_LIT("u"), .nonce = {r, 0}}, &out, &w),
		ERR_NSM);
	assert_request(&f, REPLY("\xa1\x6b"
				 "Attestation\xa3\x69user_data\x41u\x65nonce\x40\x6apublic_key\xf6"));
	assert_int_equal(nsm_extend(n, 16, BYTES_LIT("hello"), &out, &w), ERR_NSM);
	assert_request(&f, REPLY("\xa1\x69"
				 "ExtendPCR\xa2\x65index\x10\x64"
				 "data\x45hello"));
	assert_int_equal(nsm_lock(n, 16, &w), ERR_NSM);
	assert_request(&f, REPLY("\xa1\x67LockPCR\xa1\x65index\x10"));
	assert_int_equal(nsm_lock_below(n, 24, &w), ERR_NSM);
	assert_request(&f, REPLY("\xa1\x68LockPCRs\xa1\x65range\x18\x18"));
	nsm_close(n);
}

static void a_pcrs_reply_is_read_strictly(void **s)
{
	(void)s;
	static const struct bytes bad[] = {
		REPLY(""),
		REPLY("\xf6"),
		REPLY("\x6b"
		      "DescribePCR"),
		REPLY("\xa0"),
		REPLY("\xa1\x6b"
		      "DescribePCR\xf6"),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa0"),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa1\x64lock\xf5"),
		REPLY("\xa1\x6b"
		      "DescribeNSM\xa2\x64lock\xf5\x64"
		      "data\x58\x30" ZEROS_48),
		REPLY(PCR_REPLY("\x30" ZEROS_48) "\0"),
		REPLY(PCR_REPLY("\x2f" ZEROS_48)),
		REPLY(PCR_REPLY("\x31" ZEROS_48 "\0")),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa2\x64lock\xf4\x64lock\xf5"),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa3\x64lock\xf5\x64"
		      "data\x58\x30" ZEROS_48 "\x61x\x01"),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa2\x64lock\x01\x64"
		      "data\x58\x30" ZEROS_48),
		REPLY("\xa1\x6b"
		      "DescribePCR\xa2\x64lock\xf5\x64"
		      "data\x78\x30" ZEROS_48),
		REPLY("\xa2\x6b"
		      "DescribePCR\xa2\x64lock\xf5\x64"
		      "data\x58\x30" ZEROS_48 "\x61x\x01"),
	};
	struct why w;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fake f = {.replies = {bad[i]}};
		struct nsm *n = fake_nsm(&f);
		struct buf v = BUF_INIT(NSM_PCR_SIZE);
		bool locked = true;
		assert_int_equal(nsm_pcr(n, 0, &v, &locked, &w), ERR_NSM);
		assert_int_equal(v.n, 0);
		assert_false(w.tell);
		nsm_close(n);
	}
	struct fake f = {.replies = {REPLY(PCR_REPLY("\x30" ZEROS_48))}};
	struct nsm *n = fake_nsm(&f);
	struct buf v = BUF_INIT(NSM_PCR_SIZE);
	bool locked = false;
	assert_int_equal(nsm_pcr(n, 0, &v, &locked, &w), ERR_OK);
	assert_int_equal(v.n, NSM_PCR_SIZE);
	assert_true(locked);
	buf_free(&v);
	nsm_close(n);
}

static void errors_are_told_by_name(void **s)
{
	(void)s;
	static const struct {
		struct bytes reply;
		const char *text;
	} cases[] = {
		{REPLY("\xa1\x65"
		       "Error\x6dReadOnlyIndex"),
		 "the NSM refused GetRandom with ReadOnlyIndex"},
		{REPLY("\xa1\x65"
		       "Error\x6dInternalError"),
		 "the NSM refused GetRandom with InternalError"},
		{REPLY("\xa1\x65"
		       "Error\x63"
		       "Foo"),
		 "the NSM refused GetRandom with an error of unknown name"},
		{REPLY("\xa1\x65"
		       "Error\x01"),
		 "the NSM's reply to GetRandom is not understood: byte 7 of 8: a text "
		 "string was expected"},
		{REPLY("\xa2\x65"
		       "Error\x63"
		       "Foo\x61x\x61y"),
		 "the NSM's reply to GetRandom is not understood: byte 11 "
		 "of 15: bytes follow the last item"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake f = {.replies = {cases[i].reply}};
		struct nsm *n = fake_nsm(&f);
		struct why w;
		uint8_t r[1];
		assert_int_equal(nsm_random(n, r, 1, &w),
				 strstr(cases[i].text, "refused") != NULL ? ERR_NSM_REFUSED : ERR_NSM);
		assert_string_equal(w.text, cases[i].text);
		nsm_close(n);
	}
}

static size_t put_only(uint8_t *to, const char *name, const char *member, struct bytes data)
{
	struct buf b = BUF_INIT(NSM_REPLY_MAX);
	cborio_put_map(&b, 1);
	cborio_put_cstr(&b, name);
	cborio_put_map(&b, 1);
	cborio_put_cstr(&b, member);
	cborio_put_bytes(&b, data);
	memcpy(to, b.p, b.n);
	size_t n = b.n;
	buf_free(&b);
	return n;
}

static void an_extended_pcr_is_told_with_its_new_value(void **s)
{
	(void)s;
	uint8_t reply[128], value[NSM_PCR_SIZE + 1];
	static uint8_t data[NSM_EXTEND_MAX + 1];
	struct buf v = BUF_INIT(NSM_PCR_SIZE);
	struct why w;
	memset(value, 0x5a, sizeof value);
	struct fake f = {.replies = {{reply, put_only(reply, "ExtendPCR", "data", bytes_of(value, NSM_PCR_SIZE))}}};
	struct nsm *n = fake_nsm(&f);
	assert_int_equal(nsm_extend(n, 16, bytes_of(data, NSM_EXTEND_MAX), &v, &w), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&v), bytes_of(value, NSM_PCR_SIZE)));
	buf_reset(&v);
	for (size_t size = NSM_PCR_SIZE - 1; size <= NSM_PCR_SIZE + 1; size += 2) {
		f.replies[0].n = put_only(reply, "ExtendPCR", "data", bytes_of(value, size));
		assert_int_equal(nsm_extend(n, 16, bytes_of(data, 1), &v, &w), ERR_NSM);
		assert_int_equal(v.n, 0);
	}
	f.replies[0].n = put_only(reply, "DescribePCR", "data", bytes_of(value, NSM_PCR_SIZE));
	assert_int_equal(nsm_extend(n, 16, bytes_of(data, 1), &v, &w), ERR_NSM);
	const unsigned calls = f.calls;
	assert_int_equal(nsm_extend(n, 16, bytes_of(data, 0), &v, &w), ERR_INTERNAL);
	assert_int_equal(nsm_extend(n, 16, bytes_of(data, NSM_EXTEND_MAX + 1), &v, &w), ERR_INTERNAL);
	assert_int_equal(f.calls, calls);
	buf_free(&v);
	nsm_close(n);
}

static void a_lock_is_confirmed_by_its_name_and_nothing_else(void **s)
{
	(void)s;
	static const struct {
		struct bytes reply;
		const char *text;
	} cases[] = {
		{REPLY("\x67LockPCR"), NULL},
		{REPLY("\x67LockPCR\x00"),
		 "the NSM's reply to LockPCR is not understood: byte 8 of 9: bytes follow the last item"},
		{REPLY("\x68LockPCRs"),
		 "the NSM's reply to LockPCR is not understood: byte 9 of 9: it answers another request"},
		{REPLY("\xa1\x67LockPCR\xa0"), "the NSM's reply to LockPCR is not understood: "},
		{REPLY("\xa1\x67LockPCR\xf6"), "the NSM's reply to LockPCR is not understood: "},
		{REPLY(""), "the NSM's reply to LockPCR is not understood: "},
		{REPLY("\x01"), "the NSM's reply to LockPCR is not understood: "},
		{REPLY("\x67Lock"), "the NSM's reply to LockPCR is not understood: "},
		{REPLY("\xa1\x65"
		       "Error\x6dReadOnlyIndex"),
		 "the NSM refused LockPCR with ReadOnlyIndex"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake f = {.replies = {cases[i].reply}};
		struct nsm *n = fake_nsm(&f);
		struct why w = {0};
		const enum err e = nsm_lock(n, 16, &w);
		const bool refused = cases[i].text != NULL && strstr(cases[i].text, "refused") != NULL;
		assert_int_equal(e, cases[i].text == NULL ? ERR_OK : refused ? ERR_NSM_REFUSED : ERR_NSM);
		if (cases[i].text != NULL)
			assert_int_equal(strncmp(w.text, cases[i].text, strlen(cases[i].text)), 0);
		nsm_close(n);
	}
	struct fake f = {.replies = {REPLY("\x68LockPCRs")}};
	struct nsm *n = fake_nsm(&f);
	struct why w;
	assert_int_equal(nsm_lock_below(n, 16, &w), ERR_OK);
	nsm_close(n);
}

struct description {
	const char *module_id, *digest;
	uint64_t max_pcrs, version, locked[3];
	size_t n_locked;
};

static enum err describe(const struct description *x, struct nsm_description *out)
{
	struct buf b = BUF_INIT(NSM_REPLY_MAX);
	struct why w;
	cborio_put_map(&b, 1);
	cborio_put_cstr(&b, "DescribeNSM");
	cborio_put_map(&b, 7);
	cborio_put_cstr(&b, "version_major");
	cborio_put_uint(&b, x->version);
	cborio_put_cstr(&b, "version_minor");
	cborio_put_uint(&b, 2);
	cborio_put_cstr(&b, "version_patch");
	cborio_put_uint(&b, 3);
	cborio_put_cstr(&b, "module_id");
	cborio_put_cstr(&b, x->module_id);
	cborio_put_cstr(&b, "max_pcrs");
	cborio_put_uint(&b, x->max_pcrs);
	cborio_put_cstr(&b, "locked_pcrs");
	cborio_put_array(&b, x->n_locked);
	for (size_t i = 0; i < x->n_locked; i++)
		cborio_put_uint(&b, x->locked[i]);
	cborio_put_cstr(&b, "digest");
	cborio_put_cstr(&b, x->digest);
	struct fake f = {.replies = {buf_bytes(&b)}};
	struct nsm *n = fake_nsm(&f);
	enum err e = nsm_describe(n, out, &w);
	nsm_close(n);
	buf_free(&b);
	return e;
}

static void a_description_is_read_within_its_limits(void **s)
{
	(void)s;
	char id[129];
	const struct description good = {"i-0123-enc4567", "SHA384", 32, 1, {0, 1, 31}, 3};
	struct description d = good;
	struct nsm_description out;
	assert_int_equal(describe(&d, &out), ERR_OK);
	assert_string_equal(out.module_id, "i-0123-enc4567");
	assert_int_equal(out.locked_pcrs, 0x80000003);
	assert_int_equal(out.version_patch, 3);
	memset(id, 'a', 128);
	id[128] = '\0';
	d.module_id = id + 1;
	assert_int_equal(describe(&d, &out), ERR_OK);
	assert_int_equal(strlen(out.module_id), 127);
	d.module_id = id;
	assert_int_equal(describe(&d, &out), ERR_NSM);
	assert_int_equal(strlen(out.module_id), 127);
	d.module_id = "";
	assert_int_equal(describe(&d, &out), ERR_NSM);
	d = good;
	d.max_pcrs = 33;
	assert_int_equal(describe(&d, &out), ERR_NSM);
	d = good;
	d.version = 65535;
	assert_int_equal(describe(&d, &out), ERR_OK);
	d.version = 65536;
	assert_int_equal(describe(&d, &out), ERR_NSM);
	d = good;
	d.locked[2] = 32;
	assert_int_equal(describe(&d, &out), ERR_NSM);
	d.locked[2] = 1;
	assert_int_equal(describe(&d, &out), ERR_NSM);
	d = good;
	d.digest = "SHA256";
	assert_int_equal(describe(&d, &out), ERR_NSM);
}

static void random_bytes_are_gathered_from_as_many_replies_as_it_takes(void **s)
{
	(void)s;
	uint8_t bytes[NSM_RANDOM_MAX], reply[512], out[601], five[64];
	struct why w;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	struct fake f = {.replies = {{five, put_only(five, "GetRandom", "random", BYTES_LIT("hello"))},
				     {reply, put_only(reply, "GetRandom", "random", bytes_of(bytes, NSM_RANDOM_MAX))}}};
	struct nsm *n = fake_nsm(&f);
	out[600] = 0xee;
	assert_int_equal(nsm_random(n, out, 600, &w), ERR_OK);
	assert_int_equal(f.calls, 4);
	assert_memory_equal(out, "hello", 5);
	assert_memory_equal(out + 5, bytes, 256);
	assert_memory_equal(out + 517, bytes, 83);
	assert_int_equal(out[600], 0xee);
	assert_int_equal(nsm_random(n, out, 0, &w), ERR_OK);
	nsm_close(n);
}

static void too_many_random_bytes_or_none_are_refused(void **s)
{
	(void)s;
	uint8_t bytes[NSM_RANDOM_MAX + 1] = {0}, reply[512], out[8];
	struct why w;
	struct fake f = {.replies = {{reply, put_only(reply, "GetRandom", "random", bytes_of(bytes, sizeof(bytes)))}}};
	struct nsm *n = fake_nsm(&f);
	assert_int_equal(nsm_random(n, out, 8, &w), ERR_NSM);
	f.replies[0].n = put_only(reply, "GetRandom", "random", bytes_of(bytes, 0));
	assert_int_equal(nsm_random(n, out, 8, &w), ERR_NSM);
	/* one good reply and then a bad one: nothing of it stays behind */
	uint8_t five[64];
	f = (struct fake){
		.replies = {{five, put_only(five, "GetRandom", "random", BYTES_LIT("hello"))}, REPLY("\xa0")}};
	assert_int_equal(nsm_random(n, out, 8, &w), ERR_NSM);
	assert_memory_equal(out, "\0\0\0\0\0", 5);
	nsm_close(n);
}

static void a_document_is_appended_as_it_came(void **s)
{
	(void)s;
	uint8_t reply[64];
	struct why w;
	struct buf doc = BUF_INIT(NSM_REPLY_MAX);
	struct fake f = {.replies = {{reply, put_only(reply, "Attestation", "document", BYTES_LIT("cose"))}}};
	struct nsm *n = fake_nsm(&f);
	buf_put_str(&doc, "x");
	assert_int_equal(nsm_attest(n, &(struct nsm_attestation){.nonce = {NULL, 0}}, &doc, &w), ERR_OK);
	assert_true(bytes_is(buf_bytes(&doc), "xcose"));
	f.replies[0].n = put_only(reply, "Attestation", "document", bytes_of(NULL, 0));
	assert_int_equal(nsm_attest(n, &(struct nsm_attestation){.nonce = {NULL, 0}}, &doc, &w), ERR_NSM);
	assert_true(bytes_is(buf_bytes(&doc), "xcose"));
	buf_free(&doc);
	nsm_close(n);
}

static void what_is_to_be_attested_has_limits(void **s)
{
	(void)s;
	static const uint8_t zeros[2048];
	uint8_t reply[64];
	struct buf doc = BUF_INIT(NSM_REPLY_MAX);
	struct why w;
	struct fake f = {.replies = {{reply, put_only(reply, "Attestation", "document", BYTES_LIT("cose"))}}};
	struct nsm *n = fake_nsm(&f);
	const struct nsm_attestation most = {
		{zeros, NSM_USER_DATA_MAX}, {zeros, NSM_NONCE_MAX}, {zeros, NSM_PUBLIC_KEY_MAX}};
	assert_int_equal(nsm_attest(n, &most, &doc, &w), ERR_OK);
	for (int i = 0; i < 3; i++) {
		struct nsm_attestation a = most;
		struct bytes *one = i == 0 ? &a.user_data : i == 1 ? &a.nonce : &a.public_key;
		one->n++;
		assert_int_equal(nsm_attest(n, &a, &doc, &w), ERR_INTERNAL);
	}
	assert_int_equal(f.calls, 1);
	buf_free(&doc);
	nsm_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_the_ones_that_the_nsm_knows),
		cmocka_unit_test(a_pcrs_reply_is_read_strictly),
		cmocka_unit_test(errors_are_told_by_name),
		cmocka_unit_test(an_extended_pcr_is_told_with_its_new_value),
		cmocka_unit_test(a_lock_is_confirmed_by_its_name_and_nothing_else),
		cmocka_unit_test(a_description_is_read_within_its_limits),
		cmocka_unit_test(random_bytes_are_gathered_from_as_many_replies_as_it_takes),
		cmocka_unit_test(too_many_random_bytes_or_none_are_refused),
		cmocka_unit_test(a_document_is_appended_as_it_came),
		cmocka_unit_test(what_is_to_be_attested_has_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
