/* client_target.c - which enclave is asked. */
#include "client_parts.h"

#include <inttypes.h>
#include <stdio.h>

#include "nitro_cli.h"
#include "vsock.h"

enum { CID_MAX = UINT32_MAX - 1, PORT_MAX = UINT32_MAX - 1 };

static int use(struct client *c, const char *option, const char *text)
{
	struct why w = {0};
	if (net_target_parse(&c->to, text, &w) != ERR_OK)
		return args_fault(c->line, "%s: %s", option, w.text);
	net_target_text(&c->to, c->to_text);
	return CMD_OK;
}

static int use_cid(struct client *c, int64_t cid, int64_t port)
{
	char text[NET_TARGET_MAX];
	(void)snprintf(text, sizeof text, "vsock:%" PRId64 ":%" PRId64, cid, port);
	return use(c, "--cid", text);
}

static void print_enclave(const struct nitro_enclave *e)
{
	fprintf(stderr, "  --cid %" PRIu32, e->cid);
	if (e->name[0] != '\0')
		fprintf(stderr, "  %s", e->name);
	if (e->id[0] != '\0')
		fprintf(stderr, "  (%s)", e->id);
	fputs("\n", stderr);
}

static int find(struct client *c, int64_t port)
{
	struct nitro_enclaves running = {.n = 0};
	struct why w = {0};
	if (nitro_cli_running(&c->clock, &running, &w) != ERR_OK)
		return cmd_fail(&w);
	if (running.n == 0) {
		(void)why_set(&w, ERR_ENVIRONMENT,
			      "nitro-cli knows of no running enclave: start one with `nitro-cli run-enclave`, or say "
			      "which with --cid");
		return cmd_fail(&w);
	}
	if (running.n > 1) {
		const int status = args_fault(c->line, "%zu enclaves run: say which with --cid", running.n);
		for (size_t i = 0; i < running.n; i++)
			print_enclave(&running.list[i]);
		return status;
	}
	fprintf(stderr, "attestd %s: nitro-cli knows of one running enclave\n", c->line->command->name);
	print_enclave(&running.list[0]);
	return use_cid(c, running.list[0].cid, port);
}

int client_target(struct client *c)
{
	const char *to = args_value(c->line, "--to"), *cid = args_value(c->line, "--cid"),
		   *port = args_value(c->line, "--port");
	int64_t cid_n = 0, port_n = VSOCK_PORT;
	int status;
	if (to != NULL && (cid != NULL || port != NULL))
		return args_fault(c->line, "--to says all that %s does: leave one of them out",
				  cid != NULL ? "--cid" : "--port");
	if ((status = args_int(c->line, "--cid", 0, CID_MAX, &cid_n)) != CMD_OK ||
	    (status = args_int(c->line, "--port", 1, PORT_MAX, &port_n)) != CMD_OK)
		return status;
	if (to != NULL)
		return use(c, "--to", to);
	return cid != NULL ? use_cid(c, cid_n, port_n) : find(c, port_n);
}
