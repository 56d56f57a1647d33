#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/private_file.h"

enum { NOBODY = 65534 };

struct fixture {
	char dir[40], path[64], left[64], other[64];
};

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.dir = "/tmp/attestd-private-XXXXXX"};
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(f.path, sizeof f.path, "%s/k", f.dir);
	(void)snprintf(f.left, sizeof f.left, "%s/.k.new", f.dir);
	(void)snprintf(f.other, sizeof f.other, "%s/o", f.dir);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;
	(void)unlink(f->path);
	(void)unlink(f->left);
	(void)unlink(f->other);
	return rmdir(f->dir);
}

static void put(const char *path, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret", 6), 6);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void holds(int fd, const char *text)
{
	char have[16];
	assert_int_equal(pread(fd, have, sizeof have, 0), 6);
	assert_memory_equal(have, text, 6);
}

/* Run without root's right to pass over modes, in a folder and on files of who runs it. */
static int as_nobody(const struct fixture *f, int (*run)(const struct fixture *f))
{
	const pid_t child = fork();
	int status = 1;
	assert_true(child >= 0);
	if (child == 0) {
		if (geteuid() == 0 && (chown(f->dir, NOBODY, NOBODY) != 0 || chown(f->left, NOBODY, NOBODY) != 0 ||
				       setegid(NOBODY) != 0 || seteuid(NOBODY) != 0))
			_exit(2);
		_exit(run(f));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int sweeps(const struct fixture *f)
{
	return private_sweep(f->path) ? 0 : 1;
}

static void what_is_left_is_wiped_and_removed_whatever_its_mode(void **state)
{
	static const mode_t modes[] = {0600, 0400, 0200, 0, 0444, 0620, 0664, 0666, 0777};
	const struct fixture *f = *state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		put(f->left, 0600);
		const int held = open(f->left, O_RDONLY);
		assert_int_equal(chmod(f->left, modes[i]), 0);
		assert_int_equal(as_nobody(f, sweeps), 0);
		holds(held, "\0\0\0\0\0\0");
		close(held);
		assert_int_equal(access(f->left, F_OK), -1);
	}
}

static void what_has_another_name_keeps_its_mode_and_all(void **state)
{
	const struct fixture *f = *state;
	struct stat st;
	put(f->left, 0400);
	assert_int_equal(link(f->left, f->other), 0);
	assert_int_equal(as_nobody(f, sweeps), 0);
	assert_int_equal(access(f->left, F_OK), -1);
	assert_int_equal(stat(f->other, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	const int held = open(f->other, O_RDONLY);
	holds(held, "secret");
	close(held);
}

static void what_another_command_writes_is_left_to_it(void **state)
{
	const struct fixture *f = *state;
	put(f->left, 0600);
	const int held = open(f->left, O_RDONLY);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(as_nobody(f, sweeps) == 0, false);
	holds(held, "secret");
	close(held);
}

static void somebody_elses_file_is_left_alone(void **state)
{
	const struct fixture *f = *state;
	struct private_draft d = PRIVATE_DRAFT_NONE;
	struct why w = {0};
	assert_int_equal(symlink("k", f->left), 0);
	assert_int_equal(private_draft_write("the key", f->path, 0600, BYTES_LIT("new"), &d, &w), ERR_ENVIRONMENT);
	assert_non_null(
		strstr(w.text, "/.k.new is in the way, which is no file of yours, so it is left alone. Move it "));
	private_draft_end(&d);
	if (geteuid() != 0)
		return;
	unlink(f->left);
	put(f->left, 0666);
	assert_int_equal(chown(f->left, NOBODY, NOBODY), 0);
	assert_int_equal(private_draft_write("the key", f->path, 0600, BYTES_LIT("new"), &d, &w), ERR_ENVIRONMENT);
	assert_non_null(strstr(w.text, "is in the way"));
	private_draft_end(&d);
	const int held = open(f->left, O_RDONLY);
	holds(held, "secret");
	close(held);
}

static int replaces(const struct fixture *f)
{
	struct private_draft d = PRIVATE_DRAFT_NONE;
	struct why w = {0};
	const bool placed = private_draft_write("the key", f->path, 0600, BYTES_LIT("secre2"), &d, &w) == ERR_OK &&
			    private_draft_place("the key", &d, true, &w) == ERR_OK;
	private_draft_end(&d);
	return placed && access(f->left, F_OK) != 0 ? 0 : 1;
}

static void what_is_replaced_is_wiped_though_it_is_read_only(void **state)
{
	const struct fixture *f = *state;
	put(f->path, 0400);
	if (geteuid() == 0)
		assert_int_equal(chown(f->path, NOBODY, NOBODY), 0);
	put(f->left, 0664); /* of a replacement that was killed */
	const int old = open(f->path, O_RDONLY);
	assert_int_equal(as_nobody(f, replaces), 0);
	holds(old, "\0\0\0\0\0\0");
	close(old);
	const int fresh = open(f->path, O_RDONLY);
	holds(fresh, "secre2");
	close(fresh);
}

static void begins(const struct fixture *f, struct private_draft *d, const char *text)
{
	struct why w = {0};
	*d = PRIVATE_DRAFT_NONE;
	assert_int_equal(private_draft_write("the key", f->path, 0600, bytes_str(text), d, &w), ERR_OK);
}

static void goes_on(struct private_draft *d)
{
	struct why w = {0};
	assert_int_equal(private_draft_place("the key", d, true, &w), ERR_OK);
}

static void is_there(const struct fixture *f, const char *text)
{
	const int fd = open(f->path, O_RDONLY);
	holds(fd, text);
	close(fd);
	assert_int_equal(access(f->left, F_OK), -1);
}

/* Between the first one's exchange of names and its end the second sweeps, and begins. */
static void a_replacement_leaves_the_next_ones_draft_alone(void **state)
{
	const struct fixture *f = *state;
	struct private_draft first, second;
	put(f->path, 0600);
	const int old = open(f->path, O_RDONLY);
	begins(f, &first, "first.");
	goes_on(&first);
	begins(f, &second, "second");
	holds(old, "\0\0\0\0\0\0");
	close(old);
	private_draft_end(&first);
	holds(second.fd, "second");
	goes_on(&second);
	private_draft_end(&second);
	is_there(f, "second");
}

static void of_two_replacements_the_last_to_end_tidies_up(void **state)
{
	const struct fixture *f = *state;
	struct private_draft first, second;
	put(f->path, 0600);
	begins(f, &first, "first.");
	goes_on(&first);
	begins(f, &second, "second");
	goes_on(&second);
	const int replaced = open(f->left, O_RDONLY);
	holds(replaced, "first.");
	private_draft_end(&second);
	private_draft_end(&first);
	holds(replaced, "\0\0\0\0\0\0");
	close(replaced);
	is_there(f, "second");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_left_is_wiped_and_removed_whatever_its_mode),
		TEST(what_has_another_name_keeps_its_mode_and_all),
		TEST(what_another_command_writes_is_left_to_it),
		TEST(somebody_elses_file_is_left_alone),
		TEST(what_is_replaced_is_wiped_though_it_is_read_only),
		TEST(a_replacement_leaves_the_next_ones_draft_alone),
		TEST(of_two_replacements_the_last_to_end_tidies_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
