/* test_cbor.c - the strict CBOR reader and the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"
#include "cborio.h"

static struct bytes hex(const char *text)
{
	static uint8_t out[64];
	size_t n;
	assert_true(strlen(text) <= 2 * sizeof out);
	assert_true(hex_decode(bytes_str(text), out, &n));
	return bytes_of(out, n);
}

static struct cborio_reader reader(const char *text)
{
	struct cborio_reader r;
	cborio_reader_init(&r, hex(text));
	return r;
}

static void assert_good(struct cborio_reader *r)
{
	struct why w = {.text = ""};
	if (cborio_done(r, &w) != ERR_OK)
		fail_msg("%s", w.text);
}

static void assert_fault(struct cborio_reader *r, const char *text)
{
	struct why w;
	assert_int_equal(cborio_done(r, &w), ERR_MALFORMED);
	assert_int_equal(w.err, ERR_MALFORMED);
	if (strstr(w.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", w.text, text);
}

/* One item of any kind, whole; no tags. */
static void walk(struct cborio_reader *r)
{
	uint64_t left;
	switch (cborio_peek(r)) {
	case CBORIO_BYTES:
		(void)cborio_bytes(r);
		break;
	case CBORIO_TEXT:
		(void)cborio_text(r);
		break;
	case CBORIO_ARRAY:
		for (left = cborio_array(r); cborio_more(r, &left);)
			walk(r);
		break;
	case CBORIO_MAP:
		for (left = cborio_map(r); cborio_more(r, &left);) {
			walk(r);
			walk(r);
		}
		break;
	case CBORIO_BOOL:
		(void)cborio_bool(r);
		break;
	case CBORIO_NULL:
		cborio_null(r);
		break;
	default:
		(void)cborio_uint(r);
	}
}

static void assert_walk_fault(const char *in, const char *text)
{
	struct cborio_reader r = reader(in);
	walk(&r);
	assert_fault(&r, text);
}

static void reads_unsigned_integers_of_every_width(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		uint64_t v;
	} rows[] = {{"00", 0},
		    {"17", 23},
		    {"1818", 24},
		    {"18ff", 255},
		    {"190100", 256},
		    {"19ffff", 65535},
		    {"1a00010000", 65536},
		    {"1affffffff", UINT32_MAX},
		    {"1b0000000100000000", UINT64_C(1) << 32},
		    {"1bffffffffffffffff", UINT64_MAX}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cborio_reader r = reader(rows[i].in);
		assert_int_equal(cborio_peek(&r), CBORIO_UINT);
		assert_true(cborio_uint(&r) == rows[i].v);
		assert_good(&r);
	}
}

static void refuses_heads_that_are_longer_than_needed(void **state)
{
	(void)state;
	static const char *const rows[] = {"1817",	 "1900ff",
					   "1a0000ffff", "1b00000000ffffffff",
					   "3817",	 "3b00000000ffffffff",
					   "580161",	 "59000161",
					   "780161",	 "980100",
					   "b8010000",	 "5b000000000000000161",
					   "d81200",	 "9b0000000000000000"};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cborio_reader r = reader(rows[i]);
		assert_int_equal(cborio_peek(&r), CBORIO_BAD);
		assert_fault(&r, "shortest form");
	}
}

static void reads_strings_as_slices_of_the_input(void **state)
{
	(void)state;
	struct cborio_reader r = reader("43010203");
	struct bytes x = cborio_bytes(&r);
	assert_ptr_equal(x.p, r.in.p + 1);
	assert_int_equal(x.n, 3);
	assert_good(&r);
	r = reader("40");
	assert_int_equal(cborio_bytes(&r).n, 0);
	assert_good(&r);
	r = reader("63e282ac");
	assert_true(bytes_is(cborio_text(&r), "\xe2\x82\xac"));
	assert_good(&r);
	r = reader("60");
	assert_int_equal(cborio_text(&r).n, 0);
	assert_good(&r);
}

static void refuses_text_that_is_not_utf8(void **state)
{
	(void)state;
	struct cborio_reader r = reader("62c328");
	assert_int_equal(cborio_text(&r).n, 0);
	assert_fault(&r, "UTF-8");
	assert_walk_fault("62c328", "UTF-8");
}

static void reads_simple_values_and_tags(void **state)
{
	(void)state;
	struct cborio_reader r = reader("84f4f5f6d280");
	assert_int_equal(cborio_array(&r), 4);
	assert_false(cborio_bool(&r));
	assert_true(cborio_bool(&r));
	assert_int_equal(cborio_peek(&r), CBORIO_NULL);
	cborio_null(&r);
	assert_int_equal(cborio_tag(&r), 18);
	assert_int_equal(cborio_array(&r), 0);
	assert_good(&r);
	r = reader("d9d9f700");
	assert_int_equal(cborio_tag(&r), 0xd9f7);
	assert_int_equal(cborio_uint(&r), 0);
	assert_good(&r);
}

static void every_first_byte_has_the_kind_of_the_standard(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		/* A count of 2^56 and more bytes is a lie; an integer is what it is. */
		uint8_t in[9 + 0x20];
		memset(in, 0xf6, sizeof in);
		in[0] = (uint8_t)first;
		struct cborio_reader r;
		cborio_reader_init(&r, bytes_of(in, sizeof in));
		unsigned major = first >> 5, info = first & 31;
		enum cborio_kind want = CBORIO_BAD;
		if (major == 7)
			want = info == 20 || info == 21 ? CBORIO_BOOL
			       : info == 22		? CBORIO_NULL
			       : info == 31		? CBORIO_END
							: CBORIO_BAD;
		else if (info == 31)
			want = major == 4 || major == 5 ? (enum cborio_kind)(CBORIO_ARRAY + (major - 4)) : CBORIO_BAD;
		else if (major == 2 || major == 3)
			want = info < 24 ? (enum cborio_kind)(CBORIO_BYTES + (major - 2)) : CBORIO_BAD;
		else if (info < 28)
			want = (enum cborio_kind)(CBORIO_UINT + major);
		if (cborio_peek(&r) != want)
			fail_msg("first byte %02x: kind %d, not %d", first, cborio_peek(&r), want);
	}
}

static void names_what_it_does_not_accept(void **state)
{
	(void)state;
	assert_walk_fault("f93c00", "floating-point");
	assert_walk_fault("fa3f800000", "floating-point");
	assert_walk_fault("fb3ff0000000000000", "floating-point");
	assert_walk_fault("f7", "undefined");
	assert_walk_fault("5f4161ff", "indefinite");
	assert_walk_fault("7f6161ff", "indefinite");
	assert_walk_fault("c100", "an unsigned integer was expected");
	assert_walk_fault("81c100", "an unsigned integer was expected");
	assert_walk_fault("1c", "begins no item");
	assert_walk_fault("e0", "begins no item");
	assert_walk_fault("f814", "begins no item");
	assert_walk_fault("f8ff", "begins no item");
}

static void an_unasked_tag_is_refused(void **state)
{
	(void)state;
	struct cborio_reader r = reader("c101");
	assert_int_equal(cborio_uint(&r), 0);
	assert_fault(&r, "an unsigned integer was expected");
}

static void wrong_types_are_named(void **state)
{
	(void)state;
	struct cborio_reader r = reader("00");
	assert_int_equal(cborio_bytes(&r).n, 0);
	assert_fault(&r, "byte 0: a byte string was expected");
	r = reader("00");
	assert_int_equal(cborio_text(&r).n, 0);
	assert_fault(&r, "a text string was expected");
	r = reader("00");
	assert_int_equal(cborio_array(&r), 0);
	assert_fault(&r, "an array was expected");
	r = reader("00");
	assert_int_equal(cborio_map(&r), 0);
	assert_fault(&r, "a map was expected");
	r = reader("00");
	assert_false(cborio_bool(&r));
	assert_fault(&r, "true or false was expected");
	r = reader("00");
	cborio_null(&r);
	assert_fault(&r, "null was expected");
	r = reader("00");
	assert_int_equal(cborio_tag(&r), 0);
	assert_fault(&r, "a tag was expected");
	r = reader("20");
	assert_int_equal(cborio_uint(&r), 0);
	assert_fault(&r, "an unsigned integer was expected");
}

static void members_come_once_each_in_any_order(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "b", "bc"};
	struct cborio_reader r = reader("a362626301616102616203");
	uint32_t seen = 0;
	static const int order[] = {2, 0, 1};
	uint64_t left = cborio_map(&r);
	for (unsigned i = 0; cborio_more(&r, &left); i++) {
		assert_int_equal(cborio_member(&r, names, 3, &seen), order[i]);
		assert_int_equal(cborio_uint(&r), i + 1);
	}
	assert_int_equal(seen, 7);
	assert_good(&r);

	static const struct {
		const char *in, *text;
		uint32_t before;
	} bad[] = {{"6163", "byte 2: a member is unknown or comes twice", 0},
		   {"60", "a member is unknown or comes twice", 0},
		   {"6162", "a member is unknown or comes twice", 2},
		   {"00", "byte 0: a text string was expected", 0}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		r = reader(bad[i].in);
		seen = bad[i].before;
		assert_int_equal(cborio_member(&r, names, 3, &seen), -1);
		assert_int_equal(seen, bad[i].before);
		assert_fault(&r, bad[i].text);
	}
}

static void the_first_fault_sticks_and_every_later_call_is_empty(void **state)
{
	(void)state;
	struct cborio_reader r = reader("8201fb3ff0000000000000");
	uint64_t left = cborio_array(&r);
	assert_true(cborio_more(&r, &left));
	assert_int_equal(cborio_uint(&r), 1);
	assert_true(cborio_more(&r, &left));
	assert_int_equal(cborio_uint(&r), 0);
	cborio_fail(&r, "a later fault");
	assert_false(cborio_more(&r, &left));
	assert_int_equal(cborio_peek(&r), CBORIO_BAD);
	assert_int_equal(cborio_uint(&r), 0);
	assert_int_equal(cborio_array(&r), 0);
	assert_int_equal(cborio_map(&r), 0);
	assert_int_equal(cborio_text(&r).n, 0);
	walk(&r);
	assert_fault(&r, "byte 2: a floating-point");
}

static void the_callers_own_fault_is_reported_and_may_be_told(void **state)
{
	(void)state;
	struct cborio_reader r = reader("00");
	(void)cborio_uint(&r);
	cborio_check(&r, true, "no fault");
	cborio_check(&r, false, "the index is taken");
	struct why w;
	assert_int_equal(cborio_done(&r, &w), ERR_MALFORMED);
	assert_string_equal(w.text, "CBOR, byte 1: the index is taken.");
	assert_true(w.tell);
}

static void walks_definite_and_indefinite_containers_alike(void **state)
{
	(void)state;
	static const char *const rows[] = {"a2616101616202", "bf616101616202ff"};
	for (size_t i = 0; i < 2; i++) {
		struct cborio_reader r = reader(rows[i]);
		uint64_t left = cborio_map(&r), sum = 0;
		unsigned pairs = 0;
		for (; cborio_more(&r, &left); pairs++) {
			assert_int_equal(cborio_text(&r).n, 1);
			sum += cborio_uint(&r);
		}
		assert_int_equal(pairs, 2);
		assert_int_equal(sum, 3);
		assert_int_equal(r.depth, 0);
		assert_good(&r);
	}
	struct cborio_reader r = reader("9fff");
	assert_int_equal(cborio_peek(&r), CBORIO_ARRAY);
	uint64_t left = cborio_array(&r);
	assert_true(left == CBORIO_INDEFINITE);
	assert_int_equal(cborio_peek(&r), CBORIO_END);
	assert_false(cborio_more(&r, &left));
	assert_int_equal(cborio_peek(&r), CBORIO_END);
	assert_good(&r);
}

static void an_array_known_by_heart_needs_no_more(void **state)
{
	(void)state;
	struct cborio_reader r = reader("820102");
	assert_int_equal(cborio_array(&r), 2);
	assert_int_equal(cborio_uint(&r), 1);
	assert_int_equal(cborio_uint(&r), 2);
	assert_good(&r);
}

static void refuses_containers_that_do_not_end_where_they_say(void **state)
{
	(void)state;
	assert_walk_fault("9f01", "ends inside an array or map");
	assert_walk_fault("bf0102", "ends inside an array or map");
	assert_walk_fault("bf01ff", "an unsigned integer was expected");
	assert_walk_fault("81ff", "an unsigned integer was expected");
	assert_walk_fault("ff", "an unsigned integer was expected");
	assert_walk_fault("818100ff", "bytes follow");
	assert_walk_fault("828100", "an item was expected");
	assert_walk_fault("a1", "beyond the input");
	assert_walk_fault("a101", "beyond the input");
	struct cborio_reader r = reader("bf01ff");
	uint64_t left = cborio_map(&r);
	assert_true(cborio_more(&r, &left));
	assert_int_equal(cborio_uint(&r), 1);
	assert_int_equal(cborio_uint(&r), 0);
	assert_fault(&r, "an unsigned integer was expected");
}

static void refuses_lengths_and_counts_beyond_the_input(void **state)
{
	(void)state;
	assert_walk_fault("42", "ends inside an item");
	assert_walk_fault("4201", "ends inside an item");
	assert_walk_fault("19ff", "ends inside an item");
	assert_walk_fault("5bffffffffffffffff", "ends inside an item");
	assert_walk_fault("7bfffffffffffffff700", "ends inside an item");
	assert_walk_fault("9bffffffffffffffff", "beyond the input");
	assert_walk_fault("bbffffffffffffffff", "beyond the input");
	assert_walk_fault("bb8000000000000001", "beyond the input");
	assert_walk_fault("820000ff", "bytes follow");
	assert_walk_fault("8300f6", "beyond the input");
	assert_walk_fault("a2000000", "beyond the input");
}

static void refuses_empty_input_and_trailing_bytes(void **state)
{
	(void)state;
	struct cborio_reader r;
	cborio_reader_init(&r, bytes_of(NULL, 0));
	assert_int_equal(cborio_peek(&r), CBORIO_END);
	assert_int_equal(cborio_uint(&r), 0);
	assert_fault(&r, "the input ends");
	cborio_reader_init(&r, bytes_of(NULL, 0));
	walk(&r);
	assert_fault(&r, "the input ends");
	r = reader("0000");
	(void)cborio_uint(&r);
	assert_fault(&r, "byte 1: bytes follow");
}

/* depth containers around one integer: definite, indefinite, and maps. */
static void assert_depth(unsigned depth, bool good)
{
	uint8_t in[64];
	for (unsigned kind = 0; kind < 3; kind++) {
		size_t n = 0;
		for (unsigned i = 0; i < depth; i++) {
			in[n++] = kind == 0 ? 0x81 : kind == 1 ? 0x9f : 0xa1;
			if (kind == 2)
				in[n++] = 0x00;
		}
		in[n++] = 0x00;
		for (unsigned i = 0; kind == 1 && i < depth; i++)
			in[n++] = 0xff;
		struct cborio_reader r;
		cborio_reader_init(&r, bytes_of(in, n));
		walk(&r);
		if (good)
			assert_good(&r);
		else
			assert_fault(&r, "nested too deeply");
	}
}

static void nesting_is_accepted_at_the_limit_and_refused_past_it(void **state)
{
	(void)state;
	assert_depth(CBORIO_DEPTH_MAX, true);
	assert_depth(CBORIO_DEPTH_MAX + 1, false);
}

static void depth_is_given_back_when_a_container_ends(void **state)
{
	(void)state;
	uint8_t in[2 + 40];
	memset(in, 0x80, sizeof in);
	in[0] = 0x98;
	in[1] = 40;
	struct cborio_reader r;
	cborio_reader_init(&r, bytes_of(in, sizeof in));
	walk(&r);
	assert_good(&r);
}

static void assert_items(uint16_t items, bool good)
{
	static uint8_t in[3 + CBORIO_ITEMS_MAX + 1];
	memset(in, 0, sizeof in);
	in[0] = 0x99;
	in[1] = (uint8_t)((items - 1) >> 8);
	in[2] = (uint8_t)(items - 1);
	struct cborio_reader r;
	cborio_reader_init(&r, bytes_of(in, 3 + items - 1u));
	walk(&r);
	if (good)
		assert_good(&r);
	else
		assert_fault(&r, "too many items");
}

static void items_are_accepted_at_the_limit_and_refused_past_it(void **state)
{
	(void)state;
	assert_items(CBORIO_ITEMS_MAX, true);
	assert_items(CBORIO_ITEMS_MAX + 1, false);
}

static void every_cut_of_a_good_input_is_refused(void **state)
{
	(void)state;
	struct bytes whole = hex("bf616182f4f66162a1182243010203616380616419ffffff");
	for (size_t n = 0; n <= whole.n; n++) {
		struct cborio_reader r;
		struct why w;
		cborio_reader_init(&r, bytes_of(whole.p, n));
		walk(&r);
		assert_int_equal(cborio_done(&r, &w), n == whole.n ? ERR_OK : ERR_MALFORMED);
	}
}

static void writes_definite_and_shortest(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(256);
	struct why w;
	cborio_put_map(&b, 3);
	cborio_put_uint(&b, 1);
	cborio_put_uint(&b, 256);
	cborio_put_cstr(&b, "a");
	cborio_put_array(&b, 24);
	for (unsigned i = 0; i < 18; i++)
		cborio_put_uint(&b, i);
	cborio_put_uint(&b, UINT32_MAX);
	cborio_put_uint(&b, UINT64_MAX);
	cborio_put_null(&b);
	cborio_put_bool(&b, true);
	cborio_put_bool(&b, false);
	cborio_put_text(&b, BYTES_LIT("\xc3\xbc"));
	cborio_put_uint(&b, 24);
	cborio_put_bytes(&b, BYTES_LIT("\x01\x02"));
	assert_int_equal(buf_check(&b, &w), ERR_OK);
	struct bytes want = hex("a30119010061619818000102030405060708090a0b0c0d0e0f1011"
				"1affffffff1bfffffffffffffffff6f5f462c3bc1818420102");
	assert_true(bytes_equal(buf_bytes(&b), want));
	buf_free(&b);
}

static void writes_an_open_map_and_its_break(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(8);
	struct why w;
	cborio_put_map_indefinite(&b);
	cborio_put_cstr(&b, "a");
	cborio_put_null(&b);
	cborio_put_break(&b);
	assert_int_equal(buf_check(&b, &w), ERR_OK);
	assert_true(bytes_equal(buf_bytes(&b), hex("bf6161f6ff")));
	struct cborio_reader r;
	cborio_reader_init(&r, buf_bytes(&b));
	walk(&r);
	assert_good(&r);
	buf_free(&b);
}

static void writing_fills_a_buffer_to_its_last_byte_and_not_past_it(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(2);
	struct why w;
	cborio_put_uint(&b, 0);
	cborio_put_null(&b);
	assert_int_equal(buf_check(&b, &w), ERR_OK);
	assert_int_equal(b.n, 2);
	cborio_put_bool(&b, true);
	assert_int_equal(buf_check(&b, &w), ERR_MEMORY);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_unsigned_integers_of_every_width),
		cmocka_unit_test(refuses_heads_that_are_longer_than_needed),
		cmocka_unit_test(reads_strings_as_slices_of_the_input),
		cmocka_unit_test(refuses_text_that_is_not_utf8),
		cmocka_unit_test(reads_simple_values_and_tags),
		cmocka_unit_test(every_first_byte_has_the_kind_of_the_standard),
		cmocka_unit_test(names_what_it_does_not_accept),
		cmocka_unit_test(an_unasked_tag_is_refused),
		cmocka_unit_test(wrong_types_are_named),
		cmocka_unit_test(members_come_once_each_in_any_order),
		cmocka_unit_test(the_first_fault_sticks_and_every_later_call_is_empty),
		cmocka_unit_test(the_callers_own_fault_is_reported_and_may_be_told),
		cmocka_unit_test(walks_definite_and_indefinite_containers_alike),
		cmocka_unit_test(an_array_known_by_heart_needs_no_more),
		cmocka_unit_test(refuses_containers_that_do_not_end_where_they_say),
		cmocka_unit_test(refuses_lengths_and_counts_beyond_the_input),
		cmocka_unit_test(refuses_empty_input_and_trailing_bytes),
		cmocka_unit_test(nesting_is_accepted_at_the_limit_and_refused_past_it),
		cmocka_unit_test(depth_is_given_back_when_a_container_ends),
		cmocka_unit_test(items_are_accepted_at_the_limit_and_refused_past_it),
		cmocka_unit_test(every_cut_of_a_good_input_is_refused),
		cmocka_unit_test(writes_definite_and_shortest),
		cmocka_unit_test(writes_an_open_map_and_its_break),
		cmocka_unit_test(writing_fills_a_buffer_to_its_last_byte_and_not_past_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
