/* proxy.c - `attestd proxy`: byte streams across the enclave's edge, on the parent instance or inside. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptors.h"
#include "proxy_pairs.h"

enum {
	CONNECT_S = 10,
	CONNECT_MAX_S = 3600,
	IDLE_S = 300,
	IDLE_MAX_S = 7 * 24 * 3600,
	DRAIN_S = 10,
	DRAIN_MAX_S = 3600,
	CONNECTIONS = 1024,
	CONNECTIONS_MAX = 100000,
	PER_SOURCE = 64, /* well below tls_handshakes: one source must not hold all that a server has */
	REFUSALS_MS = 10000,
	SPARE_DESCRIPTORS = 64 /* the listeners are counted by themselves */
};

static const struct help_row rows[] = {
	{"--listen", "ADDRESS...",
	 "where it takes connections: tcp:IPV4:PORT, tcp:[IPV6]:PORT ([::] is IPv6 alone), unix:PATH, vsock:PORT, or fd:NAME, "
	 "a socket that the service manager passed under that FileDescriptorName="},
	{"--to", "TARGET...",
	 "where the n-th --to takes the connections of the n-th --listen: tcp:HOST:PORT, unix:PATH or vsock:CID:PORT"},
	{"--connect-timeout", "SECONDS",
	 "how long a connection waits for a target that is down (1 to 3600, default 10); it is tried over and over "
	 "meanwhile"},
	{"--idle-timeout", "SECONDS",
	 "how long a connection may carry nothing either way, and an end take nothing of what is there for it, before it is "
	 "broken (1 to 604800, default 300)"},
	{"--max-connections", "N",
	 "connections at once (1 to 100000, default 1024); one more is reset. Each may take six descriptors (LimitNOFILE=)"},
	{"--max-per-source", "N",
	 "connections at once of one IPv4 address, IPv6 /64, CID, or user of a Unix socket (0 to 100000, default 64; 0: no "
	 "limit of their own); to stay well below tls_handshakes of the server behind"},
	{"--drain-timeout", "SECONDS",
	 "how long connections may go on after SIGTERM before they are broken (0 to 3600, default 10)"},
	{"--log-format", "FORMAT", "text (the default) or json"},
	{"--log-level", "LEVEL", "error, warn, info (the default) or debug"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Carries byte streams and looks at none of them. On the parent instance it brings clients to an "
		 "enclave, which has no network, only vsock; TLS ends inside. Inside the enclave it brings a program's "
		 "requests out. One process serves up to 64 pairs."},
	{.rows = rows},
	{.text = "Without --listen and --to the environment names one pair: BIND_ADDR (0.0.0.0:443 where it is not "
		 "set) is carried to vsock port ENCLAVE_PORT (5005) of the enclave ENCLAVE_CID (16). A single socket "
		 "that the service manager passed takes the place of BIND_ADDR."},
	{.text = "It says `listening on ADDRESS -> TARGET` on stderr, a line a pair, once it is ready. SIGUSR1 has it "
		 "log its counters. SIGTERM and SIGINT end it: it takes no more connections, and lets those that it "
		 "has go on for --drain-timeout; a second signal breaks them at once."},
	{0},
};

struct proxying {
	struct pairs pairs;
	struct proxy_limits limits;
	int64_t drain_ms;
	enum log_format format;
	enum log_level level;

	struct clock clock;
	struct log *log;
	struct loop *loop;
	struct proxy *proxy;
	bool stopping;
	uint64_t refused_full, refused_source; /* that the log was told of, */
	int64_t refusals_ms;		       /* and when it may be told of more */
	struct net_watchdog watchdog;
};

/* ---- the command line ---- */

/* The index of what was said among `names`, which end with NULL; `out` is not touched where nothing was. */
static int read_name(const struct args *a, const char *option, const char *const *names, unsigned *out)
{
	const char *text = args_value(a, option);
	for (unsigned i = 0; text != NULL && names[i] != NULL; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = i;
			return CMD_OK;
		}
	}
	return text == NULL ? CMD_OK : args_fault(a, "%s cannot be `%s`", option, text);
}

static int read_options(struct proxying *p, const struct args *a)
{
	static const char *const formats[] = {"text", "json", NULL}; /* in the order of their constants */
	static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
	int64_t connect_s = CONNECT_S, idle_s = IDLE_S, drain_s = DRAIN_S;
	unsigned format = LOG_TEXT, level = LOG_INFO;
	int status;

	p->limits.max_connections = CONNECTIONS;
	p->limits.max_per_source = PER_SOURCE;
	if ((status = args_none(a)) != CMD_OK ||
	    (status = args_int(a, "--connect-timeout", 1, CONNECT_MAX_S, &connect_s)) != CMD_OK ||
	    (status = args_int(a, "--idle-timeout", 1, IDLE_MAX_S, &idle_s)) != CMD_OK ||
	    (status = args_int(a, "--drain-timeout", 0, DRAIN_MAX_S, &drain_s)) != CMD_OK ||
	    (status = args_int(a, "--max-connections", 1, CONNECTIONS_MAX, &p->limits.max_connections)) != CMD_OK ||
	    (status = args_int(a, "--max-per-source", 0, CONNECTIONS_MAX, &p->limits.max_per_source)) != CMD_OK ||
	    (status = read_name(a, "--log-format", formats, &format)) != CMD_OK ||
	    (status = read_name(a, "--log-level", levels, &level)) != CMD_OK)
		return status;
	p->limits.connect_ms = connect_s * 1000;
	p->limits.idle_ms = idle_s * 1000;
	p->drain_ms = drain_s * 1000;
	p->format = (enum log_format)format;
	p->level = (enum log_level)level;
	return pairs_read(&p->pairs, a);
}

/* ---- signals ---- */

static void on_drained(void *ctx)
{
	struct proxying *p = ctx;
	loop_stop(p->loop);
}

static void on_stop_signal(void *ctx, int signo)
{
	struct proxying *p = ctx;
	if (p->stopping) {
		loop_stop(p->loop);
		return;
	}
	p->stopping = true;
	log_event(p->log, LOG_INFO, "stopping", LOG_S("signal", signo == SIGTERM ? "SIGTERM" : "SIGINT"));
	net_notify("STOPPING=1");
	pairs_unlist(&p->pairs);
	proxy_drain(p->proxy, p->drain_ms, on_drained, p);
}

static void log_counters(const struct proxying *p, const char *event)
{
	struct proxy_counters c = {0};
	proxy_count(p->proxy, &c);
	log_event(p->log, LOG_INFO, event, LOG_I("open", c.open), LOG_I("accepted", c.accepted),
		  LOG_I("refused_full", c.refused_full), LOG_I("refused_source", c.refused_source),
		  LOG_I("connected", c.connected), LOG_I("failed", c.failed), LOG_I("retries", c.retries),
		  LOG_I("timed_out", c.timed_out), LOG_I("broken", c.broken), LOG_I("bytes_in", c.bytes_in),
		  LOG_I("bytes_out", c.bytes_out));
}

static void on_count_signal(void *ctx, int signo)
{
	(void)signo;
	log_counters(ctx, "counters");
}

/* A flood must not fill the log as well: a line when it begins, and one now and then while it lasts. */
static void tell_refusals(struct proxying *p)
{
	struct proxy_counters c = {0};
	proxy_count(p->proxy, &c);
	if ((c.refused_full == p->refused_full && c.refused_source == p->refused_source) ||
	    loop_now_ms(p->loop) < p->refusals_ms)
		return;
	log_event(p->log, LOG_WARN, "refused", LOG_I("max_connections", c.refused_full - p->refused_full),
		  LOG_I("max_per_source", c.refused_source - p->refused_source), LOG_I("open", c.open));
	p->refused_full = c.refused_full;
	p->refused_source = c.refused_source;
	p->refusals_ms = loop_now_ms(p->loop) + REFUSALS_MS;
}

static void on_turn_end(void *ctx)
{
	struct proxying *p = ctx;
	tell_refusals(p);
	log_flush(p->log);
}

/* ---- putting it together ---- */

/* A thread for each name: a resolver that is slow with one keeps no other waiting. */
static unsigned look_ups(const struct pairs *p)
{
	unsigned n = 0;
	for (size_t i = 0; i < p->n; i++)
		n += p->at[i].to.host[0] != '\0';
	return n > 0 ? n : 1;
}

static enum err prepare(struct proxying *p, struct why *w)
{
	const int64_t most = p->limits.max_connections;
	enum err e;

	signal(SIGPIPE, SIG_IGN);
	if ((e = descriptors_raise((uint64_t)most * PROXY_DESCRIPTORS_EACH + p->pairs.n + SPARE_DESCRIPTORS,
				   "--max-connections", most, w)) != ERR_OK ||
	    (e = log_new(&p->log, STDERR_FILENO, p->level, p->format, &p->clock, w)) != ERR_OK ||
	    (e = loop_new(&p->loop, &p->clock, look_ups(&p->pairs), 1, w)) != ERR_OK)
		return e;
	loop_set_guest(p->loop, (struct loop_guest){.ctx = p, .flush = on_turn_end});
	if ((e = proxy_new(&p->proxy, p->loop, &p->clock, p->log, &p->limits, w)) != ERR_OK ||
	    (e = loop_on_signal(p->loop, SIGTERM, on_stop_signal, p, w)) != ERR_OK ||
	    (e = loop_on_signal(p->loop, SIGINT, on_stop_signal, p, w)) != ERR_OK ||
	    (e = loop_on_signal(p->loop, SIGUSR1, on_count_signal, p, w)) != ERR_OK)
		return e;
	if ((e = pairs_open(&p->pairs, p->proxy, w)) != ERR_OK)
		pairs_unlist(&p->pairs);
	return e;
}

static enum err run(struct proxying *p, struct why *w)
{
	const enum err e = prepare(p, w);
	if (e != ERR_OK)
		return e;
	net_watchdog_start(&p->watchdog, p->loop);
	log_event(p->log, LOG_INFO, "ready", LOG_S("version", ATTESTD_VERSION), LOG_I("pairs", p->pairs.n));
	log_flush(p->log);
	pairs_announce(&p->pairs);
	net_notify("READY=1");
	loop_run(p->loop);
	log_counters(p, "stopped");
	log_flush(p->log);
	/* A resolver that does not answer may keep its caller for a minute. */
	if (loop_jobs(p->loop, LANE_CPU) > 0)
		_exit(CMD_OK);
	return ERR_OK;
}

static void close_parts(struct proxying *p)
{
	if (p->loop != NULL)
		loop_end_jobs(p->loop);
	proxy_free(p->proxy);
	loop_free(p->loop);
	log_free(p->log);
}

static int start(const struct args *a)
{
	struct proxying *p = calloc(1, sizeof *p);
	struct why w = {0};

	if (p == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	p->clock = clock_system();
	int status = read_options(p, a);
	if (status == CMD_OK && run(p, &w) != ERR_OK) {
		log_flush(p->log);
		status = cmd_fail(&w);
	}
	close_parts(p);
	free(p);
	return status;
}

const struct command cmd_proxy = {
	.name = "proxy",
	.summary = "carry byte streams between TCP, Unix sockets and vsock",
	.synopsis = "[--listen ADDRESS --to TARGET]... [--connect-timeout SECONDS] [--idle-timeout SECONDS] "
		    "[--max-connections N] [--max-per-source N] [--drain-timeout SECONDS] [--log-format FORMAT] "
		    "[--log-level LEVEL]",
	.help = help,
	.exits = "0 stopped by a signal, 2 usage, 3 the environment failed.",
	.examples = "attestd proxy --listen tcp:0.0.0.0:443 --to vsock:16:5005\n"
		    "attestd proxy --listen tcp:127.0.0.1:443 --to vsock:3:8000\n"
		    "attestd proxy --listen vsock:8000 --to tcp:kms.eu-central-1.amazonaws.com:443\n",
	.run = start,
};
