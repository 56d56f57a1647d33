#include "session_fixture.h"

static void a_restart_forgets_nothing(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "chat"), *y = open_session(f, "");
	struct session_facts before[2], after[2];
	uint8_t iv[3][AEAD_IV_SIZE] = {{0}}, sealed[2 + AEAD_TAG_SIZE], plain[2];
	char id[SESSION_ID_SIZE];
	uint32_t number = 0;

	memset(before, 0, sizeof before);
	memset(after, 0, sizeof after);
	OK(session_receive(f->s, x, iv[0], &number, &f->w));
	OK(session_send(f->s, x, &number, iv[1], &f->w));
	OK(session_receive(f->s, y, iv[0], &number, &f->w));
	OK(session_seal(f->s, x, false, iv[1], BYTES_LIT("hi"), sealed, &f->w));
	commit(f);
	memcpy(id, x->id, sizeof id);
	assert_int_equal(session_list(f->s, before, 2), 2);
	for (int i = 0; i < 2; i++) {
		restart(f);
		assert_int_equal(session_list(f->s, after, 2), 2);
		assert_memory_equal(before, after, sizeof before);
		assert_int_equal(sessions_seen_ivs(f->s), 3);
		assert_int_equal(find(f, id, "", &x), ERR_SESSION);
		OK(find(f, id, "chat", &x));
		OK(session_unseal(f->s, x, false, iv[1], bytes_of(sealed, sizeof sealed), plain, &f->w));
		assert_memory_equal(plain, "hi", 2);
		assert_int_equal(session_check(f->s, x, iv[0], &f->w), ERR_REPLAY);
		assert_int_equal(session_receive(f->s, x, iv[1], &number, &f->w), ERR_REPLAY);
	}
	OK(session_send(f->s, x, &number, iv[2], &f->w));
	assert_int_equal(number, 3);
}

static void what_was_not_committed_is_not_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	char id[SESSION_ID_SIZE], late[SESSION_ID_SIZE];
	uint8_t iv[AEAD_IV_SIZE];

	memcpy(id, x->id, sizeof id);
	receive(f, x, iv);
	add(f, "", late);
	restart(f);
	assert_int_equal(find(f, late, "", &x), ERR_SESSION);
	OK(find(f, id, "", &x));
	OK(session_check(f->s, x, iv, &f->w));
}

static void row_numbers_are_not_reused_while_seen_rows_are_left(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, ""), *y = NULL;
	uint8_t iv[AEAD_IV_SIZE];
	int64_t row = x->row;

	receive(f, x, iv);
	OK(session_end(f->s, bytes_of(x->id, sizeof x->id), &f->w));
	commit(f);
	restart(f);
	y = open_session(f, "");
	assert_true(y->row > row);
	OK(session_check(f->s, y, iv, &f->w));
}

static void expired_rows_are_deleted_at_the_start(void **state)
{
	struct fixture *f = *state;
	struct kept_rows rows;

	open_session(f, "");
	f->boot += 1;
	open_session(f, "");
	f->boot += HOUR - 1;
	restart(f);
	assert_int_equal(sessions_count(f->s), 1);
	keep_rows(f, &rows);
	assert_int_equal(rows.n, 1);
}

static void assert_altered(struct fixture *f, const char *says)
{
	OK(store_commit(f->store, &f->w));
	stop(f);
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, says));
	assert_null(f->s);
}

static void swapped_rows_are_refused(void **state)
{
	struct fixture *f = *state;
	struct kept_rows rows;

	open_session(f, "");
	open_session(f, "");
	keep_rows(f, &rows);
	rows.v[1].x.sealed = rows.v[0].x.sealed;
	OK(store_session_put(f->store, &rows.v[1].x, &f->w));
	assert_altered(f, "row 2 ");
}

static void every_column_is_sealed_with_the_key(void **state)
{
	struct fixture *f = *state;
	struct kept_rows rows;

	open_session(f, "scope");
	keep_rows(f, &rows);
	for (int column = 0; column < 10; column++) {
		struct kept k = rows.v[0];

		k.x.user_key_hash = keep_bytes(k.user_key_hash, rows.v[0].x.user_key_hash);
		k.x.scope = keep_bytes(k.scope, rows.v[0].x.scope);
		k.x.wrapped = keep_bytes(k.wrapped, rows.v[0].x.wrapped);
		k.x.sealed = keep_bytes(k.sealed, rows.v[0].x.sealed);
		if (column == 0)
			k.x.row = 2;
		else if (column == 1)
			k.x.id[42] ^= 1;
		else if (column == 2)
			k.x.created_wall_ms++;
		else if (column == 3)
			k.x.created_boot_ms++;
		else if (column == 4)
			k.x.expires_boot_ms++;
		else if (column == 5)
			k.x.is_public = !k.x.is_public;
		else if (column == 6)
			k.user_key_hash[0] ^= 1;
		else if (column == 7)
			k.x.scope.n = 0;
		else if (column == 8)
			k.x.wrapped.n--;
		else
			k.sealed[59] ^= 1;
		OK(store_session_put(f->store, &k.x, &f->w));
		assert_altered(f, column == 0 ? "row 2 " : "row 1 ");
		/* Put it back and see that it is what it was. */
		if (column == 0)
			OK(store_session_delete(f->store, 2, &f->w));
		OK(store_session_put(f->store, &rows.v[0].x, &f->w));
		OK(store_commit(f->store, &f->w));
		stop(f);
		OK(start(f));
		assert_int_equal(sessions_count(f->s), 1);
	}
}

static void odd_seen_rows_do_no_harm(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	uint8_t iv[AEAD_IV_SIZE] = {1};
	char id[SESSION_ID_SIZE];

	memcpy(id, x->id, sizeof id);
	OK(store_seen_put(f->store, x->row, 1, iv, &f->w));
	OK(store_seen_put(f->store, x->row, 1, iv, &f->w));
	OK(store_seen_put(f->store, 77, 5, iv, &f->w));
	commit(f);
	restart(f);
	OK(find(f, id, "", &x));
	assert_int_equal(x->messages, 1);
	assert_int_equal(sessions_seen_ivs(f->s), 1);
	assert_int_equal(f->s->next_row, 78);
	iv[0] = 2;
	OK(store_seen_put(f->store, x->row, UINT32_MAX, iv, &f->w));
	commit(f);
	restart(f);
	OK(find(f, id, "", &x));
	assert_int_equal(x->messages, SESSION_MESSAGES_MAX);
	OK(store_seen_put(f->store, INT64_MAX, 1, iv, &f->w));
	assert_altered(f, "altered");
}

static void sessions_of_a_generated_key_end_with_the_boot(void **state)
{
	struct fixture *f = *state;

	stop(f);
	assert_int_equal(unlink(f->db), 0);
	set_kek(f, 0x22, true);
	OK(start(f));
	open_session(f, "");
	open_session(f, "");
	restart(f);
	assert_int_equal(sessions_count(f->s), 2);
	assert_false(logged(f, "sessions_discarded"));
	f->boot_id = "boot-two";
	f->boot = 500;
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
	assert_true(logged(f, "sessions_discarded"));
	assert_true(logged(f, "another boot"));
	open_session(f, "");
	set_kek(f, 0x23, true);
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
	assert_true(logged(f, "gone from the runtime directory"));
	open_session(f, "");
	set_kek(f, 0x23, false);
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
	assert_true(logged(f, "a key is configured now"));
	open_session(f, "");
	restart(f);
	assert_int_equal(sessions_count(f->s), 1);
}

static void a_configured_key_that_does_not_match_is_fatal(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	char id[SESSION_ID_SIZE];

	memcpy(id, x->id, sizeof id);
	stop(f);
	set_kek(f, 0x12, false);
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "restore that key"));
	stop(f);
	set_kek(f, 0x11, true);
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "none is configured"));
	stop(f);
	set_kek(f, 0x11, false);
	OK(start(f));
	OK(find(f, id, "", &x));
}

static void sessions_of_a_configured_key_live_on_for_the_time_they_had_left(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "chat");
	char id[SESSION_ID_SIZE], old[SESSION_ID_SIZE];
	uint8_t iv[AEAD_IV_SIZE];

	memcpy(old, x->id, sizeof old);
	f->boot += HOUR / 2;
	x = open_session(f, "chat");
	memcpy(id, x->id, sizeof id);
	receive(f, x, iv);
	f->boot += HOUR / 4;
	assert_false(session_sweep(f->s, 10, 10));
	commit(f);
	/* What passed since the last sign of life is not known to the next boot. */
	f->boot += LAST_BOOT_EVERY_MS / 2;

	f->boot_id = "boot-two";
	f->boot = 100;
	restart(f);
	assert_true(logged(f, "sessions_moved_to_this_boot"));
	OK(find(f, id, "chat", &x));
	assert_int_equal(x->expires_boot_ms, 100 + 3 * HOUR / 4);
	assert_int_equal(session_check(f->s, x, iv, &f->w), ERR_REPLAY);
	OK(find(f, old, "chat", &x));
	assert_int_equal(x->expires_boot_ms, 100 + HOUR / 4);

	/* The rows were sealed anew, and again for the boot after. */
	restart(f);
	f->boot_id = "boot-three";
	f->boot = 7;
	restart(f);
	assert_int_equal(sessions_count(f->s), 2);
	OK(find(f, old, "chat", &x));
	assert_int_equal(x->expires_boot_ms, 7 + HOUR / 4);
	f->boot += HOUR / 4;
	restart(f);
	assert_int_equal(sessions_count(f->s), 1);
	OK(find(f, id, "chat", &x));
}

static void rows_that_had_expired_do_not_come_back_with_a_boot(void **state)
{
	struct fixture *f = *state;

	open_session(f, "");
	f->boot += HOUR;
	OK(sweep_put_last_boot(f->s, f->boot, &f->w));
	commit(f);
	f->boot_id = "boot-two";
	f->boot = 1;
	restart(f);
	assert_int_equal(sessions_count(f->s), 0);
}

static void an_edited_boot_id_or_time_gains_nothing(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "");
	char id[SESSION_ID_SIZE];
	uint8_t zero[8] = {0};

	memcpy(id, x->id, sizeof id);
	/* The earliest time there is: never more than one lifetime. */
	OK(store_meta_put(f->store, "last_boot_ms", bytes_of(zero, sizeof zero), &f->w));
	commit(f);
	f->boot_id = "boot-two";
	f->boot = 100;
	restart(f);
	OK(find(f, id, "", &x));
	assert_int_equal(x->expires_boot_ms, 100 + HOUR);
	OK(store_meta_put(f->store, "boot_id", bytes_str("boot-three"), &f->w));
	commit(f);
	f->boot_id = "boot-three";
	assert_altered(f, "row 1 ");
	stop(f);
	f->boot_id = "boot-four";
	OK(store_open(&f->store, f->db, false, &f->w));
	OK(store_meta_put(f->store, "last_boot_ms", bytes_of(zero, 7), &f->w));
	assert_altered(f, "last_boot_ms");
	OK(store_meta_put(f->store, "kek_origin", bytes_str("elsewhere"), &f->w));
	assert_altered(f, "unknown origin");
}

static void a_boot_id_has_a_sane_length(void **state)
{
	struct fixture *f = *state;
	char longest[SESSION_BOOT_ID_MAX + 2];

	memset(longest, 'b', sizeof longest);
	longest[SESSION_BOOT_ID_MAX + 1] = '\0';
	stop(f);
	f->boot_id = longest;
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	stop(f);
	f->boot_id = "";
	assert_int_equal(start(f), ERR_ENVIRONMENT);
	stop(f);
	longest[SESSION_BOOT_ID_MAX] = '\0';
	f->boot_id = longest;
	OK(start(f));
}

static bool file_holds(const char *path, struct bytes what)
{
	static uint8_t all[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof all);

	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(all, (size_t)n, what.p, what.n) != NULL;
}

static void no_key_is_in_the_file(void **state)
{
	struct fixture *f = *state;
	struct session *x = open_session(f, "chat");
	struct bytes key = bytes_of(x->key, sizeof x->key), id = bytes_of(x->id, sizeof x->id);
	char wal[128];

	snprintf(wal, sizeof wal, "%s-wal", f->db);
	assert_true(file_holds(wal, id) || file_holds(f->db, id));
	assert_false(file_holds(wal, key) || file_holds(f->db, key));
	assert_false(file_holds(wal, secret_view(f->kek.key)) || file_holds(f->db, secret_view(f->kek.key)));
	assert_false(file_holds(wal, secret_view(f->s->sealing)) || file_holds(f->db, secret_view(f->s->sealing)));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_restart_forgets_nothing),
		T(what_was_not_committed_is_not_there_after_a_restart),
		T(row_numbers_are_not_reused_while_seen_rows_are_left),
		T(expired_rows_are_deleted_at_the_start),
		T(swapped_rows_are_refused),
		T(every_column_is_sealed_with_the_key),
		T(odd_seen_rows_do_no_harm),
		T(sessions_of_a_generated_key_end_with_the_boot),
		T(a_configured_key_that_does_not_match_is_fatal),
		T(sessions_of_a_configured_key_live_on_for_the_time_they_had_left),
		T(rows_that_had_expired_do_not_come_back_with_a_boot),
		T(an_edited_boot_id_or_time_gains_nothing),
		T(a_boot_id_has_a_sane_length),
		T(no_key_is_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
