#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static void a_file_in_pieces_is_read_whole(void **state)
{
	(void)state;
	uint8_t out[16] = {0};
	struct why w = {0};
	size_t n = 99;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 3; i++) {
			if (write(ends[1], "abcd", 4) != 4)
				_exit(1);
			usleep(10000);
		}
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(file_read(ends[0], "the file", "x", out, sizeof out, &n, &w), ERR_OK);
	assert_int_equal(n, 12);
	assert_memory_equal(out, "abcdabcdabcd", 12);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(ends[0]);
}

static void no_more_than_the_room_is_read(void **state)
{
	(void)state;
	uint8_t out[5] = {0, 0, 0, 0, 7};
	struct why w = {0};
	size_t n = 99;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "abcdef", 6), 6);
	assert_int_equal(file_read(ends[0], "the file", "x", out, 4, &n, &w), ERR_OK);
	assert_int_equal(n, 4);
	assert_int_equal(out[4], 7);
	close(ends[1]);
	assert_int_equal(file_read(ends[0], "the file", "x", out, 4, &n, &w), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(file_read(ends[0], "the file", "x", out, 4, &n, &w), ERR_OK);
	assert_int_equal(n, 0);
	close(ends[0]);
}

static void on_signal(int signo)
{
	(void)signo;
}

static void a_signal_does_not_end_the_reading(void **state)
{
	(void)state;
	const struct sigaction act = {.sa_handler = on_signal}; /* without SA_RESTART */
	struct sigaction before;
	uint8_t out[4];
	struct why w = {0};
	size_t n = 99;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sigaction(SIGUSR1, &act, &before), 0);
	const pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 3; i++) {
			usleep(10000);
			kill(getppid(), SIGUSR1);
		}
		_exit(write(ends[1], "abc", 3) == 3 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(file_read(ends[0], "the file", "x", out, sizeof out, &n, &w), ERR_OK);
	assert_int_equal(n, 3);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	close(ends[0]);
}

static void a_fault_says_what_where_and_why(void **state)
{
	(void)state;
	uint8_t out[4];
	struct why w = {0};
	size_t n = 99;
	assert_int_equal(file_load("the key file", "/nonexistent/k", out, sizeof out, &n, &w), ERR_ENVIRONMENT);
	assert_int_equal(errno, ENOENT);
	assert_string_equal(w.text, "the key file /nonexistent/k cannot be opened: No such file or directory");
	assert_int_equal(file_load("the key file", "/", out, sizeof out, &n, &w), ERR_ENVIRONMENT);
	assert_int_equal(errno, EINVAL);
	assert_string_equal(w.text,
			    "the key file / is not a regular file, and no pipe that is open already, as the one "
			    "of <(command) in a shell is");
	assert_int_equal(w.err, ERR_ENVIRONMENT);
	assert_false(w.tell);
	assert_int_equal(n, 99);
}

static int open_private(const char *path, bool credential, struct why *w)
{
	int fd = -1;
	errno = EPERM;
	const enum err e = file_open_private(AT_FDCWD, path, "the secret", path, credential, &fd, w);
	assert_true((e == ERR_OK) == (fd >= 0));
	if (fd >= 0)
		close(fd);
	return (int)e;
}

static void a_file_with_a_secret_is_its_owner_s_alone(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		bool good, good_credential;
	} cases[] = {{0600, true, true},   {0400, true, true},	 {0440, false, true}, {0640, false, true},
		     {0660, false, false}, {0604, false, false}, {0602, false, false}};
	char dir[] = "/tmp/attestd-file-XXXXXX", path[64], link[64];
	struct why w = {0};
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/f", dir);
	snprintf(link, sizeof link, "%s/l", dir);
	assert_int_equal(open_private(path, false, &w), ERR_ENVIRONMENT);
	assert_int_equal(errno, ENOENT);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(chmod(path, cases[i].mode), 0);
		assert_int_equal(open_private(path, false, &w) == ERR_OK, cases[i].good);
		assert_int_equal(open_private(path, true, &w) == ERR_OK, cases[i].good_credential);
	}
	assert_non_null(strstr(w.text, "the secret /tmp/attestd-file-"));
	assert_non_null(strstr(w.text, "/f can be reached by other users (mode 0602); restrict it with chmod 600"));
	assert_int_not_equal(errno, ENOENT);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(open_private(link, false, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "is a symbolic link; name the file itself"));
	assert_int_equal(open_private(dir, false, &w), ERR_ENVIRONMENT);
	unlink(link);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0); /* which must not be waited at */
	assert_int_equal(open_private(path, false, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "is not a regular file"));
	unlink(path);
	rmdir(dir);
}

/* ---- what is not waited for ---- */

static bool opens(const char *path, int flags, bool piped, struct why *w)
{
	int fd = -1;
	const enum err e = file_open("the file", path, flags, piped, &fd, w);
	assert_true((e == ERR_OK) == (fd >= 0));
	assert_true(e == ERR_OK || e == ERR_ENVIRONMENT);
	if (fd >= 0)
		close(fd);
	return e == ERR_OK;
}

static void what_is_no_file_is_told_at_once(void **state)
{
	(void)state;
	char dir[] = "/tmp/attestd-file-XXXXXX", path[64];
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct why w = {0};
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/f", dir);
	assert_false(opens(path, O_RDONLY, true, &w));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	for (int piped = 0; piped < 2; piped++) {
		assert_false(opens(path, O_RDONLY, piped != 0, &w));
		assert_non_null(strstr(w.text, "/f is not a regular file"));
		assert_false(opens(dir, O_RDONLY, piped != 0, &w));
		assert_non_null(strstr(w.text, " is not a regular file"));
	}
	/* One that somebody reads and writes would give something. */
	const int both = open(path, O_RDWR);
	assert_true(both >= 0);
	assert_false(opens(path, O_RDONLY, true, &w));
	assert_false(opens(path, O_RDWR, false, &w));
	close(both);
	unlink(path);
	assert_false(opens(dir, O_RDWR, false, &w));
	assert_non_null(strstr(w.text, " is not a regular file"));
	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	const int s = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s, (const struct sockaddr *)&at, sizeof at), 0);
	assert_false(opens(path, O_RDONLY, true, &w));
	assert_non_null(strstr(w.text, "/f is not a regular file"));
	assert_int_equal(open_private(path, false, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "/f is not a regular file"));
	close(s);
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	assert_true(opens(path, O_RDONLY, false, &w) && opens(path, O_RDWR, false, &w));
	assert_true(opens("/dev/null", O_RDONLY, true, &w));
	assert_false(opens("/dev/null", O_RDONLY, false, &w));
	unlink(path);
	rmdir(dir);
}

static void a_pipe_that_somebody_opened_is_read_to_its_end(void **state)
{
	(void)state;
	uint8_t out[16] = {0};
	char path[32];
	struct why w = {0};
	size_t n = 99;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
	assert_false(opens(path, O_RDONLY, false, &w));
	const pid_t child = fork();
	if (child == 0) {
		usleep(20000);
		_exit(write(ends[1], "late", 4) == 4 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(file_load("the file", path, out, sizeof out, &n, &w), ERR_OK);
	assert_int_equal(n, 4);
	assert_memory_equal(out, "late", 4);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(file_load("the file", path, out, sizeof out, &n, &w), ERR_OK);
	assert_int_equal(n, 0);
	close(ends[0]);
}

static void all_is_written_or_the_reason_is_told(void **state)
{
	(void)state;
	static uint8_t text[300000];
	int ends[2];
	size_t n = 0;
	uint8_t piece[4096];
	assert_int_equal(pipe(ends), 0);
	const pid_t child = fork();
	if (child == 0)
		_exit(file_write(ends[1], bytes_of(text, sizeof text)) ? 0 : 1);
	close(ends[1]);
	for (ssize_t got = 1; got > 0; n += (size_t)got)
		got = read(ends[0], piece, sizeof piece);
	assert_int_equal(n, sizeof text);
	int status = 1;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(ends[0]);
	const int full = open("/dev/full", O_WRONLY);
	assert_true(file_write(full, bytes_of(text, 0)));
	assert_false(file_write(full, bytes_of(text, 1)));
	assert_int_equal(errno, ENOSPC);
	close(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_in_pieces_is_read_whole),
		cmocka_unit_test(no_more_than_the_room_is_read),
		cmocka_unit_test(a_signal_does_not_end_the_reading),
		cmocka_unit_test(a_fault_says_what_where_and_why),
		cmocka_unit_test(a_file_with_a_secret_is_its_owner_s_alone),
		cmocka_unit_test(what_is_no_file_is_told_at_once),
		cmocka_unit_test(a_pipe_that_somebody_opened_is_read_to_its_end),
		cmocka_unit_test(all_is_written_or_the_reason_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
