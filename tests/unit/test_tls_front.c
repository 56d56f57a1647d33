/* test_tls_front.c - connections through the TLS front: handshakes, bytes both ways, and every way to end. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>
#include <dirent.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tls_front.h"

enum { TURNS = 2000, LONG_MS = 60 * 1000, MANY = 200, BIG = 4 * 1024 * 1024 };

struct world {
	struct clock clock;
	struct loop *loop;
	struct log *log;
	struct crypto *crypto;
	struct tls_identity *identity;
	struct tls_server *server;
	struct tls_front *front;
	int inner; /* of the last secured connection; -1 */
	unsigned secured;
};

static void on_secured(void *ctx, int fd, struct tls_peer *peer)
{
	struct world *x = ctx;
	if (x->inner >= 0)
		close(x->inner);
	x->inner = fd;
	x->secured++;
	assert_ptr_equal(tls_peer_own(peer), x->identity);
	tls_peer_free(peer);
}

static void begin_with(struct world *x, struct tls_front_limits limits)
{
	struct why w = {0};

	*x = (struct world){.inner = -1};
	x->clock = clock_system();
	assert_int_equal(loop_new(&x->loop, &x->clock, 2, 4, &w), ERR_OK);
	assert_int_equal(log_new(&x->log, STDERR_FILENO, LOG_ERROR, LOG_TEXT, &x->clock, &w), ERR_OK);
	assert_int_equal(crypto_new(&x->crypto, &w), ERR_OK);
	assert_int_equal(tls_identity_new(x->crypto, "attestd", NULL, 0, (int64_t)time(NULL), 3600, &x->identity, &w),
			 ERR_OK);
	assert_int_equal(tls_server_new(x->identity, false, TLS_CLIENTS_ASKED, NULL, &x->server, &w), ERR_OK);
	assert_int_equal(tls_front_new(&x->front, x->loop, x->log, x->server, &limits, on_secured, x, &w), ERR_OK);
}

static void begin(struct world *x, int64_t handshake_ms, int64_t max, int64_t linger_ms)
{
	begin_with(x, (struct tls_front_limits){handshake_ms, max, LONG_MS, linger_ms});
}

static struct tls_front_counters counts(const struct world *x)
{
	struct tls_front_counters c;
	tls_front_count(x->front, &c);
	return c;
}

static void end(struct world *x)
{
	if (x->inner >= 0)
		close(x->inner);
	loop_end_jobs(x->loop);
	tls_front_free(x->front);
	loop_free(x->loop);
	tls_server_free(x->server);
	tls_identity_free(x->identity);
	crypto_free(x->crypto);
	log_free(x->log);
}

/* ---- a client ---- */

struct client {
	int fd;
	struct tls *tls;
};

static int raw_client(struct world *x)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	tls_front_take(x->front, pair[0]);
	return pair[1];
}

static void dial(struct world *x, struct client *c)
{
	struct why w = {0};
	c->fd = raw_client(x);
	assert_int_equal(tls_connect(NULL, NULL, c->fd, &c->tls, &w), ERR_OK);
	const unsigned before = x->secured;
	enum tls_step step = TLS_WANT_READ;
	for (int i = 0; i < TURNS && (step != TLS_DONE || x->secured == before); i++) {
		if (step != TLS_DONE)
			step = tls_handshake(c->tls, &w);
		assert_int_not_equal(step, TLS_BROKEN);
		loop_turn(x->loop, 5);
	}
	assert_int_equal(x->secured, before + 1);
}

static void hang_up(struct client *c)
{
	tls_free(c->tls);
	close(c->fd);
}

static void until_open(struct world *x, uint64_t n)
{
	for (int i = 0; i < TURNS && counts(x).open != n; i++)
		loop_turn(x->loop, 5);
	assert_int_equal(counts(x).open, n);
}

/* What comes from the inner end, up to n bytes. */
static size_t inner_reads(struct world *x, uint8_t *out, size_t n)
{
	size_t got = 0;
	for (int i = 0; i < TURNS && got < n; i++) {
		const ssize_t r = recv(x->inner, out + got, n - got, 0);
		if (r == 0)
			break;
		if (r > 0)
			got += (size_t)r;
		else
			loop_turn(x->loop, 5);
	}
	return got;
}

static enum tls_step client_reads(struct world *x, struct client *c, uint8_t *out, size_t n, size_t *got)
{
	enum tls_step step = TLS_WANT_READ;
	struct why w = {0};
	*got = 0;
	for (int i = 0; i < TURNS && *got < n; i++) {
		size_t r = 0;
		step = tls_read(c->tls, out + *got, n - *got, &r, &w);
		if (step == TLS_DONE)
			*got += r;
		else if (step == TLS_WANT_READ)
			loop_turn(x->loop, 5);
		else
			break;
	}
	return step;
}

static void client_writes(struct client *c, const char *text)
{
	struct why w = {0};
	size_t n = 0;
	assert_int_equal(tls_write(c->tls, bytes_str(text), &n, &w), TLS_DONE);
	assert_int_equal(n, strlen(text));
}

static void inner_writes(struct world *x, const char *text)
{
	assert_int_equal(send(x->inner, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* ---- tests ---- */

static void bytes_go_both_ways(void **state)
{
	struct world x;
	struct client c;
	uint8_t in[16];
	size_t n;

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	dial(&x, &c);
	client_writes(&c, "question");
	assert_int_equal(inner_reads(&x, in, 8), 8);
	assert_memory_equal(in, "question", 8);
	inner_writes(&x, "answer");
	assert_int_equal(client_reads(&x, &c, in, 6, &n), TLS_DONE);
	assert_memory_equal(in, "answer", 6);
	assert_int_equal(counts(&x).handshakes, 1);
	assert_int_equal(counts(&x).handshaking, 0);
	hang_up(&c);
	until_open(&x, 0);
	end(&x);
}

static void an_orderly_end_leaves_the_other_direction_open(void **state)
{
	struct world x;
	struct client c;
	struct why w = {0};
	uint8_t in[16];
	size_t n;

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	dial(&x, &c);
	client_writes(&c, "all");
	assert_int_equal(tls_end(c.tls, &w), TLS_DONE);
	assert_int_equal(inner_reads(&x, in, sizeof in), 3);
	inner_writes(&x, "late answer");
	close(x.inner);
	x.inner = -1;
	assert_int_equal(client_reads(&x, &c, in, 11, &n), TLS_DONE);
	assert_int_equal(client_reads(&x, &c, in, 1, &n), TLS_ENDED);
	hang_up(&c);
	until_open(&x, 0);
	end(&x);
}

static void an_end_without_a_word_closes_the_inner_end(void **state)
{
	struct world x;
	struct client c;
	uint8_t in[1];

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	dial(&x, &c);
	hang_up(&c);
	until_open(&x, 0);
	assert_int_equal(inner_reads(&x, in, 1), 0);
	assert_int_equal(send(x.inner, "x", 1, MSG_NOSIGNAL), -1);
	end(&x);
}

/* As a server does that refuses a long body: it answers and closes without having read all. */
static void a_reply_before_the_end_of_the_request_arrives(void **state)
{
	static uint8_t block[TLS_FRONT_BLOCK];
	struct world x;
	struct client c;
	struct why w = {0};
	uint8_t in[8];
	size_t n;

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	dial(&x, &c);
	for (int i = 0; i < TURNS; i++) { /* until everything between the two is full */
		const enum tls_step step = tls_write(c.tls, bytes_of(block, sizeof block), &n, &w);
		if (step != TLS_DONE)
			break;
		loop_turn(x.loop, 0);
	}
	inner_writes(&x, "too much");
	close(x.inner);
	x.inner = -1;
	assert_int_equal(client_reads(&x, &c, in, 8, &n), TLS_DONE);
	assert_memory_equal(in, "too much", 8);
	hang_up(&c);
	until_open(&x, 0);
	end(&x);
}

static void a_reader_that_does_not_read_makes_the_writer_wait(void **state)
{
	uint8_t *big = malloc(BIG), *back = malloc(BIG);
	struct world x;
	struct client c;
	size_t sent = 0, stuck, n;

	(void)state;
	assert_non_null(big);
	assert_non_null(back);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	begin(&x, LONG_MS, 8, LONG_MS);
	dial(&x, &c);
	for (int quiet = 0; quiet < 20 && sent < BIG;) {
		const ssize_t r = send(x.inner, big + sent, BIG - sent, MSG_NOSIGNAL);
		if (r > 0)
			sent += (size_t)r;
		quiet = r > 0 ? 0 : quiet + 1;
		loop_turn(x.loop, 1);
	}
	stuck = sent;
	assert_true(stuck < BIG);
	size_t got = 0;
	struct why w = {0};
	for (int i = 0; i < 20 * TURNS && got < BIG; i++) {
		const ssize_t r = sent < BIG ? send(x.inner, big + sent, BIG - sent, MSG_NOSIGNAL) : 0;
		if (r > 0)
			sent += (size_t)r;
		const enum tls_step step = tls_read(c.tls, back + got, BIG - got, &n, &w);
		if (step == TLS_DONE)
			got += n;
		else
			assert_int_equal(step, TLS_WANT_READ);
		loop_turn(x.loop, step == TLS_DONE ? 0 : 1);
	}
	assert_int_equal(got, BIG);
	assert_memory_equal(big, back, BIG);
	hang_up(&c);
	until_open(&x, 0);
	end(&x);
	free(big);
	free(back);
}

static void a_client_that_stalls_loses_its_slot_in_time(void **state)
{
	struct world x;
	char in[1];

	(void)state;
	begin(&x, 30, 8, LONG_MS);
	const int fd = raw_client(&x);
	assert_int_equal(counts(&x).handshaking, 1);
	until_open(&x, 0);
	assert_int_equal(counts(&x).timed_out, 1);
	assert_int_equal(counts(&x).failed, 1);
	assert_int_equal(recv(fd, in, 1, 0), 0);
	close(fd);
	end(&x);
}

static void one_handshake_too_many_is_refused(void **state)
{
	enum { MOST = 3 };
	int fd[MOST + 1];
	struct world x;
	char in[1];

	(void)state;
	begin(&x, LONG_MS, MOST, LONG_MS);
	for (int i = 0; i <= MOST; i++)
		fd[i] = raw_client(&x);
	assert_int_equal(counts(&x).open, MOST);
	assert_int_equal(counts(&x).refused, 1);
	assert_int_equal(recv(fd[MOST], in, 1, 0), 0);
	tls_front_drain(x.front);
	assert_int_equal(counts(&x).open, 0);
	assert_int_equal(counts(&x).handshaking, 0);
	for (int i = 0; i <= MOST; i++)
		close(fd[i]);
	end(&x);
}

static void what_is_not_tls_is_closed(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\n\r\n";
	struct world x;

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	const int fd = raw_client(&x);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	until_open(&x, 0);
	assert_int_equal(counts(&x).failed, 1);
	close(fd);
	end(&x);
}

static void a_client_that_does_not_end_is_cut_off_after_the_last_word(void **state)
{
	struct world x;
	struct client c;
	uint8_t in[4];
	size_t n;

	(void)state;
	begin(&x, LONG_MS, 8, 30);
	dial(&x, &c);
	inner_writes(&x, "done");
	close(x.inner);
	x.inner = -1;
	assert_int_equal(client_reads(&x, &c, in, 4, &n), TLS_DONE);
	until_open(&x, 0);
	hang_up(&c);
	end(&x);
}

/* As a server does whose time for a reply is up: what its client has not taken by then is nobody's any more. */
static void a_client_that_reads_nothing_is_cut_off_after_the_inner_end(void **state)
{
	static uint8_t block[TLS_FRONT_BLOCK];
	struct world x;
	struct client c;

	(void)state;
	begin_with(&x, (struct tls_front_limits){LONG_MS, 8, 30, LONG_MS});
	dial(&x, &c);
	for (int quiet = 0; quiet < 20;) { /* until everything between the two is full */
		const bool sent = send(x.inner, block, sizeof block, MSG_NOSIGNAL) > 0;
		quiet = sent ? 0 : quiet + 1;
		loop_turn(x.loop, 1);
	}
	assert_int_equal(counts(&x).open, 1);
	close(x.inner);
	x.inner = -1;
	until_open(&x, 0);
	hang_up(&c);
	end(&x);
}

/* ---- messages of TLS's own ---- */

/* A client of OpenSSL's own, which can be made to send them. */
struct bare {
	int fd;
	SSL *ssl;
};

static void dial_bare(struct world *x, struct bare *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	c->fd = raw_client(x);
	c->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_non_null(c->ssl);
	assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
	for (int i = 0; i < TURNS && (SSL_connect(c->ssl) != 1 || x->secured == 0); i++)
		loop_turn(x->loop, 5);
	assert_int_equal(x->secured, 1);
}

static void hang_up_bare(struct bare *c)
{
	SSL_free(c->ssl);
	close(c->fd);
}

static void change_keys(struct bare *c, int how, int times)
{
	for (int i = 0; i < times; i++) {
		assert_int_equal(SSL_key_update(c->ssl, how), 1);
		assert_int_equal(SSL_do_handshake(c->ssl), 1);
	}
}

static void bare_says(struct bare *c, char byte)
{
	assert_int_equal(SSL_write(c->ssl, &byte, 1), 1);
}

static size_t bare_reads(struct world *x, struct bare *c, uint8_t *out, size_t n)
{
	size_t got = 0;
	for (int i = 0; i < TURNS && got < n; i++) {
		size_t r = 0;
		if (SSL_read_ex(c->ssl, out + got, n - got, &r) == 1)
			got += r;
		else
			loop_turn(x->loop, 5);
	}
	return got;
}

/* Asks for answers of TLS's own and takes none, until the server has no room for the next and reads on no more. */
static void take_no_answers(struct world *x, struct bare *c)
{
	bool heard = true;
	for (int i = 0; i < TURNS && heard; i++) {
		char in;
		change_keys(c, SSL_KEY_UPDATE_REQUESTED, 1);
		bare_says(c, 'x');
		heard = false;
		for (int j = 0; j < 20 && !heard; j++) {
			loop_turn(x->loop, 0);
			heard = recv(x->inner, &in, 1, 0) == 1;
		}
	}
	assert_false(heard);
	bare_says(c, 'z'); /* which stays in the socket */
}

/* A turn in which there is nothing to do waits as long as it may. A slow machine only makes it longer. */
static void assert_at_ease(struct world *x)
{
	enum { MANY_TURNS = 10, TURN_MS = 50 };
	const int64_t before = x->clock.mono_us(x->clock.ctx);
	for (int i = 0; i < MANY_TURNS; i++)
		loop_turn(x->loop, TURN_MS);
	assert_true(x->clock.mono_us(x->clock.ctx) - before > INT64_C(1000) * MANY_TURNS * TURN_MS / 2);
}

static void an_answer_of_tls_that_is_not_taken_keeps_the_loop_at_ease(void **state)
{
	struct world x;
	struct bare c;
	uint8_t in[4];

	(void)state;
	begin(&x, LONG_MS, 8, LONG_MS);
	dial_bare(&x, &c);
	take_no_answers(&x, &c);
	assert_at_ease(&x);
	inner_writes(&x, "ab"); /* fewer bytes than an answer has */
	assert_at_ease(&x);
	assert_int_equal(bare_reads(&x, &c, in, 2), 2);
	assert_memory_equal(in, "ab", 2);
	assert_int_equal(inner_reads(&x, in, 2), 2);
	assert_memory_equal(in, "xz", 2);
	inner_writes(&x, "cd");
	assert_int_equal(bare_reads(&x, &c, in, 2), 2);
	hang_up_bare(&c);
	until_open(&x, 0);
	end(&x);
}

static void a_client_that_takes_no_answer_of_tls_is_cut_off_after_the_inner_end(void **state)
{
	struct world x;
	struct bare c;

	(void)state;
	begin_with(&x, (struct tls_front_limits){LONG_MS, 8, 30, LONG_MS});
	dial_bare(&x, &c);
	take_no_answers(&x, &c);
	close(x.inner);
	x.inner = -1;
	until_open(&x, 0);
	hang_up_bare(&c);
	end(&x);
}

/* More of them than may come in a row without data. */
static void keys_may_be_changed_while_a_long_reply_waits(void **state)
{
	enum { REQUESTED = 3, PLAIN = 10, PART = BIG / 8 };
	uint8_t *big = malloc(BIG), *back = malloc(BIG);
	struct world x;
	struct bare c;
	size_t sent = 0;
	uint8_t in[1];

	(void)state;
	assert_non_null(big);
	assert_non_null(back);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 31 >> 3);
	begin(&x, LONG_MS, 8, LONG_MS);
	dial_bare(&x, &c);
	for (size_t got = 0; got < BIG; got += TLS_FRONT_BLOCK) {
		for (int quiet = 0; quiet < 5 && sent < BIG;) { /* until everything between the two is full */
			const ssize_t n = send(x.inner, big + sent, BIG - sent, MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
			quiet = n > 0 ? 0 : quiet + 1;
			loop_turn(x.loop, 0);
		}
		if (got == 0) {
			assert_true(sent < BIG);
			change_keys(&c, SSL_KEY_UPDATE_REQUESTED, REQUESTED);
			assert_at_ease(&x);
		}
		if (got % PART == 0)
			change_keys(&c, SSL_KEY_UPDATE_NOT_REQUESTED, PLAIN);
		assert_int_equal(bare_reads(&x, &c, back + got, TLS_FRONT_BLOCK), TLS_FRONT_BLOCK);
	}
	assert_memory_equal(big, back, BIG);
	bare_says(&c, 'q');
	assert_int_equal(inner_reads(&x, in, 1), 1);
	assert_int_equal(in[0], 'q');
	hang_up_bare(&c);
	until_open(&x, 0);
	end(&x);
	free(big);
	free(back);
}

static size_t descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;
	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void nothing_is_left_of_connections_in_any_state(void **state)
{
	struct world x;
	struct client c;
	struct why w = {0};

	(void)state;
	begin(&x, LONG_MS, MANY, LONG_MS);
	const size_t before = descriptors();
	for (int i = 0; i < MANY; i++) {
		const int fd = raw_client(&x);
		if (i % 4 == 1)
			assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
		if (i % 4 >= 2) {
			c.fd = fd;
			assert_int_equal(tls_connect(NULL, NULL, fd, &c.tls, &w), ERR_OK);
			assert_int_equal(tls_handshake(c.tls, &w), TLS_WANT_READ);
			if (i % 4 == 3)
				loop_turn(x.loop, 1);
			tls_free(c.tls);
		}
		close(fd);
	}
	until_open(&x, 0);
	if (x.inner >= 0)
		close(x.inner);
	x.inner = -1;
	assert_int_equal(descriptors(), before);
	/* And what is still open when all ends. */
	dial(&x, &c);
	(void)raw_client(&x);
	hang_up(&c);
	end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(an_orderly_end_leaves_the_other_direction_open),
		cmocka_unit_test(an_end_without_a_word_closes_the_inner_end),
		cmocka_unit_test(a_reply_before_the_end_of_the_request_arrives),
		cmocka_unit_test(a_reader_that_does_not_read_makes_the_writer_wait),
		cmocka_unit_test(a_client_that_stalls_loses_its_slot_in_time),
		cmocka_unit_test(one_handshake_too_many_is_refused),
		cmocka_unit_test(what_is_not_tls_is_closed),
		cmocka_unit_test(a_client_that_does_not_end_is_cut_off_after_the_last_word),
		cmocka_unit_test(a_client_that_reads_nothing_is_cut_off_after_the_inner_end),
		cmocka_unit_test(an_answer_of_tls_that_is_not_taken_keeps_the_loop_at_ease),
		cmocka_unit_test(a_client_that_takes_no_answer_of_tls_is_cut_off_after_the_inner_end),
		cmocka_unit_test(keys_may_be_changed_while_a_long_reply_waits),
		cmocka_unit_test(nothing_is_left_of_connections_in_any_state),
	};

	signal(SIGPIPE, SIG_IGN); /* as every command does that uses TLS */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
