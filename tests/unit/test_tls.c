/* test_tls.c - identities, handshakes and bytes, over socket pairs. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tls.h"

enum { NOW = 1800000000, LIFE = 3600, ROUNDS = 50 };

static struct crypto *crypto;

struct pair {
	int fd[2];
	struct tls *server, *client;
};

static struct tls_identity *identity(void)
{
	const struct bytes names[] = {BYTES_LIT("localhost"), BYTES_LIT("127.0.0.1"), BYTES_LIT("::1")};
	struct tls_identity *i = NULL;
	struct why w = {0};

	assert_int_equal(tls_identity_new(crypto, "attestd", names, 3, (int64_t)time(NULL), LIFE, &i, &w), ERR_OK);
	return i;
}

static struct tls_server *server_of(struct tls_identity *i, enum tls_clients clients, const struct tls_ca *ca)
{
	struct tls_server *s = NULL;
	struct why w = {0};

	assert_int_equal(tls_server_new(i, false, clients, ca, &s, &w), ERR_OK);
	return s;
}

static void open_pair(struct pair *p, struct tls_server *s, struct tls_identity *own)
{
	struct why w = {0};

	*p = (struct pair){.server = NULL};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	assert_int_equal(tls_accept(s, p->fd[0], &p->server, &w), ERR_OK);
	assert_int_equal(tls_connect(own, "localhost", p->fd[1], &p->client, &w), ERR_OK);
}

static void close_pair(struct pair *p)
{
	tls_free(p->server);
	tls_free(p->client);
	close(p->fd[0]);
	close(p->fd[1]);
}

/* Both ends in turn: true when both are done. A server that refuses is only heard of by the client's next read. */
static bool shake(struct pair *p, struct why *w)
{
	enum tls_step a = TLS_WANT_READ, b = TLS_WANT_READ;

	for (int i = 0; i < ROUNDS && (a != TLS_DONE || b != TLS_DONE); i++) {
		if (b != TLS_DONE)
			b = tls_handshake(p->client, w);
		if (a != TLS_DONE)
			a = tls_handshake(p->server, w);
		if (a == TLS_BROKEN || b == TLS_BROKEN)
			return false;
	}
	return a == TLS_DONE && b == TLS_DONE;
}

static void carry(struct tls *from, struct tls *to, const char *text)
{
	uint8_t in[64];
	struct why w = {0};
	size_t n = 0;

	assert_int_equal(tls_write(from, bytes_str(text), &n, &w), TLS_DONE);
	assert_int_equal(n, strlen(text));
	assert_int_equal(tls_read(to, in, sizeof in, &n, &w), TLS_DONE);
	assert_true(bytes_is(bytes_of(in, n), text));
}

static void both_ends_know_each_others_keys(void **state)
{
	struct tls_identity *a = identity(), *b = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct tls_peer *seen = NULL;
	struct why w = {0};
	struct pair p;

	(void)state;
	open_pair(&p, s, b);
	assert_true(shake(&p, &w));
	carry(p.client, p.server, "ping");
	carry(p.server, p.client, "pong");
	assert_int_equal(tls_peer_of(p.server, &seen, &w), ERR_OK);
	assert_memory_equal(tls_peer_key_hash(seen), tls_identity_spki_hash(b), SHA256_SIZE);
	assert_true(bytes_equal(tls_peer_cert(seen), tls_identity_cert(b)));
	assert_ptr_equal(tls_peer_own(seen), a);
	tls_peer_free(seen);
	assert_int_equal(tls_peer_of(p.client, &seen, &w), ERR_OK);
	assert_memory_equal(tls_peer_key_hash(seen), tls_identity_spki_hash(a), SHA256_SIZE);
	tls_peer_free(seen);
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
	tls_identity_free(b);
}

static void a_client_without_a_certificate_is_nobody(void **state)
{
	struct tls_identity *a = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct tls_peer *seen = NULL;
	struct why w = {0};
	struct pair p;

	(void)state;
	open_pair(&p, s, NULL);
	assert_true(shake(&p, &w));
	carry(p.client, p.server, "x");
	assert_int_equal(tls_peer_of(p.server, &seen, &w), ERR_OK);
	assert_null(tls_peer_key_hash(seen));
	assert_int_equal(tls_peer_cert(seen).n, 0);
	tls_peer_free(seen);
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
}

/* A certificate for the client's key, of this authority. */
static struct tls_identity *vouched(const struct tls_ca *ca, const struct tls_identity *i, int64_t now_s)
{
	struct buf der = BUF_INIT(TLS_CERT_DER_MAX);
	struct tls_identity *out = NULL;
	struct why w = {0};

	assert_int_equal(tls_ca_issue(crypto, ca, tls_identity_spki(i), now_s, LIFE, &der, &w), ERR_OK);
	assert_int_equal(tls_identity_with(i, buf_bytes(&der), &out, &w), ERR_OK);
	buf_free(&der);
	return out;
}

static bool is_let_in(struct tls_server *s, struct tls_identity *own)
{
	struct why w = {0};
	struct pair p;

	open_pair(&p, s, own);
	const bool good = shake(&p, &w);
	close_pair(&p);
	return good;
}

static void only_certificates_of_the_authority_pass(void **state)
{
	struct tls_identity *a = identity(), *b = identity();
	const int64_t now = (int64_t)time(NULL);
	struct tls_ca *ca = NULL, *other = NULL;
	struct why w = {0};

	(void)state;
	assert_int_equal(tls_ca_new(crypto, now, &ca, &w), ERR_OK);
	assert_int_equal(tls_ca_new(crypto, now, &other, &w), ERR_OK);
	struct tls_server *s = server_of(a, TLS_CLIENTS_OURS, ca);
	struct tls_identity *good = vouched(ca, b, now), *strange = vouched(other, b, now);
	struct tls_identity *old = vouched(ca, b, now - 2 * LIFE), *early = vouched(ca, b, now + LIFE);

	assert_true(is_let_in(s, good));
	assert_false(is_let_in(s, NULL));
	assert_false(is_let_in(s, b));
	assert_false(is_let_in(s, strange));
	assert_false(is_let_in(s, old));
	assert_false(is_let_in(s, early));
	tls_identity_free(good);
	tls_identity_free(strange);
	tls_identity_free(old);
	tls_identity_free(early);
	tls_server_free(s);
	tls_ca_free(ca);
	tls_ca_free(other);
	tls_identity_free(a);
	tls_identity_free(b);
}

static void a_renewed_identity_is_for_later_connections(void **state)
{
	struct tls_identity *a = identity(), *b = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct tls_peer *seen = NULL;
	struct why w = {0};
	struct pair p, q;

	(void)state;
	open_pair(&p, s, NULL);
	assert_int_equal(tls_server_renew(s, b, &w), ERR_OK);
	tls_identity_free(a);
	open_pair(&q, s, NULL);
	assert_true(shake(&p, &w));
	assert_true(shake(&q, &w));
	assert_int_equal(tls_peer_of(p.client, &seen, &w), ERR_OK);
	assert_memory_not_equal(tls_peer_key_hash(seen), tls_identity_spki_hash(b), SHA256_SIZE);
	tls_peer_free(seen);
	assert_int_equal(tls_peer_of(q.client, &seen, &w), ERR_OK);
	assert_memory_equal(tls_peer_key_hash(seen), tls_identity_spki_hash(b), SHA256_SIZE);
	tls_peer_free(seen);
	close_pair(&p);
	close_pair(&q);
	tls_server_free(s);
	tls_identity_free(b);
}

static void an_end_is_orderly_or_broken(void **state)
{
	struct tls_identity *a = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct why w = {0};
	uint8_t in[16];
	struct pair p;
	size_t n = 0;

	(void)state;
	open_pair(&p, s, NULL);
	assert_true(shake(&p, &w));
	assert_int_equal(tls_read(p.server, in, sizeof in, &n, &w), TLS_WANT_READ);
	assert_int_equal(tls_end(p.client, &w), TLS_DONE);
	assert_int_equal(tls_read(p.server, in, sizeof in, &n, &w), TLS_ENDED);
	carry(p.server, p.client, "still there");
	assert_int_equal(shutdown(p.fd[0], SHUT_WR), 0);
	assert_int_equal(tls_read(p.client, in, sizeof in, &n, &w), TLS_BROKEN);
	assert_int_equal(w.err, ERR_ENVIRONMENT);
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
}

/* A client of OpenSSL's own, which can be made to send messages of TLS's own. */
static SSL *bare_client(struct pair *p, struct tls_server *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct why w = {0};

	*p = (struct pair){.server = NULL};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p->fd), 0);
	assert_int_equal(tls_accept(s, p->fd[0], &p->server, &w), ERR_OK);
	SSL *ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_non_null(ssl);
	assert_int_equal(SSL_set_fd(ssl, p->fd[1]), 1);
	for (int i = 0, a = 0; i < ROUNDS && a != 1; i++) {
		(void)SSL_connect(ssl);
		a = tls_handshake(p->server, &w) == TLS_DONE;
	}
	assert_int_equal(SSL_is_init_finished(ssl), 1);
	return ssl;
}

static void change_keys(SSL *ssl, int times)
{
	for (int i = 0; i < times; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(ssl), 1);
	}
}

/* Each costs the server more than the client, who can have made them beforehand. */
static void messages_of_tls_alone_end_the_connection(void **state)
{
	enum { MOST = 32 };
	struct tls_identity *a = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct why w = {0};
	uint8_t in[16];
	struct pair p;
	size_t n = 0;

	(void)state;
	SSL *ssl = bare_client(&p, s);
	for (int round = 0; round < 3; round++) {
		change_keys(ssl, MOST);
		assert_int_equal(SSL_write(ssl, "data", 4), 4);
		enum tls_step step = TLS_WANT_READ;
		for (int i = 0; i < ROUNDS && step == TLS_WANT_READ; i++)
			step = tls_read(p.server, in, sizeof in, &n, &w);
		assert_int_equal(step, TLS_DONE);
		assert_true(bytes_is(bytes_of(in, n), "data"));
	}
	change_keys(ssl, MOST + 1);
	enum tls_step step = TLS_WANT_READ;
	for (int i = 0; i < ROUNDS && step == TLS_WANT_READ; i++)
		step = tls_read(p.server, in, sizeof in, &n, &w);
	assert_int_equal(step, TLS_BROKEN);
	SSL_free(ssl);
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
}

/* Who takes a long reply has no data to send meanwhile. */
static void data_of_either_direction_allows_more_messages_of_tls(void **state)
{
	enum { MOST = 32 };
	struct tls_identity *a = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	struct why w = {0};
	uint8_t in[16];
	struct pair p;
	size_t n = 0;
	enum tls_step step = TLS_WANT_READ;

	(void)state;
	SSL *ssl = bare_client(&p, s);
	for (int round = 0; round < 3; round++) {
		change_keys(ssl, MOST);
		for (int i = 0; i < ROUNDS; i++)
			assert_int_equal(tls_read(p.server, in, sizeof in, &n, &w), TLS_WANT_READ);
		assert_int_equal(tls_write(p.server, BYTES_LIT("part"), &n, &w), TLS_DONE);
	}
	change_keys(ssl, MOST + 1);
	for (int i = 0; i < ROUNDS && step == TLS_WANT_READ; i++)
		step = tls_read(p.server, in, sizeof in, &n, &w);
	assert_int_equal(step, TLS_BROKEN);
	SSL_free(ssl);
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
}

static void garbage_breaks_the_handshake(void **state)
{
	struct tls_identity *a = identity();
	struct tls_server *s = server_of(a, TLS_CLIENTS_ASKED, NULL);
	static const char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct why w = {0};
	struct pair p;

	(void)state;
	open_pair(&p, s, NULL);
	assert_int_equal(write(p.fd[1], text, sizeof text - 1), sizeof text - 1);
	assert_int_equal(tls_handshake(p.server, &w), TLS_BROKEN);
	assert_non_null(strstr(w.text, "http request"));
	close_pair(&p);
	tls_server_free(s);
	tls_identity_free(a);
}

static enum err named(const char *name)
{
	const struct bytes names[] = {bytes_str(name)};
	struct tls_identity *i = NULL;
	struct why w = {0};
	const enum err e = tls_identity_new(crypto, "attestd", names, 1, NOW, LIFE, &i, &w);

	tls_identity_free(i);
	return e;
}

static void names_are_names_or_addresses(void **state)
{
	char longest[TLS_NAME_MAX + 2];

	(void)state;
	assert_int_equal(named("example.org"), ERR_OK);
	assert_int_equal(named("*.example.org"), ERR_OK);
	assert_int_equal(named("::1"), ERR_OK);
	assert_int_equal(named(""), ERR_CONFIG);
	assert_int_equal(named("a,DNS:b"), ERR_CONFIG);
	assert_int_equal(named("DNS:b"), ERR_CONFIG);
	assert_int_equal(named("a b"), ERR_CONFIG);
	assert_int_equal(named("\xc3\xa9"), ERR_CONFIG);
	memset(longest, 'a', sizeof longest);
	longest[TLS_NAME_MAX] = '\0';
	assert_int_equal(named(longest), ERR_OK);
	longest[TLS_NAME_MAX] = 'a';
	longest[TLS_NAME_MAX + 1] = '\0';
	assert_int_equal(named(longest), ERR_CONFIG);
}

static void a_certificate_has_so_many_names_and_no_more(void **state)
{
	struct bytes names[TLS_NAMES_MAX + 1];
	struct tls_identity *i = NULL;
	struct why w = {0};

	(void)state;
	for (size_t k = 0; k <= TLS_NAMES_MAX; k++)
		names[k] = bytes_str("a.example.org");
	assert_int_equal(tls_identity_new(crypto, "attestd", names, TLS_NAMES_MAX + 1, NOW, LIFE, &i, &w), ERR_CONFIG);
	assert_int_equal(tls_identity_new(crypto, "attestd", names, TLS_NAMES_MAX, NOW, LIFE, &i, &w), ERR_OK);
	tls_identity_free(i);
}

static void what_is_no_usable_key_gets_no_certificate(void **state)
{
	struct buf der = BUF_INIT(TLS_CERT_DER_MAX);
	struct tls_ca *ca = NULL;
	struct why w = {0};

	(void)state;
	assert_int_equal(tls_ca_new(crypto, NOW, &ca, &w), ERR_OK);
	assert_int_equal(tls_ca_issue(crypto, ca, bytes_of(NULL, 0), NOW, LIFE, &der, &w), ERR_BAD_KEY);
	assert_int_equal(tls_ca_issue(crypto, ca, BYTES_LIT("\x30\x03\x02\x01\x01"), NOW, LIFE, &der, &w), ERR_BAD_KEY);
	assert_int_equal(der.n, 0);
	tls_ca_free(ca);
}

static int start(void **state)
{
	struct why w = {0};

	(void)state;
	return crypto_new(&crypto, &w) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	crypto_free(crypto);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_know_each_others_keys),
		cmocka_unit_test(a_client_without_a_certificate_is_nobody),
		cmocka_unit_test(only_certificates_of_the_authority_pass),
		cmocka_unit_test(a_renewed_identity_is_for_later_connections),
		cmocka_unit_test(an_end_is_orderly_or_broken),
		cmocka_unit_test(messages_of_tls_alone_end_the_connection),
		cmocka_unit_test(data_of_either_direction_allows_more_messages_of_tls),
		cmocka_unit_test(garbage_breaks_the_handshake),
		cmocka_unit_test(names_are_names_or_addresses),
		cmocka_unit_test(a_certificate_has_so_many_names_and_no_more),
		cmocka_unit_test(what_is_no_usable_key_gets_no_certificate),
	};

	return cmocka_run_group_tests(tests, start, end);
}
