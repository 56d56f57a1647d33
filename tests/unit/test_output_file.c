#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert.h"
#include "cmd/output_file.h"

#define CERTIFICATE "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"

struct fixture {
	char dir[32], path[64];
	struct output_file f;
	struct why w;
};

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.dir = "/tmp/attestd-output-XXXXXX"};
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(f.path, sizeof f.path, "%s/f", f.dir);
	f.f = (struct output_file){.what = "the thing", .path = f.path, .mode = 0640, .commanded = true};
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	const struct fixture *f = *state;
	(void)unlink(f->path);
	return rmdir(f->dir); /* which is empty, so nothing was left beside the file */
}

static void put(const struct fixture *f, struct bytes text)
{
	const int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), text.n);
	close(fd);
}

static void holds(const struct fixture *f, struct bytes text)
{
	uint8_t have[CERT_PEM_MAX + 2];
	const int fd = open(f->path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, have, sizeof have), text.n);
	assert_memory_equal(have, text.p, text.n);
	close(fd);
}

/* Refused by both, and what is there stays. */
static void lost(struct fixture *f, struct bytes old, const char *says)
{
	put(f, old);
	assert_int_equal(output_file_check(&f->f, &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, says));
	f->w = (struct why){0};
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, says));
	holds(f, old);
}

static void replaced(struct fixture *f, struct bytes old)
{
	struct stat st;
	put(f, old);
	assert_int_equal(output_file_check(&f->f, &f->w), ERR_OK);
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_OK);
	holds(f, BYTES_LIT("new"));
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void nothing_and_what_is_empty_are_written(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(output_file_check(&f->f, &f->w), ERR_OK);
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_OK);
	holds(f, BYTES_LIT("new"));
	replaced(f, BYTES_LIT(""));
}

static void an_attestation_takes_the_place_of_another(void **state)
{
	struct fixture *f = *state;
	f->f.kind = OUTPUT_ATTESTATION;
	replaced(f, BYTES_LIT("{\"attestation_document\":"));
	replaced(f, BYTES_LIT("hEShATgi"));
	replaced(f, BYTES_LIT("0oREoQE4I"));
	lost(f, BYTES_LIT("{\"attestation_document\""), "what is there is no attestation, and would be lost; --force");
	lost(f, BYTES_LIT("hEShATg"), "is no attestation");
	lost(f, BYTES_LIT("0oREoQE4"), "is no attestation");
	lost(f, BYTES_LIT("\0"), "is no attestation");
	lost(f, BYTES_LIT(CERTIFICATE), "is no attestation");
}

static void a_certificate_takes_the_place_of_just_one(void **state)
{
	struct fixture *f = *state;
	uint8_t text[CERT_PEM_MAX + 1];
	f->f.kind = OUTPUT_CERTIFICATE;
	replaced(f, BYTES_LIT(CERTIFICATE));
	lost(f, BYTES_LIT("-----BEGIN CERTIFICATE-----\n"),
	     "what is there is not just a certificate, and would be lost");
	lost(f, BYTES_LIT(CERTIFICATE CERTIFICATE), "is not just a certificate");
	lost(f, BYTES_LIT(CERTIFICATE "-----BEGIN "), "is not just a certificate");
	lost(f, BYTES_LIT(CERTIFICATE "precious"), "is not just a certificate");
	lost(f, BYTES_LIT("precious\n" CERTIFICATE), "is not just a certificate");
	lost(f, BYTES_LIT("hEShATgi"), "is not just a certificate");
	memset(text, '\n', sizeof text);
	memcpy(text, CERTIFICATE, sizeof CERTIFICATE - 1);
	replaced(f, bytes_of(text, CERT_PEM_MAX));
	lost(f, bytes_of(text, CERT_PEM_MAX + 1), "is not just a certificate");
}

static void forced_it_takes_the_place_of_any_file(void **state)
{
	struct fixture *f = *state;
	f->f.force = true;
	replaced(f, BYTES_LIT("precious"));
	f->f.path = f->dir;
	assert_int_equal(output_file_check(&f->f, &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "it is neither a file nor a pipe"));
}

static void where_nobody_commands_no_force_is_advised_and_no_reader_is_waited_for(void **state)
{
	struct fixture *f = *state;
	uint8_t piece[4096] = {0};
	f->f.commanded = false;
	lost(f, BYTES_LIT("precious"), "and would be lost");
	assert_null(strstr(f->w.text, "--force"));
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(output_file_check(&f->f, &f->w), ERR_OK);
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "nobody reads from it"));
	const int reader = open(f->path, O_RDWR | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_OK);
	assert_int_equal(read(reader, piece, sizeof piece), 3);
	while (write(reader, piece, sizeof piece) > 0)
		;
	assert_int_equal(output_file_write(&f->f, BYTES_LIT("new"), &f->w), ERR_ENVIRONMENT);
	assert_non_null(strstr(f->w.text, "it is full"));
	close(reader);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_and_what_is_empty_are_written),
		TEST(an_attestation_takes_the_place_of_another),
		TEST(a_certificate_takes_the_place_of_just_one),
		TEST(forced_it_takes_the_place_of_any_file),
		TEST(where_nobody_commands_no_force_is_advised_and_no_reader_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
