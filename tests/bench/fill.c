/* fill.c - a database with any number of sessions, made by what makes them in the server, for speed.py and soak.py.
 *
 *     fill DIRECTORY COUNT LIFETIME_SECONDS >SESSIONS
 *
 * Adds to DIRECTORY/s.db, sealed under the key that `attestd serve --db DIRECTORY/s.db` finds or makes beside it.
 * Prints a line a session: id, a blank, its key in hex. All of them are opened at one moment, the start of this
 * program, so that all expire at one moment. They share one wrapped key, since wrapping a million takes half a minute
 * and nobody unwraps them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/file.h"
#include "rsa.h"
#include "session.h"

enum { BATCH = 1000, PATH_SIZE = 4096, COUNT_MAX = 10000000, LIFETIME_MAX = 604800, ID_BYTES = 32 };

struct fill {
	struct crypto *crypto;
	struct clock system, frozen;
	int64_t boot_ms;
	struct log *log;
	struct store *store;
	struct session_kek kek;
	struct sessions *sessions;
	struct session_offer offer;
};

_Static_assert(BASE64URL_SIZE((int)ID_BYTES) == (int)SESSION_ID_SIZE, "an id is ID_BYTES bytes as base64url");

static void must(enum err e, const struct why *w)
{
	if (e == ERR_OK)
		return;
	fprintf(stderr, "fill: %s\n", w->text);
	exit(1);
}

static int64_t frozen_boot(void *ctx)
{
	const struct fill *f = ctx;
	return f->boot_ms;
}

static int64_t frozen_mono(void *ctx)
{
	const struct fill *f = ctx;
	return f->system.mono_us(f->system.ctx);
}

static int64_t frozen_wall(void *ctx)
{
	const struct fill *f = ctx;
	return f->system.wall_ms(f->system.ctx);
}

static void open_all(struct fill *f, const char *directory, unsigned long lifetime_s)
{
	char path[PATH_SIZE], boot_id[SESSION_BOOT_ID_MAX];
	struct why w = {0};
	size_t n = 0;
	if (snprintf(path, sizeof path, "%s/s.db", directory) >= (int)sizeof path) {
		fprintf(stderr, "fill: the directory's name is too long\n");
		exit(2);
	}
	f->system = clock_system();
	f->boot_ms = clock_boot(&f->system);
	f->frozen = (struct clock){f, frozen_mono, frozen_boot, frozen_wall};
	must(crypto_new(&f->crypto, &w), &w);
	must(log_new(&f->log, 2, LOG_WARN, LOG_TEXT, &f->system, &w), &w);
	must(file_load("the boot id", "/proc/sys/kernel/random/boot_id", (uint8_t *)boot_id, sizeof boot_id - 1, &n,
		       &w),
	     &w);
	boot_id[n] = '\0';
	boot_id[strcspn(boot_id, "\n")] = '\0';
	const struct random random = crypto_random(f->crypto);
	must(store_open(&f->store, path, false, &w), &w);
	must(session_kek_open(&f->kek, "", NULL, directory, &random, &w), &w);
	const struct session_env env = {
		.store = f->store,
		.crypto = f->crypto,
		.random = random,
		.clock = &f->frozen,
		.log = f->log,
		.limits = {(int64_t)lifetime_s * 1000, COUNT_MAX, COUNT_MAX, SESSION_MESSAGES_MAX, UINT32_MAX},
	};
	must(sessions_open(&f->sessions, &env, &f->kek, boot_id, &w), &w);
}

static void commit(struct fill *f)
{
	struct why w = {0};
	must(store_commit(f->store, &w), &w);
	session_turn_end(f->sessions, true);
}

/* A user's key, and all of an offer that sessions may share. */
static void make_offer(struct fill *f)
{
	struct buf pem = BUF_INIT(RSA_PEM_MAX);
	struct rsa_key *key = NULL;
	struct why w = {0};
	const struct random random = crypto_random(f->crypto);
	must(rsa_key_new(RSA_BITS_MIN, &key, &w), &w);
	must(rsa_key_put_public(key, &pem, &w), &w);
	must(session_offer_make(f->crypto, &random, buf_bytes(&pem), &f->offer, &w), &w);
	buf_free(&pem);
	rsa_key_free(key);
}

static void add(struct fill *f)
{
	uint8_t id[ID_BYTES];
	char key[HEX_SIZE(AEAD_KEY_SIZE)];
	struct why w = {0};
	const struct random random = crypto_random(f->crypto);
	must(random_fill(&random, id, sizeof id, &w), &w);
	base64url_encode(bytes_of(id, sizeof id), f->offer.id);
	must(random_fill(&random, f->offer.key.b, f->offer.key.n, &w), &w);
	must(session_add(f->sessions, &f->offer, bytes_of(NULL, 0), false, &w), &w);
	hex_encode(secret_view(&f->offer.key), key);
	printf("%.*s %.*s\n", (int)sizeof f->offer.id, f->offer.id, (int)sizeof key, key);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end = NULL;
	const unsigned long v = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || v == 0 || v > max) {
		fprintf(stderr, "fill: %s is no number from 1 to %lu\n", text, max);
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	struct fill f = {0};
	if (argc != 4) {
		fprintf(stderr, "usage: fill DIRECTORY COUNT LIFETIME_SECONDS\n");
		return 2;
	}
	const unsigned long count = number(argv[2], COUNT_MAX), lifetime_s = number(argv[3], LIFETIME_MAX);
	open_all(&f, argv[1], lifetime_s);
	make_offer(&f);
	for (unsigned long i = 1; i <= count; i++) {
		add(&f);
		if (i % BATCH == 0 || i == count)
			commit(&f);
	}
	session_offer_free(&f.offer);
	sessions_close(f.sessions);
	session_kek_close(&f.kek);
	store_close(f.store);
	log_free(f.log);
	crypto_free(f.crypto);
	return fflush(stdout) == 0 ? 0 : 1;
}
