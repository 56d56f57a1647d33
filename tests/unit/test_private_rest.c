/* test_private_rest.c - private data at rest: what no altered row becomes, what the file shows, and the key it is
 * under. */
#include "private_fixture.h"

static void a_flipped_byte_is_never_data(void **state)
{
	struct fixture *f = *state;
	struct private_data_row row = {0};
	post(f, alice, "text/plain", BYTES_LIT("some body"), NULL);
	OK(f, private_data_find(f->p, alice, latest, &row, &f->w));
	OK(f, private_data_read(f->p, &row, &f->w));
	for (size_t i = 0; i < row.sealed.n; i++) {
		row.sealed.p[i] ^= 1;
		f->w = (struct why){0};
		assert_int_equal(private_data_unseal(f->p, &row, &f->type, &f->body, &f->w), ERR_SEALED);
		assert_false(f->w.tell);
		assert_int_equal(f->type.n + f->body.n, 0);
		row.sealed.p[i] ^= 1;
	}
	for (size_t n = row.sealed.n; n > 0;) {
		row.sealed.n = --n;
		assert_int_equal(private_data_unseal(f->p, &row, &f->type, &f->body, &f->w), ERR_SEALED);
	}
	private_data_row_free(&row);
}

/* What the store has of the latest row, its blob in `sealed`. */
static void take_row(struct fixture *f, const uint8_t *identity, struct bytes id, struct private_store_item *x,
		     struct buf *sealed)
{
	bool found = false;
	OK(f, private_store_get(f->store, identity, id, x, sealed, &found, &f->w));
	assert_true(found);
}

static void store_row(struct fixture *f, const struct private_store_item *x)
{
	OK(f, private_store_put(f->store, x, &f->w));
	commit(f);
	restart(f);
}

static void every_column_is_sealed_with_the_row(void **state)
{
	struct fixture *f = *state;
	struct buf sealed = BUF_INIT(1024);
	struct private_store_item was, x;
	post(f, alice, "a/b", BYTES_LIT("12345"), NULL);
	take_row(f, alice, latest, &was, &sealed);
	for (int column = 0; column < 6; column++) {
		OK(f, private_store_clear(f->store, &f->w));
		x = was;
		if (column == 1)
			memcpy(x.identity, bob, sizeof bob);
		else if (column == 2)
			x.id[0] = x.id[0] == 'A' ? 'B' : 'A';
		else if (column == 3)
			x.created_ms++;
		else if (column == 4)
			x.size++;
		else if (column == 5)
			sealed.p[AEAD_IV_SIZE] ^= 0x80;
		store_row(f, &x);
		assert_int_equal(read_back(f, column == 1 ? bob : alice, latest), column == 0 ? ERR_OK : ERR_SEALED);
		assert_int_equal(read_back(f, x.identity, bytes_of(x.id, sizeof x.id)),
				 column == 0 ? ERR_OK : ERR_SEALED);
	}
	buf_free(&sealed);
}

static void swapped_rows_are_refused(void **state)
{
	struct fixture *f = *state;
	struct buf one = BUF_INIT(1024), other = BUF_INIT(1024);
	struct private_store_item x, y;
	char id[2][PRIVATE_DATA_ID_SIZE];
	post(f, alice, "a/b", BYTES_LIT("first"), id[0]);
	post(f, alice, "a/b", BYTES_LIT("other"), id[1]);
	take_row(f, alice, id_bytes(id[0]), &x, &one);
	take_row(f, alice, id_bytes(id[1]), &y, &other);
	OK(f, private_store_clear(f->store, &f->w));
	x.sealed = buf_bytes(&other);
	y.sealed = buf_bytes(&one);
	store_row(f, &x);
	store_row(f, &y);
	assert_int_equal(read_back(f, alice, id_bytes(id[0])), ERR_SEALED);
	assert_int_equal(read_back(f, alice, id_bytes(id[1])), ERR_SEALED);
	/* An altered row does not stand in the way of its own deletion. */
	OK(f, private_data_delete(f->p, alice, id_bytes(id[0]), &f->w));
	buf_free(&one);
	buf_free(&other);
}

static bool file_holds(const char *path, struct bytes what)
{
	static uint8_t all[4 * MIB];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof all);
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(all, (size_t)n, what.p, what.n) != NULL;
}

static void the_file_shows_no_text_no_type_and_no_key(void **state)
{
	struct fixture *f = *state;
	struct secret key = SECRET_INIT;
	char id[PRIVATE_DATA_ID_SIZE];
	post(f, alice, "application/x-telling", BYTES_LIT("a body that must not show"), id);
	OK(f, crypto_hkdf(f->c, secret_view(f->kek.key), "attestd private data v1", AEAD_KEY_SIZE, &key, &f->w));
	const struct bytes hidden[] = {BYTES_LIT("x-telling"), BYTES_LIT("must not show"), secret_view(f->kek.key),
				       secret_view(&key)};
	for (int turn = 0; turn < 2; turn++, restart(f)) {
		assert_true(file_holds(f->db, id_bytes(id)) || file_holds(f->wal, id_bytes(id)));
		for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
			assert_false(file_holds(f->db, hidden[i]) || file_holds(f->wal, hidden[i]));
	}
	secret_wipe(&key);
}

static unsigned count_logged(struct fixture *f, const char *text)
{
	char all[8192] = "";
	unsigned n = 0;
	log_flush(f->log);
	ssize_t got = pread(f->log_fd, all, sizeof all - 1, 0);
	for (const char *at = all; got > 0 && (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static void rows_of_a_generated_key_that_is_gone_are_dropped_with_one_line(void **state)
{
	struct fixture *f = *state;
	stop(f);
	assert_int_equal(unlink(f->db), 0);
	set_kek(f, 0x22, true);
	OK(f, start(f));
	post(f, alice, "a/b", BYTES_LIT("x"), NULL);
	post(f, bob, "a/b", BYTES_LIT("y"), NULL);
	restart(f);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("x"));
	assert_int_equal(count_logged(f, "private_data_discarded"), 0);
	set_kek(f, 0x23, true);
	restart(f);
	assert_int_equal(count_logged(f, "private_data_discarded"), 1);
	assert_int_equal(count_logged(f, "count=2"), 1);
	assert_int_equal(count_logged(f, "gone from the runtime directory"), 1);
	assert_int_equal(read_back(f, alice, latest), ERR_NOT_FOUND);
	post(f, alice, "a/b", BYTES_LIT("z"), NULL);
	set_kek(f, 0x23, false);
	restart(f);
	assert_int_equal(count_logged(f, "private_data_discarded"), 2);
	assert_int_equal(count_logged(f, "a key is configured now"), 1);
	restart(f);
	assert_int_equal(count_logged(f, "private_data_discarded"), 2);
}

static void assert_wrong_key(struct fixture *f, const char *text)
{
	stop(f);
	f->w = (struct why){0};
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	assert_null(f->p);
	if (strstr(f->w.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->w.text, text);
	assert_non_null(strstr(f->w.text, "start without private data"));
}

static void a_configured_key_that_does_not_match_is_fatal(void **state)
{
	struct fixture *f = *state;
	post(f, alice, "a/b", BYTES_LIT("x"), NULL);
	set_kek(f, 0x12, false);
	assert_wrong_key(f, "is not the one that sealed the private-data database: restore that key");
	set_kek(f, 0x11, true);
	assert_wrong_key(f, "none is configured: restore ENCLAVE_KEY_BASE64, kek_file, or");
	OK(f, private_store_meta_put(f->store, "kek_origin", BYTES_LIT("elsewhere"), &f->w));
	OK(f, private_store_commit(f->store, &f->w));
	set_kek(f, 0x11, false);
	assert_wrong_key(f, "unknown origin");
	OK(f, private_store_meta_put(f->store, "kek_origin", BYTES_LIT("configured"), &f->w));
	OK(f, private_store_commit(f->store, &f->w));
	restart(f);
	assert_stored(f, alice, latest, "a/b", BYTES_LIT("x"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_flipped_byte_is_never_data),
		T(every_column_is_sealed_with_the_row),
		T(swapped_rows_are_refused),
		T(the_file_shows_no_text_no_type_and_no_key),
		T(rows_of_a_generated_key_that_is_gone_are_dropped_with_one_line),
		T(a_configured_key_that_does_not_match_is_fatal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
