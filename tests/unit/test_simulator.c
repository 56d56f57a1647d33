/* test_simulator.c - the software NSM's requests and PCRs. */
#include "simulator_ask.h"

static bool is_locked(unsigned index)
{
	uint8_t value[NSM_PCR_SIZE];
	bool locked;
	pcr(index, &locked, value);
	return locked;
}

static void describes_itself_as_the_nsm_does(void **state)
{
	(void)state;
	struct buf reply = ask("", "DescribeNSM", ""), want = BUF_INIT(256);
	struct document d = attest();
	put(&want, "a16b44657363726962654e534da7"   /* {"DescribeNSM": { */
		   "6d76657273696f6e5f6d616a6f7201" /* "version_major": 1 */
		   "6d76657273696f6e5f6d696e6f7200" /* "version_minor": 0 */
		   "6d76657273696f6e5f706174636800" /* "version_patch": 0 */
		   "696d6f64756c655f6964");	    /* "module_id": */
	cborio_put_text(&want, d.module_id);
	put(&want, "686d61785f706372731820"	/* "max_pcrs": 32 */
		   "6b6c6f636b65645f7063727390" /* "locked_pcrs": 0 to 15 */
		   "000102030405060708090a0b0c0d0e0f"
		   "6664696765737466534841333834"); /* "digest": "SHA384" */
	assert_bytes(buf_bytes(&reply), buf_bytes(&want));
	buf_free(&d.whole);
	buf_free(&reply);
	buf_free(&want);
}

static void describes_more_locked_pcrs_once_they_are(void **state)
{
	(void)state;
	assert_text(ask("a1", "LockPCR", INDEX "1818"), "LockPCR");
	struct buf reply = ask("", "DescribeNSM", "");
	assert_non_null(memmem(reply.p, reply.n, "locked_pcrs\x91", 12));
	assert_non_null(memmem(reply.p, reply.n,
			       "\x0f\x18\x18"
			       "fdigest",
			       10));
	buf_free(&reply);
}

static void a_module_id_is_made_as_aws_makes_it(void **state)
{
	(void)state;
	struct document d = attest();
	assert_int_equal(d.module_id.n, strlen("i-0123456789abcdef0-enc0123456789abcdef"));
	assert_memory_equal(d.module_id.p, "i-0", 3);
	assert_memory_equal(d.module_id.p + 19, "-enc", 4);
	for (size_t i = 0; i < d.module_id.n; i++)
		assert_true((i >= 19 && i < 23) || i < 2 || strchr("0123456789abcdef", d.module_id.p[i]) != NULL);
	/* 1769774400123 ms: when the enclave was started */
	assert_memory_equal(d.module_id.p + 23, "019c0ec6427b", 12);
	buf_free(&d.whole);
}

static void pcrs_begin_recognisable_and_the_first_sixteen_locked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		uint8_t value[NSM_PCR_SIZE], want[NSM_PCR_SIZE] = {0};
		bool locked;
		pcr(i, &locked, value);
		if (i <= 2 || i == 4)
			for (size_t at = 0; at < sizeof want; at += 4)
				memcpy(want + at, (uint8_t[]){0xa7, 0x7e, 0x57, (uint8_t)(0xd0 | i)}, 4);
		assert_memory_equal(value, want, sizeof want);
		assert_int_equal(locked, i < 16);
	}
	assert_error(ask("a1", "DescribePCR", INDEX "1820"), "InvalidIndex");
	assert_error(ask("a1", "DescribePCR", INDEX "19ffff"), "InvalidIndex");
	assert_error(ask("a1", "DescribePCR", INDEX "1a00010000"), "InvalidOperation");
}

static void initial_pcrs_may_be_given(void **state)
{
	(void)state;
	uint8_t a[NSM_PCR_SIZE], b[NSM_PCR_SIZE], value[NSM_PCR_SIZE];
	bool locked;
	memset(a, 0xaa, sizeof a);
	memset(b, 0xbb, sizeof b);
	struct simulator_options o = {.debug_mode = false};
	o.pcr[0] = bytes_of(a, sizeof a);
	o.pcr[31] = bytes_of(b, sizeof b);
	reopen(&o);
	memset(a, 0, sizeof a); /* was copied */
	pcr(0, &locked, value);
	assert_true(value[0] == 0xaa && value[47] == 0xaa && locked);
	pcr(31, &locked, value);
	assert_true(value[0] == 0xbb && value[47] == 0xbb && !locked);
	pcr(1, &locked, value);
	assert_int_equal(value[3], 0xd1);

	struct simulator *s = NULL;
	o = (struct simulator_options){.crypto = f.crypto, .clock = &f.clock, .random = crypto_random(f.crypto)};
	for (size_t n = NSM_PCR_SIZE - 1; n <= NSM_PCR_SIZE + 1; n += 2) {
		uint8_t c[NSM_PCR_SIZE + 1] = {0};
		o.pcr[7] = bytes_of(c, n);
		assert_int_equal(simulator_new(&s, &o, &f.w), ERR_CONFIG);
		assert_true(f.w.tell && strstr(f.w.text, "PCR7") != NULL);
		assert_null(s);
	}
}

static void debug_mode_zeroes_the_first_three_whatever_is_given(void **state)
{
	(void)state;
	uint8_t a[NSM_PCR_SIZE], value[NSM_PCR_SIZE];
	bool locked;
	memset(a, 0xaa, sizeof a);
	struct simulator_options o = {.debug_mode = true};
	o.pcr[1] = o.pcr[8] = bytes_of(a, sizeof a);
	reopen(&o);
	struct document d = attest();
	for (unsigned i = 0; i < 16; i++) {
		pcr(i, &locked, value);
		assert_int_equal(bytes_is_zero(bytes_of(value, sizeof value)), i != 4 && i != 8);
		assert_bytes(d.pcr[i], bytes_of(value, sizeof value));
	}
	assert_sound(&d);
	buf_free(&d.whole);
}

static void extending_hashes_the_old_value_and_the_data(void **state)
{
	(void)state;
	/* python3: v = bytes(48); for d in (b"\x01\x02\x03", b""): v = hashlib.sha384(v + d).digest() */
	static const char *const want[] = {
		"cb178fcd3f328244c05c6248723fd068b3a1dda878e1ab8be911098f199958add55d0c27f04826d27b44d949a650694e",
		"c02fc6fdb7015101d21881cea314872c941b60b58403387b4d1afb13f9797567b0b4c30bcd0c82bec4354d6ac29322dd"};
	static const char *const request[] = {"a265696e646578106464617461"
					      "43010203",
					      "a264646174614065696e64657810"};
	uint8_t value[NSM_PCR_SIZE];
	bool locked;
	for (size_t i = 0; i < 2; i++) {
		struct buf reply = ask("a1", "ExtendPCR", request[i]), expect = BUF_INIT(128);
		put(&expect, "a169457874656e64504352a164646174615830");
		put(&expect, want[i]);
		assert_bytes(buf_bytes(&reply), buf_bytes(&expect));
		pcr(16, &locked, value);
		assert_memory_equal(value, expect.p + expect.n - NSM_PCR_SIZE, NSM_PCR_SIZE);
		assert_false(locked);
		buf_free(&reply);
		buf_free(&expect);
	}
	pcr(17, &locked, value);
	assert_true(bytes_is_zero(bytes_of(value, sizeof value)));
}

static void extending_has_its_limits(void **state)
{
	(void)state;
	struct buf reply = extend(31, NSM_EXTEND_MAX);
	assert_memory_equal(reply.p,
			    "\xa1\x69"
			    "ExtendPCR",
			    11);
	buf_free(&reply);
	assert_error(extend(31, NSM_EXTEND_MAX + 1), "InputTooLarge");
	assert_error(extend(32, 1), "InvalidIndex");
	assert_error(extend(0, 1), "ReadOnlyIndex");
	assert_error(extend(15, 1), "ReadOnlyIndex");
	assert_error(ask("a1", "ExtendPCR", "a265696e646578106464617461f6"), "InvalidOperation");
	assert_error(ask("a1", "ExtendPCR", "a165696e64657810"), "InvalidOperation");
	assert_error(ask("a1", "ExtendPCR", "a1646461746140"), "InvalidOperation");
}

static void a_lock_stays_and_forbids_extending(void **state)
{
	(void)state;
	assert_false(is_locked(16));
	assert_text(ask("a1", "LockPCR", INDEX "10"), "LockPCR");
	assert_true(is_locked(16));
	assert_false(is_locked(17));
	assert_error(ask("a1", "LockPCR", INDEX "10"), "ReadOnlyIndex");
	assert_error(extend(16, 1), "ReadOnlyIndex");
	assert_error(ask("a1", "LockPCR", INDEX "00"), "ReadOnlyIndex");
	assert_text(ask("a1", "LockPCR", INDEX "181f"), "LockPCR");
	assert_error(ask("a1", "LockPCR", INDEX "1820"), "InvalidIndex");
}

static void a_range_locks_all_below_it(void **state)
{
	(void)state;
	assert_text(ask("a1", "LockPCRs", RANGE "00"), "LockPCRs");
	assert_false(is_locked(16));
	assert_text(ask("a1", "LockPCRs", RANGE "14"), "LockPCRs");
	assert_true(is_locked(19));
	assert_false(is_locked(20));
	assert_error(ask("a1", "LockPCRs", RANGE "1821"), "InvalidIndex");
	assert_false(is_locked(20));
	assert_text(ask("a1", "LockPCRs", RANGE "1820"), "LockPCRs");
	assert_text(ask("a1", "LockPCRs", RANGE "1820"), "LockPCRs");
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++)
		assert_true(is_locked(i));
	struct document d = attest();
	assert_int_equal(d.pcrs, NSM_PCRS_MAX);
	assert_sound(&d);
	buf_free(&d.whole);
}

static void gives_256_random_bytes(void **state)
{
	(void)state;
	struct buf a = ask("", "GetRandom", ""), b = ask("", "GetRandom", "");
	assert_int_equal(a.n, 11 + 1 + 7 + 3 + NSM_RANDOM_MAX);
	assert_memory_equal(a.p, "\xa1\x69GetRandom\xa1\x66random\x59\x01\x00", 22);
	assert_memory_not_equal(a.p + 22, b.p + 22, NSM_RANDOM_MAX);
	buf_free(&a);
	buf_free(&b);
}

static void refuses_what_is_no_request(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"00",
		"ff",
		"a0",
		"f6",
		"80",
		"60",
		"6b4465736372696265505352",			/* "DescribePSR" */
		"6b4465736372696265504352",			/* "DescribePCR" without its index */
		"a16b446573637269626550435200",			/* {"DescribePCR": 0} */
		"a16b4465736372696265504352a0",			/* without its index */
		"a16b4465736372696265504352a16572616e676500",	/* with a range */
		"a16b4465736372696265504352a165696e64657820",	/* -1 */
		"a16b4465736372696265504352a165696e646578f6",	/* null */
		"a16b4465736372696265504352a165696e6465784100", /* bytes */
		"a16b4465736372696265504352a265696e6465780065696e64657800",
		"a16b4465736372696265504352a265696e646578006464617461f6",
		"a16b4465736372696265504352a265696e64657800656f7468657200",
		"a16b4465736372696265504352a165696e6465780000", /* a byte behind it */
		"a16b4465736372696265504352a165696e646578",	/* cut */
		"a16947657452616e646f6df6",			/* {"GetRandom": null} */
		"a16947657452616e646f6da0",			/* {"GetRandom": {}} */
		"6947657452616e646f6d00",			/* a byte behind it */
		"a2674c6f636b504352a165696e64657810674c6f636b504352a165696e64657811",
		"a16b4174746573746174696f6ef6",			/* {"Attestation": null} */
		"6b4174746573746174696f6e",			/* "Attestation" */
		"a16b4174746573746174696f6ea1656e6f6e63656161", /* a nonce that is text */
		"a16b4174746573746174696f6ea165696e64657800",
		"a16b4174746573746174696f6ea2656e6f6e6365f6656e6f6e6365f6",
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf request = BUF_INIT(256);
		put(&request, bad[i]);
		assert_error(ask_bytes(buf_bytes(&request)), "InvalidOperation");
		buf_free(&request);
	}
	assert_false(is_locked(16));
}

static void takes_a_request_of_the_largest_size_and_not_one_byte_more(void **state)
{
	(void)state;
	static uint8_t request[NSM_REQUEST_MAX + 1];
	assert_error(ask_bytes(bytes_of(request, NSM_REQUEST_MAX)), "InvalidOperation");
	assert_error(ask_bytes(bytes_of(request, NSM_REQUEST_MAX + 1)), "InputTooLarge");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(describes_itself_as_the_nsm_does),
		TEST(describes_more_locked_pcrs_once_they_are),
		TEST(a_module_id_is_made_as_aws_makes_it),
		TEST(pcrs_begin_recognisable_and_the_first_sixteen_locked),
		TEST(initial_pcrs_may_be_given),
		TEST(debug_mode_zeroes_the_first_three_whatever_is_given),
		TEST(extending_hashes_the_old_value_and_the_data),
		TEST(extending_has_its_limits),
		TEST(a_lock_stays_and_forbids_extending),
		TEST(a_range_locks_all_below_it),
		TEST(gives_256_random_bytes),
		TEST(refuses_what_is_no_request),
		TEST(takes_a_request_of_the_largest_size_and_not_one_byte_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
