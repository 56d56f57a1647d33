/* serve.c - the composition root: every part is made here, in order, and handed what it needs. */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api.h"
#include "base/file.h"
#include "harden.h"
#include "listeners.h"
#include "net.h"
#include "options.h"
#include "root_out.h"
#include "start_nsm.h"

enum { SWEEP_MS = 1000, SWEEP_AGAIN_MS = 20, SWEEP_SLICE = 256, SPARE_DESCRIPTORS = 64, WIPE_MS = 250 };

static const struct help_row rows[] = {
	{"--listen", "ADDRESS", "where local callers reach the API: 127.0.0.1:PORT, [::1]:PORT or unix:PATH"},
	{"--db", "FILE", "the SQLite file that keeps sessions"},
	{"--nsm", "BACKEND", "device, simulator, socket:PATH, dummy or auto"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Runs the REST server. It says `listening on ...` on stderr, a line a listener, once it is ready. "
		 "SIGTERM answers what is in flight and stops."},
	{.rows = options_rows},
	{.rows = rows},
	{.text = "Keys and their defaults:", .keys = true},
	{0},
};

struct server {
	struct app app;
	struct config *config;
	struct clock clock;
	struct log *log;
	struct store *store;
	struct session_kek kek;
	struct listeners listeners;
	struct loop_timer sweep, watchdog;
	int64_t watchdog_ms;
};

/* ---- the process ---- */

static enum err prepare(const struct config *c, struct why *w)
{
	struct rlimit files;
	const enum err e = harden(w);

	if (e != ERR_OK)
		return e;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file limit is then an error of the write, answered as 503 */

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return why_set(w, ERR_ENVIRONMENT, "getrlimit: %s", strerror(errno));
	const rlim_t need = (rlim_t)c->max_connections + SPARE_DESCRIPTORS;
	if (files.rlim_cur < need) {
		files.rlim_cur = need;
		/* The kernel starts init with 4096, and in a bare enclave nobody raises that; root may. */
		if (files.rlim_max < need)
			files.rlim_max = need;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			return why_set(
				w, ERR_ENVIRONMENT,
				"max_connections = %lld needs %llu file descriptors: raise the limit (ulimit -n, "
				"LimitNOFILE=) or lower max_connections",
				(long long)c->max_connections, (unsigned long long)need);
	}
	return ERR_OK;
}

static enum err read_boot_id(const char *path, char out[SESSION_BOOT_ID_MAX], struct why *w)
{
	size_t n = 0;
	const enum err e = file_load("the boot id", path, (uint8_t *)out, SESSION_BOOT_ID_MAX - 1, &n, w);
	if (e != ERR_OK)
		return e;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	/* A part of a longer text would make boots look alike that are not. */
	if (out[0] == '\0' || n == SESSION_BOOT_ID_MAX - 1)
		return why_set(w, ERR_ENVIRONMENT, "%s holds no boot id", path);
	return ERR_OK;
}

/* ---- the turn's transaction ---- */

static bool store_is_dirty(void *ctx)
{
	const struct server *s = ctx;
	return store_dirty(s->store);
}

static enum err commit_turn(void *ctx, struct why *w)
{
	struct server *s = ctx;
	const enum err e = store_commit(s->store, w);
	session_turn_end(s->app.sessions, e == ERR_OK);
	if (store_dirty(s->store)) {
		/* Neither committed nor rolled back: nothing that this process says of its sessions can be relied on.
		 * The next one begins with what was committed. */
		log_why(s->log, LOG_ERROR, "rollback", w);
		log_flush(s->log);
		_exit(CMD_ENVIRONMENT);
	}
	return e;
}

/* ---- timers and signals ---- */

static void on_sweep(struct loop_timer *t)
{
	struct server *s = t->ctx;
	const bool more = session_sweep(s->app.sessions, SWEEP_SLICE);
	loop_timer_arm(s->app.loop, t, more ? SWEEP_AGAIN_MS : SWEEP_MS);
}

static void on_watchdog(struct loop_timer *t)
{
	struct server *s = t->ctx;
	net_notify("WATCHDOG=1");
	loop_timer_arm(s->app.loop, t, s->watchdog_ms);
}

static void on_drained(void *ctx)
{
	struct server *s = ctx;
	loop_stop(s->app.loop);
}

static void on_stop_signal(void *ctx, int signo)
{
	struct server *s = ctx;
	log_event(s->log, LOG_INFO, "stopping", LOG_S("signal", signo == SIGTERM ? "SIGTERM" : "SIGINT"));
	net_notify("STOPPING=1");
	listeners_close(&s->listeners);
	http_drain(s->app.http, s->config->drain_timeout * 1000, on_drained, s);
}

/* ---- putting it together ---- */

/* Where a generated key may be kept: memory-backed where systemd gives a directory. Beside the database it seals
 * nothing from whoever reads the disk: fit for development, not for an enclave, where the answer then is none. */
static enum err runtime_dir(const struct server *s, struct buf *out, bool *beside_db, struct why *w)
{
	const struct config *c = s->config;
	const char *env = getenv("RUNTIME_DIRECTORY");
	const char *slash = strrchr(c->db, '/');
	if (c->runtime_dir[0] != '\0')
		buf_put_str(out, c->runtime_dir);
	else if (env != NULL && env[0] != '\0')
		buf_put(out, env, strcspn(env, ":"));
	else if (!nsm_is_device(s->app.nsm))
		*beside_db = true;
	if (*beside_db && slash == NULL)
		buf_put_str(out, ".");
	else if (*beside_db)
		buf_put(out, c->db, slash > c->db ? (size_t)(slash - c->db) : 1);
	(void)buf_cstr(out);
	return buf_check(out, w);
}

static enum err open_sessions(struct server *s, struct why *w)
{
	const struct config *c = s->config;
	struct app *app = &s->app;
	char boot_id[SESSION_BOOT_ID_MAX];
	struct buf dir = BUF_INIT(4096);
	bool beside_db = false;
	enum err e;

	if ((e = read_boot_id(c->boot_id_file, boot_id, w)) != ERR_OK ||
	    (e = runtime_dir(s, &dir, &beside_db, w)) != ERR_OK ||
	    (e = store_open(&s->store, c->db, c->durability == CONFIG_DURABILITY_POWER, w)) != ERR_OK ||
	    (e = session_kek_open(&s->kek, c->kek_file, getenv("CREDENTIALS_DIRECTORY"), (const char *)dir.p,
				  &app->random, w)) != ERR_OK)
		goto out;
	if (s->kek.generated && beside_db)
		log_event(s->log, LOG_WARN, "kek",
			  LOG_S("text",
				"the generated key lies beside the database and protects it from nobody who reads "
				"the disk; set runtime_dir or kek_file"));
	const struct session_env env = {
		.store = s->store,
		.crypto = app->crypto,
		.random = app->random,
		.clock = &s->clock,
		.log = s->log,
		.limits = {c->session_lifetime * 1000, (uint64_t)c->max_sessions, (uint64_t)c->public_sessions,
			   (uint64_t)c->max_messages, (uint64_t)c->max_seen_ivs},
	};
	e = sessions_open(&app->sessions, &env, &s->kek, boot_id, w);
out:
	buf_free(&dir);
	return e;
}

static enum err open_parts(struct server *s, struct why *w)
{
	const struct config *c = s->config;
	struct app *app = &s->app;
	enum err e;

	app->config = c;
	app->clock = &s->clock;
	if ((e = crypto_new(&app->crypto, w)) != ERR_OK)
		return e;
	app->random = crypto_random(app->crypto);
	if ((e = start_nsm(app, s->log, w)) != ERR_OK ||
	    (e = verify_new(&app->verify, app->crypto, &s->clock, w)) != ERR_OK)
		return e;
	const struct attest_options claims = {
		.agent = c->agent,
		.guardrail = c->guardrail,
		.metadata_file = c->metadata_file,
		.info_name = c->info_name,
		.info_version = c->info_version[0] != '\0' ? c->info_version : ATTESTD_VERSION,
		.info_build = c->info_build,
		.root = verify_aws_root(),
	};
	if ((e = attest_new(&app->attest, &claims, app->nsm, app->crypto, app->verify, &s->clock, s->log, w)) !=
		    ERR_OK ||
	    (e = start_first_document(app, s->log, w)) != ERR_OK || (e = open_sessions(s, w)) != ERR_OK)
		return e;

	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	const unsigned workers = c->workers > 0 ? (unsigned)c->workers : processors > 0 ? (unsigned)processors : 1;
	if ((e = loop_new(&app->loop, &s->clock, workers, (unsigned)c->nsm_queue, w)) != ERR_OK)
		return e;
	app->started_mono_ms = loop_now_ms(app->loop);
	for (size_t i = 0; i < HTTP_REACHES; i++)
		app->nsm_bucket[i] = (struct api_bucket){c->nsm_rate, c->nsm_burst, c->nsm_burst * 1000,
							 app->started_mono_ms};

	const struct http_options options = {
		.max_body = c->max_body,
		.max_inflight = c->max_inflight,
		.public_inflight = c->public_inflight,
		.max_connections = c->max_connections,
		.public_connections = c->public_connections,
		.header_ms = c->header_timeout * 1000,
		.idle_ms = c->idle_timeout * 1000,
		.body_ms = c->body_timeout * 1000,
		.reply_ms = c->reply_timeout * 1000,
	};
	const struct http_store store = {s, store_is_dirty, commit_turn};
	return http_new(&app->http, app->loop, s->log, &options, api_routes, api_routes_n, &store, app, w);
}

static void close_parts(struct server *s)
{
	struct app *app = &s->app;
	/* What workers still hold refers to everything below. */
	if (app->http != NULL)
		http_abandon(app->http);
	if (app->loop != NULL)
		loop_end_jobs(app->loop);
	http_free(app->http);
	loop_free(app->loop);
	attest_free(app->attest);
	verify_free(app->verify);
	sessions_close(app->sessions);
	session_kek_close(&s->kek);
	store_close(s->store);
	nsm_close(app->nsm);
	crypto_free(app->crypto);
	log_free(s->log);
	config_free(s->config);
}

/* Last of all: a start that fails must not put its root in place of that of a server that runs. */
static enum err write_root(const struct server *s, struct why *w)
{
	const char *path = s->config->nsm_root_out;
	return path[0] != '\0' ? root_out_write(path, nsm_root(s->app.nsm), w) : ERR_OK;
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
	store_close(s->store);
	session_kek_close(&s->kek);
	_exit(CMD_OK);
}

static enum err run(struct server *s, struct why *w)
{
	struct app *app = &s->app;
	enum err e;

	if ((e = prepare(s->config, w)) != ERR_OK)
		return e;
	/* Addresses are judged before anything is opened or written. */
	if ((e = listeners_plan(&s->listeners, s->config, w)) != ERR_OK || (e = open_parts(s, w)) != ERR_OK ||
	    (e = loop_on_signal(app->loop, SIGTERM, on_stop_signal, s, w)) != ERR_OK ||
	    (e = loop_on_signal(app->loop, SIGINT, on_stop_signal, s, w)) != ERR_OK ||
	    (e = listeners_open(&s->listeners, app->http, w)) != ERR_OK || (e = write_root(s, w)) != ERR_OK) {
		listeners_close(&s->listeners);
		return e;
	}

	s->sweep = (struct loop_timer){.fire = on_sweep, .ctx = s};
	loop_timer_arm(app->loop, &s->sweep, SWEEP_MS);
	s->watchdog_ms = net_watchdog_ms();
	s->watchdog = (struct loop_timer){.fire = on_watchdog, .ctx = s};
	if (s->watchdog_ms > 0)
		loop_timer_arm(app->loop, &s->watchdog, s->watchdog_ms);

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
	json_init();
	s->clock = clock_system();
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
