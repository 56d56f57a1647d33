/* The HTTP client under TLS, against a server that does what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fetch.h"

#define OK    "HTTP/1.1 200 OK\r\n"
#define REPLY OK "Content-Length: 2\r\n\r\n{}"
#define BUSY  "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull"

enum { QUICK_MS = 200, LONG_MS = 20000, LARGE = 8 * 1024 * 1024, LIFE_S = 3600 };

/* Made once: each takes time. */
static struct crypto *crypto;
static struct tls_identity *identity;

/* What it does with the one connection that it takes. */
struct server {
	struct bytes says;
	bool mute, plain, cuts, leaves, stays, whole; /* whole: reads LARGE bytes more than a header */
	enum tls_clients clients;
	const struct tls_ca *ca;
	/* its own */
	char dir[32], path[64], url[96];
	int listener, done[2];
	struct tls_server *tls;
	struct tls_peer *client;
	struct buf read;
	pthread_t thread;
};

/* ---- the server ---- */

static bool wait_for(int fd, enum tls_step step)
{
	struct pollfd p = {.fd = fd, .events = step == TLS_WANT_READ ? POLLIN : POLLOUT};
	return (step == TLS_WANT_READ || step == TLS_WANT_WRITE) && poll(&p, 1, LONG_MS) > 0;
}

static bool read_some(struct server *p, struct tls *t, int fd)
{
	struct why w = {0};
	size_t n = 0;
	uint8_t *to = buf_reserve(&p->read, 16384);
	enum tls_step step;
	while ((step = tls_read(t, to, 16384, &n, &w)) != TLS_DONE)
		if (!wait_for(fd, step))
			return false;
	p->read.n += n;
	return true;
}

static void read_request(struct server *p, struct tls *t, int fd)
{
	while (p->read.n == 0 || memmem(p->read.p, p->read.n, "\r\n\r\n", 4) == NULL)
		if (!read_some(p, t, fd))
			return;
	while (p->whole && p->read.n < LARGE)
		if (!read_some(p, t, fd))
			return;
}

static void say(const struct server *p, struct tls *t, int fd)
{
	struct bytes left = p->says;
	struct why w = {0};
	while (left.n > 0) {
		size_t n = 0;
		const enum tls_step step = tls_write(t, left, &n, &w);
		if (step == TLS_DONE)
			left = bytes_of(left.p + n, left.n - n);
		else if (!wait_for(fd, step))
			return;
	}
}

static void serve_tls(struct server *p, int fd)
{
	struct tls *t = NULL;
	struct why w = {0};
	enum tls_step step;
	if (tls_accept(p->tls, fd, &t, &w) != ERR_OK)
		return;
	do
		step = tls_handshake(t, &w);
	while (step != TLS_DONE && wait_for(fd, step));
	if (step == TLS_DONE && tls_peer_of(t, &p->client, &w) == ERR_OK) {
		if (!p->leaves)
			read_request(p, t, fd);
		say(p, t, fd);
		if (!p->cuts && !p->stays)
			(void)!tls_end(t, &w);
	}
	uint8_t b;
	if (p->stays)
		(void)!read(p->done[0], &b, 1);
	tls_free(t);
}

static void *serve(void *arg)
{
	struct server *p = arg;
	sigset_t sigpipe;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
	const int fd = accept4(p->listener, NULL, NULL, SOCK_NONBLOCK);
	uint8_t b;
	if (p->plain)
		(void)!send(fd, p->says.p, p->says.n, MSG_NOSIGNAL);
	else if (!p->mute)
		serve_tls(p, fd);
	if (p->mute)
		(void)!read(p->done[0], &b, 1);
	close(fd);
	return NULL;
}

static void listen_at(struct server *p, const void *address, socklen_t n)
{
	p->listener = socket(*(const sa_family_t *)address, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(bind(p->listener, address, n), 0);
	assert_int_equal(listen(p->listener, 1), 0);
}

static void listen_unix(struct server *p)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	memcpy(p->dir, "/tmp/attestd-fetch-XXXXXX", 26);
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof p->path, "%s/s", p->dir);
	(void)snprintf(p->url, sizeof p->url, "https+unix:%s", p->path);
	memcpy(to.sun_path, p->path, strlen(p->path) + 1);
	listen_at(p, &to, sizeof to);
}

static void listen_tcp(struct server *p, const char *host)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof to;
	listen_at(p, &to, sizeof to);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&to, &n), 0);
	(void)snprintf(p->url, sizeof p->url, "https://%s:%u", host, ntohs(to.sin_port));
}

static void start(struct server *p)
{
	struct why w = {0};
	p->read = BUF_INIT(2 * LARGE);
	assert_int_equal(tls_server_new(identity, false, p->clients, p->ca, &p->tls, &w), ERR_OK);
	assert_int_equal(pipe(p->done), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

/* Afterwards what it saw can be looked at. */
static void join(struct server *p)
{
	close(p->done[1]);
	pthread_join(p->thread, NULL);
	close(p->done[0]);
	close(p->listener);
	if (p->path[0] != '\0') {
		unlink(p->path);
		rmdir(p->dir);
	}
}

static void drop(struct server *p)
{
	tls_server_free(p->tls);
	tls_peer_free(p->client);
	buf_free(&p->read);
}

/* ---- the client ---- */

static struct fetch_request get(void)
{
	return (struct fetch_request){.method = "GET", .path = "/x", .timeout_ms = LONG_MS, .reply_max = 1024};
}

static enum err ask(const struct server *p, const struct fetch_request *r, struct fetch_reply *out, struct why *w)
{
	const struct clock clock = clock_system();
	struct fetch_url u;
	assert_int_equal(fetch_url_parse(&u, bytes_str(p->url), w), ERR_OK);
	return fetch(&u, r, &clock, out, w);
}

static void succeeds(struct server *p, const struct fetch_request *r, unsigned status, const char *body)
{
	struct fetch_reply reply = {0};
	struct why w = {0};
	start(p);
	if (ask(p, r, &reply, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_int_equal(reply.status, status);
	assert_true(bytes_is(buf_bytes(&reply.body), body));
	assert_non_null(reply.peer);
	assert_true(bytes_equal(tls_peer_cert(reply.peer), tls_identity_cert(identity)));
	assert_memory_equal(tls_peer_key_hash(reply.peer), tls_identity_spki_hash(identity), SHA256_SIZE);
	fetch_reply_free(&reply);
	assert_null(reply.peer);
	join(p);
}

static void fails(struct server *p, const struct fetch_request *r, enum err want, const char *says)
{
	struct fetch_reply reply = {.status = 7};
	struct why w = {0};
	listen_unix(p);
	start(p);
	assert_int_equal(ask(p, r, &reply, &w), want);
	if (strncmp(w.text, p->url, strlen(p->url)) != 0 || strstr(w.text, says) == NULL)
		fail_msg("%s", w.text);
	assert_true(w.tell);
	assert_int_equal(reply.status, 7);
	join(p);
	drop(p);
}

static bool got(const struct server *p, const char *text)
{
	return memmem(p->read.p, p->read.n, text, strlen(text)) != NULL;
}

static void it_tells_whose_certificate_answered(void **s)
{
	(void)s;
	const struct fetch_request r = get();
	for (int kind = 0; kind < 3; kind++) {
		struct server p = {.says = BYTES_LIT(REPLY)};
		if (kind == 0)
			listen_unix(&p);
		else
			listen_tcp(&p, kind == 1 ? "127.0.0.1" : "localhost");
		succeeds(&p, &r, 200, "{}");
		assert_true(got(&p, "GET /x HTTP/1.1\r\nHost: "));
		assert_true(got(&p, kind == 0 ? "Host: localhost\r\n" : p.url + strlen("https://")));
		assert_null(tls_peer_key_hash(p.client));
		drop(&p);
	}
}

static void a_plain_reply_has_no_peer(void **s)
{
	(void)s;
	struct server p = {.says = BYTES_LIT(REPLY), .plain = true};
	const struct fetch_request r = get();
	struct fetch_reply reply = {0};
	struct why w = {0};
	listen_unix(&p);
	start(&p);
	memmove(p.url, p.url + strlen("https+"), strlen(p.url) - strlen("https+") + 1);
	assert_int_equal(ask(&p, &r, &reply, &w), ERR_OK);
	assert_null(reply.peer);
	fetch_reply_free(&reply);
	join(&p);
	drop(&p);
}

static void it_shows_its_own_certificate(void **s)
{
	(void)s;
	struct server p = {.says = BYTES_LIT(REPLY)};
	struct fetch_request r = get();
	struct tls_identity *own = NULL;
	struct why w = {0};
	assert_int_equal(tls_identity_new(crypto, "client", NULL, 0, (int64_t)time(NULL), LIFE_S, &own, &w), ERR_OK);
	r.own = own;
	listen_unix(&p);
	succeeds(&p, &r, 200, "{}");
	assert_memory_equal(tls_peer_key_hash(p.client), tls_identity_spki_hash(own), SHA256_SIZE);
	drop(&p);
	tls_identity_free(own);
}

static void the_key_that_is_wanted_must_be_proven(void **s)
{
	(void)s;
	struct server good = {.says = BYTES_LIT(REPLY)}, bad = {.says = BYTES_LIT(REPLY)};
	struct fetch_request r = get();
	uint8_t hash[SHA256_SIZE];
	memcpy(hash, tls_identity_spki_hash(identity), sizeof hash);
	r.server_key_hash = hash;
	listen_unix(&good);
	succeeds(&good, &r, 200, "{}");
	drop(&good);
	hash[SHA256_SIZE - 1] ^= 1;
	listen_unix(&bad);
	start(&bad);
	struct fetch_reply reply = {0};
	struct why w = {0};
	assert_int_equal(ask(&bad, &r, &reply, &w), ERR_UNATTESTED);
	assert_non_null(strstr(w.text, " proves another key than the attested one: somebody in between ends TLS"));
	assert_true(w.tell);
	join(&bad);
	/* It has heard nothing. */
	assert_int_equal(bad.read.n, 0);
	drop(&bad);
}

static void large_bodies_pass_both_ways(void **s)
{
	(void)s;
	struct buf text = BUF_INIT(2 * LARGE);
	uint8_t *body = malloc(LARGE);
	struct fetch_request r = get();
	struct fetch_reply reply = {0};
	struct why w = {0};
	assert_non_null(body);
	memset(body, 'b', LARGE);
	r.method = "POST";
	r.content_type = "text/plain";
	r.body = bytes_of(body, LARGE);
	r.reply_max = LARGE;
	buf_printf(&text, OK "Content-Length: %d\r\n\r\n", (int)LARGE);
	buf_put(&text, body, LARGE);
	struct server p = {.says = buf_bytes(&text), .whole = true};
	listen_unix(&p);
	start(&p);
	assert_int_equal(ask(&p, &r, &reply, &w), ERR_OK);
	join(&p);
	assert_true(bytes_equal(buf_bytes(&reply.body), r.body));
	assert_true(p.read.n >= LARGE && memcmp(p.read.p + p.read.n - 16, "bbbbbbbbbbbbbbbb", 16) == 0);
	drop(&p);
	fetch_reply_free(&reply);
	buf_free(&text);
	free(body);
}

static void a_complete_reply_is_one_however_the_connection_ends(void **s)
{
	(void)s;
	static const struct bytes complete[] = {BYTES_LIT(REPLY),
						BYTES_LIT(OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")};
	const struct fetch_request r = get();
	for (size_t i = 0; i < 2; i++) {
		struct server cut = {.says = complete[i], .cuts = true}, open = {.says = complete[i], .stays = true};
		listen_unix(&cut);
		succeeds(&cut, &r, 200, "{}");
		drop(&cut);
		listen_unix(&open);
		succeeds(&open, &r, 200, "{}");
		drop(&open);
	}
	struct server orderly = {.says = BYTES_LIT(OK "\r\nto the end")};
	listen_unix(&orderly);
	succeeds(&orderly, &r, 200, "to the end");
	drop(&orderly);
}

static void a_reply_that_is_cut_off_is_none(void **s)
{
	(void)s;
	static const struct bytes parts[] = {BYTES_LIT(""), BYTES_LIT(OK "Content-Length: 5\r\n\r\nhell"),
					     BYTES_LIT(OK "\r\nto the end")};
	const struct fetch_request r = get();
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		struct server p = {.says = parts[i], .cuts = true};
		fails(&p, &r, ERR_ENVIRONMENT, " broke the connection off: reading from TLS: ");
	}
	struct server empty = {.says = parts[0]}, half = {.says = parts[1]};
	fails(&empty, &r, ERR_ENVIRONMENT, " ended the connection without a reply");
	fails(&half, &r, ERR_ENVIRONMENT, " ended the connection within its reply");
}

static void what_is_no_tls_is_told(void **s)
{
	(void)s;
	const struct fetch_request r = get();
	struct server plain = {.says = BYTES_LIT("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
			       .plain = true};
	struct server nothing = {.plain = true};
	fails(&plain, &r, ERR_ENVIRONMENT, " speaks no TLS that can be used: the TLS handshake failed: ");
	fails(&nothing, &r, ERR_ENVIRONMENT, " speaks no TLS that can be used: the TLS handshake failed: ");
}

static void the_deadline_is_of_the_handshake_too(void **s)
{
	(void)s;
	static const char after[] = " did not answer within 0.2 s";
	uint8_t *body = calloc(1, LARGE);
	struct fetch_request r = get();
	assert_non_null(body);
	r.timeout_ms = QUICK_MS;
	struct server mute = {.mute = true}, stays = {.stays = true};
	struct server half = {.says = BYTES_LIT(OK "Content-Length: 5\r\n\r\nhell"), .stays = true};
	fails(&mute, &r, ERR_ENVIRONMENT, after);
	fails(&stays, &r, ERR_ENVIRONMENT, after);
	fails(&half, &r, ERR_ENVIRONMENT, after);
	struct server deaf = {.stays = true, .leaves = true};
	r.method = "POST";
	r.content_type = "text/plain";
	r.body = bytes_of(body, LARGE);
	fails(&deaf, &r, ERR_ENVIRONMENT, after);
	free(body);
}

static void a_client_that_is_refused_is_told(void **s)
{
	(void)s;
	const struct fetch_request r = get();
	struct tls_ca *ca = NULL;
	struct why w = {0};
	assert_int_equal(tls_ca_new(crypto, (int64_t)time(NULL), &ca, &w), ERR_OK);
	struct server p = {.says = BYTES_LIT(REPLY), .clients = TLS_CLIENTS_OURS, .ca = ca};
	fails(&p, &r, ERR_IDENTITY, " broke the connection off: reading from TLS: tlsv13 alert certificate required");
	tls_ca_free(ca);
}

/* SIGPIPE as it is by default would end the program. */
static void an_early_refusal_is_read_although_the_request_is_not(void **s)
{
	(void)s;
	uint8_t *body = calloc(1, LARGE);
	struct fetch_request r = get();
	assert_non_null(body);
	assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	r.method = "POST";
	r.content_type = "text/plain";
	r.body = bytes_of(body, LARGE);
	for (int i = 0; i < 4; i++) {
		struct server p = {.says = BYTES_LIT(BUSY), .stays = (i & 2) != 0};
		if ((i & 1) != 0)
			listen_unix(&p);
		else
			listen_tcp(&p, "127.0.0.1");
		succeeds(&p, &r, 413, "full");
		drop(&p);
	}
	sigset_t mask;
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	assert_int_equal(sigismember(&mask, SIGPIPE), 0);
	free(body);
}

static int begin(void **s)
{
	struct why w = {0};
	(void)s;
	return crypto_new(&crypto, &w) != ERR_OK ||
	       tls_identity_new(crypto, "attestd", NULL, 0, (int64_t)time(NULL), LIFE_S, &identity, &w) != ERR_OK;
}

static int end(void **s)
{
	(void)s;
	tls_identity_free(identity);
	crypto_free(crypto);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_whose_certificate_answered),
		cmocka_unit_test(a_plain_reply_has_no_peer),
		cmocka_unit_test(it_shows_its_own_certificate),
		cmocka_unit_test(the_key_that_is_wanted_must_be_proven),
		cmocka_unit_test(large_bodies_pass_both_ways),
		cmocka_unit_test(a_complete_reply_is_one_however_the_connection_ends),
		cmocka_unit_test(a_reply_that_is_cut_off_is_none),
		cmocka_unit_test(what_is_no_tls_is_told),
		cmocka_unit_test(the_deadline_is_of_the_handshake_too),
		cmocka_unit_test(a_client_that_is_refused_is_told),
		cmocka_unit_test(an_early_refusal_is_read_although_the_request_is_not),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
