/* simulate.c - `attestd simulate`: a software NSM for other programs, on a Unix socket. */
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "nsm_server.h"
#include "options.h"
#include "root_out.h"

enum { CLOCK_OFFSET_MAX_S = 315360000 /* ten years */, DELAY_MAX_MS = 600000, ADDRESS_MAX = 4096 };

static const char usage[] =
	"usage: attestd simulate --socket PATH [--root-out FILE] [--pcr N=HEX]... [--debug-mode]\n"
	"                        [--clock-offset SECONDS] [--fault FAULT]\n"
	"\n"
	"Runs a software Nitro Secure Module for development and tests: it answers what the NSM answers and signs documents\n"
	"like the NSM's, under a root certificate of its own that is made at each start. Whoever can run it can have it sign\n"
	"anything, so its documents prove nothing, and no verifier accepts them unless it is told to trust that root.\n"
	"\n"
	"  --socket PATH    where it listens, mode 0660; say nsm = socket:PATH to attestd serve, or\n"
	"                   attestd nsm --nsm socket:PATH\n"
	"  --root-out FILE  write the root certificate there (PEM), for attestd verify --root FILE\n"
	"  --pcr N=HEX      what PCR N (0 to 31) begins with, 96 hex digits; PCR0 to PCR2 begin as a77e57d0...,\n"
	"                   a77e57d1..., a77e57d2..., PCR4 as a77e57d4..., and the others as zeros\n"
	"  --debug-mode     PCR0 to PCR2 are zeros, as in an enclave that was run with --debug-mode\n"
	"  --clock-offset SECONDS\n"
	"                   added to the clock in documents and certificates; may be negative\n"
	"  --fault FAULT    one of these goes wrong:\n"
	"      slow=MS        every reply comes so much later\n"
	"      error=NAME     every request is refused with this error: InvalidArgument, InvalidIndex, InvalidResponse,\n"
	"                     ReadOnlyIndex, InvalidOperation, BufferTooSmall, InputTooLarge or InternalError\n"
	"      garbage        every reply is bytes that are no CBOR\n"
	"      short          an attestation's reply is cut in half\n"
	"      expired        documents are signed with a certificate that has expired\n"
	"      bad-signature  documents have a signature that does not fit\n"
	"      other-nonce    documents hold another nonce than was asked for\n"
	"  --help           this text\n"
	"\n"
	"All who connect talk to one NSM: what one extends or locks stays so for all of them until the simulator ends, as\n"
	"it does in an enclave. It says `listening on unix:PATH` on stderr once it is ready. SIGTERM and SIGINT end it.\n"
	"\n"
	"Exit status: 0 ended by a signal, 2 usage, 3 the environment failed.\n";

struct simulate {
	const char *socket, *root_out;
	bool help;
	struct simulator_options simulator;
	int64_t delay_ms;
	uint8_t pcr[NSM_PCRS_MAX][NSM_PCR_SIZE];
};

/* ---- the command line ---- */

static int read_pcr(struct simulate *s, const char *command, char *text)
{
	char *equals = strchr(text, '=');
	int64_t i;
	if (equals != NULL)
		*equals = '\0';
	if (equals == NULL || !options_number(text, 0, NSM_PCRS_MAX - 1, &i))
		return options_fault(command, "--pcr needs N=HEX with N from 0 to %d", NSM_PCRS_MAX - 1);
	const struct bytes hex = bytes_str(equals + 1);
	size_t n;
	if (hex.n != HEX_SIZE(NSM_PCR_SIZE) || !hex_decode(hex, s->pcr[i], &n))
		return options_fault(command, "--pcr %d= needs %d hex digits", (int)i, HEX_SIZE(NSM_PCR_SIZE));
	if (s->simulator.pcr[i].p != NULL)
		return options_fault(command, "--pcr %d= is given twice", (int)i);
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

static int read_fault(struct simulate *s, const char *command, const char *text)
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
	if (s->simulator.fault != SIMULATOR_SOUND)
		return options_fault(command, "--fault is given twice, and one thing goes wrong at a time");
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (bytes_is(bytes_of(text, n), faults[i].name))
			s->simulator.fault = faults[i].fault;
	if (s->simulator.fault == SIMULATOR_SOUND)
		return options_fault(command, "there is no fault `%s`", text);
	if (s->simulator.fault == SIMULATOR_SLOW && !options_number(text + n, 1, DELAY_MAX_MS, &s->delay_ms))
		return options_fault(command, "--fault slow= needs milliseconds from 1 to %d", DELAY_MAX_MS);
	if (s->simulator.fault == SIMULATOR_ERROR && !read_error(s, text + n))
		return options_fault(command, "the NSM has no error `%s`", text + n);
	return CMD_OK;
}

static int check(const struct simulate *s, const char *command)
{
	if (s->socket == NULL || s->socket[0] == '\0')
		return options_fault(command, "--socket PATH is needed");
	if (s->root_out != NULL && s->root_out[0] == '\0')
		return options_fault(command, "--root-out needs the name of a file");
	for (int i = 0; i <= 2; i++)
		if (s->simulator.debug_mode && s->simulator.pcr[i].p != NULL)
			return options_fault(command, "--debug-mode makes PCR%d zero, and --pcr %d= sets it", i, i);
	return CMD_OK;
}

static int read_options(struct simulate *s, int argc, char **argv)
{
	enum { SOCKET = OPTIONS_LONG, ROOT_OUT, PCR, DEBUG_MODE, FAULT, CLOCK_OFFSET, HELP };
	static const struct option longs[] = {
		{"socket", required_argument, NULL, SOCKET}, {"root-out", required_argument, NULL, ROOT_OUT},
		{"pcr", required_argument, NULL, PCR},	     {"debug-mode", no_argument, NULL, DEBUG_MODE},
		{"fault", required_argument, NULL, FAULT},   {"clock-offset", required_argument, NULL, CLOCK_OFFSET},
		{"help", no_argument, NULL, HELP},	     {NULL, 0, NULL, 0}};
	int opt, status = CMD_OK;
	optind = 0; /* starts over, whoever parsed options before */
	opterr = 0;
	while (status == CMD_OK && (opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (opt == SOCKET)
			s->socket = optarg;
		else if (opt == ROOT_OUT)
			s->root_out = optarg;
		else if (opt == PCR)
			status = read_pcr(s, argv[0], optarg);
		else if (opt == DEBUG_MODE)
			s->simulator.debug_mode = true;
		else if (opt == FAULT)
			status = read_fault(s, argv[0], optarg);
		else if (opt == CLOCK_OFFSET &&
			 !options_number(optarg, -CLOCK_OFFSET_MAX_S, CLOCK_OFFSET_MAX_S, &s->simulator.clock_offset_s))
			status = options_fault(argv[0], "--clock-offset needs seconds from -%d to %d",
					       CLOCK_OFFSET_MAX_S, CLOCK_OFFSET_MAX_S);
		else if (opt == HELP || opt == 'h')
			s->help = true;
		else if (opt == ':' || opt == '?')
			status = options_unread(argv, opt);
	}
	if (status != CMD_OK || s->help)
		return status;
	return optind < argc ? options_fault(argv[0], "unexpected argument `%s`", argv[optind]) : check(s, argv[0]);
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

static enum err run(struct simulate *s, const struct net_addr *at, struct why *w)
{
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct simulator *simulator = NULL;
	struct loop *loop = NULL;
	struct nsm_server *server = NULL;
	enum err e;

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
	    (e = nsm_server_open(&server, loop, simulator, at, s->delay_ms, w)) != ERR_OK ||
	    (s->root_out != NULL && (e = root_out_write(s->root_out, simulator_root(simulator), w)) != ERR_OK))
		goto out;
	announce(s);
	loop_run(loop);
out:
	nsm_server_close(server);
	loop_free(loop);
	simulator_free(simulator);
	crypto_free(crypto);
	return e;
}

int cmd_simulate(int argc, char **argv)
{
	struct simulate *s = calloc(1, sizeof *s);
	struct net_addr at;
	struct why w = {0};
	int status;

	if (s == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	status = read_options(s, argc, argv);
	if (status == CMD_OK && s->help) {
		fputs(usage, stdout);
		status = cmd_printed();
	} else if (status == CMD_OK && find_address(&at, s->socket, &w) != ERR_OK) {
		status = options_fault(argv[0], "--socket: %s", w.text);
	} else if (status == CMD_OK && run(s, &at, &w) != ERR_OK) {
		status = cmd_fail(&w);
	}
	free(s);
	return status;
}
