/* What nitro-cli describe-enclaves prints is read, and nothing else is taken for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cmd/nitro_cli.h"
#include "json.h"

static void reads(const char *text, size_t n, struct nitro_enclaves *out)
{
	struct why w = {0};
	if (nitro_cli_parse(bytes_str(text), out, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_int_equal(out->n, n);
}

static void refuses(struct bytes text, const char *why)
{
	struct nitro_enclaves out = {.n = 7};
	struct why w = {0};
	assert_int_equal(nitro_cli_parse(text, &out, &w), ERR_ENVIRONMENT);
	if (strstr(w.text, why) == NULL || strstr(w.text, "--cid") == NULL)
		fail_msg("%s", w.text);
	assert_int_equal(out.n, 7);
}

static void a_real_list_is_read(void **s)
{
	static const char text[] =
		"[\n  {\n    \"EnclaveName\": \"app\",\n"
		"    \"EnclaveID\": \"i-0123456789abcdef0-enc18a1b2c3d4e5f60\",\n"
		"    \"ProcessID\": 4242,\n    \"EnclaveCID\": 16,\n    \"NumberOfCPUs\": 2,\n"
		"    \"CPUIDs\": [1, 3],\n    \"MemoryMiB\": 512,\n    \"State\": \"RUNNING\",\n"
		"    \"Flags\": \"NONE\",\n    \"Measurements\": {\"HashAlgorithm\": \"Sha384 { ... }\"}\n"
		"  }\n]\n";
	struct nitro_enclaves out;
	(void)s;
	reads(text, 1, &out);
	assert_int_equal(out.list[0].cid, 16);
	assert_string_equal(out.list[0].name, "app");
	assert_string_equal(out.list[0].id, "i-0123456789abcdef0-enc18a1b2c3d4e5f60");
}

static void none_is_a_list_too(void **s)
{
	struct nitro_enclaves out;
	(void)s;
	reads("[]", 0, &out);
	reads("[]\n", 0, &out);
}

static void those_that_run_count(void **s)
{
	struct nitro_enclaves out;
	(void)s;
	reads("[{\"EnclaveCID\":1,\"State\":\"TERMINATING\"},{\"EnclaveCID\":2,\"State\":\"RUNNING\"},{\"State\":\"EMPTY\"},"
	      "{\"EnclaveCID\":3},{\"EnclaveCID\":4,\"State\":null},{\"EnclaveCID\":5,\"State\":\"running\"}]",
	      2, &out);
	assert_int_equal(out.list[0].cid, 2);
	assert_int_equal(out.list[1].cid, 3);
}

static void names_are_plain_and_short(void **s)
{
	struct nitro_enclaves out;
	char text[512], x[201];
	(void)s;
	reads("[{\"EnclaveCID\":16,\"EnclaveName\":\"a\\u001b[31m\\u202eb\",\"EnclaveID\":5}]", 1, &out);
	assert_string_equal(out.list[0].name, "a\\u{1b}[31m\\u{202e}b");
	assert_string_equal(out.list[0].id, "");
	memset(x, 'x', 200);
	x[200] = '\0';
	(void)snprintf(text, sizeof text, "[{\"EnclaveCID\":16,\"EnclaveName\":\"%s\"}]", x);
	reads(text, 1, &out);
	assert_int_equal(strlen(out.list[0].name), 64);
	x[0] = '\0';
	for (int i = 0; i < 33; i++)
		(void)snprintf(x + 6 * i, sizeof x - 6 * (size_t)i, "\\u0001");
	(void)snprintf(text, sizeof text, "[{\"EnclaveCID\":16,\"EnclaveName\":\"%s\"}]", x);
	reads(text, 1, &out);
	assert_int_equal(strlen(out.list[0].name), NITRO_TEXT_MAX - 1);
}

static void a_cid_is_a_number_of_32_bits(void **s)
{
	static const char *const bad[] = {"-1", "4294967295", "4294967296", "1.0", "\"16\"", "null", "[]"};
	struct nitro_enclaves out;
	char text[64];
	(void)s;
	reads("[{\"EnclaveCID\":0},{\"EnclaveCID\":4294967294}]", 2, &out);
	assert_true(out.list[1].cid == 4294967294u);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "[{\"EnclaveCID\":%s}]", bad[i]);
		refuses(bytes_str(text), "has no EnclaveCID");
	}
	refuses(BYTES_LIT("[{}]"), "has no EnclaveCID");
}

static void anything_else_is_refused(void **s)
{
	(void)s;
	refuses(BYTES_LIT(""), "it is not JSON");
	refuses(BYTES_LIT("[ E36 ] Enclave boot failure"), "it is not JSON");
	refuses(BYTES_LIT("[{\"EnclaveCID\":16}"), "it is not JSON");
	refuses(BYTES_LIT("[{\"EnclaveCID\":16,\"EnclaveCID\":17}]"), "it is not JSON");
	refuses(BYTES_LIT("[]\0"), "it is not JSON");
	refuses(BYTES_LIT("{\"EnclaveCID\":16}"), "it is no array");
	refuses(BYTES_LIT("null"), "it is no array");
	refuses(BYTES_LIT("[16]"), "an enclave is no object");
}

static void as_many_enclaves_as_fit_are_kept(void **s)
{
	struct buf text = BUF_INIT(8192);
	struct nitro_enclaves out;
	(void)s;
	buf_put_str(&text, "[{\"EnclaveCID\":4}");
	for (int i = 1; i < NITRO_ENCLAVES_MAX; i++)
		buf_put_str(&text, ",{\"EnclaveCID\":4}");
	buf_put_str(&text, "]");
	reads(buf_cstr(&text), NITRO_ENCLAVES_MAX, &out);
	text.n--;
	buf_put_str(&text, ",{\"EnclaveCID\":4}]");
	refuses(buf_bytes(&text), "too many");
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_list_is_read),
		cmocka_unit_test(none_is_a_list_too),
		cmocka_unit_test(those_that_run_count),
		cmocka_unit_test(names_are_plain_and_short),
		cmocka_unit_test(a_cid_is_a_number_of_32_bits),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(as_many_enclaves_as_fit_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
