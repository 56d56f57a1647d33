/* The HTTP client against a server that does what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "fetch.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define BUSY "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull"

#define NO_TLS NULL, NULL

enum { QUICK_MS = 200, LONG_MS = 20000, LARGE = 8 * 1024 * 1024 };

struct server {
	char dir[32], path[64], url[96];
	int listener, done[2];
	/* What it does with the one connection that it takes. */
	size_t reads; /* bytes of the request; 0: to the end of its header */
	struct bytes says;
	bool byte_by_byte, stays;
	struct buf read;
	pthread_t thread;
};

static void read_request(struct server *p, int fd)
{
	while (p->reads == 0 ? p->read.n == 0 || memmem(p->read.p, p->read.n, "\r\n\r\n", 4) == NULL
			     : p->read.n < p->reads) {
		uint8_t *to = buf_reserve(&p->read, 4096);
		const size_t want = p->reads == 0 || p->reads - p->read.n > 4096 ? 4096 : p->reads - p->read.n;
		const ssize_t n = recv(fd, to, want, 0);
		if (n <= 0)
			return;
		p->read.n += (size_t)n;
	}
}

static void *serve(void *arg)
{
	struct server *p = arg;
	const int fd = accept(p->listener, NULL, NULL);
	const size_t step = p->byte_by_byte ? 1 : p->says.n;
	uint8_t b;
	read_request(p, fd);
	for (size_t i = 0; i < p->says.n; i += step) {
		(void)!send(fd, p->says.p + i, step, MSG_NOSIGNAL);
		if (p->byte_by_byte)
			usleep(100);
	}
	if (p->stays)
		(void)!read(p->done[0], &b, 1);
	close(fd);
	return NULL;
}

static void listen_at(struct server *p, const void *address, socklen_t n, int backlog)
{
	p->listener = socket(*(const sa_family_t *)address, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(bind(p->listener, address, n), 0);
	assert_int_equal(listen(p->listener, backlog), 0);
}

static void listen_unix(struct server *p, int backlog)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	memcpy(p->dir, "/tmp/attestd-fetch-XXXXXX", 26);
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof p->path, "%s/s", p->dir);
	(void)snprintf(p->url, sizeof p->url, "unix:%s", p->path);
	memcpy(to.sun_path, p->path, strlen(p->path) + 1);
	listen_at(p, &to, sizeof to, backlog);
}

/* host: as a URL says it. */
static void listen_ip4(struct server *p, const char *host, int backlog)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof to;
	listen_at(p, &to, sizeof to, backlog);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&to, &n), 0);
	(void)snprintf(p->url, sizeof p->url, "http://%s:%u", host, ntohs(to.sin_port));
}

static void start(struct server *p)
{
	p->read = BUF_INIT(2 * LARGE);
	assert_int_equal(pipe(p->done), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void stop_listening(struct server *p)
{
	close(p->listener);
	if (p->path[0] != '\0') {
		unlink(p->path);
		rmdir(p->dir);
	}
}

static void finish(struct server *p)
{
	close(p->done[1]);
	pthread_join(p->thread, NULL);
	close(p->done[0]);
	stop_listening(p);
}

static enum err ask(const char *url, const struct fetch_request *r, struct fetch_reply *out, struct why *w)
{
	const struct clock clock = clock_system();
	struct fetch_url u;
	if (fetch_url_parse(&u, bytes_str(url), w) != ERR_OK)
		fail_msg("%s: %s", url, w->text);
	return fetch(&u, r, &clock, out, w);
}

static const struct fetch_request get = {"GET", "/health", NULL, {NULL, 0}, LONG_MS, 1024, NO_TLS};
static const struct fetch_request hasty = {"GET", "/health", NULL, {NULL, 0}, QUICK_MS, 1024, NO_TLS};

/* ---- what is sent ---- */

static void a_request_has_these_bytes(void **s)
{
	(void)s;
	const struct fetch_request post = {"POST", "/a?b=c", "application/json", BYTES_LIT("{\"k\":1}"), LONG_MS,
					   1024,   NO_TLS};
	const struct fetch_request empty = {"POST", "/", "application/json", {NULL, 0}, LONG_MS, 1024, NO_TLS};
	static const char common[] = "User-Agent: attestd/" ATTESTD_VERSION
				     "\r\nAccept: application/json\r\nConnection: close\r\n";
	const struct {
		const struct fetch_request *request;
		const char *prefix, *first, *last;
	} cases[] = {
		{&get, "", "GET /health HTTP/1.1\r\n", "\r\n"},
		{&post, "/pre/fix", "POST /pre/fix/a?b=c HTTP/1.1\r\n",
		 "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"k\":1}"},
		{&empty, "", "POST / HTTP/1.1\r\n", "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct server p = {.says = BYTES_LIT(OK "Content-Length: 2\r\n\r\n{}")};
		struct fetch_reply reply = {0};
		struct why w = {0};
		char url[160], want[1024];
		listen_ip4(&p, "127.0.0.1", 1);
		(void)snprintf(want, sizeof want, "%sHost: %s\r\n%s%s", cases[i].first, p.url + strlen("http://"),
			       common, cases[i].last);
		p.reads = strlen(want);
		start(&p);
		(void)snprintf(url, sizeof url, "%s%s", p.url, cases[i].prefix);
		assert_int_equal(ask(url, cases[i].request, &reply, &w), ERR_OK);
		finish(&p);
		assert_true(bytes_is(buf_bytes(&p.read), want));
		assert_int_equal(reply.status, 200);
		assert_true(bytes_is(buf_bytes(&reply.body), "{}"));
		fetch_reply_free(&reply);
		buf_free(&p.read);
	}
}

static void a_request_that_would_not_be_one_is_not_sent(void **s)
{
	(void)s;
	static char longest[FETCH_PATH_MAX + 2] = "/";
	const struct fetch_request bad[] = {
		{"GET", "health", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"GET", "", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"GET", "/a b", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"GET", "/a\r\nX: y", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"GET", "/\xc3\xa4", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"GET /", "/", NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
		{"POST", "/", NULL, BYTES_LIT("{}"), LONG_MS, 1, NO_TLS},
		{"POST", "/", "a/b\r\nX: y", BYTES_LIT("{}"), LONG_MS, 1, NO_TLS},
		{"GET", longest, NULL, {NULL, 0}, LONG_MS, 1, NO_TLS},
	};
	struct fetch_reply reply = {.status = 7};
	struct why w = {0};
	memset(longest, '/', sizeof longest - 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(ask("unix:/nowhere", &bad[i], &reply, &w), ERR_INTERNAL);
	longest[FETCH_PATH_MAX] = '\0';
	assert_int_equal(ask("unix:/nowhere", &bad[8], &reply, &w), ERR_ENVIRONMENT);
	assert_int_equal(reply.status, 7);
}

static void the_longest_request_fits(void **s)
{
	(void)s;
	static char path[FETCH_PATH_MAX + 1], url[FETCH_URL_MAX + 1];
	const struct fetch_request r = {"POST", path, "application/json", BYTES_LIT("{}"), LONG_MS, 1024, NO_TLS};
	struct server p = {.says = BYTES_LIT(OK "Content-Length: 0\r\n\r\n")};
	struct fetch_reply reply = {0};
	struct why w = {0};
	memset(path, '/', FETCH_PATH_MAX);
	listen_ip4(&p, "127.0.0.1", 1);
	memset(url, 'p', FETCH_URL_MAX);
	memcpy(url, p.url, strlen(p.url));
	url[strlen(p.url)] = '/';
	start(&p);
	assert_int_equal(ask(url, &r, &reply, &w), ERR_OK);
	finish(&p);
	fetch_reply_free(&reply);
	buf_free(&p.read);
}

static void large_bodies_pass_both_ways(void **s)
{
	(void)s;
	struct buf reply_text = BUF_INIT(2 * LARGE);
	uint8_t *body = malloc(LARGE);
	struct server p = {.reads = LARGE};
	struct fetch_reply reply = {0};
	struct why w = {0};
	assert_non_null(body);
	memset(body, 'b', LARGE);
	buf_printf(&reply_text, OK "Content-Length: %d\r\n\r\n", (int)LARGE);
	buf_put(&reply_text, body, LARGE);
	p.says = buf_bytes(&reply_text);
	listen_unix(&p, 1);
	start(&p);
	const struct fetch_request r = {"POST", "/", "text/plain", bytes_of(body, LARGE), LONG_MS, LARGE, NO_TLS};
	assert_int_equal(ask(p.url, &r, &reply, &w), ERR_OK);
	finish(&p);
	assert_true(bytes_equal(buf_bytes(&reply.body), bytes_of(body, LARGE)));
	fetch_reply_free(&reply);
	buf_free(&reply_text);
	buf_free(&p.read);
	free(body);
}

/* ---- each form of address ---- */

static void a_unix_socket_is_asked_byte_by_byte(void **s)
{
	(void)s;
	struct server p = {.says = BYTES_LIT("HTTP/1.1 100 C\r\n\r\n" OK "Transfer-Encoding: chunked\r\n"
					     "Content-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
			   .byte_by_byte = true,
			   .stays = true};
	struct fetch_reply reply = {0};
	struct why w = {0};
	listen_unix(&p, 1);
	start(&p);
	assert_int_equal(ask(p.url, &get, &reply, &w), ERR_OK);
	finish(&p);
	assert_non_null(memmem(p.read.p, p.read.n, "\r\nHost: localhost\r\n", 19));
	assert_string_equal(reply.content_type, "application/json");
	assert_true(bytes_is(buf_bytes(&reply.body), "{}"));
	fetch_reply_free(&reply);
	buf_free(&p.read);
}

static void every_address_of_a_name_is_tried(void **s)
{
	(void)s;
	/* Where localhost is ::1 as well, nobody listens there. */
	struct server p = {.says = BYTES_LIT(OK "\r\nto the end")};
	struct fetch_reply reply = {0};
	struct why w = {0};
	listen_ip4(&p, "localhost", 1);
	start(&p);
	assert_int_equal(ask(p.url, &get, &reply, &w), ERR_OK);
	finish(&p);
	assert_true(bytes_is(buf_bytes(&reply.body), "to the end"));
	fetch_reply_free(&reply);
	buf_free(&p.read);
}

static void an_ip6_address_is_asked(void **s)
{
	(void)s;
	struct server p = {.says = BYTES_LIT(OK "Content-Length: 0\r\n\r\n")};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t n = sizeof to;
	struct fetch_reply reply = {0};
	struct why w = {0};
	const int probe = socket(AF_INET6, SOCK_STREAM, 0);
	if (probe < 0 || bind(probe, (struct sockaddr *)&to, sizeof to) != 0) {
		close(probe);
		print_message("this machine has no IPv6 loopback, so none is asked\n");
		skip();
	}
	close(probe);
	listen_at(&p, &to, sizeof to, 1);
	assert_int_equal(getsockname(p.listener, (struct sockaddr *)&to, &n), 0);
	(void)snprintf(p.url, sizeof p.url, "http://[::1]:%u", ntohs(to.sin6_port));
	start(&p);
	assert_int_equal(ask(p.url, &get, &reply, &w), ERR_OK);
	finish(&p);
	assert_non_null(memmem(p.read.p, p.read.n, "\r\nHost: [::1]:", 14));
	fetch_reply_free(&reply);
	buf_free(&p.read);
}

static void a_vsock_address_is_asked(void **s)
{
	(void)s;
	struct server p = {.says = BYTES_LIT(OK "Content-Length: 0\r\n\r\n")};
	struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
	socklen_t n = sizeof to;
	struct fetch_reply reply = {0};
	struct why w = {0};
	/* Nobody is there, or there is no vsock. */
	assert_int_equal(ask("vsock:1:4294967294", &hasty, &reply, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "vsock:1:4294967294"));
	/* The loopback CID, which needs a module that few kernels have loaded. */
	const int probe = socket(AF_VSOCK, SOCK_STREAM, 0);
	to.svm_cid = VMADDR_CID_LOCAL;
	if (probe < 0 || bind(probe, (struct sockaddr *)&to, sizeof to) != 0) {
		close(probe);
		print_message("vsock has no loopback here (modprobe vsock_loopback), so only its absence is tried\n");
		skip();
	}
	close(probe);
	listen_at(&p, &to, sizeof to, 1);
	assert_int_equal(getsockname(p.listener, (struct sockaddr *)&to, &n), 0);
	(void)snprintf(p.url, sizeof p.url, "vsock:1:%u", to.svm_port);
	start(&p);
	assert_int_equal(ask(p.url, &get, &reply, &w), ERR_OK);
	finish(&p);
	fetch_reply_free(&reply);
	buf_free(&p.read);
}

/* ---- servers that fail ---- */

static void tells(const struct why *w, const char *before, const char *url, const char *after)
{
	char want[WHY_TEXT_MAX];
	(void)snprintf(want, sizeof want, "%s%s%s", before, url, after);
	assert_string_equal(w->text, want);
	assert_true(w->tell);
}

static void nobody_there_is_told(void **s)
{
	(void)s;
	struct server p = {0};
	struct fetch_reply reply = {.status = 7};
	struct why w = {0};
	listen_ip4(&p, "127.0.0.1", 1);
	stop_listening(&p);
	assert_int_equal(ask(p.url, &get, &reply, &w), ERR_ENVIRONMENT);
	tells(&w, "no server answers at ", p.url, ": Connection refused");
	assert_int_equal(ask("unix:/nowhere/s", &get, &reply, &w), ERR_ENVIRONMENT);
	tells(&w, "no server answers at ", "unix:/nowhere/s", ": No such file or directory");
	assert_int_equal(reply.status, 7);
}

static void a_name_that_nobody_knows_is_told(void **s)
{
	(void)s;
	struct fetch_reply reply = {0};
	struct why w = {0};
	/* Where there is no network, the resolver would wait for longer. */
	assert_int_equal(setenv("RES_OPTIONS", "timeout:1 attempts:1", 1), 0);
	assert_int_equal(ask("http://attestd.invalid/x", &get, &reply, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "the host of http://attestd.invalid cannot be looked up: "));
}

static void a_server_that_takes_no_connection_meets_the_deadline(void **s)
{
	(void)s;
	for (int unix = 0; unix < 2; unix++) {
		struct server p = {0};
		struct fetch_reply reply = {0};
		struct why w = {0};
		struct sockaddr_storage to = {0};
		socklen_t n = sizeof to;
		int fd[4];
		if (unix)
			listen_unix(&p, 0);
		else
			listen_ip4(&p, "127.0.0.1", 0);
		/* They fill its queue. */
		assert_int_equal(getsockname(p.listener, (struct sockaddr *)&to, &n), 0);
		for (size_t i = 0; i < 4; i++) {
			fd[i] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
			(void)!connect(fd[i], (struct sockaddr *)&to, n);
		}
		assert_int_equal(ask(p.url, &hasty, &reply, &w), ERR_ENVIRONMENT);
		tells(&w, "", p.url, " did not answer within 0.2 s");
		for (size_t i = 0; i < 4; i++)
			close(fd[i]);
		stop_listening(&p);
	}
}

static void fails(struct bytes says, bool stays, bool byte_by_byte, const struct fetch_request *r, const char *after)
{
	struct server p = {.says = says, .stays = stays, .byte_by_byte = byte_by_byte};
	struct fetch_reply reply = {.status = 7};
	struct why w = {0};
	listen_unix(&p, 1);
	start(&p);
	assert_int_equal(ask(p.url, r, &reply, &w), ERR_ENVIRONMENT);
	finish(&p);
	tells(&w, "", p.url, after);
	assert_int_equal(reply.status, 7);
	buf_free(&p.read);
}

static void a_server_that_falls_silent_meets_the_deadline(void **s)
{
	(void)s;
	static const char after[] = " did not answer within 0.2 s";
	static uint8_t drip[1 << 16];
	fails(BYTES_LIT(""), true, false, &hasty, after);
	fails(BYTES_LIT(OK "Content-Le"), true, false, &hasty, after);
	fails(BYTES_LIT(OK "Content-Length: 5\r\n\r\nhell"), true, false, &hasty, after);
	fails(BYTES_LIT(OK "\r\nhello"), true, false, &hasty, after);
	/* Always a byte, never an end: the deadline is of the whole, not of each byte. */
	memset(drip, 'x', sizeof drip);
	memcpy(drip, OK "X: ", sizeof OK + 2);
	fails(bytes_of(drip, 8000), true, true, &hasty, after);
}

static void a_server_that_takes_no_request_meets_the_deadline(void **s)
{
	(void)s;
	uint8_t *body = calloc(1, LARGE);
	const struct fetch_request r = {"POST", "/", "text/plain", bytes_of(body, LARGE), QUICK_MS, 1024, NO_TLS};
	assert_non_null(body);
	fails(BYTES_LIT(""), true, false, &r, " did not answer within 0.2 s");
	free(body);
}

static void a_bad_reply_is_told_with_the_url(void **s)
{
	(void)s;
	fails(BYTES_LIT(""), false, false, &get, " ended the connection without a reply");
	fails(BYTES_LIT(OK "Content-Length: 5\r\n\r\nhell"), false, false, &get,
	      " ended the connection within its reply");
	fails(BYTES_LIT(OK "Content-Length: 1025\r\n\r\n"), true, false, &get, " gave a reply of more than 1024 bytes");
	fails(BYTES_LIT("SSH-2.0-secret\r\n"), true, false, &get,
	      " gave a reply that is not sound HTTP: invalid constant string");
	fails(BYTES_LIT(OK "Transfer-Encoding: gzip\r\n\r\n"), false, false, &get,
	      " gave a reply that is refused: its Transfer-Encoding is not just \"chunked\"");
}

static void an_early_refusal_is_read_although_the_request_is_not(void **s)
{
	(void)s;
	uint8_t *body = calloc(1, LARGE);
	const struct fetch_request r = {"POST", "/", "text/plain", bytes_of(body, LARGE), LONG_MS, 1024, NO_TLS};
	assert_non_null(body);
	for (int i = 0; i < 4; i++) {
		struct server p = {.says = BYTES_LIT(BUSY), .stays = (i & 2) != 0};
		struct fetch_reply reply = {0};
		struct why w = {0};
		if ((i & 1) != 0)
			listen_unix(&p, 1);
		else
			listen_ip4(&p, "127.0.0.1", 1);
		start(&p);
		if (ask(p.url, &r, &reply, &w) != ERR_OK)
			fail_msg("%d: %s", i, w.text);
		finish(&p);
		assert_int_equal(reply.status, 413);
		assert_true(bytes_is(buf_bytes(&reply.body), "full"));
		fetch_reply_free(&reply);
		buf_free(&p.read);
	}
	free(body);
}

static void a_reset_without_a_reply_is_told(void **s)
{
	(void)s;
	uint8_t *body = calloc(1, LARGE);
	const struct fetch_request r = {"POST", "/", "text/plain", bytes_of(body, LARGE), LONG_MS, 1024, NO_TLS};
	struct server p = {0};
	struct fetch_reply reply = {0};
	struct why w = {0};
	assert_non_null(body);
	listen_ip4(&p, "127.0.0.1", 1);
	start(&p);
	assert_int_equal(ask(p.url, &r, &reply, &w), ERR_ENVIRONMENT);
	finish(&p);
	assert_true(strstr(w.text, " broke the connection off: Connection reset by peer") != NULL ||
		    strstr(w.text, " ended the connection without a reply") != NULL);
	buf_free(&p.read);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_has_these_bytes),
		cmocka_unit_test(a_request_that_would_not_be_one_is_not_sent),
		cmocka_unit_test(the_longest_request_fits),
		cmocka_unit_test(large_bodies_pass_both_ways),
		cmocka_unit_test(a_unix_socket_is_asked_byte_by_byte),
		cmocka_unit_test(every_address_of_a_name_is_tried),
		cmocka_unit_test(an_ip6_address_is_asked),
		cmocka_unit_test(a_vsock_address_is_asked),
		cmocka_unit_test(nobody_there_is_told),
		cmocka_unit_test(a_name_that_nobody_knows_is_told),
		cmocka_unit_test(a_server_that_takes_no_connection_meets_the_deadline),
		cmocka_unit_test(a_server_that_falls_silent_meets_the_deadline),
		cmocka_unit_test(a_server_that_takes_no_request_meets_the_deadline),
		cmocka_unit_test(a_bad_reply_is_told_with_the_url),
		cmocka_unit_test(an_early_refusal_is_read_although_the_request_is_not),
		cmocka_unit_test(a_reset_without_a_reply_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
