/* listeners.c - the addresses that the keys name, judged before anything is opened, then opened. */
#include "listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* The address that a key names. */
static enum err read_key(struct net_addr *out, const char *key, enum http_reach reach, const char *text, struct why *w)
{
	const enum err e = net_parse(out, text, w);
	if (e != ERR_OK)
		return why_set(w, e, "%s = %.128s: %s", key, text, w->text);
	return reach == HTTP_LOCAL ? check_local(out, text, w) : ERR_OK;
}

/* A key's address counts, and must be right, also where a socket of the service manager's takes its place. */
static enum err plan(struct listeners *l, const char *key, enum http_reach reach, const char *text,
		     const struct net_activated *given, size_t n_given, struct why *w)
{
	struct net_addr addr;
	bool inherited = false;
	int fd = -1;
	enum err e = text[0] != '\0' ? read_key(&addr, key, reach, text, w) : ERR_OK;

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n_given; i++) {
		if (strcmp(given[i].name, key) != 0)
			continue;
		if (inherited)
			return why_set(w, ERR_CONFIG, "the service manager gave more than one socket named %s", key);
		inherited = true;
		fd = given[i].fd;
	}
	if (!inherited && text[0] == '\0')
		return ERR_OK;
	if (inherited) {
		char from[NET_TEXT_MAX];
		if ((e = net_bound(&addr, fd, w)) != ERR_OK)
			return e;
		net_text(&addr, "http", from);
		if (reach == HTTP_LOCAL &&
		    ((e = check_local(&addr, from, w)) != ERR_OK || (e = check_mode(&addr, from, w)) != ERR_OK))
			return e;
	}
	l->at[l->n].key = key;
	l->at[l->n].reach = reach;
	l->at[l->n].fd = fd;
	l->at[l->n].inherited = inherited;
	l->at[l->n].addr = addr;
	l->n++;
	return ERR_OK;
}

static enum err plan_all(struct listeners *l, const struct config *c, const struct net_activated *given, size_t n,
			 struct why *w)
{
	enum err e;
	if ((e = plan(l, "listen", HTTP_LOCAL, c->listen, given, n, w)) != ERR_OK ||
	    (e = plan(l, "public_listen", HTTP_PUBLIC, c->public_listen, given, n, w)) != ERR_OK)
		return e;
	if (l->n == 0)
		return why_set(w, ERR_CONFIG, "nothing to listen on: set listen or public_listen");
	return ERR_OK;
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
	for (size_t i = 0; i < n; i++)
		if (strcmp(given[i].name, "listen") != 0 && strcmp(given[i].name, "public_listen") != 0)
			return why_set(
				w, ERR_CONFIG,
				"the service manager gave a socket named %s: FileDescriptorName= must be listen or "
				"public_listen",
				given[i].name);
	return plan_all(l, c, given, n, w);
}

enum err listeners_open(struct listeners *l, struct http_server *http, struct why *w)
{
	for (size_t i = 0; i < l->n; i++) {
		enum err e;
		if (!l->at[i].inherited && (e = net_listen(&l->at[i].fd, &l->at[i].addr, w)) != ERR_OK)
			return e;
		/* On Unix sockets and vsock a client makes its Host up; a page in a browser reaches neither. */
		const bool any_host = l->at[i].addr.kind != NET_TCP;
		if ((e = http_listen(http, l->at[i].fd, l->at[i].reach, any_host, w)) != ERR_OK ||
		    (e = net_bound(&l->at[i].addr, l->at[i].fd, w)) != ERR_OK)
			return e;
	}
	return ERR_OK;
}

void listeners_announce(const struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++) {
		char text[NET_TEXT_MAX];
		net_text(&l->at[i].addr, "http", text);
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
