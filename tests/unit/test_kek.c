#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "session.h"

struct fixture {
	char dir[64], file[96], credentials[96], credential[128], runtime[96], generated[128];
	struct random random;
	struct session_kek k;
	struct why w;
};

static enum err fill(void *ctx, uint8_t *out, size_t n, struct why *w)
{
	(void)w;
	memset(out, *(int *)ctx, n);
	return ERR_OK;
}

static int filler = 0x42;

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return 1;
	snprintf(f->dir, sizeof f->dir, "/tmp/attestd-kek-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return 1;
	snprintf(f->file, sizeof f->file, "%s/file", f->dir);
	snprintf(f->credentials, sizeof f->credentials, "%s/credentials", f->dir);
	snprintf(f->credential, sizeof f->credential, "%s/kek", f->credentials);
	snprintf(f->runtime, sizeof f->runtime, "%s/runtime", f->dir);
	snprintf(f->generated, sizeof f->generated, "%s/kek", f->runtime);
	f->random = (struct random){&filler, fill};
	*state = f;
	return mkdir(f->credentials, 0700) == 0 && mkdir(f->runtime, 0700) == 0 ? 0 : 1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	session_kek_close(&f->k);
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void put(const char *path, int byte, size_t n, mode_t mode)
{
	uint8_t b[128];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(b, byte, sizeof b);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, b, n), (ssize_t)n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static enum err open_kek(struct fixture *f, const char *file, const char *credentials)
{
	session_kek_close(&f->k);
	return session_kek_open(&f->k, file, credentials, f->runtime, &f->random, &f->w);
}

static void assert_key(const struct fixture *f, int byte, bool generated)
{
	uint8_t b[SESSION_KEK_SIZE];

	memset(b, byte, sizeof b);
	assert_true(secret_equal(secret_view(f->k.key), bytes_of(b, sizeof b)));
	assert_int_equal(f->k.generated, generated);
}

static void assert_refused(struct fixture *f, const char *file, const char *credentials, const char *says)
{
	assert_int_equal(open_kek(f, file, credentials), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, says));
	assert_null(f->k.key);
}

static void a_key_is_made_once_and_then_read(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(open_kek(f, "", NULL), ERR_OK);
	assert_key(f, 0x42, true);
	assert_int_equal(stat(f->generated, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, SESSION_KEK_SIZE);
	filler = 0x43;
	assert_int_equal(open_kek(f, "", NULL), ERR_OK);
	assert_key(f, 0x42, true);
	filler = 0x42;
}

static void what_a_crash_left_half_written_is_no_obstacle(void **state)
{
	struct fixture *f = *state;
	char rest[192];

	snprintf(rest, sizeof rest, "%s/kek.new", f->runtime);
	put(rest, 1, 7, 0600);
	assert_int_equal(open_kek(f, "", NULL), ERR_OK);
	assert_key(f, 0x42, true);
	assert_int_equal(access(rest, F_OK), -1);
}

static void file_comes_before_credential_and_credential_before_runtime_dir(void **state)
{
	struct fixture *f = *state;

	put(f->file, 1, 32, 0600);
	put(f->credential, 2, 32, 0400);
	put(f->generated, 3, 32, 0600);
	assert_int_equal(open_kek(f, f->file, f->credentials), ERR_OK);
	assert_key(f, 1, false);
	assert_int_equal(open_kek(f, "", f->credentials), ERR_OK);
	assert_key(f, 2, false);
	assert_int_equal(open_kek(f, "", NULL), ERR_OK);
	assert_key(f, 3, true);
	assert_int_equal(unlink(f->credential), 0);
	assert_int_equal(open_kek(f, "", f->credentials), ERR_OK);
	assert_key(f, 3, true);
}

static void a_configured_file_that_is_missing_is_not_replaced(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, f->file, NULL, "does not exist");
	assert_int_equal(access(f->generated, F_OK), -1);
}

static void a_key_has_exactly_32_bytes_that_are_not_all_zero(void **state)
{
	struct fixture *f = *state;

	put(f->file, 1, 31, 0600);
	assert_refused(f, f->file, NULL, "fewer bytes");
	put(f->file, 1, 33, 0600);
	assert_refused(f, f->file, NULL, "more bytes");
	put(f->file, 1, 0, 0600);
	assert_refused(f, f->file, NULL, "fewer bytes");
	put(f->file, 0, 32, 0600);
	assert_refused(f, f->file, NULL, "zeros only");
	put(f->file, 1, 32, 0600);
	assert_int_equal(open_kek(f, f->file, NULL), ERR_OK);
}

static void a_key_that_others_can_reach_is_refused(void **state)
{
	struct fixture *f = *state;

	for (mode_t bit = 1; bit <= 040; bit <<= 1) {
		put(f->file, 1, 32, 0600 | bit);
		assert_refused(f, f->file, NULL, "chmod 600");
		put(f->generated, 1, 32, 0600 | bit);
		assert_refused(f, "", NULL, "chmod 600");
	}
	/* systemd gives the unit's group the right to read a credential. */
	put(f->credential, 1, 32, 0440);
	assert_int_equal(open_kek(f, "", f->credentials), ERR_OK);
	put(f->credential, 1, 32, 0460);
	assert_refused(f, "", f->credentials, "chmod 600");
	put(f->credential, 1, 32, 0444);
	assert_refused(f, "", f->credentials, "chmod 600");
}

static void only_a_regular_file_is_read(void **state)
{
	struct fixture *f = *state;

	put(f->file, 1, 32, 0600);
	assert_int_equal(symlink(f->file, f->generated), 0);
	assert_refused(f, f->generated, NULL, "symbolic link");
	assert_refused(f, "", NULL, "symbolic link");
	assert_refused(f, f->runtime, NULL, "not a regular file");
	assert_int_equal(unlink(f->generated), 0);
	assert_int_equal(mkfifo(f->generated, 0600), 0);
	assert_refused(f, "", NULL, "not a regular file");
}

static void a_key_of_another_user_is_refused(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0) {
		print_message("skipped: only root can give a file to another user\n");
		skip();
	}
	put(f->file, 1, 32, 0600);
	assert_int_equal(chown(f->file, 12345, 12345), 0);
	assert_refused(f, f->file, NULL, "belongs to user 12345");
}

static void a_runtime_dir_that_is_not_there_is_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->runtime), 0);
	assert_refused(f, "", NULL, "runtime directory");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_key_is_made_once_and_then_read),
		T(what_a_crash_left_half_written_is_no_obstacle),
		T(file_comes_before_credential_and_credential_before_runtime_dir),
		T(a_configured_file_that_is_missing_is_not_replaced),
		T(a_key_has_exactly_32_bytes_that_are_not_all_zero),
		T(a_key_that_others_can_reach_is_refused),
		T(only_a_regular_file_is_read),
		T(a_key_of_another_user_is_refused),
		T(a_runtime_dir_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
