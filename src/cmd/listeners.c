/* listeners.c - the addresses that the keys name, judged before anything is opened, then opened. */
#include "listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

static enum err check_local(const struct net_addr *a, const char *text, struct why *w)
{
	if (a->kind == NET_UNIX || (a->kind == NET_TCP && a->loopback))
		return ERR_OK;
	return why_set(
		w, ERR_CONFIG,
		"listen = %s is refused: it carries the whole API, plaintexts included, so it may only be loopback TCP "
		"(127.0.0.1:PORT, [::1]:PORT) or unix:PATH. What outsiders may reach goes to public_listen.",
		text);
}

static enum err check_vsock(const struct net_addr *a, const char *text, struct why *w)
{
	if (a->kind != NET_TCP)
		return ERR_OK;
	return why_set(
		w, ERR_CONFIG,
		"vsock_listen = %s is refused: the vsock JSON protocol has no authentication and is meant for the "
		"parent instance alone, so it may only be vsock:PORT or unix:PATH. HTTP for outsiders goes to "
		"public_listen.",
		text);
}

/* A socket that we make is 0660; systemd makes them 0666 unless told otherwise, and that would be the whole API for
 * everybody on the machine. */
static enum err check_mode(const struct net_addr *a, const char *text, struct why *w)
{
	struct stat st;
	if (a->kind != NET_UNIX)
		return ERR_OK;
	if (lstat(((const struct sockaddr_un *)&a->sa)->sun_path, &st) != 0)
		return why_set(w, ERR_ENVIRONMENT, "the socket %s cannot be examined: %s", text, strerror(errno));
	if ((st.st_mode & S_IRWXO) != 0)
		return why_set(w, ERR_CONFIG,
			       "the socket %s that the service manager gave is open to every user (mode %04o): set "
			       "SocketMode=0660 in the socket unit",
			       text, (unsigned)(st.st_mode & 07777));
	return ERR_OK;
}

enum { LINGER_MS = 1000 }; /* for a TLS client to take the last bytes */

/* The keys, which are also what FileDescriptorName= in a socket unit may be. */
static const struct rule {
	const char *key;
	size_t text;								      /* of struct config */
	enum err (*check)(const struct net_addr *a, const char *text, struct why *w); /* NULL: any will do */
	bool guarded;	       /* an inherited Unix socket may not be open to everybody */
	enum http_reach reach; /* of what speaks HTTP */
	const char *scheme;    /* of TCP */
	bool named;	       /* allowed_hosts may name it */
} rules[LISTENER_USES] = {
	[LISTENER_LOCAL] = {"listen", offsetof(struct config, listen), check_local, true, HTTP_LOCAL, "http", false},
	[LISTENER_PUBLIC] = {"public_listen", offsetof(struct config, public_listen), NULL, false, HTTP_PUBLIC, "http",
			     false},
	[LISTENER_VSOCK] = {"vsock_listen", offsetof(struct config, vsock_listen), check_vsock, false, 0, "tcp", false},
	[LISTENER_TLS] = {"tls_listen", offsetof(struct config, tls_listen), NULL, false, HTTP_TLS, "https", true},
	[LISTENER_PEER] = {"peer_listen", offsetof(struct config, peer_listen), NULL, false, HTTP_PEER, "http", true},
	[LISTENER_PEER_TLS] = {"peer_tls_listen", offsetof(struct config, peer_tls_listen), NULL, false, HTTP_PEER_TLS,
			       "https", true},
};

/* The keys with commas between them, and `last` before the last. */
static const char *all_keys(struct buf *out, const char *last)
{
	for (size_t i = 0; i < LISTENER_USES; i++)
		buf_printf(out, "%s%s", i == 0 ? "" : i + 1 < LISTENER_USES ? ", " : last, rules[i].key);
	const char *text = buf_cstr(out);
	return text != NULL ? text : "";
}

/* The address that a key names. */
static enum err read_key(struct net_addr *out, const struct rule *r, const char *text, struct why *w)
{
	const enum err e = net_parse(out, text, w);
	if (e != ERR_OK)
		return why_set(w, e, "%s = %.128s: %s", r->key, text, w->text);
	return r->check != NULL ? r->check(out, text, w) : ERR_OK;
}

/* The address of a socket that the service manager gave. */
static enum err read_inherited(struct net_addr *out, const struct rule *r, int fd, struct why *w)
{
	char text[NET_TEXT_MAX];
	enum err e = net_bound(out, fd, w);
	if (e != ERR_OK)
		return e;
	net_text(out, r->scheme, text);
	e = r->check != NULL ? r->check(out, text, w) : ERR_OK;
	return e == ERR_OK && r->guarded ? check_mode(out, text, w) : e;
}

/* A port that the kernel picks is nobody else's. */
static bool picks_port(const struct net_addr *a)
{
	switch (a->sa.ss_family) {
	case AF_INET:
		return ((const struct sockaddr_in *)&a->sa)->sin_port == 0;
	case AF_INET6:
		return ((const struct sockaddr_in6 *)&a->sa)->sin6_port == 0;
	case AF_VSOCK:
		return ((const struct sockaddr_vm *)&a->sa)->svm_port == VMADDR_PORT_ANY;
	default:
		return false;
	}
}

static enum err check_twice(const struct listeners *l, const struct net_addr *a, enum listener_use use, struct why *w)
{
	char text[NET_TEXT_MAX], other[NET_TEXT_MAX];
	net_text(a, "http", text);
	for (size_t i = 0; i < l->n && !picks_port(a); i++) {
		net_text(&l->at[i].addr, "http", other);
		if (strcmp(text, other) == 0)
			return why_set(w, ERR_CONFIG, "%s and %s are both %s: each needs an address of its own",
				       rules[l->at[i].use].key, rules[use].key, text);
	}
	return ERR_OK;
}

/* A key's address counts, and must be right, also where a socket of the service manager's takes its place. */
static enum err plan(struct listeners *l, enum listener_use use, const struct config *c,
		     const struct net_activated *given, size_t n_given, struct why *w)
{
	const struct rule *r = &rules[use];
	const char *text = *(char *const *)(const void *)((const char *)c + r->text);
	struct net_addr addr;
	bool inherited = false;
	int fd = -1;
	enum err e = text[0] != '\0' ? read_key(&addr, r, text, w) : ERR_OK;

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n_given; i++) {
		if (strcmp(given[i].name, r->key) != 0)
			continue;
		if (inherited)
			return why_set(w, ERR_CONFIG, "the service manager gave more than one socket named %s", r->key);
		inherited = true;
		fd = given[i].fd;
	}
	if (!inherited && text[0] == '\0')
		return ERR_OK;
	if ((inherited && (e = read_inherited(&addr, r, fd, w)) != ERR_OK) ||
	    (e = check_twice(l, &addr, use, w)) != ERR_OK)
		return e;
	l->at[l->n].use = use;
	l->at[l->n].fd = fd;
	l->at[l->n].inherited = inherited;
	l->at[l->n].addr = addr;
	l->n++;
	return ERR_OK;
}

bool listeners_have(const struct listeners *l, enum listener_use use)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].use == use)
			return true;
	return false;
}

/* A report is of no use without the place where it is honoured, and that without reports lets nobody in. */
static enum err check_peers(const struct listeners *l, struct why *w)
{
	const bool reports = listeners_have(l, LISTENER_PEER), meets = listeners_have(l, LISTENER_PEER_TLS);
	if (reports == meets)
		return ERR_OK;
	return why_set(w, ERR_CONFIG,
		       "%s is set and %s is not: peers exchange reports at the one and meet at the other, so they come "
		       "together",
		       rules[reports ? LISTENER_PEER : LISTENER_PEER_TLS].key,
		       rules[reports ? LISTENER_PEER_TLS : LISTENER_PEER].key);
}

static enum err plan_all(struct listeners *l, const struct config *c, const struct net_activated *given, size_t n,
			 struct why *w)
{
	for (size_t i = 0; i < LISTENER_USES; i++) {
		const enum err e = plan(l, (enum listener_use)i, c, given, n, w);
		if (e != ERR_OK)
			return e;
	}
	if (l->n > 0)
		return check_peers(l, w);
	struct buf keys = BUF_INIT(WHY_TEXT_MAX);
	const enum err e = why_set(w, ERR_CONFIG, "nothing to listen on: set %s", all_keys(&keys, " or "));
	buf_free(&keys);
	return e;
}

static bool is_key(const char *name)
{
	for (size_t i = 0; i < LISTENER_USES; i++)
		if (strcmp(name, rules[i].key) == 0)
			return true;
	return false;
}

enum err listeners_check(const struct config *c, struct why *w)
{
	struct listeners l = {0};
	return plan_all(&l, c, NULL, 0, w);
}

enum err listeners_plan(struct listeners *l, const struct config *c, struct why *w)
{
	struct net_activated given[NET_ACTIVATION_MAX];
	size_t n = 0;
	const enum err e = net_activation(given, &n, w);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n; i++) {
		if (is_key(given[i].name))
			continue;
		struct buf keys = BUF_INIT(WHY_TEXT_MAX);
		(void)why_set(w, ERR_CONFIG,
			      "the service manager gave a socket named %s: FileDescriptorName= must be %s",
			      given[i].name, all_keys(&keys, " or "));
		buf_free(&keys);
		return w->err;
	}
	return plan_all(l, c, given, n, w);
}

static unsigned vsock_port(const struct net_addr *a)
{
	return a->kind == NET_VSOCK ? ((const struct sockaddr_vm *)&a->sa)->svm_port : 0;
}

static enum err open_http(const struct app *app, enum listener_use use, const struct net_addr *a, int fd, struct why *w)
{
	const struct config *c = app->config;
	const struct http_listener how = {
		.reach = rules[use].reach,
		/* On Unix sockets and vsock a client makes its Host up; a page in a browser reaches neither. */
		.any_host = a->kind != NET_TCP,
		.hosts = rules[use].named ? c->allowed_hosts : "",
		.tls = use == LISTENER_TLS	  ? app->tls
		       : use == LISTENER_PEER_TLS ? app->peer_tls
						  : NULL,
		.tls_limits = {c->tls_handshake_timeout * 1000, c->tls_handshakes, c->reply_timeout * 1000, LINGER_MS},
	};
	return http_listen(app->http, fd, &how, w);
}

enum err listeners_open(struct listeners *l, const struct app *app, struct why *w)
{
	for (size_t i = 0; i < l->n; i++) {
		const enum listener_use use = l->at[i].use;
		int *fd = &l->at[i].fd;
		struct net_addr *addr = &l->at[i].addr;
		enum err e;
		if ((!l->at[i].inherited && (e = net_listen(fd, addr, w)) != ERR_OK) ||
		    (e = net_bound(addr, *fd, w)) != ERR_OK)
			return e;
		e = use == LISTENER_VSOCK ? vsock_listen(app->vsock, *fd, vsock_port(addr), w)
					  : open_http(app, use, addr, *fd, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

void listeners_announce(const struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++) {
		char text[NET_TEXT_MAX];
		net_text(&l->at[i].addr, rules[l->at[i].use].scheme, text);
		fprintf(stderr, "listening on %s\n", text);
	}
}

void listeners_close(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (!l->at[i].inherited)
			net_unlisten(l->at[i].fd, &l->at[i].addr);
	l->n = 0;
}
