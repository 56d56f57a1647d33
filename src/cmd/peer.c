/* peer.c - `attestd peer`: two enclaves prove to each other what they run, and meet by mutual TLS. */
#include "peer_parts.h"

#include <stdlib.h>

#include "policy_flags.h"

enum { TIMEOUT_S = 30, TIMEOUT_MAX_S = 3600 };

static const struct help_row rows[] = {
	{"--url", "URL", "the server's peer_listen: http://HOST:PORT, unix:PATH or vsock:CID:PORT"},
	{"--tls", "URL", "its peer_tls_listen: https://HOST:PORT, https+unix:PATH or https+vsock:CID:PORT"},
	{"--timeout", "SECONDS", "the longest that the answer to one request may take (30)"},
	{"--json", NULL,
	 "one JSON object, also when it exits with 1: connected, step (the one that failed, or null), code (connected; the "
	 "verdict's; role_mismatch, key_hash_mismatch, peer_key_hash_mismatch, config_digest_mismatch, certificate_mismatch, "
	 "tls_certificate_mismatch, client_certificate_refused, server_refused or reply_malformed), message, server (the verdict "
	 "on its report, or null), client (what the server verified of this side, or null), and pong"},
	{0},
};

static const struct help_row keys[] = {
	{"--nsm", "BACKEND", "this enclave's NSM, as for attestd serve; one that signs"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Run in an enclave, this proves the enclave to the peer at URL and has the peer prove itself, before either "
		 "relies on the other; then it connects by mutual TLS, in which both must use the keys that were attested, and "
		 "pings. The steps are cert, report, verify, challenge, client, connect and ping; the one that fails is named. The "
		 "server is verified before this side attests itself. The key is made for this run."},
	{.rows = rows},
	{.text = "The configuration must be the server's: both attest the digest of what attestd config show --security prints, "
		 "and refuse another.",
	 .rows = options_rows},
	{.rows = keys},
	{.text = "Who the server must be. Without any PCRs, and without peer_policy in the configuration, it must have the same "
		 "PCR0, PCR1 and PCR2 as this enclave; --any-enclave is not to be had. The root is --root's, else peer_root's, else "
		 "AWS's.",
	 .rows = policy_rows},
	{0},
};

static int read_url(const struct args *a, const char *option, bool tls, struct remote *out)
{
	const char *url = args_value(a, option);
	struct why w = {0};
	if (url == NULL)
		return args_fault(a, "%s URL must say where the server's %s is", option,
				  tls ? "peer_tls_listen" : "peer_listen");
	if (remote_init(out, option, url, &w) != ERR_OK)
		return args_fault(a, "%s", w.text);
	if (out->url.tls != tls)
		return args_fault(a,
				  tls ? "%s must be a URL with TLS: https://, https+unix: or https+vsock:"
				      : "%s must be a URL without TLS: reports need no secrecy, and what they prove is "
					"signed",
				  option);
	return CMD_OK;
}

static int read_line(struct peer *p)
{
	const struct args *a = p->line;
	int64_t s = TIMEOUT_S;
	int status = args_none(a);
	if (status == CMD_OK)
		status = read_url(a, "--url", false, &p->attest);
	if (status == CMD_OK)
		status = read_url(a, "--tls", true, &p->mutual);
	if (status == CMD_OK)
		status = args_int(a, "--timeout", 1, TIMEOUT_MAX_S, &s);
	p->attest.timeout_ms = p->mutual.timeout_ms = s * 1000;
	return status;
}

static int meet(struct peer *p, const struct options *o)
{
	struct why w = {0};
	enum err e = peer_self(p, o, &w);
	log_flush(p->log);
	if (e != ERR_OK) {
		/* Nobody has refused anything yet. */
		const int status = cmd_fail(&w);
		return status == CMD_FALSE ? CMD_USAGE : status;
	}
	e = peer_connect(p, &w);
	log_flush(p->log);
	return peer_show(p, e, &w);
}

static int run(const struct args *a)
{
	struct peer *p = calloc(1, sizeof *p);
	struct options o = {0};
	if (p == NULL)
		return cmd_fail(&(struct why){.err = ERR_MEMORY});
	p->line = a;
	p->json = args_has(a, "--json");
	int status = read_line(p);
	if (status == CMD_OK)
		status = options_read_some(&o, a, keys);
	if (status == CMD_OK)
		status = meet(p, &o);
	peer_steps_free(p);
	peer_self_free(p);
	options_free(&o);
	free(p);
	return status;
}

const struct command cmd_peer = {
	.name = "peer",
	.summary = "prove this enclave to another one, have it prove itself, and connect",
	.synopsis = "--url URL --tls URL [--config FILE] [--nsm BACKEND] [--set KEY=VALUE]... [OPTIONS]",
	.help = help,
	.exits =
		"0 connected, 1 refused, by this side or by the server, 2 usage, or a configuration that makes no peer, 3 a "
		"file, the NSM or the server fails.",
	.examples = "attestd peer --url http://$PEER:8766 --tls https://$PEER:8767 --nsm device\n",
	.run = run,
};
