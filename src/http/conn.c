/* conn.c - connections and their deadlines: what each client owes, and until when. */
#include "internal.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void unlink_conn(struct http_server *s, struct conn *c)
{
	if (c->owed == OWED_NOTHING)
		return;
	struct conn_list *list = &s->owed[c->owed];
	*(c->prev != NULL ? &c->prev->next : &list->first) = c->next;
	*(c->next != NULL ? &c->next->prev : &list->last) = c->prev;
	c->prev = c->next = NULL;
	c->owed = OWED_NOTHING;
}

static void owe(struct http_server *s, struct conn *c, enum owed what)
{
	unlink_conn(s, c);
	if (what == OWED_NOTHING)
		return;
	struct conn_list *list = &s->owed[what];
	c->owed = what;
	c->deadline_ms = loop_now_ms(s->loop) + list->ms;
	c->prev = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = c;
	list->last = c;
}

void conn_owes(struct http_server *s, struct conn *c, enum owed what)
{
	owe(s, c, c->hung_up && what != OWED_READING && what != OWED_NOTHING ? OWED_LAST_WORDS : what);
}

/* libmicrohttpd never learns of an end that arrives together with data. Whoever waits for more of this client would
 * wait until its deadline, with all that its request holds. */
static void on_hang_up(struct loop_io *io, uint32_t events)
{
	struct conn *c = io->ctx;
	(void)events;
	c->hung_up = true;
	if (c->owed != OWED_NOTHING && c->owed != OWED_READING)
		owe(c->server, c, OWED_LAST_WORDS);
}

void conn_started(struct http_server *s, void **slot)
{
	struct conn *c = calloc(1, sizeof *c);
	*slot = c; /* without one, request_line refuses every request of the connection */
	if (c == NULL)
		return;
	struct why w = {0};
	c->server = s;
	c->from = s->accepting;
	c->peer = s->accepting_peer;
	s->accepting_peer = NULL;
	c->io = (struct loop_io){.fd = s->accepting_fd, .ready = on_hang_up, .ctx = c};
	c->owed = OWED_NOTHING;
	if (loop_io_add(s->loop, &c->io, EPOLLRDHUP | EPOLLET, &w) != ERR_OK)
		log_why(s->log, LOG_WARN, "accept", &w); /* the deadlines remain */
	const size_t i = http_reach_index(c->from->how.reach);
	s->count.connections_open[i]++;
	s->count.connections_total[i]++;
	conn_owes(s, c, OWED_HEADER);
}

void conn_ended(struct http_server *s, void **slot)
{
	struct conn *c = *slot;
	if (c == NULL)
		return;
	/* A request line whose parameters are too many for libmicrohttpd's pool is begun and never ended. */
	if (c->request != NULL)
		request_free(c->request);
	unlink_conn(s, c);
	loop_io_del(s->loop, &c->io);
	s->count.connections_open[http_reach_index(c->from->how.reach)]--;
	tls_peer_free(c->peer);
	free(c);
	*slot = NULL;
}

/* A TLS connection is open before libmicrohttpd knows of it, and for a moment after it has forgotten it. */
static uint64_t open_of(const struct http_server *s, size_t reach)
{
	struct tls_front_counters tls;
	http_count_tls(s, (enum http_reach)(1u << reach), &tls);
	return tls.open > s->count.connections_open[reach] ? tls.open : s->count.connections_open[reach];
}

uint64_t conn_open(const struct http_server *s)
{
	uint64_t all = 0;
	for (size_t i = 0; i < HTTP_REACHES; i++)
		all += open_of(s, i);
	return all;
}

bool conn_room(const struct http_server *s, enum http_reach reach)
{
	const size_t i = http_reach_index(reach);
	const uint64_t all = conn_open(s), local = open_of(s, http_reach_index(HTTP_LOCAL));
	if (all >= (uint64_t)s->options.max_connections)
		return false;
	return reach == HTTP_LOCAL || (open_of(s, i) < (uint64_t)s->options.share[i].connections &&
				       all - local < (uint64_t)s->outside_connections);
}

void conn_enforce(struct http_server *s)
{
	const int64_t now = loop_now_ms(s->loop);
	for (int i = 0; i < OWED_LISTS; i++) {
		struct conn *c;
		while ((c = s->owed[i].first) != NULL && c->deadline_ms <= now) {
			char next;
			if (i == OWED_LAST_WORDS && recv(c->io.fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
				owe(s, c, OWED_BODY); /* there is much of it, so it gets the time of the much */
				continue;
			}
			/* libmicrohttpd sees the hang-up in this turn's run and calls conn_ended. */
			unlink_conn(s, c);
			s->count.timeouts += i != OWED_LAST_WORDS;
			shutdown(c->io.fd, SHUT_RDWR);
		}
	}
}

int64_t conn_wait_ms(const struct http_server *s)
{
	int64_t first = -1;
	for (int i = 0; i < OWED_LISTS; i++) {
		const struct conn *c = s->owed[i].first;
		if (c != NULL && (first < 0 || c->deadline_ms < first))
			first = c->deadline_ms;
	}
	if (first < 0)
		return -1;
	const int64_t left = first - loop_now_ms(s->loop);
	return left < 0 ? 0 : left;
}

void conn_shut_idle(struct http_server *s)
{
	for (int i = 0; i < OWED_LISTS; i++) {
		struct conn *next;
		for (struct conn *c = s->owed[i].first; c != NULL; c = next) {
			next = c->next;
			if (c->request != NULL)
				continue;
			unlink_conn(s, c);
			shutdown(c->io.fd, SHUT_RDWR);
		}
	}
}
