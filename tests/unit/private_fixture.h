/* private_fixture.h - private data over a real store in a folder of its own, with a clock and a key that the test sets.
 */
#ifndef ATTESTD_TESTS_PRIVATE_FIXTURE_H
#define ATTESTD_TESTS_PRIVATE_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
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

#include "private_data.h"

enum { MIB = 1 << 20 };

struct fixture {
	char dir[64], db[96], wal[112], log_path[96];
	int64_t wall;
	struct clock clock;
	struct crypto *c;
	struct log *log;
	int log_fd;
	struct session_kek kek;
	struct private_data_limits limits;
	struct private_store *store;
	struct private_data *p;
	struct buf type, body; /* what was read last */
	struct why w;
};

static const uint8_t alice[PRIVATE_STORE_IDENTITY_SIZE] = "alice", bob[PRIVATE_STORE_IDENTITY_SIZE] = "bob";

#define OK(f, call)                                  \
	do {                                         \
		if ((call) != ERR_OK)                \
			fail_msg("%s", (f)->w.text); \
	} while (0)

static inline int64_t fixture_wall(void *ctx)
{
	return ((struct fixture *)ctx)->wall;
}

static inline enum err start(struct fixture *f)
{
	enum err e = private_store_open(&f->store, f->db, false, &f->w);
	return e != ERR_OK ? e
			   : private_data_open(&f->p, f->store, f->c, crypto_random(f->c), &f->clock, f->log, &f->kek,
					       &f->limits, &f->w);
}

static inline void stop(struct fixture *f)
{
	private_data_close(f->p);
	private_store_close(f->store);
	f->p = NULL;
	f->store = NULL;
}

static inline void restart(struct fixture *f)
{
	stop(f);
	OK(f, start(f));
}

static inline void set_kek(struct fixture *f, uint8_t byte, bool generated)
{
	memset(f->kek.key->b, byte, SESSION_KEK_SIZE);
	f->kek.key->n = SESSION_KEK_SIZE;
	f->kek.generated = generated;
}

static inline int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-private-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->db, sizeof f->db, "%s/p.db", f->dir);
	snprintf(f->wal, sizeof f->wal, "%s-wal", f->db);
	snprintf(f->log_path, sizeof f->log_path, "%s/log", f->dir);
	f->wall = 1700000000123;
	f->clock = (struct clock){f, fixture_wall, fixture_wall, fixture_wall};
	f->limits = (struct private_data_limits){1000, 64 * MIB, 10000, 128 * MIB};
	f->type = BUF_INIT(PRIVATE_DATA_TYPE_MAX);
	f->body = BUF_INIT(2 * MIB);
	f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	OK(f, crypto_new(&f->c, &f->w));
	OK(f, log_new(&f->log, f->log_fd, LOG_DEBUG, LOG_TEXT, &f->clock, &f->w));
	OK(f, secret_new_locked(&f->kek.key, &f->w));
	set_kek(f, 0x11, false);
	OK(f, start(f));
	*state = f;
	return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;
	stop(f);
	log_free(f->log);
	close(f->log_fd);
	session_kek_close(&f->kek);
	crypto_free(f->c);
	buf_free(&f->type);
	buf_free(&f->body);
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static inline void commit(struct fixture *f)
{
	OK(f, private_store_commit(f->store, &f->w));
}

/* No file takes another byte, so what SQLite writes at the commit fails as on a full disk. */
static inline void fail_commit(struct fixture *f)
{
	struct rlimit was, none;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(private_store_commit(f->store, &f->w), ERR_STORE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
}

static inline enum err try_post(struct fixture *f, const uint8_t *identity, const char *type, struct bytes body,
				char id[PRIVATE_DATA_ID_SIZE])
{
	struct private_data_row row = {0};
	enum err e = private_data_begin(f->p, identity, body.n, &row, &f->w);
	if (e == ERR_OK)
		e = private_data_seal(f->p, &row, bytes_str(type), body, &f->w);
	if (e == ERR_OK)
		e = private_data_put(f->p, &row, &f->w);
	if (e == ERR_OK && id != NULL)
		memcpy(id, row.id, sizeof row.id);
	private_data_row_free(&row);
	return e;
}

static inline void post(struct fixture *f, const uint8_t *identity, const char *type, struct bytes body,
			char id[PRIVATE_DATA_ID_SIZE])
{
	OK(f, try_post(f, identity, type, body, id));
	commit(f);
}

static inline struct bytes id_bytes(const char id[PRIVATE_DATA_ID_SIZE])
{
	return bytes_of(id, PRIVATE_DATA_ID_SIZE);
}

static const struct bytes latest = {NULL, 0};

static inline enum err read_back(struct fixture *f, const uint8_t *identity, struct bytes id)
{
	struct private_data_row row = {0};
	buf_reset(&f->type);
	buf_reset(&f->body);
	enum err e = private_data_find(f->p, identity, id, &row, &f->w);
	if (e == ERR_OK)
		e = private_data_read(f->p, &row, &f->w);
	if (e == ERR_OK)
		e = private_data_unseal(f->p, &row, &f->type, &f->body, &f->w);
	private_data_row_free(&row);
	return e;
}

static inline void assert_stored(struct fixture *f, const uint8_t *identity, struct bytes id, const char *type,
				 struct bytes body)
{
	OK(f, read_back(f, identity, id));
	assert_true(bytes_is(buf_bytes(&f->type), type));
	assert_int_equal(f->body.n, body.n);
	assert_true(bytes_equal(buf_bytes(&f->body), body));
}

static inline void assert_says(struct fixture *f, enum err class, const char *text)
{
	assert_int_equal(f->w.err, class);
	assert_true(f->w.tell);
	if (strstr(f->w.text, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->w.text, text);
}

#endif
