/* remote.c - asking a server one thing. */
#include "remote.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 120 * 1000 };

enum err remote_init(struct remote *r, const char *option, const char *url, struct why *w)
{
	struct why inner = {0};
	*r = (struct remote){.clock = clock_system(), .timeout_ms = TIMEOUT_MS};
	const enum err e = fetch_url_parse(&r->url, bytes_str(url), &inner);
	return e == ERR_OK ? ERR_OK : why_set(w, e == ERR_INVALID ? ERR_USAGE : e, "%s: %s", option, inner.text);
}

/* Where a server's `listen` may be. Not vsock: its other end is the parent or another enclave. */
static bool is_local(const struct fetch_url *u)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (u->kind == NET_UNIX)
		return true;
	if (u->kind != NET_TCP)
		return false;
	if (inet_pton(AF_INET, u->host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, u->host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(u->host, "localhost") == 0; /* which no resolver is asked for (net_look_up) */
}

enum err remote_init_local(struct remote *r, const char *url, struct why *w)
{
	const enum err e = remote_init(r, "--url", url, w);
	if (e != ERR_OK)
		return e;
	if (r->url.tls)
		return why_set(
			w, ERR_USAGE,
			"--url: a server's local listener, which alone takes plaintext, speaks no TLS: give http:// on "
			"loopback, or unix:PATH");
	if (is_local(&r->url))
		return ERR_OK;
	return why_set(
		w, ERR_USAGE,
		"--url: this would hand your plaintext to %s%.100s. It is the agent's way, inside the enclave, and "
		"takes loopback (127.0.0.1, [::1], localhost) and unix:PATH only; whoever is outside encrypts and "
		"decrypts with --session",
		r->url.kind == NET_VSOCK ? "vsock CID " : "", r->url.host);
}

static enum err refused(const struct fetch_reply *reply, struct why *w)
{
	struct why said = {0};
	(void)!fetch_problem(reply, &said);
	return why_set(w,
		       reply->status == 401			      ? ERR_SESSION
		       : reply->status == 404 || reply->status == 405 ? ERR_NOT_FOUND
		       : reply->status >= 500			      ? ERR_ENVIRONMENT
								      : ERR_INVALID,
		       "%s", said.text);
}

enum err remote_ask_peer(const struct remote *r, const char *method, const char *path, struct bytes json, size_t max,
			 struct buf *out, struct tls_peer **peer, struct why *w)
{
	const struct fetch_request request = {
		.method = method,
		.path = path,
		.content_type = json.p != NULL ? "application/json" : NULL,
		.body = json,
		.timeout_ms = r->timeout_ms,
		.reply_max = max,
		.own = r->own,
		.server_key_hash = r->server_key_hash,
	};
	struct fetch_reply reply = {.status = 0};
	*out = BUF_INIT(max);
	enum err e = fetch(&r->url, &request, &r->clock, &reply, w);
	if (e == ERR_OK && reply.status != 200)
		e = refused(&reply, w);
	if (e == ERR_OK) {
		*out = reply.body;
		reply.body = BUF_INIT(0);
		*peer = reply.peer;
		reply.peer = NULL;
	}
	fetch_reply_free(&reply);
	return e;
}

enum err remote_ask(const struct remote *r, const char *method, const char *path, struct bytes json, size_t max,
		    struct buf *out, struct why *w)
{
	struct tls_peer *peer = NULL;
	const enum err e = remote_ask_peer(r, method, path, json, max, out, &peer, w);
	tls_peer_free(peer);
	return e;
}
