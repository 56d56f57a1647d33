#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "der_hex.h"

static bool strict_hex(const char *hex)
{
	struct buf b = BUF_INIT(SURGERY_MAX);
	bool good;

	put_hex(&b, hex);
	good = der_strict(buf_bytes(&b));
	buf_free(&b);
	return good;
}

static void only_strict_der_is_der(void **state)
{
	static const char *const good[] = {
		"",	  "0500",     "3000",	  "010100", "0101ff",	  "020100",   "02020080",	  "0202ff7f",
		"030100", "03020780", "03020001", "0400",   "0603551d13", "0c02c3a9", "3106020100020101", "a003020102",
		"8000",	  "06028100",
	};
	static const char *const bad[] = {
		"30",		"3001",	    "3080",	  "30800000",
		"308100",	"30817f",   "30820080",	  "308300000100",
		"3084000000ff", "1f8100",   "bf8100",	  "010101",
		"0100",		"01020000", "0200",	  "02020001",
		"0202ff80",	"0300",	    "030101",	  "030208ff",
		"03020781",	"0600",	    "060280",	  "06028001",
		"060281",	"0c01ff",   "2403040100", "2303030100",
		"1000",		"1100",	    "0000",	  "3106020101020100",
		"30020201",
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!strict_hex(good[i]))
			fail_msg("%s is DER", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (strict_hex(bad[i]))
			fail_msg("%s is not DER", bad[i]);
}

static void der_is_at_most_12_deep(void **state)
{
	uint8_t nested[26];

	(void)state;
	for (size_t i = 0; i < 13; i++) {
		nested[2 * i] = DER_SEQUENCE;
		nested[2 * i + 1] = (uint8_t)(sizeof nested - 2 * i - 2);
	}
	assert_false(der_strict(bytes_of(nested, sizeof nested)));
	assert_true(der_strict(bytes_of(nested + 4, sizeof nested - 4)));
	assert_false(der_strict(bytes_of(nested + 2, sizeof nested - 2)));
}

static void times_are_read_as_rfc_5280_writes_them(void **state)
{
	static const struct {
		uint8_t tag;
		const char *text;
		int64_t want; /* -1: refused */
	} cases[] = {
		{0x17, "700101000000Z", 0},
		{0x17, "191028132805Z", 1572269285},
		{0x17, "491028142805Z", 2519044085},
		{0x17, "240229235959Z", 1709251199},
		{0x17, "000229000000Z", 951782400},
		{0x17, "500101000000Z", -631152000},
		{0x17, "491231235959Z", 2524607999},
		{0x18, "20500101000000Z", 2524608000},
		{0x18, "99991231235959Z", 253402300799},
		{0x18, "24000229000000Z", 13574563200},
		{0x18, "20491231235959Z", -1},
		{0x18, "500101000000Z", -1},
		{0x17, "20500101000000Z", -1},
		{0x17, "250229000000Z", -1},
		{0x18, "21000229000000Z", -1},
		{0x17, "251301000000Z", -1},
		{0x17, "250001000000Z", -1},
		{0x17, "250100000000Z", -1},
		{0x17, "250132000000Z", -1},
		{0x17, "250431000000Z", -1},
		{0x17, "250101240000Z", -1},
		{0x17, "250101006000Z", -1},
		{0x17, "250101000060Z", -1},
		{0x17, "2501010000Z", -1},
		{0x17, "250101000000", -1},
		{0x17, "250101000000z", -1},
		{0x17, "250101000000+0000", -1},
		{0x17, "25010100000-Z", -1},
		{0x17, " 50101000000Z", -1},
		{0x18, "20500101000000.5Z", -1},
		{0x17, "", -1},
		{0x16, "700101000000Z", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf b = BUF_INIT(64);
		int64_t got = -2;
		struct bytes in;
		bool good;

		put_tlv(&b, cases[i].tag, bytes_str(cases[i].text));
		in = buf_bytes(&b);
		good = der_time(&in, &got);
		if (good != (cases[i].want != -1) || got != (good ? cases[i].want : -2))
			fail_msg("%s gives %lld", cases[i].text, (long long)got);
		assert_int_equal(in.n, good ? 0 : b.n);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_strict_der_is_der),
		cmocka_unit_test(der_is_at_most_12_deep),
		cmocka_unit_test(times_are_read_as_rfc_5280_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
