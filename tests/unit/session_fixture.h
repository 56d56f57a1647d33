/* session_fixture.h - a session table over a real store in a folder of its own, with a clock that the test sets. */
#ifndef ATTESTD_TESTS_SESSION_FIXTURE_H
#define ATTESTD_TESTS_SESSION_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "session/internal.h"

enum { HOUR = 3600 * 1000 };

struct fixture {
	char dir[64], db[96], log_path[96];
	int64_t boot, wall;
	struct clock clock;
	struct crypto *c;
	struct random random;
	struct log *log;
	int log_fd;
	struct session_kek kek;
	const char *boot_id;
	struct session_limits limits;
	struct store *store;
	struct sessions *s;
	struct why w;
};

#define OK(call) assert_int_equal((call), ERR_OK)

static inline int64_t fixture_boot(void *ctx)
{
	return ((struct fixture *)ctx)->boot;
}
static inline int64_t fixture_wall(void *ctx)
{
	return ((struct fixture *)ctx)->wall;
}

/* Store and table, as at the start of the server. */
static inline enum err start(struct fixture *f)
{
	struct session_env env;
	enum err e = store_open(&f->store, f->db, false, &f->w);

	if (e != ERR_OK)
		return e;
	env = (struct session_env){.store = f->store,
				   .crypto = f->c,
				   .random = f->random,
				   .clock = &f->clock,
				   .log = f->log,
				   .limits = f->limits};
	return sessions_open(&f->s, &env, &f->kek, f->boot_id, &f->w);
}

static inline void stop(struct fixture *f)
{
	sessions_close(f->s);
	store_close(f->store);
	f->s = NULL;
	f->store = NULL;
}

static inline void restart(struct fixture *f)
{
	stop(f);
	OK(start(f));
}

static inline void set_kek(struct fixture *f, uint8_t byte, bool generated)
{
	memset(f->kek.key->b, byte, SESSION_KEK_SIZE);
	f->kek.key->n = SESSION_KEK_SIZE;
	f->kek.generated = generated;
}

static inline void commit(struct fixture *f)
{
	OK(store_commit(f->store, &f->w));
	session_turn_end(f->s, true);
}

/* No file takes another byte, so what SQLite writes at the commit fails as on a full disk. */
static inline void fail_commit(struct fixture *f)
{
	struct rlimit was, none;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(store_commit(f->store, &f->w), ERR_STORE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	session_turn_end(f->s, false);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return 1;
	signal(SIGXFSZ, SIG_IGN);
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-session-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return 1;
	snprintf(f->db, sizeof f->db, "%s/db", f->dir);
	snprintf(f->log_path, sizeof f->log_path, "%s/log", f->dir);
	f->boot = 1000000;
	f->wall = 1700000000000;
	f->clock = (struct clock){f, fixture_boot, fixture_boot, fixture_wall};
	f->boot_id = "boot-one";
	f->limits = (struct session_limits){HOUR, 1000000, 1000000, 1 << 20, 1 << 24};
	f->log_fd = open(f->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	OK(crypto_new(&f->c, &f->w));
	f->random = crypto_random(f->c);
	OK(log_new(&f->log, f->log_fd, LOG_DEBUG, LOG_TEXT, &f->clock, &f->w));
	OK(secret_new_locked(&f->kek.key, &f->w));
	set_kek(f, 0x11, false);
	*state = f;
	return start(f) == ERR_OK ? 0 : 1;
}

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	log_free(f->log);
	close(f->log_fd);
	session_kek_close(&f->kek);
	crypto_free(f->c);
	nftw(f->dir, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* An offer without the cost of RSA: nothing here reads the wrapped key. */
static inline void offer(struct fixture *f, struct session_offer *o)
{
	static const char digits[] = "abcdefghijklmnop";
	uint8_t raw[SESSION_ID_SIZE];

	*o = (struct session_offer){.wrapped = BUF_INIT(RSA_WRAPPED_MAX)};
	OK(random_fill(&f->random, raw, sizeof raw, &f->w));
	for (size_t i = 0; i < sizeof raw; i++)
		o->id[i] = digits[raw[i] % 16];
	o->key.n = AEAD_KEY_SIZE;
	OK(random_fill(&f->random, o->key.b, o->key.n, &f->w));
	memcpy(o->user_key_hash, raw, sizeof o->user_key_hash);
	buf_put(&o->wrapped, raw, sizeof raw);
}

static inline struct bytes id_bytes(const char id[SESSION_ID_SIZE])
{
	return bytes_of(id, SESSION_ID_SIZE);
}

static inline enum err find(struct fixture *f, const char id[SESSION_ID_SIZE], const char *scope, struct session **x)
{
	return session_find(f->s, id_bytes(id), bytes_str(scope), x, &f->w);
}

/* Stages a session, not yet committed. */
static inline void add(struct fixture *f, const char *scope, char id[SESSION_ID_SIZE])
{
	struct session_offer o;

	offer(f, &o);
	OK(session_add(f->s, &o, bytes_str(scope), false, &f->w));
	memcpy(id, o.id, SESSION_ID_SIZE);
	session_offer_free(&o);
}

static inline struct session *open_session(struct fixture *f, const char *scope)
{
	char id[SESSION_ID_SIZE];
	struct session *x = NULL;

	add(f, scope, id);
	commit(f);
	OK(find(f, id, scope, &x));
	return x;
}

/* A message from the user with a fresh IV, which is given back. */
static inline void receive(struct fixture *f, struct session *x, uint8_t iv[AEAD_IV_SIZE])
{
	uint32_t number;

	OK(random_fill(&f->random, iv, AEAD_IV_SIZE, &f->w));
	OK(session_receive(f->s, x, iv, &number, &f->w));
}

static inline enum err count_seen(void *ctx, int64_t row, uint32_t number, const uint8_t *iv, struct why *w)
{
	(void)row;
	(void)number;
	(void)iv;
	(void)w;
	++*(unsigned *)ctx;
	return ERR_OK;
}

static inline unsigned seen_rows(struct fixture *f)
{
	unsigned n = 0;

	OK(store_each_seen(f->store, count_seen, &n, &f->w));
	return n;
}

/* One copied row of the store. */
struct kept {
	struct store_session x;
	uint8_t user_key_hash[64], scope[64], wrapped[RSA_WRAPPED_MAX], sealed[256];
};
struct kept_rows {
	struct kept v[8];
	size_t n;
};

static inline struct bytes keep_bytes(uint8_t *to, struct bytes from)
{
	if (from.n > 0)
		memcpy(to, from.p, from.n);
	return bytes_of(to, from.n);
}

static inline enum err keep_row(void *ctx, const struct store_session *x, struct why *w)
{
	struct kept_rows *r = ctx;
	struct kept *k = &r->v[r->n];

	(void)w;
	if (r->n == 8)
		return ERR_OK;
	r->n++;
	k->x = *x;
	k->x.user_key_hash = keep_bytes(k->user_key_hash, x->user_key_hash);
	k->x.scope = keep_bytes(k->scope, x->scope);
	k->x.wrapped = keep_bytes(k->wrapped, x->wrapped);
	k->x.sealed = keep_bytes(k->sealed, x->sealed);
	return ERR_OK;
}

static inline void keep_rows(struct fixture *f, struct kept_rows *r)
{
	r->n = 0;
	OK(store_each_session(f->store, keep_row, r, &f->w));
}

static inline bool logged(struct fixture *f, const char *text)
{
	char all[8192] = "";
	ssize_t n;

	log_flush(f->log);
	n = pread(f->log_fd, all, sizeof all - 1, 0);
	return n > 0 && strstr(all, text) != NULL;
}

#endif
