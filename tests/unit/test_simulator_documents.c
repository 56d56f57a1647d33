/* test_simulator_documents.c - the software NSM's documents, certificates, clock and faults. */
#include "simulator_ask.h"

#include <pthread.h>

#include "nsm/simulator_ca.h"

static bool contains(struct bytes where, const char *what)
{
	return memmem(where.p, where.n, what, strlen(what)) != NULL;
}

/* ---- documents ---- */

static void a_document_is_byte_for_byte_what_the_nsm_gives(void **state)
{
	(void)state;
	struct document d = attest_with(BYTES_LIT("user"), bytes_of(NULL, 0), BYTES_LIT(""));
	struct buf payload = BUF_INIT(NSM_REPLY_MAX), whole = BUF_INIT(NSM_REPLY_MAX);
	put(&payload, "bf696d6f64756c655f69647827");
	buf_put_bytes(&payload, d.module_id);
	put(&payload, "6664696765737466534841333834"
		      "6974696d657374616d701b"
		      "0000019c0ec6427b"
		      "6470637273b0");
	for (uint8_t i = 0; i < 16; i++) {
		buf_put_u8(&payload, i);
		put(&payload, "5830");
		for (uint8_t at = 0; at < 12; at++)
			if (i <= 2 || i == 4)
				buf_put(&payload, (uint8_t[]){0xa7, 0x7e, 0x57, (uint8_t)(0xd0 + i)}, 4);
			else
				put(&payload, "00000000");
	}
	put(&payload, "6b636572746966696361746559");
	buf_put(&payload, (uint8_t[]){(uint8_t)(d.certificate.n >> 8), (uint8_t)d.certificate.n}, 2);
	buf_put_bytes(&payload, d.certificate);
	put(&payload, "68636162756e646c6584");
	for (size_t i = 0; i < 4; i++) {
		put(&payload, "59");
		buf_put(&payload, (uint8_t[]){(uint8_t)(d.cabundle[i].n >> 8), (uint8_t)d.cabundle[i].n}, 2);
		buf_put_bytes(&payload, d.cabundle[i]);
	}
	put(&payload, "6a7075626c69635f6b657940"
		      "69757365725f64617461"
		      "4475736572"
		      "656e6f6e6365f6"
		      "ff");
	put(&whole, "8444a1013822a059");
	buf_put(&whole, (uint8_t[]){(uint8_t)(payload.n >> 8), (uint8_t)payload.n}, 2);
	buf_put_bytes(&whole, buf_bytes(&payload));
	put(&whole, "5860");
	buf_put_bytes(&whole, d.signature);
	assert_bytes(buf_bytes(&d.whole), buf_bytes(&whole));
	assert_sound(&d);
	buf_free(&payload);
	buf_free(&whole);
	buf_free(&d.whole);
}

static void each_document_is_signed_under_the_simulators_own_root(void **state)
{
	(void)state;
	struct document d = attest();
	assert_sound(&d);
	assert_bytes(d.cabundle[0], simulator_root(f.s));
	((uint8_t *)(uintptr_t)d.payload.p)[d.payload.n - 2] ^= 1;
	assert_false(is_signed(&d));
	buf_free(&d.whole);
}

static void attests_what_it_was_given_up_to_the_limits(void **state)
{
	(void)state;
	static uint8_t data[NSM_PUBLIC_KEY_MAX + 1];
	memset(data, 0x5a, sizeof data);
	const struct nsm_attestation good = {.user_data = bytes_of(data, NSM_USER_DATA_MAX),
					     .nonce = bytes_of(data, NSM_NONCE_MAX),
					     .public_key = bytes_of(data, NSM_PUBLIC_KEY_MAX)};
	struct document d = attest_with(good.user_data, good.nonce, good.public_key);
	assert_bytes(d.user_data, good.user_data);
	assert_bytes(d.nonce, good.nonce);
	assert_bytes(d.public_key, good.public_key);
	assert_sound(&d);
	buf_free(&d.whole);
	for (int i = 0; i < 3; i++) {
		struct nsm_attestation a = good;
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		a.user_data.n += i == 0;
		a.nonce.n += i == 1;
		a.public_key.n += i == 2;
		simulator_fixture_attest(&f, &a, &reply);
		assert_error(reply, "InputTooLarge");
	}
}

static void null_and_empty_are_attested_as_they_are(void **state)
{
	(void)state;
	struct document d = attest();
	assert_true(d.user_data.p == NULL && d.nonce.p == NULL && d.public_key.p == NULL);
	buf_free(&d.whole);
	d = attest_with(BYTES_LIT(""), BYTES_LIT(""), BYTES_LIT(""));
	assert_true(d.user_data.p != NULL && d.nonce.p != NULL && d.public_key.p != NULL);
	assert_true(d.user_data.n == 0 && d.nonce.n == 0 && d.public_key.n == 0);
	buf_free(&d.whole);
}

static void members_of_an_attestation_may_be_left_out_and_come_in_any_order(void **state)
{
	(void)state;
	static const struct {
		const char *rest, *end; /* of the payload */
	} rows[] = {
		{"a0", "\xf6"
		       "iuser_data\xf6"
		       "enonce\xf6\xff"},
		{"bfff", "\xf6"
			 "iuser_data\xf6"
			 "enonce\xf6\xff"},
		{"a1656e6f6e63654178", "\xf6"
				       "iuser_data\xf6"
				       "enonce\x41x\xff"},
		{"a36a7075626c69635f6b6579f6656e6f6e6365417869757365725f646174614179",
		 "\xf6"
		 "iuser_data\x41yenonce\x41x\xff"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf reply = ask("a1", "Attestation", rows[i].rest);
		assert_non_null(memmem(reply.p, reply.n, rows[i].end, strlen(rows[i].end)));
		buf_free(&reply);
	}
}

static void a_pcr_is_in_the_document_once_it_is_locked(void **state)
{
	(void)state;
	struct buf reply = extend(20, 1);
	struct document d = attest();
	assert_int_equal(d.pcrs, 16);
	assert_null(d.pcr[20].p);
	buf_free(&d.whole);
	assert_text(ask("a1", "LockPCR", INDEX "14"), "LockPCR");
	d = attest();
	assert_int_equal(d.pcrs, 17);
	assert_bytes(d.pcr[20], bytes_of(reply.p + reply.n - NSM_PCR_SIZE, NSM_PCR_SIZE));
	assert_sound(&d);
	buf_free(&d.whole);
	buf_free(&reply);
}

static void certificates_are_named_and_dated_as_awss(void **state)
{
	(void)state;
	static const struct {
		const char *name, *from, *to;
		size_t at; /* of the random 16 digits before the name */
	} rows[] = {{"sim.nitro-enclaves",
		     "\x17\x0d"
		     "260130110000Z",
		     "\x18\x0f"
		     "20560131120000Z",
		     0},
		    {".us-east-1.sim.nitro-enclaves",
		     "\x17\x0d"
		     "260130110000Z",
		     "\x17\x0d"
		     "260219120000Z",
		     16},
		    {".zonal.us-east-1.sim.nitro-enclaves",
		     "\x17\x0d"
		     "260130110000Z",
		     "\x17\x0d"
		     "260205120000Z",
		     16},
		    {".us-east-1.sim.nitro-enclaves",
		     "\x17\x0d"
		     "260130115900Z",
		     "\x17\x0d"
		     "260131115900Z",
		     0},
		    {".us-east-1.sim",
		     "\x17\x0d"
		     "260130115957Z",
		     "\x17\x0d"
		     "260130150000Z",
		     0}};
	struct document d = attest();
	for (size_t i = 0; i < 5; i++) {
		const struct bytes der = i < 4 ? d.cabundle[i] : d.certificate;
		assert_true(contains(der, rows[i].name));
		assert_true(contains(der, rows[i].from));
		assert_true(contains(der, rows[i].to));
		assert_true(contains(der, "attestd") && contains(der, "Simulator"));
		assert_false(contains(der, "Amazon"));
		assert_int_equal(contains(der, ".invalid/crl/"), i == 1 || i == 2);
		/* The issuer's names and its own: C, and O as UTF8String */
		assert_int_equal(contains(der, "Seattle"), i >= 2);
		assert_true(der.n < CERT_DER_MAX);
	}
	char module_id[40] = {0}, instance[20] = {0};
	memcpy(module_id, d.module_id.p, 39);
	memcpy(instance, d.module_id.p, 19);
	assert_true(contains(d.cabundle[3], instance) && contains(d.certificate, module_id));

	/* The serial number of the leaf: the enclave, and 1769774400, when it was issued. */
	uint8_t serial[18] = {0x02, 0x10};
	size_t n;
	assert_true(hex_decode(bytes_of(d.module_id.p + 23, 16), serial + 2, &n));
	memcpy(serial + 10, "\0\0\0\0\x69\x7c\x9d\x40", 8);
	assert_non_null(memmem(d.certificate.p, 40, serial, sizeof serial));
	buf_free(&d.whole);
}

/* ---- time ---- */

/* How many certificates the next document shares with the one before, from the root on. */
static unsigned shared_after(int64_t seconds, struct document *before)
{
	f.now_ms = SIMULATOR_NOW_MS + seconds * 1000;
	struct document d = attest();
	unsigned n = 0;
	assert_sound(&d);
	assert_int_equal(d.timestamp, f.now_ms);
	assert_bytes(d.module_id, before->module_id);
	while (n < 4 && bytes_equal(d.cabundle[n], before->cabundle[n]))
		n++;
	for (size_t i = n; i < 4; i++)
		assert_false(bytes_equal(d.cabundle[i], before->cabundle[i]));
	const bool same_leaf = bytes_equal(d.certificate, before->certificate);
	assert_true(!same_leaf || n == 4);
	n += same_leaf;
	buf_free(&before->whole);
	*before = d;
	return n;
}

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static void a_leaf_is_replaced_when_five_minutes_are_left_and_not_before(void **state)
{
	(void)state;
	struct document d = attest();
	assert_int_equal(shared_after(0, &d), 5);
	assert_int_equal(shared_after(2 * HOUR + 54 * MINUTE, &d), 5);
	assert_int_equal(shared_after(2 * HOUR + 55 * MINUTE, &d), 5);
	assert_int_equal(shared_after(2 * HOUR + 55 * MINUTE + 1, &d), 4);
	assert_int_equal(shared_after(5 * HOUR, &d), 5);
	buf_free(&d.whole);
}

static void an_issuer_is_replaced_when_it_would_end_before_what_it_signs(void **state)
{
	(void)state;
	struct document d = attest();
	assert_int_equal(shared_after(20 * HOUR + 59 * MINUTE, &d), 4);
	assert_int_equal(shared_after(23 * HOUR + 54 * MINUTE, &d), 5);
	assert_int_equal(shared_after(23 * HOUR + 54 * MINUTE + 1, &d), 3);
	assert_int_equal(shared_after(5 * DAY, &d), 3);
	assert_int_equal(shared_after(6 * DAY, &d), 2);
	assert_int_equal(shared_after(20 * DAY, &d), 1);
	assert_int_equal(shared_after(200 * DAY, &d), 1);
	assert_int_equal(shared_after(200 * DAY + HOUR, &d), 5);
	assert_int_equal(shared_after(29 * 365 * DAY, &d), 1);
	buf_free(&d.whole);
}

static void no_certificate_outlasts_its_issuer(void **state)
{
	(void)state;
	struct simulator_ca ca = {.crypto = f.crypto, .random = crypto_random(f.crypto)};
	assert_int_equal(simulator_ca_init(&ca, SIMULATOR_NOW_MS, &f.w), ERR_OK);
	for (int64_t now = SIMULATOR_NOW_MS / 1000, end = now + 60 * DAY; now < end; now += 7 * HOUR + 11 * MINUTE) {
		assert_int_equal(simulator_ca_renew(&ca, now, &f.w), ERR_OK);
		assert_true(ca.level[SIMULATOR_LEAF].not_after_s >= now + SIMULATOR_LEAF_MARGIN_S);
		for (size_t i = SIMULATOR_REGION; i < SIMULATOR_LEVELS; i++) {
			assert_true(ca.level[i - 1].not_before_s <= ca.level[i].not_before_s);
			assert_true(ca.level[i].not_after_s <= ca.level[i - 1].not_after_s);
			assert_true(ca.level[i].not_before_s <= now);
		}
	}
	simulator_ca_clear(&ca);
}

static void a_clock_that_was_set_back_gets_certificates_that_hold(void **state)
{
	(void)state;
	struct document d = attest();
	assert_int_equal(shared_after(-3, &d), 5);
	assert_int_equal(shared_after(-4, &d), 4);
	assert_int_equal(shared_after(-30 * MINUTE, &d), 3);
	assert_int_equal(shared_after(-HOUR, &d), 3);
	buf_free(&d.whole);
}

static void beyond_its_root_it_gives_nothing(void **state)
{
	(void)state;
	static const int64_t when[] = {-HOUR - 1, INT64_C(10958) * DAY};
	static const struct nsm_attestation none = {.nonce = {NULL, 0}};
	for (size_t i = 0; i < 2; i++) {
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		f.now_ms = SIMULATOR_NOW_MS + when[i] * 1000;
		assert_int_equal(simulator_call(f.s,
						BYTES_LIT("\xa1\x6b"
							  "Attestation\xa0"),
						&reply, &f.w),
				 ERR_NSM);
		assert_non_null(strstr(f.w.text, "clock"));
		assert_int_equal(reply.n, 0);
		f.now_ms = SIMULATOR_NOW_MS;
		simulator_fixture_attest(&f, &none, &reply);
		assert_int_equal(reply.p[0], 0xa1);
		buf_free(&reply);
	}
}

static void an_offset_shifts_timestamp_and_certificates(void **state)
{
	(void)state;
	static const int64_t offsets[] = {
		1, -1, 90 * MINUTE, -10 * DAY, SIMULATOR_OFFSET_MAX_S, -SIMULATOR_OFFSET_MAX_S};
	for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
		const struct simulator_options o = {.clock_offset_s = offsets[i]};
		reopen(&o);
		struct document d = attest();
		struct cert_chain *chain = chain_of(&d);
		int64_t from, to;
		assert_int_equal(d.timestamp, SIMULATOR_NOW_MS + offsets[i] * 1000);
		cert_chain_window(chain, &from, &to);
		assert_int_equal(from, SIMULATOR_NOW_MS / 1000 + offsets[i] - 3);
		assert_int_equal(to, SIMULATOR_NOW_MS / 1000 + offsets[i] + 3 * HOUR);
		assert_sound(&d);
		cert_chain_free(chain);
		buf_free(&d.whole);
	}
}

static void refuses_clocks_that_certificates_cannot_tell(void **state)
{
	(void)state;
	struct simulator_options o = {.crypto = f.crypto, .clock = &f.clock, .random = crypto_random(f.crypto)};
	struct simulator *s = NULL;
	for (int i = 0; i < 2; i++) {
		o.clock_offset_s = i == 0 ? SIMULATOR_OFFSET_MAX_S + 1 : -SIMULATOR_OFFSET_MAX_S - 1;
		assert_int_equal(simulator_new(&s, &o, &f.w), ERR_CONFIG);
		assert_true(f.w.tell && strstr(f.w.text, "offset") != NULL);
	}
	o.clock_offset_s = 0;
	f.now_ms = INT64_C(3600000) - 1;
	assert_int_equal(simulator_new(&s, &o, &f.w), ERR_ENVIRONMENT);
	assert_true(f.w.tell && strstr(f.w.text, "1970") != NULL);
	assert_null(s);
	f.now_ms++;
	assert_int_equal(simulator_new(&s, &o, &f.w), ERR_OK);
	simulator_free(s);
}

/* ---- faults ---- */

static void the_slow_one_leaves_waiting_to_its_caller(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_SLOW});
	struct document d = attest();
	assert_sound(&d);
	buf_free(&d.whole);
}

static void an_error_is_the_answer_to_every_request(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_ERROR, .error = "InternalError"});
	assert_error(ask("", "DescribeNSM", ""), "InternalError");
	assert_error(ask("", "GetRandom", ""), "InternalError");
	assert_error(ask("a1", "LockPCR", INDEX "10"), "InternalError");
	assert_error(ask("a1", "Attestation", "a0"), "InternalError");
	assert_true(simulator_root(f.s).n > 0);
}

static void garbage_is_no_cbor(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_GARBAGE});
	struct buf reply = ask("", "GetRandom", "");
	struct cborio_reader r;
	cborio_reader_init(&r, buf_bytes(&reply));
	assert_true(reply.n > 0);
	(void)cborio_map(&r);
	assert_int_equal(cborio_done(&r, &f.w), ERR_MALFORMED);
	buf_free(&reply);
}

static void a_short_document_is_cut_in_half_and_nothing_else_is(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_SHORT});
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	buf_put_str(&reply, "kept");
	assert_int_equal(simulator_call(f.s,
					BYTES_LIT("\xa1\x6b"
						  "Attestation\xa0"),
					&reply, &f.w),
			 ERR_OK);
	assert_memory_equal(reply.p,
			    "kept\xa1\x6b"
			    "Attestation\xa1\x68"
			    "document\x59",
			    28);
	const size_t whole = 24 + 3 + (size_t)(reply.p[28] << 8 | reply.p[29]) - 1;
	assert_int_equal(reply.n - 4, whole / 2);
	buf_free(&reply);
	reply = ask("", "GetRandom", "");
	assert_int_equal(reply.n, 22 + NSM_RANDOM_MAX);
	buf_free(&reply);
	assert_error(ask("a1", "Attestation", "00"), "InvalidOperation");
}

static void an_expired_leaf_signs_but_its_time_is_over(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_EXPIRED});
	for (int64_t at = 0; at <= 40 * DAY; at += 10 * DAY) {
		f.now_ms = SIMULATOR_NOW_MS + at * 1000;
		struct document d = attest();
		struct cert_chain *chain = chain_of(&d);
		int64_t from, to;
		cert_chain_window(chain, &from, &to);
		assert_int_equal(to, f.now_ms / 1000 - 30);
		assert_true(from <= to);
		assert_true(is_signed(&d));
		cert_chain_free(chain);
		buf_free(&d.whole);
	}
}

static void a_bad_signature_is_bad_and_the_rest_is_whole(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_BAD_SIGNATURE});
	struct document d = attest();
	assert_false(is_signed(&d));
	buf_free(&d.whole);
}

static void another_nonce_is_signed_whatever_was_given(void **state)
{
	(void)state;
	reopen(&(struct simulator_options){.fault = SIMULATOR_OTHER_NONCE});
	struct document d = attest_with(BYTES_LIT("user"), BYTES_LIT("nonce"), BYTES_LIT("key"));
	assert_true(d.nonce.n > 0 && !bytes_is(d.nonce, "nonce"));
	assert_true(bytes_is(d.user_data, "user") && bytes_is(d.public_key, "key"));
	assert_sound(&d);
	buf_free(&d.whole);
	d = attest();
	assert_true(d.nonce.n > 0);
	buf_free(&d.whole);
}

static enum err no_random(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	int *left = ctx;
	if ((*left)-- <= 0)
		return why_set(w, ERR_CRYPTO, "no randomness");
	memset(out, 7, n);
	return ERR_OK;
}

static void without_randomness_it_fails_and_leaves_the_reply_alone(void **state)
{
	(void)state;
	int left = 0;
	struct simulator *s = NULL;
	const struct simulator_options o = {
		.crypto = f.crypto, .clock = &f.clock, .random = {.ctx = &left, .fill = no_random}};
	for (int enough = 0; s == NULL; enough++) {
		assert_true(enough < 10);
		left = enough;
		if (simulator_new(&s, &o, &f.w) != ERR_OK)
			assert_int_equal(f.w.err, ERR_CRYPTO);
	}
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	left = 0;
	assert_int_equal(simulator_call(s, BYTES_LIT("\x69GetRandom"), &reply, &f.w), ERR_CRYPTO);
	/* Each try gets one certificate further and the last has them all: none is left half-made. */
	for (int enough = 0, failed = 0;; enough++) {
		left = enough;
		enum err e = simulator_call(s,
					    BYTES_LIT("\xa1\x6b"
						      "Attestation\xa0"),
					    &reply, &f.w);
		if (e == ERR_OK) {
			assert_true(failed > 0);
			break;
		}
		assert_int_equal(e, ERR_CRYPTO);
		assert_int_equal(reply.n, 0);
		failed++;
	}
	buf_free(&reply);
	simulator_free(s);
}

static void a_reply_that_does_not_fit_is_a_failure_of_ours(void **state)
{
	(void)state;
	struct buf reply = BUF_INIT(100);
	assert_int_equal(simulator_call(f.s, BYTES_LIT("\x69GetRandom"), &reply, &f.w), ERR_MEMORY);
	buf_free(&reply);
}

/* ---- more than one ---- */

static void two_simulators_have_nothing_in_common(void **state)
{
	(void)state;
	struct document a = attest();
	struct buf root = BUF_INIT(CERT_DER_MAX);
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	buf_put_bytes(&root, simulator_root(f.s));
	reopen(NULL);
	struct document b = attest();
	assert_false(bytes_equal(a.module_id, b.module_id));
	for (size_t i = 0; i < 4; i++)
		assert_false(bytes_equal(a.cabundle[i], b.cabundle[i]));
	assert_int_equal(cert_chain_check(buf_bytes(&root), b.cabundle, 4, b.certificate, &chain, &fault, &f.w),
			 ERR_INVALID);
	assert_int_equal(fault, CERT_UNTRUSTED);
	assert_null(chain);
	buf_free(&root);
	buf_free(&a.whole);
	buf_free(&b.whole);
}

static void *use(void *arg)
{
	bool *good = arg;
	struct why w = {.err = ERR_OK};
	struct buf request = BUF_INIT(64);
	cborio_put_map(&request, 1);
	cborio_put_cstr(&request, "Attestation");
	cborio_put_map(&request, 0);
	*good = true;
	for (int i = 0; i < 8; i++) {
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		*good = *good && simulator_call(f.s, buf_bytes(&request), &reply, &w) == ERR_OK && reply.n > 3000;
		buf_reset(&reply);
		*good = *good && simulator_call(f.s,
						BYTES_LIT("\xa1\x69"
							  "ExtendPCR\xa2"
							  "eindex\x10"
							  "ddata\x41x"),
						&reply, &w) == ERR_OK;
		buf_free(&reply);
	}
	buf_free(&request);
	return NULL;
}

static void many_threads_may_ask_at_once(void **state)
{
	(void)state;
	pthread_t thread[4];
	bool good[4] = {false};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, use, &good[i]), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_true(good[i]);
	}
	/* Each of the 32 extensions counted. */
	uint8_t want[NSM_PCR_SIZE + 1] = {0}, value[NSM_PCR_SIZE];
	bool locked;
	want[NSM_PCR_SIZE] = 'x';
	for (int i = 0; i < 32; i++)
		assert_int_equal(crypto_sha384(f.crypto, bytes_of(want, sizeof want), want, &f.w), ERR_OK);
	pcr(16, &locked, value);
	assert_memory_equal(value, want, sizeof value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_document_is_byte_for_byte_what_the_nsm_gives),
		TEST(each_document_is_signed_under_the_simulators_own_root),
		TEST(attests_what_it_was_given_up_to_the_limits),
		TEST(null_and_empty_are_attested_as_they_are),
		TEST(members_of_an_attestation_may_be_left_out_and_come_in_any_order),
		TEST(a_pcr_is_in_the_document_once_it_is_locked),
		TEST(certificates_are_named_and_dated_as_awss),
		TEST(a_leaf_is_replaced_when_five_minutes_are_left_and_not_before),
		TEST(an_issuer_is_replaced_when_it_would_end_before_what_it_signs),
		TEST(no_certificate_outlasts_its_issuer),
		TEST(a_clock_that_was_set_back_gets_certificates_that_hold),
		TEST(beyond_its_root_it_gives_nothing),
		TEST(an_offset_shifts_timestamp_and_certificates),
		TEST(refuses_clocks_that_certificates_cannot_tell),
		TEST(the_slow_one_leaves_waiting_to_its_caller),
		TEST(an_error_is_the_answer_to_every_request),
		TEST(garbage_is_no_cbor),
		TEST(a_short_document_is_cut_in_half_and_nothing_else_is),
		TEST(an_expired_leaf_signs_but_its_time_is_over),
		TEST(a_bad_signature_is_bad_and_the_rest_is_whole),
		TEST(another_nonce_is_signed_whatever_was_given),
		TEST(without_randomness_it_fails_and_leaves_the_reply_alone),
		TEST(a_reply_that_does_not_fit_is_a_failure_of_ours),
		TEST(two_simulators_have_nothing_in_common),
		TEST(many_threads_may_ask_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
