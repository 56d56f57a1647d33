#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

struct fixture {
	char dir[32], path[64], unix_text[80];
};

static struct why why;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (!f)
		return -1;
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-net-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof f->path, "%s/s", f->dir);
	snprintf(f->unix_text, sizeof f->unix_text, "unix:%s", f->path);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct net_addr must_parse(const char *text)
{
	struct net_addr a;

	if (net_parse(&a, text, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return a;
}

static void must_fail(const char *text, const char *expected)
{
	struct net_addr a, before;

	memset(&a, 0x5a, sizeof a);
	before = a;
	if (net_parse(&a, text, &why) != ERR_CONFIG)
		fail_msg("\"%s\" was not refused", text);
	assert_memory_equal(&a, &before, sizeof a);
	if (strstr(why.text, expected) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", why.text, expected);
}

static int must_listen(const char *text)
{
	struct net_addr a = must_parse(text);
	int fd = -1;

	if (net_listen(&fd, &a, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return fd;
}

static int dial(const struct net_addr *a)
{
	int fd = socket(a->sa.ss_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&a->sa, a->len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void round_trips(const char *text, const char *expected, enum net_kind kind, bool loopback)
{
	struct net_addr a = must_parse(text);
	char out[NET_TEXT_MAX];

	net_text(&a, "http", out);
	assert_string_equal(out, expected);
	assert_int_equal(a.kind, kind);
	assert_int_equal(a.loopback, loopback);
}

static void addresses_are_read_and_written(void **state)
{
	(void)state;
	round_trips("127.0.0.1:8765", "http://127.0.0.1:8765", NET_TCP, true);
	round_trips("127.255.255.255:0", "http://127.255.255.255:0", NET_TCP, true);
	round_trips("128.0.0.1:65535", "http://128.0.0.1:65535", NET_TCP, false);
	round_trips("0.0.0.0:80", "http://0.0.0.0:80", NET_TCP, false);
	round_trips("tcp:127.0.0.1:8765", "http://127.0.0.1:8765", NET_TCP, true);
	round_trips("[::1]:8765", "http://[::1]:8765", NET_TCP, true);
	round_trips("tcp:[::1]:8765", "http://[::1]:8765", NET_TCP, true);
	round_trips("[::]:1", "http://[::]:1", NET_TCP, false);
	round_trips("[::ffff:127.0.0.1]:1", "http://[::ffff:127.0.0.1]:1", NET_TCP, false);
	round_trips("unix:/run/a b.sock", "unix:/run/a b.sock", NET_UNIX, false);
	round_trips("unix:relative", "unix:relative", NET_UNIX, false);
	round_trips("vsock:9000", "vsock:9000", NET_VSOCK, false);
	round_trips("vsock:0", "vsock:0", NET_VSOCK, false);
	round_trips("vsock:4294967294", "vsock:4294967294", NET_VSOCK, false);
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"8765",
		":8765",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:x",
		"127.0.0.1: 1",
		"127.0.0.1:+1",
		"127.0.0.1:-1",
		"127.0.0.1:65536",
		"127.0.0.1:4294967297",
		"127.0.0.1:18446744073709551617",
		"127.0.0.1:1 ",
		"127.1:80",
		"0x7f.0.0.1:80",
		"localhost:80",
		"::1:80",
		"[::1]",
		"[::1:80",
		"[::1]80",
		"[127.0.0.1]:80",
		"[]:80",
		"[:80",
		"[::1%lo]:80",
		"http://127.0.0.1:80",
		"tcp:",
		"tcp:80",
		"tcp:localhost:80",
		"tcp:tcp:127.0.0.1:80",
		"tcp:unix:/x",
		"tcp:unix:80",
		"tcp:vsock:9000",
		"tcp://127.0.0.1:80",
		"tcp: 127.0.0.1:80",
		"TCP:127.0.0.1:80",
		"127.0.0.1:080",
		"[::1]:00",
		"vsock:09000",
		"vsock:",
		"vsock:4294967295",
		"vsock:4294967296",
		"vsock:3:9000",
		"vsock:x",
		"unix:",
		"UNIX:/x",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		must_fail(bad[i], "use IPV4:PORT, [IPV6]:PORT, unix:PATH or vsock:PORT");
	must_fail("unix:@abstract", "abstract sockets are refused, because they have no permissions");
	must_fail("unix:/a\x1b[2J", "control character 0x1b");
	must_fail("localhost:80", "\"localhost\" is no IPv4 address");
}

static void unix_paths_have_a_limit(void **state)
{
	char text[NET_TEXT_MAX + 1] = "unix:/";

	(void)state;
	memset(text + 6, 'x', sizeof text - 7);
	text[5 + 107] = '\0';
	round_trips(text, text, NET_UNIX, false);
	text[5 + 107] = 'x';
	text[5 + 108] = '\0';
	must_fail(text, "at most 107 bytes long, and this is 108");
	text[5 + 108] = 'x';
	text[NET_TEXT_MAX] = '\0';
	must_fail(text, "an address may be at most 159 bytes long");
}

static void tcp_listens_on_a_free_port(void **state)
{
	int fd = must_listen("127.0.0.1:0"), other, flags;
	struct net_addr bound, taken;
	char text[NET_TEXT_MAX];

	(void)state;
	assert_int_equal(net_bound(&bound, fd, &why), ERR_OK);
	assert_int_equal(bound.kind, NET_TCP);
	assert_true(bound.loopback);
	net_text(&bound, "https", text);
	assert_ptr_equal(strstr(text, "https://127.0.0.1:"), text);
	assert_null(strstr(text, ":0"));
	flags = fcntl(fd, F_GETFL);
	assert_true((flags & O_NONBLOCK) != 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	taken = must_parse(text + strlen("https://"));
	assert_int_equal(net_listen(&other, &taken, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "127.0.0.1:"));
	assert_non_null(strstr(why.text, "Address already in use"));
	other = dial(&bound);
	assert_true(other >= 0);
	close(other);
	close(fd);
}

static void ipv6_listens_on_ipv6_only(void **state)
{
	struct net_addr a = must_parse("[::]:0"), bound;
	int fd, v4;

	(void)state;
	if (net_listen(&fd, &a, &why) != ERR_OK) {
		print_message("skipped: no IPv6 here: %s\n", why.text);
		skip();
	}
	assert_int_equal(net_bound(&bound, fd, &why), ERR_OK);
	assert_false(bound.loopback);
	a = must_parse("127.0.0.1:0");
	((struct sockaddr_in *)&a.sa)->sin_port = ((struct sockaddr_in6 *)&bound.sa)->sin6_port;
	v4 = dial(&a);
	assert_int_equal(v4, -1);
	close(fd);
}

static void a_unix_socket_is_0660_whatever_the_umask(void **state)
{
	struct fixture *f = *state;
	struct net_addr bound;
	struct stat st;
	mode_t before = umask(0);
	int fd = must_listen(f->unix_text);
	char text[NET_TEXT_MAX];

	assert_int_equal(umask(0777), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	close(fd);
	fd = must_listen(f->unix_text);
	assert_int_equal(umask(before), 0777);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(net_bound(&bound, fd, &why), ERR_OK);
	net_text(&bound, "http", text);
	assert_string_equal(text, f->unix_text);
	close(fd);
}

static void a_stale_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = must_parse(f->unix_text);
	int fd = must_listen(f->unix_text), other = -1;

	assert_int_equal(net_listen(&other, &a, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "another process answers there"));
	assert_int_equal(other, -1);
	close(fd);
	assert_int_equal(access(f->path, F_OK), 0);
	fd = must_listen(f->unix_text);
	other = dial(&a);
	assert_true(other >= 0);
	close(other);
	close(fd);
}

static void a_listener_with_a_full_backlog_is_alive(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = must_parse(f->unix_text);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), clients[2], other;

	assert_int_equal(bind(fd, (struct sockaddr *)&a.sa, a.len), 0);
	assert_int_equal(listen(fd, 0), 0);
	clients[0] = dial(&a);
	clients[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(clients[1], (struct sockaddr *)&a.sa, a.len), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(net_listen(&other, &a, &why), ERR_ENVIRONMENT);
	assert_int_equal(access(f->path, F_OK), 0);
	close(clients[0]);
	close(clients[1]);
	close(fd);
}

static void a_file_that_is_no_socket_stays(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = must_parse(f->unix_text), nowhere = must_parse("unix:/nonexistent/dir/s");
	int fd = open(f->path, O_CREAT | O_WRONLY, 0600);

	close(fd);
	assert_int_equal(net_listen(&fd, &a, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, f->unix_text));
	assert_non_null(strstr(why.text, "not a socket"));
	assert_int_equal(access(f->path, F_OK), 0);
	unlink(f->path);
	assert_int_equal(symlink("/nonexistent/target", f->path), 0);
	assert_int_equal(net_listen(&fd, &a, &why), ERR_ENVIRONMENT);
	assert_int_equal(net_listen(&fd, &nowhere, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "No such file"));
}

static void unlisten_removes_its_own_file_only(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = must_parse(f->unix_text), elsewhere;
	int fd = must_listen(f->unix_text), tcp = must_listen("127.0.0.1:0"), ready[2], done[2], status;
	char b;
	pid_t pid;

	net_unlisten(tcp, &a);
	net_unlisten(-1, &a);
	elsewhere = must_parse("unix:/nonexistent/s");
	net_unlisten(fd, &elsewhere);
	assert_int_equal(access(f->path, F_OK), 0);
	net_unlisten(fd, &a);
	assert_int_equal(access(f->path, F_OK), -1);

	/* Another process has taken the path meanwhile. */
	assert_int_equal(pipe(ready) | pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		int theirs = -1;

		close(done[1]);
		if (net_listen(&theirs, &a, &why) != ERR_OK || write(ready[1], "r", 1) != 1 ||
		    read(done[0], &b, 1) != 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &b, 1), 1);
	net_unlisten(fd, &a);
	assert_int_equal(access(f->path, F_OK), 0);
	close(done[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(done[0]);
	close(ready[0]);
	close(ready[1]);
	close(tcp);
	close(fd);
}

static void what_does_not_listen_is_refused(void **state)
{
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	struct net_addr a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0), un;

	(void)state;
	assert_int_equal(net_bound(&a, fd, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "not a listening socket"));
	assert_int_equal(net_bound(&a, udp, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "not a stream socket"));
	assert_int_equal(net_bound(&a, -1, &why), ERR_ENVIRONMENT);
	un = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(un, (struct sockaddr *)&abstract, sizeof(sa_family_t)), 0); /* an abstract name */
	assert_int_equal(listen(un, 1), 0);
	assert_int_equal(net_bound(&a, un, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "without a path"));
	close(un);
	close(udp);
	close(fd);
}

static void vsock_listens_where_there_is_vsock(void **state)
{
	struct net_addr a = must_parse("vsock:0"), bound;
	char text[NET_TEXT_MAX];
	int fd;

	(void)state;
	if (net_listen(&fd, &a, &why) != ERR_OK) {
		assert_non_null(strstr(why.text, "cannot listen on vsock:0: "));
		print_message("skipped: no vsock here: %s\n", why.text);
		skip();
	}
	assert_int_equal(net_bound(&bound, fd, &why), ERR_OK);
	net_text(&bound, "http", text);
	assert_ptr_equal(strstr(text, "vsock:"), text);
	assert_string_not_equal(text, "vsock:0");
	close(fd);
}

/* ---- activation: in a child, because descriptors 3 and on are the test's own ---- */

struct activation {
	const char *count, *names;
	bool other_pid;
	int sockets;
};

static int activate(const struct activation *t, int (*check)(const struct net_activated *, size_t, enum err))
{
	struct net_activated out[NET_ACTIVATION_MAX];
	size_t n = 99;
	char pid[32];
	enum err e;
	int status;
	pid_t child = fork();

	if (child != 0) {
		assert_int_equal(waitpid(child, &status, 0), child);
		return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	}
	for (int i = 0; i < 40; i++) {
		struct net_addr a;
		int fd;

		if (i < 3)
			continue;
		close(i);
		if (i - 3 >= t->sockets)
			continue;
		if (net_parse(&a, "127.0.0.1:0", &why) || net_listen(&fd, &a, &why) || fd != i)
			_exit(100);
		fcntl(i, F_SETFD, 0);
		fcntl(i, F_SETFL, 0);
	}
	snprintf(pid, sizeof pid, "%d", (int)getpid() + t->other_pid);
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", t->count, 1);
	if (t->names)
		setenv("LISTEN_FDNAMES", t->names, 1);
	e = net_activation(out, &n, &why);
	if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL || getenv("LISTEN_FDNAMES") != NULL)
		_exit(101);
	_exit(check(out, n, e));
}

static int two_named(const struct net_activated *a, size_t n, enum err e)
{
	struct net_addr bound;

	if (e || n != 2 || a[0].fd != 3 || a[1].fd != 4)
		return 1;
	if (strcmp(a[0].name, "listen") != 0 || strcmp(a[1].name, "public_listen") != 0)
		return 2;
	if (fcntl(3, F_GETFD) != FD_CLOEXEC || fcntl(4, F_GETFD) != FD_CLOEXEC)
		return 3;
	if (!(fcntl(3, F_GETFL) & O_NONBLOCK) || !(fcntl(4, F_GETFL) & O_NONBLOCK))
		return 4;
	return net_bound(&bound, 4, &why) ? 5 : 0;
}

static int one_unknown(const struct net_activated *a, size_t n, enum err e)
{
	return !e && n == 1 && strcmp(a[0].name, "unknown") == 0 ? 0 : 1;
}

static int none(const struct net_activated *a, size_t n, enum err e)
{
	(void)a;
	return !e && n == 0 ? 0 : 1;
}

static int sixteen(const struct net_activated *a, size_t n, enum err e)
{
	return !e && n == 16 && a[15].fd == 18 ? 0 : 1;
}

static int refused(const struct net_activated *a, size_t n, enum err e)
{
	(void)a;
	return e == ERR_ENVIRONMENT && n == 99 ? 0 : 1;
}

static void activation_takes_named_sockets(void **state)
{
#define NAMES16 "a:a:a:a:a:a:a:a:a:a:a:a:a:a:a:a"
#define NAME63	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

	(void)state;
	assert_int_equal(activate(&(struct activation){"2", "listen:public_listen", false, 2}, two_named), 0);
	assert_int_equal(activate(&(struct activation){"1", NULL, false, 1}, one_unknown), 0);
	assert_int_equal(activate(&(struct activation){"2", "listen:public_listen", true, 2}, none), 0);
	assert_int_equal(activate(&(struct activation){"0", "", false, 0}, none), 0);
	assert_int_equal(activate(&(struct activation){"16", NAMES16, false, 16}, sixteen), 0);
	assert_int_equal(activate(&(struct activation){"17", NAMES16 ":a", false, 17}, refused), 0);
	assert_int_equal(activate(&(struct activation){"1", NAME63, false, 1}, refused), 1);
	assert_int_equal(activate(&(struct activation){"1", NAME63 "f", false, 1}, refused), 0);
	assert_int_equal(activate(&(struct activation){"2", "listen", false, 2}, refused), 0);
	assert_int_equal(activate(&(struct activation){"2", "a:b", false, 1}, refused), 0); /* not open */
	assert_int_equal(activate(&(struct activation){"-1", "a", false, 1}, refused), 0);
	assert_int_equal(activate(&(struct activation){"", "a", false, 1}, refused), 0);
	assert_int_equal(activate(&(struct activation){"99999999999999999999", "a", false, 1}, refused), 0);
}

static void without_activation_there_is_none(void **state)
{
	struct net_activated out[NET_ACTIVATION_MAX];
	size_t n = 99;

	(void)state;
	unsetenv("LISTEN_PID");
	assert_int_equal(net_activation(out, &n, &why), ERR_OK);
	assert_int_equal(n, 0);
}

/* ---- notification ---- */

static void notified(const struct sockaddr_un *sa, socklen_t len, const char *variable)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char text[64] = "";

	assert_int_equal(bind(fd, (const struct sockaddr *)sa, len), 0);
	setenv("NOTIFY_SOCKET", variable, 1);
	net_notify("READY=1\nSTATUS=x");
	assert_int_equal(recv(fd, text, sizeof text, 0), 16);
	assert_string_equal(text, "READY=1\nSTATUS=x");
	/* A manager that does not read must not hold us up. */
	for (int i = 0; i < 2000; i++)
		net_notify("WATCHDOG=1");
	close(fd);
	net_notify("WATCHDOG=1");
	unsetenv("NOTIFY_SOCKET");
}

static void notify_reaches_paths_and_abstract_sockets(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char abstract[40], lengthy[200];

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", f->path);
	notified(&sa, sizeof sa, f->path);

	snprintf(abstract, sizeof abstract, "@attestd-test-%d", (int)getpid());
	memset(sa.sun_path, 0, sizeof sa.sun_path);
	memcpy(sa.sun_path + 1, abstract + 1, strlen(abstract) - 1);
	notified(&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(abstract)), abstract);

	net_notify("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	net_notify("READY=1");
	setenv("NOTIFY_SOCKET", "@", 1);
	net_notify("READY=1");
	memset(lengthy, '/', sizeof lengthy);
	lengthy[sizeof lengthy - 1] = '\0';
	setenv("NOTIFY_SOCKET", lengthy, 1);
	net_notify("READY=1");
	unsetenv("NOTIFY_SOCKET");
}

static void the_watchdogs_half_is_in_milliseconds(void **state)
{
	char pid[32];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(net_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(net_watchdog_ms(), 15000);
	setenv("WATCHDOG_USEC", "1", 1);
	assert_int_equal(net_watchdog_ms(), 1);
	setenv("WATCHDOG_USEC", "0", 1);
	assert_int_equal(net_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "1s", 1);
	assert_int_equal(net_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(net_watchdog_ms(), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(net_watchdog_ms(), 15000);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int64_t still_us(void *ctx)
{
	return *(const int64_t *)ctx;
}

static void the_watchdog_is_told_for_as_long_as_the_loop_turns(void **state)
{
	int64_t us = 1000000;
	const struct clock clock = {&us, still_us, still_us, still_us};
	struct net_watchdog d;
	struct loop *l = NULL;
	struct why w = {0};
	(void)state;
	assert_int_equal(loop_new(&l, &clock, 1, 1, &w), ERR_OK);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	net_watchdog_start(&d, l);
	assert_false(d.timer.armed);
	setenv("WATCHDOG_USEC", "20000", 1);
	net_watchdog_start(&d, l);
	for (int i = 0; i < 3; i++) {
		assert_true(d.timer.armed);
		assert_int_equal(d.timer.at_ms, us / 1000 + 10);
		us += 10000;
		loop_turn(l, 0);
	}
	unsetenv("WATCHDOG_USEC");
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(unix_paths_have_a_limit),
		cmocka_unit_test(tcp_listens_on_a_free_port),
		cmocka_unit_test(ipv6_listens_on_ipv6_only),
		IN_DIR(a_unix_socket_is_0660_whatever_the_umask),
		IN_DIR(a_stale_socket_file_is_replaced_and_a_live_one_is_not),
		IN_DIR(a_listener_with_a_full_backlog_is_alive),
		IN_DIR(a_file_that_is_no_socket_stays),
		IN_DIR(unlisten_removes_its_own_file_only),
		cmocka_unit_test(what_does_not_listen_is_refused),
		cmocka_unit_test(vsock_listens_where_there_is_vsock),
		cmocka_unit_test(activation_takes_named_sockets),
		cmocka_unit_test(without_activation_there_is_none),
		IN_DIR(notify_reaches_paths_and_abstract_sockets),
		cmocka_unit_test(the_watchdogs_half_is_in_milliseconds),
		cmocka_unit_test(the_watchdog_is_told_for_as_long_as_the_loop_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
