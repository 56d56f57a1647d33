/* test_store.c - the session database: what it keeps, what it undoes, and what it says about a file it cannot use. */
#include <errno.h>
#include <fcntl.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store.h"

enum { SEEN_TURN = 64, NOBODY = 65534, HEADER_USER_VERSION = 60, HEADER_APPLICATION_ID = 68, PAGE = 4096 };

struct fixture {
	char dir[64], path[96], wal[112];
	struct store *s;
	struct why w;
};

#define assert_ok(f, call)                           \
	do {                                         \
		if ((call) != ERR_OK)                \
			fail_msg("%s", (f)->w.text); \
	} while (0)

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/s.db", f->dir);
	snprintf(f->wal, sizeof f->wal, "%s-wal", f->path);
	assert_ok(f, store_open(&f->s, f->path, false, &f->w));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	store_close(f->s);
	unlink(f->path);
	unlink(f->wal);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void close_store(struct fixture *f)
{
	store_close(f->s);
	f->s = NULL;
}

static void reopen(struct fixture *f)
{
	close_store(f);
	assert_ok(f, store_open(&f->s, f->path, false, &f->w));
}

static void assert_refused(struct fixture *f, const char *path, const char *text)
{
	struct store *s = NULL;
	assert_int_equal(store_open(&s, path, false, &f->w), ERR_ENVIRONMENT);
	assert_null(s);
	assert_int_equal(f->w.err, ERR_ENVIRONMENT);
	if (strstr(f->w.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->w.text, text);
}

static off_t size_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void patch(const char *path, off_t at, const void *p, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, at), n);
	close(fd);
}

static uint8_t blob[2048];

static struct store_session session(int64_t row)
{
	struct store_session x = {.row = row,
				  .created_wall_ms = 1,
				  .created_boot_ms = 2,
				  .expires_boot_ms = 3,
				  .user_key_hash = bytes_of(blob, 32),
				  .scope = bytes_of(NULL, 0),
				  .wrapped = bytes_of(blob, 256),
				  .sealed = bytes_of(blob, 60)};
	memset(x.id, 'a', sizeof x.id);
	return x;
}

static enum err put_seen(struct fixture *f, int64_t row, uint32_t number)
{
	uint8_t iv[STORE_IV_SIZE] = {0};
	memcpy(iv, &number, sizeof number);
	return store_seen_put(f->s, row, number, iv, &f->w);
}

struct tally {
	unsigned n, stop_at;
	uint32_t last;
	struct store_session x;
};

static enum err tally_seen(void *ctx, int64_t row, uint32_t number, const uint8_t *iv, struct why *w)
{
	struct tally *t = ctx;
	uint32_t in_iv;
	memcpy(&in_iv, iv, sizeof in_iv);
	assert_int_equal(in_iv, number);
	assert_true(t->n == 0 || number > t->last);
	assert_int_equal(row, 7);
	t->last = number;
	return ++t->n == t->stop_at ? why_set(w, ERR_SEALED, "enough") : ERR_OK;
}

static enum err tally_session(void *ctx, const struct store_session *x, struct why *w)
{
	struct tally *t = ctx;
	t->x = *x;
	return ++t->n == t->stop_at ? why_set(w, ERR_SEALED, "enough") : ERR_OK;
}

static unsigned count_seen(struct fixture *f)
{
	struct tally t = {0};
	assert_ok(f, store_each_seen(f->s, tally_seen, &t, &f->w));
	return t.n;
}

static unsigned count_sessions(struct fixture *f)
{
	struct tally t = {0};
	assert_ok(f, store_each_session(f->s, tally_session, &t, &f->w));
	return t.n;
}

static void turn_of_seen(struct fixture *f, uint32_t first, unsigned n)
{
	for (uint32_t i = first; i < first + n; i++)
		assert_ok(f, put_seen(f, 7, i));
	assert_ok(f, store_commit(f->s, &f->w));
}

static void a_new_file_and_its_log_belong_to_their_owner_only(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char path[128];
	snprintf(path, sizeof path, "%s/new.db", f->dir);
	close_store(f);
	mode_t old = umask(0);
	enum err e = store_open(&f->s, path, true, &f->w);
	umask(old);
	assert_ok(f, e);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(path, sizeof path, "%s/new.db-wal", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close_store(f);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof path, "%s/new.db", f->dir);
	unlink(path);
}

static void a_name_that_sqlite_has_a_meaning_for_is_a_file(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {":memory:", "file:x?mode=memory"};
	int here = open(".", O_RDONLY | O_DIRECTORY);
	assert_int_equal(chdir(f->dir), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct store *s = NULL;
		assert_ok(f, store_open(&s, names[i], false, &f->w));
		store_close(s);
		assert_true(size_of(names[i]) > 0);
		unlink(names[i]);
	}
	assert_int_equal(fchdir(here), 0);
	close(here);
}

static void meta_comes_back_and_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct buf b = BUF_INIT(64);
	bool found = true;
	assert_ok(f, store_meta_get(f->s, "kek", &b, &found, &f->w));
	assert_false(found);
	assert_ok(f, store_meta_put(f->s, "kek", BYTES_LIT("one"), &f->w));
	assert_ok(f, store_meta_put(f->s, "kek", BYTES_LIT("two\0!"), &f->w));
	assert_ok(f, store_meta_put(f->s, "none", bytes_of(NULL, 0), &f->w));
	assert_ok(f, store_commit(f->s, &f->w));
	reopen(f);
	assert_ok(f, store_meta_get(f->s, "kek", &b, &found, &f->w));
	assert_true(found);
	assert_true(bytes_equal(buf_bytes(&b), BYTES_LIT("two\0!")));
	buf_reset(&b);
	found = false;
	assert_ok(f, store_meta_get(f->s, "none", &b, &found, &f->w));
	assert_true(found);
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void a_session_comes_back_whole_and_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct store_session x = session(-5);
	struct tally t = {0};
	assert_ok(f, store_session_put(f->s, &x, &f->w));
	x.is_public = true;
	x.expires_boot_ms = INT64_MAX;
	x.scope = bytes_of(blob + 32, 32);
	assert_ok(f, store_session_put(f->s, &x, &f->w));
	assert_ok(f, store_commit(f->s, &f->w));
	reopen(f);
	assert_ok(f, store_each_session(f->s, tally_session, &t, &f->w));
	assert_int_equal(t.n, 1);
	assert_int_equal(t.x.row, -5);
	assert_memory_equal(t.x.id, x.id, sizeof x.id);
	assert_int_equal(t.x.created_wall_ms, 1);
	assert_int_equal(t.x.created_boot_ms, 2);
	assert_true(t.x.expires_boot_ms == INT64_MAX);
	assert_true(t.x.is_public);
	assert_int_equal(t.x.user_key_hash.n, 32);
	assert_int_equal(t.x.scope.n, 32);
	assert_int_equal(t.x.wrapped.n, 256);
	assert_int_equal(t.x.sealed.n, 60);
	assert_ok(f, store_session_delete(f->s, -5, &f->w));
	assert_ok(f, store_session_delete(f->s, 99, &f->w));
	assert_int_equal(count_sessions(f), 0);
}

static void a_fault_of_the_callback_ends_the_walk_and_the_store_goes_on(void **state)
{
	struct fixture *f = *state;
	for (int64_t i = 0; i < 3; i++) {
		struct store_session x = session(i);
		assert_ok(f, store_session_put(f->s, &x, &f->w));
	}
	turn_of_seen(f, 0, 3);
	struct tally t = {.stop_at = 2};
	assert_int_equal(store_each_session(f->s, tally_session, &t, &f->w), ERR_SEALED);
	assert_int_equal(t.n, 2);
	t = (struct tally){.stop_at = 2};
	assert_int_equal(store_each_seen(f->s, tally_seen, &t, &f->w), ERR_SEALED);
	assert_int_equal(t.n, 2);
	turn_of_seen(f, 3, 1);
	assert_int_equal(count_sessions(f), 3);
	assert_int_equal(count_seen(f), 4);
}

static void seen_rows_come_in_the_order_written_over_reopening(void **state)
{
	struct fixture *f = *state;
	turn_of_seen(f, 0, 100);
	int64_t mark = store_seen_mark(f->s);
	reopen(f);
	assert_true(store_seen_mark(f->s) >= mark);
	turn_of_seen(f, 100, 100);
	turn_of_seen(f, UINT32_MAX - 1, 1);
	assert_ok(f, put_seen(f, 7, UINT32_MAX));
	assert_ok(f, store_commit(f->s, &f->w));
	assert_int_equal(count_seen(f), 202);
}

static void a_row_takes_so_many_messages_and_the_next_one_begins_another(void **state)
{
	struct fixture *f = *state;
	const int64_t before = store_seen_mark(f->s);
	turn_of_seen(f, 0, SEEN_TURN);
	assert_int_equal(store_seen_mark(f->s), before + 1);
	turn_of_seen(f, SEEN_TURN, SEEN_TURN + 1);
	assert_int_equal(store_seen_mark(f->s), before + 3);
	reopen(f);
	assert_int_equal(count_seen(f), 2 * SEEN_TURN + 1);
}

static void clear_leaves_meta_only(void **state)
{
	struct fixture *f = *state;
	struct store_session x = session(1);
	struct buf b = BUF_INIT(64);
	bool found = false;
	assert_ok(f, store_meta_put(f->s, "boot", BYTES_LIT("b"), &f->w));
	assert_ok(f, store_session_put(f->s, &x, &f->w));
	turn_of_seen(f, 0, 10);
	assert_ok(f, store_clear(f->s, &f->w));
	assert_ok(f, store_commit(f->s, &f->w));
	reopen(f);
	assert_int_equal(count_sessions(f), 0);
	assert_int_equal(count_seen(f), 0);
	assert_ok(f, store_meta_get(f->s, "boot", &b, &found, &f->w));
	assert_true(found);
	buf_free(&b);
}

static void sweep_deletes_the_oldest_in_front_of_the_mark_and_no_more_than_asked(void **state)
{
	struct fixture *f = *state;
	struct tally t = {0};
	bool more = true;
	assert_ok(f, store_sweep(f->s, store_seen_mark(f->s), 10, &more, &f->w));
	assert_false(more);
	for (uint32_t i = 0; i < 10; i++)
		turn_of_seen(f, i, 1);
	assert_ok(f, put_seen(f, 7, 10));
	int64_t mark = store_seen_mark(f->s);
	turn_of_seen(f, 11, 9); /* with the one that waited, behind the mark */
	assert_ok(f, store_sweep(f->s, mark, 0, &more, &f->w));
	assert_true(more);
	assert_false(store_dirty(f->s));
	assert_ok(f, store_sweep(f->s, mark, 9, &more, &f->w));
	assert_true(more);
	assert_true(store_dirty(f->s));
	assert_int_equal(count_seen(f), 11);
	assert_ok(f, store_sweep(f->s, mark, 1, &more, &f->w));
	assert_false(more);
	assert_ok(f, store_sweep(f->s, mark, 100, &more, &f->w));
	assert_false(more);
	assert_ok(f, store_commit(f->s, &f->w));
	assert_ok(f, store_each_seen(f->s, tally_seen, &t, &f->w));
	assert_int_equal(t.n, 10);
	assert_int_equal(t.last, 19);
	assert_ok(f, store_sweep(f->s, INT64_MAX, 11, &more, &f->w));
	assert_false(more);
	assert_int_equal(count_seen(f), 0);
}

static void a_turn_is_one_transaction(void **state)
{
	struct fixture *f = *state;
	assert_false(store_dirty(f->s));
	assert_ok(f, store_commit(f->s, &f->w));
	assert_ok(f, put_seen(f, 7, 1));
	assert_true(store_dirty(f->s));
	assert_ok(f, store_commit(f->s, &f->w));
	assert_false(store_dirty(f->s));
	assert_ok(f, put_seen(f, 7, 2));
	reopen(f);
	assert_int_equal(count_seen(f), 1);
}

static void a_write_that_fails_undoes_its_turn_and_no_other(void **state)
{
	struct fixture *f = *state;
	struct store_session bad = session(1);
	turn_of_seen(f, 0, 1);
	assert_ok(f, put_seen(f, 7, 1));
	bad.user_key_hash.n = 31;
	assert_int_equal(store_session_put(f->s, &bad, &f->w), ERR_STORE);
	assert_int_equal(put_seen(f, 7, 2), ERR_STORE);
	assert_true(store_dirty(f->s));
	f->w = (struct why){0};
	assert_int_equal(store_commit(f->s, &f->w), ERR_STORE);
	assert_int_equal(f->w.err, ERR_STORE);
	assert_non_null(strstr(f->w.text, "CHECK"));
	assert_false(f->w.tell);
	assert_false(store_dirty(f->s));
	assert_int_equal(count_seen(f), 1);
	turn_of_seen(f, 1, 1);
	reopen(f);
	assert_int_equal(count_seen(f), 2);
}

/* The test's process reads no file at the same time. */
static bool reads_fail;

static ssize_t faulty_pread(int fd, void *p, size_t n, off_t at)
{
	if (!reads_fail)
		return pread(fd, p, n, at);
	errno = EACCES; /* of those after which SQLite rolls back */
	return -1;
}

static void a_read_that_fails_does_not_hide_what_was_written(void **state)
{
	struct fixture *f = *state;
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	bool more = false;
	for (uint32_t turn = 0; turn < 50; turn++) /* so that the first is on another page than the last */
		turn_of_seen(f, turn * SEEN_TURN, SEEN_TURN);
	reopen(f);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pread", (sqlite3_syscall_ptr)faulty_pread), SQLITE_OK);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)faulty_pread), SQLITE_OK);
	const int64_t mark = store_seen_mark(f->s);
	assert_ok(f, put_seen(f, 7, UINT32_MAX));
	reads_fail = true;
	assert_int_equal(store_sweep(f->s, mark, 10, &more, &f->w), ERR_STORE);
	reads_fail = false;
	assert_true(store_dirty(f->s));
	f->w = (struct why){0};
	assert_int_equal(store_commit(f->s, &f->w), ERR_STORE);
	assert_false(store_dirty(f->s));
	assert_ok(f, put_seen(f, 7, UINT32_MAX));
	assert_ok(f, store_commit(f->s, &f->w));
	assert_int_equal(vfs->xSetSystemCall(vfs, "pread", NULL), SQLITE_OK);
	assert_int_equal(vfs->xSetSystemCall(vfs, "pread64", NULL), SQLITE_OK);
	assert_int_equal(count_seen(f), 50 * SEEN_TURN + 1);
}

static void assert_session_limit(struct fixture *f, const struct store_session *x, bool good)
{
	assert_int_equal(store_session_put(f->s, x, &f->w), good ? ERR_OK : ERR_STORE);
	assert_int_equal(store_commit(f->s, &f->w), good ? ERR_OK : ERR_STORE);
}

static void lengths_are_kept_at_their_limits_and_refused_past_them(void **state)
{
	struct fixture *f = *state;
	static const struct {
		size_t user_key_hash, scope, wrapped, sealed;
		bool good;
	} rows[] = {
		{32, 0, 1, 29, true},	{32, 32, 1024, 256, true}, {31, 0, 1, 29, false}, {33, 0, 1, 29, false},
		{32, 31, 1, 29, false}, {32, 33, 1, 29, false},	   {32, 0, 0, 29, false}, {32, 0, 1025, 29, false},
		{32, 0, 1, 28, false},	{32, 0, 1, 257, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct store_session x = session((int64_t)i);
		x.user_key_hash.n = rows[i].user_key_hash;
		x.scope = bytes_of(blob, rows[i].scope);
		x.wrapped.n = rows[i].wrapped;
		x.sealed.n = rows[i].sealed;
		assert_session_limit(f, &x, rows[i].good);
	}
	struct store_session x = session(50);
	x.id[20] = '\0';
	assert_session_limit(f, &x, false);

	char name[66];
	memset(name, 'n', sizeof name);
	name[65] = '\0';
	assert_int_equal(store_meta_put(f->s, name, bytes_of(blob, 1), &f->w), ERR_STORE);
	assert_int_equal(store_commit(f->s, &f->w), ERR_STORE);
	name[64] = '\0';
	static uint8_t value[4097];
	assert_ok(f, store_meta_put(f->s, name, bytes_of(value, 4096), &f->w));
	assert_ok(f, store_commit(f->s, &f->w));
	assert_int_equal(store_meta_put(f->s, name, bytes_of(value, 4097), &f->w), ERR_STORE);
	assert_int_equal(store_commit(f->s, &f->w), ERR_STORE);
}

/* A limit on the size of files stands in for a full disk. */
static void limit_files(rlim_t n)
{
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = n == RLIM_INFINITY ? l.rlim_max : n;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

static void a_full_disk_undoes_the_turn_and_the_store_recovers_with_space(void **state)
{
	struct fixture *f = *state;
	turn_of_seen(f, 0, 10);
	/* Few rows fail in the commit, many already in a write, when the page cache spills. */
	static const unsigned sizes[] = {10, 400000};
	for (unsigned k = 0; k < 2; k++) {
		enum err put = ERR_OK, commit;
		limit_files((rlim_t)size_of(f->wal));
		for (uint32_t i = 0; put == ERR_OK && i < sizes[k]; i++)
			put = put_seen(f, 7, 1000 + i);
		commit = store_commit(f->s, &f->w);
		limit_files(RLIM_INFINITY);
		assert_int_equal(put, k == 0 ? ERR_OK : ERR_STORE);
		assert_int_equal(commit, ERR_STORE);
		assert_non_null(strstr(f->w.text, "the disk failed or is full"));
		assert_false(store_dirty(f->s));
		assert_int_equal(count_seen(f), 10 + k);
		turn_of_seen(f, 10 + k, 1);
	}
	reopen(f);
	assert_int_equal(count_seen(f), 12);
}

static void a_full_disk_is_found_out_at_opening(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	turn_of_seen(f, 0, 1);
	close_store(f);
	limit_files(0);
	enum err e = store_open(&s, f->path, false, &f->w);
	limit_files(RLIM_INFINITY);
	assert_int_equal(e, ERR_ENVIRONMENT);
	assert_null(s);
	assert_non_null(strstr(f->w.text, "full"));
	reopen(f);
	assert_int_equal(count_seen(f), 1);
}

static void every_committed_row_outlives_kill_9_and_no_other(void **state)
{
	struct fixture *f = *state;
	int ready[2];
	char byte;
	close_store(f);
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (store_open(&f->s, f->path, false, &f->w) != ERR_OK)
			_exit(1);
		for (uint32_t i = 0; i < 20000; i++)
			if (put_seen(f, 7, i) != ERR_OK || (i % 10 == 9 && store_commit(f->s, &f->w) != ERR_OK))
				_exit(1);
		/* Enough to spill the cache into the log. */
		for (uint32_t i = 20000; i < 400000; i++)
			if (put_seen(f, 7, i) != ERR_OK)
				_exit(1);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(size_of(f->wal) > 0);
	reopen(f);
	assert_int_equal(count_seen(f), 20000);
}

static void the_log_stays_small(void **state)
{
	struct fixture *f = *state;
	for (uint32_t i = 0; i < 2000; i++)
		turn_of_seen(f, i * 64, 64);
	assert_true(size_of(f->wal) < 2 << 20);
	turn_of_seen(f, 200000, 400000);
	turn_of_seen(f, 600000, 1);
	turn_of_seen(f, 600001, 1);
	assert_true(size_of(f->wal) <= 4 << 20);
}

static void a_deleted_session_leaves_nothing_in_the_file(void **state)
{
	struct fixture *f = *state;
	static const char needle[] = "needle in the haystack, 32 bytes";
	struct store_session x = session(1);
	x.sealed = bytes_of(needle, 32);
	for (unsigned round = 0; round < 2; round++) {
		if (round == 0)
			assert_ok(f, store_session_put(f->s, &x, &f->w));
		else
			assert_ok(f, store_session_delete(f->s, 1, &f->w));
		assert_ok(f, store_commit(f->s, &f->w));
		close_store(f);
		int fd = open(f->path, O_RDONLY);
		static uint8_t content[64 * PAGE];
		ssize_t n = read(fd, content, sizeof content);
		close(fd);
		assert_true(n > 0 && (size_t)n < sizeof content);
		void *at = memmem(content, (size_t)n, needle, 32);
		assert_true(round == 0 ? at != NULL : at == NULL);
		reopen(f);
	}
}

static void a_second_process_is_told_to_stop_the_first(void **state)
{
	struct fixture *f = *state;
	assert_refused(f, f->path, "another process has it open");
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store *s = NULL;
		enum err e = store_open(&s, f->path, false, &f->w);
		_exit(e == ERR_ENVIRONMENT && strstr(f->w.text, "another process has it open") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	turn_of_seen(f, 0, 1);
}

static void a_path_that_is_no_place_for_a_file_is_named(void **state)
{
	struct fixture *f = *state;
	char path[128];
	snprintf(path, sizeof path, "%s/absent/s.db", f->dir);
	assert_refused(f, path, "its directory does not exist; create it");
	snprintf(path, sizeof path, "%s/s.db/s.db", f->dir);
	assert_refused(f, path, "its directory is not a directory");
	assert_refused(f, f->dir, "not a regular file");
	assert_refused(f, "/dev/full", "not a regular file");
	assert_refused(f, "", "not a regular file");
}

/* Run without root's right to write everywhere. */
static int refused_as_nobody(struct fixture *f, const char *path, const char *text)
{
	struct store *s = NULL;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (geteuid() == 0 && (setegid(NOBODY) != 0 || seteuid(NOBODY) != 0))
			_exit(1);
		_exit(store_open(&s, path, false, &f->w) == ERR_ENVIRONMENT && strstr(f->w.text, text) ? 0 : 1);
	}
	int status = 1;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void what_may_not_be_written_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "it or its directory cannot be written; give this user the right to";
	char path[128];
	turn_of_seen(f, 0, 1);
	close_store(f);
	snprintf(path, sizeof path, "%s/new.db", f->dir);
	chmod(f->dir, 0555);
	assert_int_equal(refused_as_nobody(f, path, text), 0);
	chmod(f->path, 0444);
	assert_int_equal(refused_as_nobody(f, f->path, text), 0);
	/* The file could be written, but there is no place for its log. */
	chmod(f->path, 0666);
	assert_int_equal(refused_as_nobody(f, f->path, text), 0);
	chmod(f->dir, 0755);
}

static void garbage_and_a_broken_header_are_no_database(void **state)
{
	struct fixture *f = *state;
	static uint8_t junk[3 * PAGE];
	memset(junk, 0x5a, sizeof junk);
	turn_of_seen(f, 0, 100);
	close_store(f);
	patch(f->path, 0, "sqlite", 6);
	assert_refused(f, f->path, "it is no SQLite database; move it away");
	patch(f->path, 0, junk, sizeof junk);
	assert_refused(f, f->path, "it is no SQLite database; move it away");
}

static void a_truncated_file_is_damaged(void **state)
{
	struct fixture *f = *state;
	turn_of_seen(f, 0, 5000);
	close_store(f);
	assert_int_equal(truncate(f->path, size_of(f->path) / 2), 0);
	assert_refused(f, f->path, "it is damaged; move it away and start again (what it held is lost)");
}

static void a_damaged_page_is_found_while_loading(void **state)
{
	struct fixture *f = *state;
	struct tally t = {0};
	static uint8_t junk[PAGE];
	memset(junk, 0x5a, sizeof junk);
	turn_of_seen(f, 0, 50000);
	close_store(f);
	patch(f->path, size_of(f->path) / PAGE / 2 * PAGE, junk, sizeof junk);
	reopen(f);
	assert_int_equal(store_each_seen(f->s, tally_seen, &t, &f->w), ERR_STORE);
	assert_non_null(strstr(f->w.text, "it is damaged; move it away"));
	assert_true(t.n > 0 && t.n < 50000);
}

static void another_programs_database_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	static uint8_t before[64 * PAGE], after[64 * PAGE];
	static const char ids[2][5] = {"\0\0\0\0", "abcd"};
	turn_of_seen(f, 0, 1);
	close_store(f);
	for (unsigned i = 0; i < 2; i++) {
		patch(f->path, HEADER_APPLICATION_ID, ids[i], 4);
		int fd = open(f->path, O_RDONLY);
		ssize_t n = read(fd, before, sizeof before);
		close(fd);
		assert_refused(f, f->path, "another program's database");
		fd = open(f->path, O_RDONLY);
		assert_int_equal(read(fd, after, sizeof after), n);
		close(fd);
		assert_memory_equal(before, after, (size_t)n);
	}
}

static void another_schema_is_refused_with_both_numbers(void **state)
{
	struct fixture *f = *state;
	close_store(f);
	patch(f->path, HEADER_USER_VERSION, "\0\0\0\1", 4);
	assert_refused(f, f->path, "it has schema 1 and this program knows schema 2");
	patch(f->path, HEADER_USER_VERSION, "\0\0\0\0", 4);
	assert_refused(f, f->path, "it has schema 0 and this program knows schema 2");
	patch(f->path, HEADER_USER_VERSION, "\0\0\0\2", 4);
	reopen(f);
}

static void an_empty_file_becomes_a_database(void **state)
{
	struct fixture *f = *state;
	close_store(f);
	assert_int_equal(truncate(f->path, 0), 0);
	reopen(f);
	turn_of_seen(f, 0, 1);
	assert_int_equal(count_seen(f), 1);
}

static void a_commit_with_power_durability_keeps_its_rows(void **state)
{
	struct fixture *f = *state;
	close_store(f);
	assert_ok(f, store_open(&f->s, f->path, true, &f->w));
	turn_of_seen(f, 0, 5);
	reopen(f);
	assert_int_equal(count_seen(f), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < sizeof blob; i++)
		blob[i] = (uint8_t)(i * 7 + 1);
	const struct CMUnitTest tests[] = {
		TEST(a_new_file_and_its_log_belong_to_their_owner_only),
		TEST(a_name_that_sqlite_has_a_meaning_for_is_a_file),
		TEST(meta_comes_back_and_is_replaced),
		TEST(a_session_comes_back_whole_and_is_replaced),
		TEST(a_fault_of_the_callback_ends_the_walk_and_the_store_goes_on),
		TEST(seen_rows_come_in_the_order_written_over_reopening),
		TEST(a_row_takes_so_many_messages_and_the_next_one_begins_another),
		TEST(clear_leaves_meta_only),
		TEST(sweep_deletes_the_oldest_in_front_of_the_mark_and_no_more_than_asked),
		TEST(a_turn_is_one_transaction),
		TEST(a_write_that_fails_undoes_its_turn_and_no_other),
		TEST(lengths_are_kept_at_their_limits_and_refused_past_them),
		TEST(a_read_that_fails_does_not_hide_what_was_written),
		TEST(a_full_disk_undoes_the_turn_and_the_store_recovers_with_space),
		TEST(a_full_disk_is_found_out_at_opening),
		TEST(every_committed_row_outlives_kill_9_and_no_other),
		TEST(the_log_stays_small),
		TEST(a_deleted_session_leaves_nothing_in_the_file),
		TEST(a_second_process_is_told_to_stop_the_first),
		TEST(a_path_that_is_no_place_for_a_file_is_named),
		TEST(what_may_not_be_written_is_refused),
		TEST(garbage_and_a_broken_header_are_no_database),
		TEST(a_truncated_file_is_damaged),
		TEST(a_damaged_page_is_found_while_loading),
		TEST(another_programs_database_is_refused_and_left_alone),
		TEST(another_schema_is_refused_with_both_numbers),
		TEST(an_empty_file_becomes_a_database),
		TEST(a_commit_with_power_durability_keeps_its_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
