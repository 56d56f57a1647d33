/* vsock_fixture.h - a server of the vsock JSON protocol on a Unix socket, whose clock the test moves and whose NSM
 * (a simulator) the test can hold up or break; and its clients. Include cmocka.h before it. */
#ifndef ATTESTD_TESTS_VSOCK_FIXTURE_H
#define ATTESTD_TESTS_VSOCK_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nsm/ops.h"
#include "simulator.h"
#include "vsock/internal.h"

enum {
	WORLD_REQUEST_MS = 10 * 1000,
	WORLD_NSM_MS = 5 * 1000,
	WORLD_CONNECTIONS = 8,
	WORLD_BURST = 100,
	WORLD_PORT = 9000
};

struct world {
	_Atomic int64_t mono_ms;
	struct clock clock;
	char dir[32];
	struct net_addr at;
	int log_fd;
	struct log *log;
	struct crypto *crypto;
	struct simulator *simulator;
	struct nsm *nsm;
	struct verify *verify;
	struct attest *attest;
	struct keys *keys;
	struct budget budget;
	struct loop *loop;
	struct vsock_server *server;
	_Atomic bool held, broken; /* what the NSM does */
	_Atomic unsigned calls;
	unsigned drained;
};

static inline int64_t world_mono(void *ctx)
{
	return ((struct world *)ctx)->mono_ms * 1000;
}

static inline int64_t world_boot(void *ctx)
{
	return ((struct world *)ctx)->mono_ms;
}

static inline int64_t world_wall(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400123);
}

/* ---- the NSM ---- */

static struct world *world_current;

static inline enum err world_nsm_open(void **state, const struct nsm_env *env, const char *address, struct why *w)
{
	(void)env;
	(void)address;
	(void)w;
	*state = world_current;
	return ERR_OK;
}

static inline enum err world_nsm_call(void *state, struct bytes request, struct buf *reply, struct why *w)
{
	struct world *t = state;
	t->calls++;
	while (t->held)
		(void)poll(NULL, 0, 1);
	if (t->broken)
		return why_set(w, ERR_NSM, "internal: the NSM is broken");
	return simulator_call(t->simulator, request, reply, w);
}

static inline void world_nsm_close(void *state)
{
	(void)state;
}

static const struct nsm_ops world_nsm = {"held", world_nsm_open, world_nsm_call, world_nsm_close};

/* ---- the server ---- */

struct world_options {
	struct vsock_options server; /* what is 0 is ample */
	int64_t nsm_burst, nsm_queue;
	uint64_t max_keys;
	bool dummy;
};

static inline int64_t or_else(int64_t v, int64_t other)
{
	return v != 0 ? v : other;
}

#define WORLD_OK(call)                                             \
	do {                                                       \
		if ((call) != ERR_OK)                              \
			fail_msg("%s: %s", #call, world_why.text); \
	} while (0)

static inline void world_open(struct world *t, const struct world_options *o)
{
	struct why world_why = {0};
	char address[80];
	int fd;
	bool fell;
	*t = (struct world){.dir = "/tmp/attestd-vs-XXXXXX"};
	world_current = t;
	t->mono_ms = 1000000;
	t->clock = (struct clock){t, world_mono, world_boot, world_wall};
	assert_non_null(mkdtemp(t->dir));
	(void)snprintf(address, sizeof address, "unix:%s/s", t->dir);
	t->log_fd = memfd_create("log", MFD_CLOEXEC);
	WORLD_OK(net_parse(&t->at, address, &world_why));
	WORLD_OK(log_new(&t->log, t->log_fd, LOG_DEBUG, LOG_TEXT, &t->clock, &world_why));
	WORLD_OK(crypto_new(&t->crypto, &world_why));
	const struct simulator_options sim = {
		.crypto = t->crypto, .clock = &t->clock, .random = crypto_random(t->crypto)};
	WORLD_OK(simulator_new(&t->simulator, &sim, &world_why));
	WORLD_OK(o->dummy ? nsm_open(&t->nsm, "dummy", &(struct nsm_env){.device_path = ""}, &fell, &world_why)
			  : nsm_open_ops(&t->nsm, &world_nsm, NULL, "", &world_why));
	WORLD_OK(verify_new(&t->verify, t->crypto, &t->clock, &world_why));
	const struct attest_options claims = {"a", "g", "", "attestd", "0", "", verify_aws_root()};
	WORLD_OK(attest_new(&t->attest, &claims, t->nsm, t->crypto, t->verify, &t->clock, t->log, &world_why));
	const struct keys_options keys = {300 * 1000, o->max_keys != 0 ? o->max_keys : 8};
	WORLD_OK(keys_new(&t->keys, &t->clock, &keys, &world_why));
	const int64_t queue = or_else(o->nsm_queue, 64);
	WORLD_OK(loop_new(&t->loop, &t->clock, 1, (unsigned)queue, &world_why));
	budget_init(&t->budget, 1, or_else(o->nsm_burst, WORLD_BURST), queue, t->mono_ms);
	const struct vsock_options server = {
		.max_connections = or_else(o->server.max_connections, WORLD_CONNECTIONS),
		.request_ms = WORLD_REQUEST_MS,
		.nsm_ms = WORLD_NSM_MS,
		.rate = or_else(o->server.rate, 1),
		.burst = or_else(o->server.burst, WORLD_BURST),
		.version = "1.2.3",
	};
	WORLD_OK(vsock_new(&t->server, t->loop, t->log, &t->clock, &server, t->nsm, t->crypto, t->attest, t->keys,
			   &t->budget, &world_why));
	WORLD_OK(net_listen(&fd, &t->at, &world_why));
	WORLD_OK(vsock_listen(t->server, fd, WORLD_PORT, &world_why));
}

/* All must be back where it was. */
static inline void world_close(struct world *t)
{
	char path[64];
	t->held = false;
	loop_end_jobs(t->loop);
	vsock_free(t->server);
	assert_int_equal(t->budget.outside_waiting, 0);
	loop_free(t->loop);
	keys_free(t->keys);
	attest_free(t->attest);
	verify_free(t->verify);
	nsm_close(t->nsm);
	simulator_free(t->simulator);
	crypto_free(t->crypto);
	log_free(t->log);
	close(t->log_fd);
	(void)snprintf(path, sizeof path, "%s/s", t->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(t->dir), 0);
}

static inline void turns(struct world *t)
{
	for (int i = 0; i < 6; i++)
		loop_turn(t->loop, 0);
}

/* Turns until it holds; a worker may need a while. */
#define UNTIL(t, condition)                                        \
	do {                                                       \
		for (int i_ = 0; i_ < 60000 && !(condition); i_++) \
			loop_turn((t)->loop, 2);                   \
		assert_true(condition);                            \
	} while (0)

static inline struct vsock_counters counted(const struct world *t)
{
	struct vsock_counters c;
	vsock_count(t->server, &c);
	return c;
}

/* How often the log says it. */
static inline int logged(const struct world *t, const char *what)
{
	static char b[64 * 1024];
	int found = 0;
	log_flush(t->log);
	const ssize_t n = pread(t->log_fd, b, sizeof b - 1, 0);
	assert_true(n >= 0);
	b[n] = '\0';
	for (const char *p = b; (p = strstr(p, what)) != NULL; p++)
		found++;
	return found;
}

/* Is nothing held for anybody any more? */
static inline bool at_rest(const struct world *t)
{
	return counted(t).connections_open == 0 && t->budget.outside_waiting == 0 &&
	       loop_jobs(t->loop, LANE_NSM) == 0 && loop_jobs(t->loop, LANE_KEYS) == 0;
}

/* Room that was not given back would be missing. */
static inline void assert_rooms(struct world *t)
{
	struct why w = {0};
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		assert_int_equal(keys_reserve(t->keys, &w), ERR_OK);
	for (int i = 0; i < KEYS_MAKING_MAX; i++)
		keys_cancel(t->keys, NULL);
}

/* ---- clients ---- */

static inline int join(struct world *t)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&t->at.sa, t->at.len), 0);
	turns(t);
	return fd;
}

static inline void say(struct world *t, int fd, struct bytes x)
{
	assert_int_equal(send(fd, x.p, x.n, MSG_NOSIGNAL), (ssize_t)x.n);
	turns(t);
}

static inline void leave(struct world *t, int fd)
{
	close(fd);
	turns(t);
}

/* Has the server nothing to say yet? */
static inline bool silent(int fd)
{
	char c;
	return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* All that the server says to its end; then the connection is left. */
static inline const char *hear(struct world *t, int fd)
{
	static char b[VSOCK_REPLY_MAX + 1];
	size_t n = 0;
	for (int i = 0; i < 60000; i++) {
		const ssize_t got = recv(fd, b + n, sizeof b - 1 - n, MSG_DONTWAIT);
		if (got > 0) {
			n += (size_t)got;
		} else if (got == 0 || errno != EAGAIN) {
			b[n] = '\0';
			leave(t, fd);
			return b;
		} else {
			loop_turn(t->loop, 2);
		}
	}
	fail_msg("the server does not end the connection");
	return NULL;
}

static inline const char *ask(struct world *t, const char *request)
{
	const int fd = join(t);
	say(t, fd, bytes_str(request));
	return hear(t, fd);
}

static inline void assert_failed(const char *reply, const char *error, const char *code)
{
	char want[512];
	(void)snprintf(want, sizeof want, "{\"success\":false,\"error\":\"%s\",\"code\":\"%s\"}\n", error, code);
	assert_string_equal(reply, want);
}

static inline void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("%s\nis not in\n%s", part, text);
}

#define PONG "{\"success\":true,\"message\":\"pong\",\"timestamp\":1769774400}\n"
#define PING "{\"command\":\"ping\"}\n"

#endif
