/* test_private_store.c - the database of private data: rows and totals that agree, and deletions that leave nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "private_store.h"
#include "store.h"

struct fixture {
	char dir[64], path[96], wal[112];
	struct private_store *s;
	struct buf sealed;
	struct private_store_item x; /* what was read last; its blob in `sealed` */
	struct why w;
};

static const uint8_t alice[PRIVATE_STORE_IDENTITY_SIZE] = "alice", bob[PRIVATE_STORE_IDENTITY_SIZE] = "bob";

#define assert_ok(f, call)                           \
	do {                                         \
		if ((call) != ERR_OK)                \
			fail_msg("%s", (f)->w.text); \
	} while (0)

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-private-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/p.db", f->dir);
	snprintf(f->wal, sizeof f->wal, "%s-wal", f->path);
	f->sealed = BUF_INIT(4 << 20);
	assert_ok(f, private_store_open(&f->s, f->path, false, &f->w));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	private_store_close(f->s);
	buf_free(&f->sealed);
	unlink(f->path);
	unlink(f->wal);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void close_store(struct fixture *f)
{
	private_store_close(f->s);
	f->s = NULL;
}

static void reopen(struct fixture *f)
{
	close_store(f);
	assert_ok(f, private_store_open(&f->s, f->path, false, &f->w));
}

static void commit(struct fixture *f)
{
	assert_ok(f, private_store_commit(f->s, &f->w));
}

static struct bytes id_of(char id[PRIVATE_STORE_ID_SIZE], int number)
{
	char text[PRIVATE_STORE_ID_SIZE + 1];
	snprintf(text, sizeof text, "%022d", number);
	return bytes_of(memcpy(id, text, PRIVATE_STORE_ID_SIZE), PRIVATE_STORE_ID_SIZE);
}

static enum err try_put(struct fixture *f, const uint8_t *identity, int number, int64_t size, struct bytes sealed)
{
	struct private_store_item x = {.created_ms = -number, .size = size, .sealed = sealed};
	memcpy(x.identity, identity, sizeof x.identity);
	id_of(x.id, number);
	return private_store_put(f->s, &x, &f->w);
}

static void put(struct fixture *f, const uint8_t *identity, int number, int64_t size)
{
	assert_ok(f, try_put(f, identity, number, size, BYTES_LIT("sealed")));
}

/* number 0: the latest. */
static bool get(struct fixture *f, const uint8_t *identity, int number)
{
	char id[PRIVATE_STORE_ID_SIZE];
	bool found = number == 0;
	buf_reset(&f->sealed);
	struct bytes wanted = number == 0 ? bytes_of(NULL, 0) : id_of(id, number);
	assert_ok(f, private_store_get(f->s, identity, wanted, &f->x, &f->sealed, &found, &f->w));
	return found;
}

static bool drop(struct fixture *f, const uint8_t *identity, int number)
{
	char id[PRIVATE_STORE_ID_SIZE];
	bool found = false;
	assert_ok(f, private_store_delete(f->s, identity, id_of(id, number), &found, &f->w));
	return found;
}

static void assert_use(struct fixture *f, const uint8_t *identity, int64_t items, int64_t bytes)
{
	struct private_store_usage u = {-1, -1};
	assert_ok(f, private_store_usage(f->s, identity, &u, &f->w));
	assert_int_equal(u.items, items);
	assert_int_equal(u.bytes, bytes);
}

static off_t size_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static bool file_holds(const char *path, struct bytes what)
{
	const size_t n = (size_t)size_of(path);
	uint8_t *all = malloc(n + 1);
	FILE *in = fopen(path, "re");
	bool held = false;
	assert_non_null(all);
	if (in != NULL) {
		assert_int_equal(fread(all, 1, n, in), n);
		held = memmem(all, n, what.p, what.n) != NULL;
		fclose(in);
	}
	free(all);
	return held;
}

/* Somebody else's hand in the file, between two starts. */
static void edit(struct fixture *f, const char *sql)
{
	sqlite3 *h = NULL;
	close_store(f);
	assert_int_equal(sqlite3_open(f->path, &h), SQLITE_OK);
	if (sqlite3_exec(h, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(h));
	assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

static void assert_refused(struct fixture *f, const char *text)
{
	assert_int_equal(private_store_open(&f->s, f->path, false, &f->w), ERR_ENVIRONMENT);
	assert_null(f->s);
	assert_int_equal(f->w.err, ERR_ENVIRONMENT);
	if (strstr(f->w.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->w.text, text);
}

static void an_item_comes_back_whole_over_reopening(void **state)
{
	struct fixture *f = *state;
	char id[PRIVATE_STORE_ID_SIZE];
	assert_ok(f, try_put(f, alice, 1, 5, BYTES_LIT("\0sealed\0")));
	assert_ok(f, try_put(f, alice, 2, 0, bytes_of(NULL, 0)));
	commit(f);
	for (int i = 0; i < 2; i++, reopen(f)) {
		assert_true(get(f, alice, 1));
		assert_memory_equal(f->x.identity, alice, sizeof alice);
		assert_memory_equal(f->x.id, id_of(id, 1).p, sizeof id);
		assert_int_equal(f->x.created_ms, -1);
		assert_int_equal(f->x.size, 5);
		assert_true(bytes_equal(f->x.sealed, BYTES_LIT("\0sealed\0")));
		assert_true(get(f, alice, 2));
		assert_int_equal(f->x.sealed.n, 0);
		assert_false(get(f, alice, 3));
	}
}

static void the_latest_is_the_last_one_inserted_that_is_left(void **state)
{
	struct fixture *f = *state;
	assert_false(get(f, alice, 0));
	put(f, alice, 9, 9);
	put(f, alice, 3, 3);
	put(f, bob, 5, 5);
	assert_true(get(f, alice, 0));
	assert_int_equal(f->x.size, 3);
	assert_true(drop(f, alice, 3));
	assert_true(get(f, alice, 0));
	assert_int_equal(f->x.size, 9);
	commit(f);
	reopen(f);
	put(f, alice, 1, 1);
	assert_true(get(f, alice, 0));
	assert_int_equal(f->x.size, 1);
	assert_true(drop(f, alice, 1) && drop(f, alice, 9));
	assert_false(get(f, alice, 0));
	assert_true(get(f, bob, 0));
}

static void numbers_of_deleted_rows_are_not_used_again(void **state)
{
	struct fixture *f = *state;
	put(f, alice, 1, 1);
	put(f, alice, 2, 2);
	assert_true(drop(f, alice, 2));
	commit(f);
	reopen(f);
	put(f, alice, 3, 3);
	commit(f);
	edit(f, "CREATE TABLE t(a CHECK (a = 0)); INSERT INTO t SELECT count(*) FROM item WHERE row = 2; DROP TABLE t");
	reopen(f);
	assert_true(get(f, alice, 3));
}

static void an_item_is_its_own_identitys_alone(void **state)
{
	struct fixture *f = *state;
	put(f, alice, 1, 1);
	assert_false(get(f, bob, 1));
	assert_false(get(f, bob, 0));
	assert_false(drop(f, bob, 1));
	assert_true(get(f, alice, 1));
	put(f, bob, 1, 2);
	assert_true(drop(f, bob, 1));
	assert_true(get(f, alice, 1));
	assert_int_equal(f->x.size, 1);
}

static void an_id_that_exists_already_is_refused(void **state)
{
	struct fixture *f = *state;
	put(f, alice, 1, 1);
	commit(f);
	assert_int_equal(try_put(f, alice, 1, 7, BYTES_LIT("x")), ERR_STORE);
	assert_int_equal(private_store_commit(f->s, &f->w), ERR_STORE);
	assert_true(get(f, alice, 1));
	assert_int_equal(f->x.size, 1);
	assert_use(f, alice, 1, 1);
}

static void totals_follow_every_change(void **state)
{
	struct fixture *f = *state;
	assert_use(f, alice, 0, 0);
	assert_use(f, NULL, 0, 0);
	put(f, alice, 1, 10);
	put(f, alice, 2, 0);
	put(f, bob, 3, 100);
	assert_use(f, alice, 2, 10);
	assert_use(f, bob, 1, 100);
	assert_use(f, NULL, 3, 110);
	commit(f);
	reopen(f);
	assert_use(f, NULL, 3, 110);
	assert_true(drop(f, alice, 1));
	assert_false(drop(f, alice, 1));
	assert_use(f, alice, 1, 0);
	assert_use(f, NULL, 2, 100);
	assert_true(drop(f, alice, 2));
	assert_use(f, alice, 0, 0);
	assert_ok(f, private_store_clear(f->s, &f->w));
	assert_use(f, bob, 0, 0);
	assert_use(f, NULL, 0, 0);
	commit(f);
	reopen(f);
	assert_use(f, NULL, 0, 0);
}

static void an_identity_without_items_leaves_no_row(void **state)
{
	struct fixture *f = *state;
	put(f, alice, 1, 10);
	assert_true(drop(f, alice, 1));
	commit(f);
	edit(f, "CREATE TABLE t(a CHECK (a = 0)); INSERT INTO t SELECT count(*) FROM tally; DROP TABLE t");
	reopen(f);
}

static void totals_that_are_not_the_rows_are_damage(void **state)
{
	static const char *const edits[] = {
		"UPDATE tally SET items = items + 1 WHERE identity = x''",
		"UPDATE tally SET bytes = bytes - 1 WHERE identity <> x''",
		"DELETE FROM tally",
		"DELETE FROM item WHERE size = 10",
		"UPDATE item SET size = 0 WHERE size = 10",
		"UPDATE item SET identity = zeroblob(32) WHERE size = 10",
		"INSERT INTO tally VALUES (zeroblob(32), 0, 0)",
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
		put(f, alice, 1, 10);
		put(f, bob, 2, 20);
		commit(f);
		edit(f, edits[i]);
		assert_refused(f, "it is damaged");
		unlink(f->path);
		assert_ok(f, private_store_open(&f->s, f->path, false, &f->w));
	}
}

static void a_row_of_an_impossible_size_is_no_data(void **state)
{
	static const char *const edits[] = {
		"UPDATE item SET id = x'00'",
		"UPDATE item SET size = -1; UPDATE tally SET bytes = -1",
		"UPDATE item SET size = 67108865; UPDATE tally SET bytes = 67108865",
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
		char sql[160];
		bool found = false;
		put(f, alice, 1, 1);
		commit(f);
		snprintf(sql, sizeof sql, "PRAGMA ignore_check_constraints = ON; %s", edits[i]);
		edit(f, sql);
		reopen(f);
		buf_reset(&f->sealed);
		assert_int_equal(private_store_get(f->s, alice, bytes_of(NULL, 0), &f->x, &f->sealed, &found, &f->w),
				 ERR_SEALED);
		assert_int_equal(f->sealed.n, 0);
		assert_false(found);
		assert_ok(f, private_store_clear(f->s, &f->w));
		commit(f);
	}
}

static void sizes_are_kept_at_their_limits_and_refused_past_them(void **state)
{
	struct fixture *f = *state;
	assert_ok(f, try_put(f, alice, 1, PRIVATE_STORE_SIZE_MAX, BYTES_LIT("x")));
	commit(f);
	assert_int_equal(try_put(f, alice, 2, PRIVATE_STORE_SIZE_MAX + 1, BYTES_LIT("x")), ERR_STORE);
	assert_int_equal(private_store_commit(f->s, &f->w), ERR_STORE);
	assert_int_equal(try_put(f, alice, 2, -1, BYTES_LIT("x")), ERR_STORE);
	assert_int_equal(private_store_commit(f->s, &f->w), ERR_STORE);
	/* Not touched by SQLite: the length alone is enough to refuse it. */
	uint8_t *most = calloc(1, PRIVATE_STORE_SEALED_MAX + 1);
	assert_non_null(most);
	assert_int_equal(try_put(f, alice, 2, 1, bytes_of(most, PRIVATE_STORE_SEALED_MAX + 1)), ERR_STORE);
	assert_int_equal(private_store_commit(f->s, &f->w), ERR_STORE);
	free(most);
	assert_use(f, alice, 1, PRIVATE_STORE_SIZE_MAX);
}

static void what_does_not_fit_the_callers_buffer_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct private_store_item x = {.size = 77};
	struct buf small = BUF_INIT(3);
	bool found = false;
	put(f, alice, 1, 1);
	assert_int_equal(private_store_get(f->s, alice, bytes_of(NULL, 0), &x, &small, &found, &f->w), ERR_MEMORY);
	assert_int_equal(x.size, 77);
	assert_false(found);
	buf_free(&small);
	assert_true(get(f, alice, 1));
}

static void the_facts_can_be_had_without_what_is_sealed(void **state)
{
	struct fixture *f = *state;
	struct private_store_item x = {0};
	bool found = false;
	put(f, alice, 1, 7);
	assert_ok(f, private_store_get(f->s, alice, bytes_of(NULL, 0), &x, NULL, &found, &f->w));
	assert_true(found);
	assert_int_equal(x.size, 7);
	assert_null(x.sealed.p);
	assert_int_equal(x.sealed.n, sizeof "sealed" - 1);
}

static void a_failed_commit_takes_rows_and_totals_back(void **state)
{
	struct fixture *f = *state;
	struct rlimit was, none;
	put(f, alice, 1, 10);
	commit(f);
	assert_false(private_store_dirty(f->s));
	put(f, alice, 2, 5);
	assert_true(drop(f, alice, 1));
	assert_true(private_store_dirty(f->s));
	assert_use(f, alice, 1, 5);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(private_store_commit(f->s, &f->w), ERR_STORE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_false(private_store_dirty(f->s));
	assert_false(get(f, alice, 2));
	assert_true(get(f, alice, 1));
	assert_use(f, alice, 1, 10);
	assert_use(f, NULL, 1, 10);
	put(f, alice, 2, 5);
	commit(f);
	reopen(f);
	assert_use(f, NULL, 2, 15);
}

static void what_was_not_committed_is_gone_after_a_restart(void **state)
{
	struct fixture *f = *state;
	put(f, alice, 1, 10);
	reopen(f);
	assert_false(get(f, alice, 0));
	assert_use(f, NULL, 0, 0);
}

static void what_is_deleted_is_in_no_file(void **state)
{
	struct fixture *f = *state;
	static uint8_t big[1 << 20];
	const struct bytes mark = BYTES_LIT("the mark of a row that goes");
	for (size_t i = 0; i + mark.n < sizeof big; i += 4096)
		memcpy(big + i, mark.p, mark.n);
	put(f, bob, 2, 1);
	for (int n = 0; n < 4; n++) {
		const struct bytes blob = n % 2 == 0 ? mark : bytes_of(big, sizeof big);
		assert_ok(f, try_put(f, alice, 1, 1, blob));
		commit(f);
		assert_true(file_holds(f->path, mark) || file_holds(f->wal, mark));
		if (n < 2)
			assert_true(drop(f, alice, 1));
		else
			assert_ok(f, private_store_clear(f->s, &f->w));
		commit(f);
		assert_false(file_holds(f->path, mark));
		assert_false(file_holds(f->wal, mark));
	}
	reopen(f);
	assert_false(file_holds(f->path, mark));
}

static void the_file_does_not_grow_with_what_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	static uint8_t blob[64 * 1024];
	off_t after_first = 0;
	for (int i = 1; i <= 200; i++) {
		assert_ok(f, try_put(f, alice, i, sizeof blob, bytes_of(blob, sizeof blob)));
		commit(f);
		assert_true(drop(f, alice, i));
		commit(f);
		if (i == 1)
			after_first = size_of(f->path);
		/* A page for what a tree may need in between. */
		assert_true(size_of(f->path) <= after_first + 4096);
		assert_int_equal(size_of(f->wal), 0);
	}
}

static void meta_comes_back_and_survives_clear(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT(64);
	bool found = true;
	assert_ok(f, private_store_meta_get(f->s, "kek", &b, &found, &f->w));
	assert_false(found);
	assert_ok(f, private_store_meta_put(f->s, "kek", BYTES_LIT("one"), &f->w));
	assert_ok(f, private_store_meta_put(f->s, "kek", BYTES_LIT("two\0!"), &f->w));
	put(f, alice, 1, 1);
	assert_ok(f, private_store_clear(f->s, &f->w));
	commit(f);
	reopen(f);
	assert_false(get(f, alice, 1));
	assert_ok(f, private_store_meta_get(f->s, "kek", &b, &found, &f->w));
	assert_true(found);
	assert_true(bytes_equal(buf_bytes(&b), BYTES_LIT("two\0!")));
	buf_free(&b);
}

static void the_session_database_is_refused_and_this_one_as_that(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	close_store(f);
	assert_int_equal(store_open(&s, f->path, false, &f->w), ERR_ENVIRONMENT);
	unlink(f->path);
	assert_ok(f, store_open(&s, f->path, false, &f->w));
	store_close(s);
	assert_refused(f, "another program's database");
	assert_non_null(strstr(f->w.text, "private-data database"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(an_item_comes_back_whole_over_reopening),
		T(the_latest_is_the_last_one_inserted_that_is_left),
		T(numbers_of_deleted_rows_are_not_used_again),
		T(an_item_is_its_own_identitys_alone),
		T(an_id_that_exists_already_is_refused),
		T(totals_follow_every_change),
		T(an_identity_without_items_leaves_no_row),
		T(totals_that_are_not_the_rows_are_damage),
		T(a_row_of_an_impossible_size_is_no_data),
		T(sizes_are_kept_at_their_limits_and_refused_past_them),
		T(what_does_not_fit_the_callers_buffer_changes_nothing),
		T(the_facts_can_be_had_without_what_is_sealed),
		T(a_failed_commit_takes_rows_and_totals_back),
		T(what_was_not_committed_is_gone_after_a_restart),
		T(what_is_deleted_is_in_no_file),
		T(the_file_does_not_grow_with_what_comes_and_goes),
		T(meta_comes_back_and_survives_clear),
		T(the_session_database_is_refused_and_this_one_as_that),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
