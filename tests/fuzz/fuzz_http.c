/* The bytes of a connection against the whole server: guards, router, bodies, handlers, store, workers.
 *
 * The first byte says how the rest is sent: bit 0 on which listener (0 local, 1 public), bits 1 to 3 in how many
 * pieces, so that `0` is local in one piece; bit 6, as in `p`, on a third one, with the reach of TLS but without TLS,
 * where callers have no certificate and /evidences/ is left out. Then the client closes its half. A session is open
 * whose id is 43 times `A`, whose key is 32 zero bytes, and which has no scope.
 *
 * Whatever comes: the connection ends, nothing stays in flight, no reply of ours is a 5xx, and no more requests are run
 * than there were in the bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LISTENERS = 3, ROUTES_MAX = 64 };
enum { NOW_MS = 1769774400, LATER_MS = 200, MUCH_LATER_MS = 10 * 60 * 1000, REPLY_KEPT = 4096, SWEEP_EVERY = 64 };

struct world {
	struct app app;
	struct clock clock;
	struct log *log;
	struct store *store;
	struct private_store *private_store;
	struct session_kek kek;
	struct http_route routes[ROUTES_MAX];
	size_t n_routes;
	struct sockaddr_un at[LISTENERS];
	socklen_t at_n[LISTENERS];
	char dir[64];
	_Atomic int64_t now_us;
	_Atomic uint64_t dice;
	uint64_t runs;
};

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- what is injected ---- */

static int64_t mono_us(void *ctx)
{
	return ((struct world *)ctx)->now_us;
}

static int64_t fixed_ms(void *ctx)
{
	(void)ctx;
	return INT64_C(1000) * NOW_MS;
}

static enum err roll(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	struct world *world = ctx;
	(void)w;
	for (size_t i = 0; i < n; i++) {
		const uint64_t x = atomic_fetch_add(&world->dice, 1) * UINT64_C(0x9e3779b97f4a7c15);
		out[i] = (uint8_t)(x >> 56 ^ x >> 24);
	}
	return ERR_OK;
}

static bool is_dirty(void *ctx)
{
	const struct world *t = ctx;
	return store_dirty(t->store) || private_store_dirty(t->private_store);
}

static enum err commit(void *ctx, struct why *w)
{
	struct world *t = ctx;
	const enum err first = private_store_commit(t->private_store, w), e = store_commit(t->store, w);
	session_turn_end(t->app.sessions, e == ERR_OK);
	return first != ERR_OK ? first : e;
}

/* ---- the server ---- */

static int listen_somewhere(struct world *t, size_t i)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	t->at[i].sun_family = AF_UNIX;
	t->at_n[i] = sizeof t->at[i];
	must(fd >= 0 && bind(fd, (const struct sockaddr *)&t->at[i], sizeof(sa_family_t)) == 0 && listen(fd, 8) == 0 &&
	     getsockname(fd, (struct sockaddr *)&t->at[i], &t->at_n[i]) == 0);
	return fd;
}

static struct world *the_world;

static void world_end(void)
{
	struct world *t = the_world;
	char path[128];
	static const char *const names[] = {"db", "db-wal", "db-shm", "db-journal", "p", "p-wal", "p-shm", "p-journal"};
	loop_end_jobs(t->app.loop);
	vsock_free(t->app.vsock);
	http_free(t->app.http);
	loop_free(t->app.loop);
	attest_free(t->app.attest);
	verify_free(t->app.verify);
	keys_free(t->app.keys);
	sessions_close(t->app.sessions);
	private_data_close(t->app.private_data);
	session_kek_close(&t->kek);
	store_close(t->store);
	private_store_close(t->private_store);
	nsm_close(t->app.nsm);
	crypto_free(t->app.crypto);
	log_free(t->log);
	config_free((struct config *)(uintptr_t)t->app.config);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", t->dir, names[i]);
		unlink(path);
	}
	rmdir(t->dir);
	free(t);
}

static void open_store(struct world *t, struct why *w)
{
	char path[128];
	(void)snprintf(t->dir, sizeof t->dir, "%s/attestd-fuzz-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(t->dir) != NULL);
	(void)snprintf(path, sizeof path, "%s/db", t->dir);
	must(store_open(&t->store, path, false, w) == ERR_OK && secret_new_locked(&t->kek.key, w) == ERR_OK);
	t->kek.key->n = SESSION_KEK_SIZE;
	const struct session_env env = {t->store,  t->app.crypto, t->app.random,
					&t->clock, t->log,	  {3600 * 1000, 64, 32, 1 << 20, 1 << 24}};
	must(sessions_open(&t->app.sessions, &env, &t->kek, "boot", w) == ERR_OK);
	(void)snprintf(path, sizeof path, "%s/p", t->dir);
	const struct private_data_limits few = {4, 1 << 20, 4, 1 << 20};
	must(private_store_open(&t->private_store, path, false, w) == ERR_OK &&
	     private_data_open(&t->app.private_data, t->private_store, t->app.crypto, t->app.random, &t->clock, t->log,
			       &t->kek, &few, w) == ERR_OK);
	t->app.private_data_anonymous = true;
}

static void choose_routes(struct world *t)
{
	for (size_t i = 0; i < api_routes_n; i++) {
		if (strcmp(api_routes[i].path, "/evidences/") == 0)
			continue;
		must(t->n_routes < ROUTES_MAX);
		t->routes[t->n_routes++] = api_routes[i];
	}
}

static struct world *world_new(void)
{
	static const char text[] = "nsm = dummy\nmax_body = 1m\nnsm_rate = 100000\nnsm_burst = 100000\n";
	struct world *t = calloc(1, sizeof *t);
	struct config *c = NULL;
	struct why w;
	bool fell;
	char *const none[] = {NULL};

	must(t != NULL);
	t->clock = (struct clock){t, mono_us, fixed_ms, fixed_ms};
	struct app *app = &t->app;
	app->clock = &t->clock;
	app->random = (struct random){t, roll};
	must(config_parse(&c, "fuzz", BYTES_LIT(text), none, NULL, 0, &w) == ERR_OK);
	app->config = c;
	must(log_new(&t->log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_DEBUG, LOG_TEXT, &t->clock, &w) == ERR_OK &&
	     crypto_new(&app->crypto, &w) == ERR_OK &&
	     nsm_open(&app->nsm, c->nsm, &(struct nsm_env){.device_path = ""}, &fell, &w) == ERR_OK &&
	     verify_new(&app->verify, app->crypto, &t->clock, &w) == ERR_OK);
	open_store(t, &w);
	const struct attest_options claims = {c->agent, c->guardrail, "", c->info_name, "0", "", verify_aws_root()};
	must(attest_new(&app->attest, &claims, app->nsm, app->crypto, app->verify, &t->clock, t->log, &w) == ERR_OK &&
	     loop_new(&app->loop, &t->clock, 1, (unsigned)c->nsm_queue, &w) == ERR_OK);
	budget_init(&app->budget, c->nsm_rate, c->nsm_burst, c->nsm_queue, 0);
	bucket_init(&app->private_data_bucket, c->private_data_rate, c->private_data_burst, 0);
	const struct http_options o = {.max_body = c->max_body,
				       .max_raw_body = c->private_data_max_body,
				       .max_inflight = c->max_inflight,
				       .max_connections = c->max_connections,
				       .share = {[HTTP_AT_PUBLIC] = {c->public_inflight, c->public_connections},
						 [HTTP_AT_TLS] = {c->tls_inflight, c->tls_connections}},
				       .header_ms = c->header_timeout * 1000,
				       .idle_ms = c->idle_timeout * 1000,
				       .body_ms = c->body_timeout * 1000,
				       .reply_ms = c->reply_timeout * 1000};
	const struct http_store store = {t, is_dirty, commit};
	const struct keys_options keys = {c->key_lifetime * 1000, (uint64_t)c->max_keys};
	const struct vsock_options vsock = {.rate = 1, .burst = 1}; /* which nobody reaches */
	must(keys_new(&app->keys, &t->clock, &keys, &w) == ERR_OK &&
	     vsock_new(&app->vsock, app->loop, t->log, &t->clock, &vsock, app->nsm, app->crypto, app->attest, app->keys,
		       &app->budget, &w) == ERR_OK);
	const struct http_listener local = {.reach = HTTP_LOCAL, .hosts = ""};
	const struct http_listener outside = {.reach = HTTP_PUBLIC, .any_host = true, .hosts = ""};
	const struct http_listener secured = {.reach = HTTP_TLS, .hosts = "enclave.example,b"};
	choose_routes(t);
	must(http_new(&app->http, app->loop, t->log, &o, t->routes, t->n_routes, &store, app, &w) == ERR_OK &&
	     http_listen(app->http, listen_somewhere(t, 0), &local, &w) == ERR_OK &&
	     http_listen(app->http, listen_somewhere(t, 1), &outside, &w) == ERR_OK &&
	     http_listen(app->http, listen_somewhere(t, 2), &secured, &w) == ERR_OK);
	the_world = t;
	(void)atexit(world_end);
	return t;
}

/* ---- one run ---- */

/* The same sessions for every input: one of a known id, unused. */
static void renew_sessions(struct world *t)
{
	struct sessions *s = t->app.sessions;
	struct session_facts old[64];
	struct session_offer o = {.key = SECRET_INIT, .wrapped = BUF_INIT(RSA_WRAPPED_MAX)};
	struct why w;
	const size_t n = session_list(s, old, sizeof old / sizeof old[0]);

	for (size_t i = 0; i < n; i++)
		must(session_end(s, bytes_of(old[i].id, sizeof old[i].id), &w) == ERR_OK);
	memset(o.id, 'A', sizeof o.id);
	o.key.n = AEAD_KEY_SIZE;
	buf_put_str(&o.wrapped, "wrapped");
	must(session_add(s, &o, (struct bytes){NULL, 0}, false, &w) == ERR_OK &&
	     private_store_clear(t->private_store, &w) == ERR_OK && commit(t, &w) == ERR_OK);
	session_offer_free(&o);
	if (t->runs % SWEEP_EVERY == 0) {
		while (session_sweep(s, 1024, 1024)) {
		}
		must(!store_dirty(t->store) || commit(t, &w) == ERR_OK);
	}
}

struct talk {
	struct world *t;
	int fd;
	struct buf reply; /* its beginning */
};

static bool hear(struct talk *k)
{
	uint8_t block[16384];
	bool any = false;
	ssize_t n;
	while ((n = recv(k->fd, block, sizeof block, MSG_DONTWAIT)) > 0) {
		any = true;
		if (k->reply.n < REPLY_KEPT)
			buf_put(&k->reply, block,
				(size_t)n < REPLY_KEPT - k->reply.n ? (size_t)n : REPLY_KEPT - k->reply.n);
	}
	return any;
}

/* Turns until nothing more happens by itself. */
static void settle(struct talk *k)
{
	struct loop *l = k->t->app.loop;
	int quiet = 0;
	while (quiet < 2) {
		const bool working = loop_jobs(l, LANE_CPU) + loop_jobs(l, LANE_NSM) + loop_jobs(l, LANE_BULK) > 0;
		loop_turn(l, working ? 1000 : 0);
		quiet = hear(k) || working ? 0 : quiet + 1;
	}
}

static bool is_open(const struct world *t)
{
	struct http_counters c;
	http_count(t->app.http, &c);
	return c.connections_open[0] + c.connections_open[1] + c.connections_open[2] > 0;
}

static void send_pieces(struct talk *k, const uint8_t *data, size_t size, size_t pieces)
{
	for (size_t i = 0; i < pieces; i++) {
		size_t at = size * i / pieces;
		const size_t end = size * (i + 1) / pieces;
		while (at < end) {
			const ssize_t n = send(k->fd, data + at, end - at, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return; /* the server has heard enough */
			at += n > 0 ? (size_t)n : 0;
			if (n < 0 || end < size)
				settle(k);
		}
	}
	(void)shutdown(k->fd, SHUT_WR);
}

static size_t count_requests(const uint8_t *data, size_t size)
{
	static const char mark[] = "HTTP/1.";
	size_t n = 0;
	for (const uint8_t *p = data; (p = memmem(p, size - (size_t)(p - data), mark, sizeof mark - 1)) != NULL; p++)
		n++;
	return n;
}

static void check(const struct talk *k, const struct http_counters *before, size_t requests)
{
	struct http_counters c;
	const struct bytes reply = buf_bytes(&k->reply);
	http_count(k->t->app.http, &c);
	must(c.inflight_bytes == 0 && c.commits_failed == 0);
	uint64_t run = 0;
	for (size_t i = 0; i < LISTENERS; i++)
		run += c.requests[i] - before->requests[i];
	must(run <= requests);
	must(reply.n == 0 || (reply.n > 9 && memcmp(reply.p, "HTTP/1.1 ", 9) == 0));
	must(c.replies[5] == before->replies[5]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *t = the_world != NULL ? the_world : world_new();
	struct http_counters before;
	if (size == 0)
		return 0;
	const size_t to = (data[0] & 0x40) != 0 ? 2 : data[0] & 1;
	struct talk k = {t, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), BUF_INIT(REPLY_KEPT)};
	must(k.fd >= 0);

	t->dice = 1;
	renew_sessions(t);
	t->runs++;
	http_count(t->app.http, &before);
	must(connect(k.fd, (const struct sockaddr *)&t->at[to], t->at_n[to]) == 0);
	loop_turn(t->app.loop, 0);
	send_pieces(&k, data + 1, size - 1, 1 + (size_t)(data[0] >> 1 & 7));
	settle(&k);
	for (int i = 0; i < 3 && is_open(t); i++) {
		t->now_us += INT64_C(1000) * (i == 0 ? LATER_MS : MUCH_LATER_MS);
		settle(&k);
	}
	must(!is_open(t));
	check(&k, &before, count_requests(data, size));
	close(k.fd);
	buf_free(&k.reply);
	return 0;
}
