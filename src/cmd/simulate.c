/* simulate.c - `attestd simulate`: a software NSM for other programs, on a Unix socket. */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "args.h"
#include "root_out.h"
#include "simulate_server.h"

enum { DELAY_MAX_MS = 600000, ADDRESS_MAX = 4096 };

static const struct help_row rows[] = {
	{"--socket", "PATH",
	 "where it listens, mode 0660; say nsm = socket:PATH to attestd serve, or attestd nsm --nsm socket:PATH"},
	{"--root-out", "FILE", "write the root certificate there (PEM), for attestd verify --root FILE"},
	{"--pcr", "N=HEX...",
	 "what PCR N (0 to 31) begins with, 96 hex digits; PCR0 to PCR2 begin as a77e57d0..., a77e57d1..., a77e57d2..., PCR4 "
	 "as a77e57d4..., and the others as zeros"},
	{"--debug-mode", NULL, "PCR0 to PCR2 are zeros, as in an enclave that was run with --debug-mode"},
	{"--clock-offset", "SECONDS", "added to the clock in documents and certificates; may be negative"},
	{"--fault", "FAULT", "one of these goes wrong:"},
	{"slow=MS", NULL, "every reply comes so much later"},
	{"error=NAME", NULL,
	 "every request is refused with this error: InvalidArgument, InvalidIndex, InvalidResponse, ReadOnlyIndex, "
	 "InvalidOperation, BufferTooSmall, InputTooLarge or InternalError"},
	{"garbage", NULL, "every reply is bytes that are no CBOR"},
	{"short", NULL, "an attestation's reply is cut in half"},
	{"expired", NULL, "documents are signed with a certificate that has expired"},
	{"bad-signature", NULL, "documents have a signature that does not fit"},
	{"other-nonce", NULL, "documents hold another nonce than was asked for"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Runs a software Nitro Secure Module for development and tests: it answers what the NSM answers and "
		 "signs documents like the NSM's, under a root certificate of its own that is made at each start. "
		 "Whoever can run it can have it sign anything, so its documents prove nothing, and no verifier "
		 "accepts them unless it is told to trust that root."},
	{.rows = rows},
	{.text = "All who connect talk to one NSM: what one extends or locks stays so for all of them until the "
		 "simulator ends, as it does in an enclave. It says `listening on unix:PATH` on stderr once it is "
		 "ready. SIGTERM and SIGINT end it."},
	{0},
};

struct simulate {
	const char *socket, *root_out;
	struct simulator_options simulator;
	int64_t delay_ms;
	uint8_t pcr[NSM_PCRS_MAX][NSM_PCR_SIZE];
};

/* ---- the command line ---- */

static int read_pcr(struct simulate *s, const struct args *a, const char *text)
{
	uint8_t value[NSM_PCR_SIZE];
	struct why w = {0};
	unsigned i;
	if (nsm_pcr_parse(bytes_str(text), &i, value, &w) != ERR_OK)
		return args_fault(a, "--pcr: %.*s", (int)strcspn(w.text, "."), w.text);
	if (s->simulator.pcr[i].p != NULL)
		return args_fault(a, "--pcr %u= is given twice", i);
	memcpy(s->pcr[i], value, NSM_PCR_SIZE);
	s->simulator.pcr[i] = bytes_of(s->pcr[i], NSM_PCR_SIZE);
	return CMD_OK;
}

static bool read_error(struct simulate *s, const char *name)
{
	for (const char *const *known = nsm_error_names; *known != NULL; known++) {
		if (strcmp(name, *known) == 0) {
			s->simulator.error = *known;
			return true;
		}
	}
	return false;
}

static int read_fault(struct simulate *s, const struct args *a, const char *text)
{
	static const struct {
		const char *name; /* with a '=' at its end: takes a value */
		enum simulator_fault fault;
	} faults[] = {{"slow=", SIMULATOR_SLOW},
		      {"error=", SIMULATOR_ERROR},
		      {"short", SIMULATOR_SHORT},
		      {"garbage", SIMULATOR_GARBAGE},
		      {"expired", SIMULATOR_EXPIRED},
		      {"bad-signature", SIMULATOR_BAD_SIGNATURE},
		      {"other-nonce", SIMULATOR_OTHER_NONCE}};
	const size_t n = strcspn(text, "=") + (strchr(text, '=') != NULL);
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (bytes_is(bytes_of(text, n), faults[i].name))
			s->simulator.fault = faults[i].fault;
	if (s->simulator.fault == SIMULATOR_SOUND)
		return args_fault(a, "there is no fault `%s`", text);
	if (s->simulator.fault == SIMULATOR_SLOW && !args_number(text + n, 1, DELAY_MAX_MS, &s->delay_ms))
		return args_fault(a, "--fault slow= needs milliseconds from 1 to %d", DELAY_MAX_MS);
	if (s->simulator.fault == SIMULATOR_ERROR && !read_error(s, text + n))
		return args_fault(a, "the NSM has no error `%s`", text + n);
	return CMD_OK;
}

static int check(const struct simulate *s, const struct args *a)
{
	if (s->socket == NULL || s->socket[0] == '\0')
		return args_fault(a, "--socket PATH is needed");
	if (s->root_out != NULL && s->root_out[0] == '\0')
		return args_fault(a, "--root-out needs the name of a file");
	if (s->root_out != NULL && strcmp(s->root_out, s->socket) == 0)
		return args_fault(a, "--root-out and --socket name the same file");
	for (int i = 0; i <= 2; i++)
		if (s->simulator.debug_mode && s->simulator.pcr[i].p != NULL)
			return args_fault(a, "--debug-mode makes PCR%d zero, and --pcr %d= sets it", i, i);
	return CMD_OK;
}

static int read_options(struct simulate *s, const struct args *a)
{
	const char *offset = args_value(a, "--clock-offset"), *fault = args_value(a, "--fault");
	int status = CMD_OK;
	s->socket = args_value(a, "--socket");
	s->root_out = args_value(a, "--root-out");
	s->simulator.debug_mode = args_has(a, "--debug-mode");
	for (const struct arg *one = a->options; one < a->options + a->n_options && status == CMD_OK; one++)
		if (strcmp(one->name, "--pcr") == 0)
			status = read_pcr(s, a, one->value);
	if (status == CMD_OK && fault != NULL)
		status = read_fault(s, a, fault);
	if (status != CMD_OK)
		return status;
	if (offset != NULL &&
	    !args_number(offset, -SIMULATOR_OFFSET_MAX_S, SIMULATOR_OFFSET_MAX_S, &s->simulator.clock_offset_s))
		return args_fault(a, "--clock-offset needs seconds from -%d to %d", SIMULATOR_OFFSET_MAX_S,
				  SIMULATOR_OFFSET_MAX_S);
	status = args_none(a);
	return status == CMD_OK ? check(s, a) : status;
}

/* ---- running ---- */

static enum err find_address(struct net_addr *out, const char *path, struct why *w)
{
	struct buf text = BUF_INIT(ADDRESS_MAX);
	buf_put_str(&text, "unix:");
	buf_put_str(&text, path);
	const char *s = buf_cstr(&text);
	const enum err e = s != NULL ? net_parse(out, s, w) : buf_check(&text, w);
	buf_free(&text);
	return e;
}

static void on_signal(void *ctx, int signo)
{
	(void)signo;
	net_notify("STOPPING=1");
	loop_stop(ctx);
}

static void announce(const struct simulate *s)
{
	fprintf(stderr,
		"attestd simulate: THIS IS A SOFTWARE NSM: WHAT IT SIGNS PROVES NOTHING. For development and tests "
		"only.\n");
	if (s->root_out != NULL)
		fprintf(stderr, "its root certificate is in %s\n", s->root_out);
	fprintf(stderr, "listening on unix:%s\n", s->socket);
	net_notify("READY=1");
}

/* Where that is forbidden the server makes do with fewer. */
static void raise_descriptors(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= SIMULATE_SERVER_DESCRIPTORS)
		return;
	files.rlim_cur = files.rlim_max < SIMULATE_SERVER_DESCRIPTORS ? files.rlim_max : SIMULATE_SERVER_DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static enum err run(struct simulate *s, const struct net_addr *at, struct why *w)
{
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct simulator *simulator = NULL;
	struct loop *loop = NULL;
	struct simulate_server *server = NULL;
	enum err e;

	raise_descriptors();
	if ((e = crypto_new(&crypto, w)) != ERR_OK)
		goto out;
	s->simulator.crypto = crypto;
	s->simulator.clock = &clock;
	s->simulator.random = crypto_random(crypto);
	/* The socket first: a simulator that another one keeps from listening must not leave its root in that one's
	 * file. Nobody is answered before the loop runs. */
	if ((e = simulator_new(&simulator, &s->simulator, w)) != ERR_OK ||
	    (e = loop_new(&loop, &clock, 1, 1, w)) != ERR_OK ||
	    (e = loop_on_signal(loop, SIGTERM, on_signal, loop, w)) != ERR_OK ||
	    (e = loop_on_signal(loop, SIGINT, on_signal, loop, w)) != ERR_OK ||
	    (e = simulate_server_open(&server, loop, simulator, at, s->delay_ms, w)) != ERR_OK ||
	    (s->root_out != NULL && (e = root_out_write(s->root_out, simulator_root(simulator), w)) != ERR_OK))
		goto out;
	announce(s);
	loop_run(loop);
out:
	simulate_server_close(server);
	loop_free(loop);
	simulator_free(simulator);
	crypto_free(crypto);
	return e;
}

static int start(const struct args *a)
{
	struct simulate *s = calloc(1, sizeof *s);
	struct net_addr at;
	struct why w = {0};

	if (s == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	int status = read_options(s, a);
	if (status == CMD_OK && find_address(&at, s->socket, &w) != ERR_OK)
		status = args_fault(a, "--socket: %s", w.text);
	else if (status == CMD_OK && run(s, &at, &w) != ERR_OK)
		status = cmd_fail(&w);
	free(s);
	return status;
}

const struct command cmd_simulate = {
	.name = "simulate",
	.summary = "run a software NSM that really signs, for development and tests",
	.synopsis =
		"--socket PATH [--root-out FILE] [--pcr N=HEX]... [--debug-mode] [--clock-offset SECONDS] [--fault FAULT]",
	.help = help,
	.exits = "0 ended by a signal, 2 usage, 3 the environment failed.",
	.examples = "attestd simulate --socket /tmp/nsm.sock --root-out /tmp/root.pem\n",
	.run = start,
};
