/* What `attestd proxy` carries where nobody says so; binding the default needs a privilege, and reading it none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cmd/proxy_pairs.h"

static void the_default_pair_is_every_address_at_443_to_cid_16_at_5005(void **state)
{
	static const char *const variables[] = {"BIND_ADDR", "ENCLAVE_CID", "ENCLAVE_PORT", "LISTEN_PID", "LISTEN_FDS"};
	const struct args none = {.command = &cmd_proxy};
	char text[NET_TARGET_MAX];
	struct pairs p;
	(void)state;
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		assert_int_equal(unsetenv(variables[i]), 0);
	assert_int_equal(pairs_read(&p, &none), CMD_OK);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.at[0].fd, -1);
	const struct net_target from = {.addr = p.at[0].from};
	net_target_text(&from, text);
	assert_string_equal(text, "tcp:0.0.0.0:443");
	net_target_text(&p.at[0].to, text);
	assert_string_equal(text, "vsock:16:5005");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_pair_is_every_address_at_443_to_cid_16_at_5005),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
