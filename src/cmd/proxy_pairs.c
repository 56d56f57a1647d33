/* proxy_pairs.c - which listener belongs to which target: by the command line, the environment and the service manager.
 */
#include "proxy_pairs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIND_ADDR_DEFAULT "0.0.0.0:443"
enum { CID_DEFAULT = 16, PORT_DEFAULT = 5005 };

/* Sockets of the service manager's; one that has its place has the descriptor -1. */
struct given {
	struct net_activated at[NET_ACTIVATION_MAX];
	size_t n;
};

static struct net_activated *find(struct given *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->at[i].fd >= 0 && (name == NULL || strcmp(g->at[i].name, name) == 0))
			return &g->at[i];
	return NULL;
}

static enum err inherit(struct pairs *p, size_t i, struct net_activated *from, struct why *w)
{
	p->at[i].fd = from->fd;
	p->at[i].inherited = true;
	from->fd = -1;
	return net_bound(&p->at[i].from, p->at[i].fd, w);
}

/* ---- the command line ---- */

static size_t count(const struct args *a, const char *name)
{
	size_t n = 0;
	for (const struct arg *one = a->options; one < a->options + a->n_options; one++)
		n += strcmp(one->name, name) == 0;
	return n;
}

static int read_listen(struct pairs *p, size_t i, const struct args *a, const char *text, struct given *g)
{
	struct why w = {0};
	if (strncmp(text, "fd:", 3) != 0)
		return net_parse(&p->at[i].from, text, &w) == ERR_OK ? CMD_OK : args_fault(a, "--listen: %s", w.text);

	/* Two of one name are taken in their order: a socket unit gives all of its sockets the same one. */
	struct net_activated *from = find(g, text + 3);
	if (from != NULL && inherit(p, i, from, &w) == ERR_OK)
		return CMD_OK;
	if (from == NULL)
		(void)!why_set(
			&w, ERR_ENVIRONMENT,
			"--listen %.80s: the service manager passed no socket of this name (FileDescriptorName=)%s",
			text, count(a, "--listen") > 1 ? " that is not taken already" : "");
	return cmd_fail(&w);
}

static int read_to(struct pairs *p, size_t i, const struct args *a, const char *text)
{
	struct why w = {0};
	return net_target_parse(&p->at[i].to, text, &w) == ERR_OK ? CMD_OK : args_fault(a, "--to: %s", w.text);
}

static int read_options(struct pairs *p, const struct args *a, struct given *g)
{
	const size_t listens = count(a, "--listen"), targets = count(a, "--to");
	int status = CMD_OK;

	if (listens != targets)
		return args_fault(a, "the n-th --listen belongs to the n-th --to, and there are %zu and %zu", listens,
				  targets);
	if (listens > PROXY_PAIRS_MAX)
		return args_fault(a, "at most %d pairs of --listen and --to are taken, and there are %zu",
				  PROXY_PAIRS_MAX, listens);
	p->n = listens;
	size_t i = 0, k = 0;
	for (const struct arg *one = a->options; one < a->options + a->n_options && status == CMD_OK; one++) {
		if (strcmp(one->name, "--listen") == 0)
			status = read_listen(p, i++, a, one->value, g);
		else if (strcmp(one->name, "--to") == 0)
			status = read_to(p, k++, a, one->value);
	}
	return status;
}

/* ---- the environment ---- */

/* A file for the service manager may well name a variable and give it nothing. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static int read_number(const struct args *a, const char *name, int64_t lo, int64_t hi, int64_t fallback, int64_t *out)
{
	const char *text = variable(name);
	*out = fallback;
	return text == NULL || args_number(text, lo, hi, out)
		       ? CMD_OK
		       : args_fault(a, "%s must be a number from %" PRId64 " to %" PRId64 ", not `%.40s`", name, lo, hi,
				    text);
}

static int read_bind(struct pairs *p, const struct args *a, struct given *g)
{
	const char *text = variable("BIND_ADDR");
	struct why w = {0};

	if (g->n == 0)
		return net_parse(&p->at[0].from, text != NULL ? text : BIND_ADDR_DEFAULT, &w) == ERR_OK
			       ? CMD_OK
			       : args_fault(a, "BIND_ADDR: %s", w.text);
	if (g->n == 1 && inherit(p, 0, find(g, NULL), &w) == ERR_OK)
		return CMD_OK;
	if (g->n > 1)
		(void)!why_set(&w, ERR_ENVIRONMENT,
			       "the service manager passed %zu sockets: without --listen it must be one", g->n);
	return cmd_fail(&w);
}

static int read_environment(struct pairs *p, const struct args *a, struct given *g)
{
	char text[NET_TARGET_MAX];
	struct why w = {0};
	int64_t cid, port;
	int status;

	p->n = 1;
	if ((status = read_bind(p, a, g)) != CMD_OK ||
	    (status = read_number(a, "ENCLAVE_CID", 0, UINT32_MAX - 1, CID_DEFAULT, &cid)) != CMD_OK ||
	    (status = read_number(a, "ENCLAVE_PORT", 1, UINT32_MAX - 1, PORT_DEFAULT, &port)) != CMD_OK)
		return status;
	snprintf(text, sizeof text, "vsock:%" PRId64 ":%" PRId64, cid, port);
	return net_target_parse(&p->at[0].to, text, &w) == ERR_OK
		       ? CMD_OK
		       : args_fault(a, "ENCLAVE_CID, ENCLAVE_PORT: %s", w.text);
}

/* ---- the pairs ---- */

int pairs_read(struct pairs *p, const struct args *a)
{
	struct given g = {0};
	struct why w = {0};

	*p = (struct pairs){0};
	for (size_t i = 0; i < PROXY_PAIRS_MAX; i++)
		p->at[i].fd = -1;
	if (net_activation(g.at, &g.n, &w) != ERR_OK)
		return cmd_fail(&w);
	const bool told = args_has(a, "--listen") || args_has(a, "--to");
	const int status = told ? read_options(p, a, &g) : read_environment(p, a, &g);
	const struct net_activated *left = find(&g, NULL);
	if (status != CMD_OK || left == NULL)
		return status;
	/* Somebody expects an answer there. */
	(void)!why_set(&w, ERR_ENVIRONMENT,
		       "the service manager passed a socket named %s, and there is no --listen fd:%s for it",
		       left->name, left->name);
	return cmd_fail(&w);
}

enum err pairs_open(struct pairs *p, struct proxy *proxy, struct why *w)
{
	enum err e = ERR_OK;
	for (size_t i = 0; i < p->n && e == ERR_OK; i++)
		if (!p->at[i].inherited && (e = net_listen(&p->at[i].fd, &p->at[i].from, w)) == ERR_OK)
			e = net_bound(&p->at[i].from, p->at[i].fd, w);
	for (size_t i = 0; i < p->n && e == ERR_OK; i++)
		e = proxy_add(proxy, p->at[i].fd, &p->at[i].to, w);
	return e;
}

void pairs_announce(const struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct net_target from = {.addr = p->at[i].from};
		char at[NET_TARGET_MAX], to[NET_TARGET_MAX];
		if (from.addr.kind == NET_TCP)
			net_target_text(&from, at);
		else
			net_text(&from.addr, "", at);
		net_target_text(&p->at[i].to, to);
		fprintf(stderr, "listening on %s -> %s\n", at, to);
	}
}

void pairs_unlist(const struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].fd >= 0 && !p->at[i].inherited)
			net_unlisten(p->at[i].fd, &p->at[i].from);
}
