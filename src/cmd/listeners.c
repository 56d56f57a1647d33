#include "listeners.h"

#include <stdio.h>
#include <string.h>

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

static enum err plan(struct listeners *l, const char *key, enum http_reach reach, const char *text,
		     const struct net_activated *given, size_t n_given, struct why *w)
{
	struct net_addr addr;
	bool inherited = false;
	int fd = -1;
	enum err e = ERR_OK;
	char from[NET_TEXT_MAX];

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
	e = inherited ? net_bound(&addr, fd, w) : net_parse(&addr, text, w);
	if (e != ERR_OK) {
		const struct why was = *w;
		return inherited ? e : why_set(w, e, "%s = %.128s: %s", key, text, was.text);
	}
	if (inherited) {
		net_text(&addr, "http", from);
		text = from;
	}
	if (reach == HTTP_LOCAL && (e = check_local(&addr, text, w)) != ERR_OK)
		return e;
	l->at[l->n].key = key;
	l->at[l->n].reach = reach;
	l->at[l->n].fd = fd;
	l->at[l->n].inherited = inherited;
	l->at[l->n].addr = addr;
	l->n++;
	return ERR_OK;
}

enum err listeners_plan(struct listeners *l, const struct config *c, struct why *w)
{
	struct net_activated given[NET_ACTIVATION_MAX];
	size_t n = 0;
	enum err e = net_activation(given, &n, w);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n; i++)
		if (strcmp(given[i].name, "listen") != 0 && strcmp(given[i].name, "public_listen") != 0)
			return why_set(
				w, ERR_CONFIG,
				"the service manager gave a socket named %s: FileDescriptorName= must be listen or "
				"public_listen",
				given[i].name);
	if ((e = plan(l, "listen", HTTP_LOCAL, c->listen, given, n, w)) != ERR_OK)
		return e;
	if ((e = plan(l, "public_listen", HTTP_PUBLIC, c->public_listen, given, n, w)) != ERR_OK)
		return e;
	if (l->n == 0)
		return why_set(w, ERR_CONFIG, "nothing to listen on: set listen or public_listen");
	return ERR_OK;
}

enum err listeners_open(struct listeners *l, struct http_server *http, struct why *w)
{
	for (size_t i = 0; i < l->n; i++) {
		enum err e;
		if (!l->at[i].inherited && (e = net_listen(&l->at[i].fd, &l->at[i].addr, w)) != ERR_OK)
			return e;
		/* On Unix sockets and vsock a client makes its Host up, and public routes hold nothing for a page to
		 * steal. */
		const bool any_host = l->at[i].reach == HTTP_PUBLIC || l->at[i].addr.kind != NET_TCP;
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
