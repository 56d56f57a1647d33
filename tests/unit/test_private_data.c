/* test_private_data.c - private data: what comes back, whose it is, and how much fits. */
#include "private_fixture.h"

static void what_was_stored_comes_back_exactly(void **state)
{
	struct fixture *f = *state;
	static uint8_t big[MIB];
	char longest[PRIVATE_DATA_TYPE_MAX + 1] = "text/";
	memset(longest + 5, 'x', PRIVATE_DATA_TYPE_MAX - 5);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (uint8_t)(i * 7 + (i >> 8));
	const struct {
		const char *type;
		struct bytes body;
	} cases[] = {
		{"text/plain; charset=utf-8", BYTES_LIT("hello")},
		{"a/b", BYTES_LIT("")},
		{"application/octet-stream", BYTES_LIT("\0a\0\0b\0")},
		{"x/y", BYTES_LIT("\x01y")},
		{longest, bytes_of(big, sizeof big)},
		{longest, BYTES_LIT("")},
	};
	char id[6][PRIVATE_DATA_ID_SIZE];
	for (size_t i = 0; i < 6; i++) {
		post(f, alice, cases[i].type, cases[i].body, id[i]);
		assert_stored(f, alice, latest, cases[i].type, cases[i].body);
	}
	for (int turn = 0; turn < 2; turn++, restart(f))
		for (size_t i = 0; i < 6; i++)
			assert_stored(f, alice, id_bytes(id[i]), cases[i].type, cases[i].body);
}

static void a_row_says_when_it_was_stored_and_how_long_it_is(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row = {0};
	post(f, alice, "a/b", BYTES_LIT("12345"), NULL);
	f->wall += 5000;
	OK(f, private_data_find(f->p, alice, latest, &row, &f->w));
	assert_int_equal(row.created_ms, 1700000000123);
	assert_int_equal(row.size, 5);
	private_data_row_free(&row);
}

static void a_row_is_found_without_what_is_sealed_and_says_how_much_that_is(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row = {0};
	post(f, alice, "a/b", BYTES_LIT("12345"), NULL);
	OK(f, private_data_find(f->p, alice, latest, &row, &f->w));
	const size_t n = row.sealed.max;
	assert_int_equal(row.sealed.n, 0);
	assert_int_equal(n, AEAD_IV_SIZE + 1 + 3 + 5 + AEAD_TAG_SIZE);
	OK(f, private_data_read(f->p, &row, &f->w));
	assert_int_equal(row.sealed.n, n);
	OK(f, private_data_unseal(f->p, &row, &f->type, &f->body, &f->w));
	private_data_row_free(&row);
}

static void only_a_content_type_fit_for_a_header_is_taken(void **state)
{
	static const char *const good[] = {"a/b", "a/b;", "a/b; c", "a/b ;c=\"d e\"", "!#$%&'*+-.^_`|~/+xml", "A9/Z0"};
	static const char *const bad[] = {
		"",	      "a",	 "/",		"a/",	  "/b",	    "a/b/c",   "a /b",	   "a/ b",
		"a/b c",      " a/b",	 "a/b\r\nX: y", "a/b;\r", "a/b;\n", "a/b;\tc", "a/b;\x7f", "a/b; \xc3\xa4",
		"text\xe9/b", "te(xt/b", "a/b,c/d",	"a\"/b"};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		post(f, alice, good[i], BYTES_LIT("x"), NULL);
		assert_stored(f, alice, latest, good[i], BYTES_LIT("x"));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		f->w = (struct why){0};
		if (try_post(f, alice, bad[i], BYTES_LIT("x"), NULL) != ERR_INVALID)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_says(f, ERR_INVALID, "TYPE/SUBTYPE");
		assert_string_equal(f->w.field, "Content-Type");
	}
	char past[PRIVATE_DATA_TYPE_MAX + 2] = "text/";
	memset(past + 5, 'x', PRIVATE_DATA_TYPE_MAX + 1 - 5);
	assert_int_equal(try_post(f, alice, past, BYTES_LIT("x"), NULL), ERR_INVALID);
	assert_says(f, ERR_INVALID, "at most 128");
	assert_false(private_store_dirty(f->store));
}

static void a_nul_in_a_content_type_is_refused(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row = {0};
	OK(f, private_data_begin(f->p, alice, 1, &row, &f->w));
	assert_int_equal(private_data_seal(f->p, &row, BYTES_LIT("a/b;\0c"), BYTES_LIT("x"), &f->w), ERR_INVALID);
	assert_int_equal(row.sealed.n, 0);
	private_data_row_free(&row);
}

static void each_seal_has_an_iv_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct private_data_row a = {0}, b = {0};
	OK(f, private_data_begin(f->p, alice, 1, &a, &f->w));
	OK(f, private_data_begin(f->p, alice, 1, &b, &f->w));
	assert_memory_not_equal(a.id, b.id, sizeof a.id);
	OK(f, private_data_seal(f->p, &a, BYTES_LIT("a/b"), BYTES_LIT("x"), &f->w));
	OK(f, private_data_seal(f->p, &b, BYTES_LIT("a/b"), BYTES_LIT("x"), &f->w));
	assert_memory_not_equal(a.sealed.p, b.sealed.p, AEAD_IV_SIZE);
	private_data_row_free(&a);
	private_data_row_free(&b);
}

static void other_identities_ids_are_like_none(void **state)
{
	struct fixture *f = *state;
	char id[PRIVATE_DATA_ID_SIZE], none[PRIVATE_DATA_ID_SIZE], said[WHY_TEXT_MAX];
	post(f, alice, "a/b", BYTES_LIT("hers"), id);
	memset(none, 'A', sizeof none);
	assert_int_equal(read_back(f, bob, id_bytes(none)), ERR_NOT_FOUND);
	assert_says(f, ERR_NOT_FOUND, "nothing of this id");
	memcpy(said, f->w.text, sizeof said);
	assert_int_equal(read_back(f, bob, id_bytes(id)), ERR_NOT_FOUND);
	assert_string_equal(f->w.text, said);
	assert_int_equal(private_data_delete(f->p, bob, id_bytes(id), &f->w), ERR_NOT_FOUND);
	assert_string_equal(f->w.text, said);
	assert_int_equal(read_back(f, bob, latest), ERR_NOT_FOUND);
	assert_says(f, ERR_NOT_FOUND, "stored nothing");
	assert_false(private_store_dirty(f->store));
	assert_stored(f, alice, id_bytes(id), "a/b", BYTES_LIT("hers"));
}

static void what_is_no_id_is_not_found(void **state)
{
	struct fixture *f = *state;
	static const char *const odd[] = {"A",
					  "AAAAAAAAAAAAAAAAAAAAA",
					  "AAAAAAAAAAAAAAAAAAAAAAA",
					  "AAAAAAAAAAAAAAAAAAAAA=",
					  "AAAAAAAAAAAAAAAAAAAAA+",
					  "AAAAAAAAAAAAAAAAAAAAA/",
					  "' OR 1=1 OR id = '1234",
					  "AAAAAAAAAAAAAAAAAAAA\xc3\xa4"};
	char id[PRIVATE_DATA_ID_SIZE], nul[PRIVATE_DATA_ID_SIZE];
	post(f, alice, "a/b", BYTES_LIT("x"), id);
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		assert_int_equal(read_back(f, alice, bytes_str(odd[i])), ERR_NOT_FOUND);
		assert_int_equal(private_data_delete(f->p, alice, bytes_str(odd[i]), &f->w), ERR_NOT_FOUND);
	}
	memcpy(nul, id, sizeof nul);
	nul[21] = '\0';
	assert_int_equal(read_back(f, alice, id_bytes(nul)), ERR_NOT_FOUND);
	/* Nothing is named by no id: only reading has a latest. */
	assert_int_equal(private_data_delete(f->p, alice, latest, &f->w), ERR_NOT_FOUND);
	OK(f, read_back(f, alice, id_bytes(id)));
}

static void quotas_of_an_identity_hold_at_the_limit(void **state)
{
	struct fixture *f = *state;
	char id[PRIVATE_DATA_ID_SIZE];
	f->limits = (struct private_data_limits){3, 10, 100, 100};
	restart(f);
	post(f, alice, "a/b", BYTES_LIT("1234"), id);
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT("1234567"), NULL), ERR_QUOTA);
	assert_says(f, ERR_QUOTA, "This identity has stored 4 bytes, and may store 10: 7 more do not fit");
	post(f, alice, "a/b", BYTES_LIT("123456"), NULL);
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT("1"), NULL), ERR_QUOTA);
	post(f, alice, "a/b", BYTES_LIT(""), NULL);
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT(""), NULL), ERR_QUOTA);
	assert_says(f, ERR_QUOTA, "This identity has stored 3 items, and may store 3");
	post(f, bob, "a/b", BYTES_LIT("1234567890"), NULL);
	OK(f, private_data_delete(f->p, alice, id_bytes(id), &f->w));
	commit(f);
	post(f, alice, "a/b", BYTES_LIT("1234"), NULL);
	restart(f);
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT(""), NULL), ERR_QUOTA);
}

static void quotas_of_all_hold_at_the_limit(void **state)
{
	struct fixture *f = *state;
	struct private_store_usage use;
	char id[PRIVATE_DATA_ID_SIZE];
	f->limits = (struct private_data_limits){100, 100, 3, 10};
	restart(f);
	post(f, alice, "a/b", BYTES_LIT("1234"), id);
	assert_int_equal(try_post(f, bob, "a/b", BYTES_LIT("1234567"), NULL), ERR_PRIVATE_FULL);
	assert_says(f, ERR_PRIVATE_FULL, "All identities together may store 10 bytes here, and 7 more do not fit");
	post(f, bob, "a/b", BYTES_LIT("123456"), NULL);
	post(f, bob, "a/b", BYTES_LIT(""), NULL);
	OK(f, private_data_usage(f->p, &use, &f->w));
	assert_int_equal(use.items, 3);
	assert_int_equal(use.bytes, 10);
	assert_int_equal(try_post(f, bob, "a/b", BYTES_LIT(""), NULL), ERR_PRIVATE_FULL);
	assert_says(f, ERR_PRIVATE_FULL, "All identities together may store 3 items here");
	OK(f, private_data_delete(f->p, alice, id_bytes(id), &f->w));
	commit(f);
	post(f, bob, "a/b", BYTES_LIT("1234"), NULL);
}

static void limits_that_were_lowered_since_refuse_and_do_not_overflow(void **state)
{
	struct fixture *f = *state;
	post(f, alice, "a/b", BYTES_LIT("12345"), NULL);
	f->limits = (struct private_data_limits){100, 4, 100, 4};
	restart(f);
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT(""), NULL), ERR_QUOTA);
	assert_int_equal(try_post(f, bob, "a/b", BYTES_LIT(""), NULL), ERR_PRIVATE_FULL);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("12345"));
	f->limits = (struct private_data_limits){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
	restart(f);
	post(f, alice, "a/b", BYTES_LIT(""), NULL);
}

static void a_body_has_a_largest_size(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row = {0};
	f->limits = (struct private_data_limits){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
	restart(f);
	OK(f, private_data_begin(f->p, alice, PRIVATE_DATA_SIZE_MAX, &row, &f->w));
	private_data_row_free(&row);
	assert_int_equal(private_data_begin(f->p, alice, PRIVATE_DATA_SIZE_MAX + 1, &row, &f->w), ERR_TOO_LARGE);
	assert_says(f, ERR_TOO_LARGE, "at most 67108864 bytes");
}

static void the_room_is_asked_for_again_when_the_row_is_stored(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row[2];
	f->limits.max_items = 1;
	restart(f);
	for (int i = 0; i < 2; i++) {
		OK(f, private_data_begin(f->p, alice, 1, &row[i], &f->w));
		OK(f, private_data_seal(f->p, &row[i], BYTES_LIT("a/b"), BYTES_LIT("x"), &f->w));
	}
	OK(f, private_data_put(f->p, &row[0], &f->w));
	assert_int_equal(private_data_put(f->p, &row[1], &f->w), ERR_QUOTA);
	commit(f);
	for (int i = 0; i < 2; i++)
		private_data_row_free(&row[i]);
}

static void a_failed_commit_takes_row_and_room_back(void **state)
{
	struct fixture *f = *state;
	char id[PRIVATE_DATA_ID_SIZE], old[PRIVATE_DATA_ID_SIZE];
	f->limits.max_items = 2;
	restart(f);
	post(f, alice, "a/b", BYTES_LIT("old"), old);
	OK(f, try_post(f, alice, "a/b", BYTES_LIT("new"), id));
	assert_int_equal(try_post(f, alice, "a/b", BYTES_LIT("more"), NULL), ERR_QUOTA);
	fail_commit(f);
	assert_int_equal(read_back(f, alice, id_bytes(id)), ERR_NOT_FOUND);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("old"));
	OK(f, private_data_delete(f->p, alice, id_bytes(old), &f->w));
	fail_commit(f);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("old"));
	post(f, alice, "a/b", BYTES_LIT("new"), id);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("new"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_was_stored_comes_back_exactly),
		T(a_row_says_when_it_was_stored_and_how_long_it_is),
		T(a_row_is_found_without_what_is_sealed_and_says_how_much_that_is),
		T(only_a_content_type_fit_for_a_header_is_taken),
		T(a_nul_in_a_content_type_is_refused),
		T(each_seal_has_an_iv_of_its_own),
		T(other_identities_ids_are_like_none),
		T(what_is_no_id_is_not_found),
		T(quotas_of_an_identity_hold_at_the_limit),
		T(quotas_of_all_hold_at_the_limit),
		T(limits_that_were_lowered_since_refuse_and_do_not_overflow),
		T(a_body_has_a_largest_size),
		T(the_room_is_asked_for_again_when_the_row_is_stored),
		T(a_failed_commit_takes_row_and_room_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
