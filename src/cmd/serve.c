/* serve.c - the composition root: every part is made here, in order, and handed what it needs. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "descriptors.h"
#include "enclave_key.h"
#include "harden.h"
#include "listeners.h"
#include "net.h"
#include "options.h"
#include "root_out.h"
#include "start_nsm.h"
#include "start_peers.h"
#include "start_tls.h"
#include "stores.h"

/* A slice is felt by all who wait: of 64 sessions p99 of the others was 2.6 times what it was without, of 16 1.1 times.
 * Seen rows cost less, and more of them must go than come, one with each turn: 13 000 a second from two clients. */
enum { SWEEP_MS = 1000, SWEEP_AGAIN_MS = 2, SWEEP_SLICE = 16, SWEEP_ROWS = 128, WIPE_MS = 250 };
enum { SPARE_DESCRIPTORS = 64, TLS_DESCRIPTORS = 2 /* of a connection, beside its own: a pair of sockets */ };
enum { PEER_INFLIGHT = 4 << 20 }; /* request bytes that peers may hold, reports and all */

static const struct help_row rows[] = {
	{"--listen", "ADDRESS", "where local callers reach the API: 127.0.0.1:PORT, [::1]:PORT or unix:PATH"},
	{"--db", "FILE", "the SQLite file that keeps sessions"},
	{"--nsm", "BACKEND", CONFIG_NSM_NAMES},
	{0},
};

static const struct help_part help[] = {
	{.text = "Runs the REST server. It says `listening on ...` on stderr, a line a listener, once it is ready. "
		 "SIGTERM answers what is in flight and stops. SIGHUP renews the certificates of TLS listeners, and reads "
		 "those in files again."},
	{.rows = options_rows},
	{.rows = rows},
	{.text = "Environment: USE_TLS=true has TLS_CERT_PATH (cert.pem where it is not set) and TLS_KEY_PATH (key.pem) name "
		 "tls_cert_file and tls_key_file where nothing else does. ENCLAVE_KEY_BASE64, 32 bytes in base64, is the key "
		 "that seals private data in place of kek_file; it is wiped from the environment at once, and refused with a "
		 "real NSM."},
	{.text = "Keys and their defaults:", .keys = true},
	{0},
};

struct server {
	struct app app;
	struct config *config;
	struct clock clock;
	struct log *log;
	struct stores stores;
	struct verify_policy peer_policy;
	struct start_tls tls;
	struct listeners listeners;
	struct loop_timer sweep;
	struct net_watchdog watchdog;
	unsigned draining; /* servers that still have requests to answer */
};

/* ---- the process ---- */

static enum err prepare(struct why *w)
{
	const enum err e = harden(w);
	if (e != ERR_OK)
		return e;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file limit is then an error of the write, answered as 503 */
	return ERR_OK;
}

static enum err raise_descriptors(const struct server *s, struct why *w)
{
	const struct config *c = s->config;
	const bool vsock = c->vsock_connections > c->max_connections;
	int64_t secured = 0;
	if (listeners_have(&s->listeners, LISTENER_TLS))
		secured += c->tls_connections;
	if (listeners_have(&s->listeners, LISTENER_PEER_TLS))
		secured += c->peer_connections;
	return descriptors_raise(
		(uint64_t)(c->max_connections + c->vsock_connections + TLS_DESCRIPTORS * secured) + SPARE_DESCRIPTORS,
		vsock ? "vsock_connections" : "max_connections", vsock ? c->vsock_connections : c->max_connections, w);
}

/* ---- timers and signals ---- */

static void on_sweep(struct loop_timer *t)
{
	struct server *s = t->ctx;
	const bool more = session_sweep(s->app.sessions, SWEEP_SLICE, SWEEP_ROWS);
	keys_sweep(s->app.keys);
	loop_timer_arm(s->app.loop, t, more ? SWEEP_AGAIN_MS : SWEEP_MS);
}

static void on_drained(void *ctx)
{
	struct server *s = ctx;
	if (--s->draining == 0)
		loop_stop(s->app.loop);
}

static void on_stop_signal(void *ctx, int signo)
{
	struct server *s = ctx;
	log_event(s->log, LOG_INFO, "stopping", LOG_S("signal", signo == SIGTERM ? "SIGTERM" : "SIGINT"));
	net_notify("STOPPING=1");
	if (s->draining > 0)
		return;
	s->draining = 2;
	listeners_close(&s->listeners);
	http_drain(s->app.http, s->config->drain_timeout * 1000, on_drained, s);
	vsock_drain(s->app.vsock, s->config->drain_timeout * 1000, on_drained, s);
}

static void on_reload_signal(void *ctx, int signo)
{
	struct server *s = ctx;
	(void)signo;
	start_tls_renew(&s->tls);
}

/* ---- putting it together ---- */

static enum err open_servers(struct server *s, struct why *w)
{
	const struct config *c = s->config;
	struct app *app = &s->app;
	const int64_t peer_inflight = c->max_inflight / 2 < PEER_INFLIGHT ? c->max_inflight / 2 : PEER_INFLIGHT;
	const struct http_options options = {
		.max_body = c->max_body,
		.max_raw_body = c->private_data_max_body,
		.max_inflight = c->max_inflight,
		.max_connections = c->max_connections,
		.share = {[HTTP_AT_PUBLIC] = {c->public_inflight, c->public_connections},
			  [HTTP_AT_TLS] = {c->tls_inflight, c->tls_connections},
			  [HTTP_AT_PEER] = {peer_inflight, c->peer_connections},
			  [HTTP_AT_PEER_TLS] = {peer_inflight, c->peer_connections}},
		.header_ms = c->header_timeout * 1000,
		.idle_ms = c->idle_timeout * 1000,
		.body_ms = c->body_timeout * 1000,
		.reply_ms = c->reply_timeout * 1000,
	};
	const struct http_store store = {&s->stores, stores_dirty, stores_commit};
	const enum err e = http_new(&app->http, app->loop, s->log, &options, api_routes, api_routes_n, &store, app, w);
	if (e != ERR_OK)
		return e;
	const struct vsock_options vsock = {
		.max_connections = c->vsock_connections,
		.request_ms = c->vsock_timeout * 1000,
		.nsm_ms = c->nsm_timeout * 1000,
		.rate = c->vsock_rate,
		.burst = c->vsock_burst,
		.version = ATTESTD_VERSION,
	};
	return vsock_new(&app->vsock, app->loop, s->log, &s->clock, &vsock, app->nsm, app->crypto, app->attest,
			 app->keys, &app->budget, w);
}

static enum err open_parts(struct server *s, struct why *w)
{
	const struct config *c = s->config;
	struct app *app = &s->app;
	const bool tls = listeners_have(&s->listeners, LISTENER_TLS);
	const bool peers = listeners_have(&s->listeners, LISTENER_PEER_TLS);
	enum err e;

	app->config = c;
	app->clock = &s->clock;
	s->stores.log = s->log;
	if ((e = crypto_new(&app->crypto, w)) != ERR_OK)
		return e;
	app->random = crypto_random(app->crypto);
	if ((e = start_nsm(app, s->log, w)) != ERR_OK || (e = stores_check(&s->stores, w)) != ERR_OK ||
	    (e = start_attest(app, s->log, w)) != ERR_OK || (e = start_first_document(app, s->log, w)) != ERR_OK ||
	    (e = stores_open(&s->stores, tls, w)) != ERR_OK)
		return e;
	const struct keys_options keys = {c->key_lifetime * 1000, (uint64_t)c->max_keys};
	if ((e = keys_new(&app->keys, &s->clock, &keys, w)) != ERR_OK)
		return e;

	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned workers = c->workers > 0 ? (unsigned)c->workers : processors > 0 ? (unsigned)processors : 1;
	if ((e = loop_new(&app->loop, &s->clock, workers, (unsigned)c->nsm_queue, w)) != ERR_OK)
		return e;
	app->started_mono_ms = loop_now_ms(app->loop);
	budget_init(&app->budget, c->nsm_rate, c->nsm_burst, c->nsm_queue, app->started_mono_ms);
	bucket_init(&app->private_data_bucket, c->private_data_rate, c->private_data_burst, app->started_mono_ms);
	if ((peers && (e = start_peers(app, &s->peer_policy, s->log, w)) != ERR_OK) ||
	    (e = start_tls(&s->tls, app, s->log, tls, peers, w)) != ERR_OK)
		return e;
	return open_servers(s, w);
}

static void close_parts(struct server *s)
{
	struct app *app = &s->app;
	/* What workers still hold refers to everything below. */
	if (app->http != NULL)
		http_abandon(app->http);
	if (app->loop != NULL)
		loop_end_jobs(app->loop);
	vsock_free(app->vsock);
	http_free(app->http);
	start_tls_end(&s->tls);
	stop_peers(app);
	loop_free(app->loop);
	attest_free(app->attest);
	verify_free(app->verify);
	keys_free(app->keys);
	stores_close(&s->stores);
	nsm_close(app->nsm);
	crypto_free(app->crypto);
	log_free(s->log);
	config_free(s->config);
}

/* Last of all: a start that fails must not put its root in place of that of a server that runs. */
static enum err write_root(const struct server *s, struct why *w)
{
#ifdef ATTESTD_ENCLAVE
	(void)s;
	(void)w;
	return ERR_OK;
#else
	const char *path = s->config->nsm_root_out;
	return path[0] != '\0' ? root_out_write(path, nsm_root(s->app.nsm), w) : ERR_OK;
#endif
}

/* Jobs that outlast the drain are left behind: the driver may keep its caller for minutes, and a long body a worker for
 * many seconds. Everything acknowledged is committed already. */
static void leave_jobs(struct server *s)
{
	struct app *app = &s->app;
	/* Replies that were sent may still be about to be wiped. */
	const int64_t until = clock_mono(&s->clock) + WIPE_MS;
	while (loop_jobs(app->loop, LANE_BULK) > 0 && clock_mono(&s->clock) < until)
		loop_turn(app->loop, WIPE_MS);
	const bool calling = loop_jobs(app->loop, LANE_NSM) > 0;
	if (!calling && loop_jobs(app->loop, LANE_BULK) == 0)
		return;
	log_event(s->log, LOG_WARN, "stopping",
		  LOG_S("text", calling ? "an NSM call is still under way and is left behind"
					: "work on a long body is still under way and is left behind"));
	log_flush(s->log);
	stores_leave(&s->stores);
	_exit(CMD_OK);
}

static enum err run(struct server *s, struct why *w)
{
	struct app *app = &s->app;
	enum err e;

	if ((e = prepare(w)) != ERR_OK || (e = enclave_key_take(&s->stores.enclave_kek, w)) != ERR_OK)
		return e;
	/* Addresses are judged before anything is opened or written. */
	if ((e = listeners_plan(&s->listeners, s->config, w)) != ERR_OK || (e = raise_descriptors(s, w)) != ERR_OK ||
	    (e = open_parts(s, w)) != ERR_OK ||
	    (e = loop_on_signal(app->loop, SIGTERM, on_stop_signal, s, w)) != ERR_OK ||
	    (e = loop_on_signal(app->loop, SIGINT, on_stop_signal, s, w)) != ERR_OK ||
	    (e = loop_on_signal(app->loop, SIGHUP, on_reload_signal, s, w)) != ERR_OK ||
	    (e = listeners_open(&s->listeners, app, w)) != ERR_OK || (e = write_root(s, w)) != ERR_OK) {
		listeners_close(&s->listeners);
		return e;
	}

	s->sweep = (struct loop_timer){.fire = on_sweep, .ctx = s};
	loop_timer_arm(app->loop, &s->sweep, SWEEP_MS);
	net_watchdog_start(&s->watchdog, app->loop);

	log_event(s->log, LOG_INFO, "ready", LOG_S("version", ATTESTD_VERSION), LOG_S("nsm", nsm_name(app->nsm)),
		  LOG_I("sessions", sessions_count(app->sessions)));
	log_flush(s->log);
	start_announce(app);
	listeners_announce(&s->listeners);
	net_notify("READY=1");
	loop_run(app->loop);
	leave_jobs(s);
	log_event(s->log, LOG_INFO, "stopped", LOG_I("sessions", sessions_count(app->sessions)));
	return ERR_OK;
}

/* ---- the command ---- */

static int serve(const struct options *o)
{
	struct server *s = calloc(1, sizeof *s);
	struct why w = {0};
	int status = CMD_OK;

	if (s == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	s->clock = clock_system();
	s->stores.app = &s->app;
	if (options_load(o, &s->config, &w) != ERR_OK ||
	    log_new(&s->log, STDERR_FILENO, (enum log_level)s->config->log_level,
		    (enum log_format)s->config->log_format, &s->clock, &w) != ERR_OK ||
	    run(s, &w) != ERR_OK) {
		log_flush(s->log);
		status = cmd_fail(&w);
	}
	close_parts(s);
	free(s);
	return status;
}

static int start(const struct args *a)
{
	struct options o;
	int status = options_read(&o, a);
	if (status == CMD_OK)
		status = args_none(a);
	if (status == CMD_OK)
		status = serve(&o);
	options_free(&o);
	return status;
}

const struct command cmd_serve = {
	.name = "serve",
	.summary = "run the REST server inside the enclave",
	.synopsis = "[--config FILE] [--listen ADDRESS] [--db FILE] [--nsm BACKEND] [--set KEY=VALUE]...",
	.help = help,
	.exits = "0 stopped by a signal, 1 the configuration is wrong, 2 usage, 3 the environment failed.",
	.examples = "attestd serve --config /etc/attestd/attestd.conf --nsm device\n",
	.run = start,
};
