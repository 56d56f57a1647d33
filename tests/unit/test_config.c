#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

/* environ's strings are not const. */
#define VAR(s) ((char[]){s})

static struct why why;

static struct config *must_parse_with(const char *text, char *const *env, const struct config_set *sets, size_t n)
{
	struct config *c = NULL;
	if (config_parse(&c, "t.conf", bytes_str(text), env, sets, n, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return c;
}

static struct config *must_parse(const char *text)
{
	return must_parse_with(text, NULL, NULL, 0);
}

static void must_fail_with(struct bytes text, char *const *env, const struct config_set *sets, size_t n,
			   const char *expected)
{
	struct config *c = (struct config *)&why; /* outputs stay untouched on failure */

	assert_int_equal(config_parse(&c, "t.conf", text, env, sets, n, &why), ERR_CONFIG);
	assert_ptr_equal(c, &why);
	assert_int_equal(why.err, ERR_CONFIG);
	if (strstr(why.text, expected) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", why.text, expected);
}

static void must_fail(const char *text, const char *expected)
{
	must_fail_with(bytes_str(text), NULL, NULL, 0, expected);
}

static char *shown(const struct config *c, bool security)
{
	struct buf b = BUF_INIT(1 << 20);
	char *s;

	config_show(c, security, &b);
	s = strdup(buf_cstr(&b));
	assert_non_null(s);
	buf_free(&b);
	return s;
}

static void nothing_gives_the_defaults(void **state)
{
	struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load(&c, NULL, NULL, NULL, 0, &why), ERR_OK);
	assert_string_equal(c->listen, "127.0.0.1:8765");
	assert_string_equal(c->public_listen, "");
	assert_string_equal(c->agent, "OpenClaw");
	assert_string_equal(c->guardrail, "LLM Proxy with Guardrails");
	assert_int_equal(c->max_body, 64 << 20);
	assert_int_equal(c->max_messages, 1 << 20);
	assert_int_equal(c->durability, CONFIG_DURABILITY_PROCESS);
	assert_int_equal(c->log_format, CONFIG_LOG_TEXT);
	assert_int_equal(c->log_level, CONFIG_LOG_LEVEL_INFO);
	config_free(c);
	config_free(NULL);
}

static void reads_keys_comments_and_blanks(void **state)
{
	struct config *c = must_parse(
		"# a comment\n\n \t# another\n\tlisten \t=  unix:/run/a b.sock\t \nnsm=dummy\n"
		"info_build = a = b \"c\" \\d\nlog_level = debug\ndurability = power\ninfo_version=");

	(void)state;
	assert_string_equal(c->listen, "unix:/run/a b.sock");
	assert_string_equal(c->nsm, "dummy");
	assert_string_equal(c->info_build, "a = b \"c\" \\d");
	assert_string_equal(c->info_version, "");
	assert_int_equal(c->log_level, CONFIG_LOG_LEVEL_DEBUG);
	assert_int_equal(c->durability, CONFIG_DURABILITY_POWER);
	config_free(c);
}

static void quotes_keep_spaces_and_hashes(void **state)
{
	struct config *c = must_parse("agent = \" #1 \\\"A\\\\B\\\" \" \nguardrail = \"x\"\ninfo_build = \"\"\n");

	(void)state;
	assert_string_equal(c->agent, " #1 \"A\\B\" ");
	assert_string_equal(c->guardrail, "x");
	assert_string_equal(c->info_build, "");
	config_free(c);
	must_fail("agent = \"x", "t.conf:1: the value lacks its closing double quote");
	must_fail("agent = \"x\\\"", "closing double quote");
	must_fail("agent = \"", "closing double quote");
	must_fail("agent = \"a\" b", "follows the closing double quote");
	must_fail("agent = \"a\" # b", "a comment needs a line of its own");
	must_fail("agent = \"a\\nb\"", "stands only before");
	must_fail("agent = \"a\\", "stands only before");
	must_fail("agent = a # b", "a comment needs a line of its own");
}

static void an_unknown_key_is_an_error_that_suggests_one(void **state)
{
	(void)state;
	must_fail("\n\nlisten = unix:/a\n\nlisen = x\n", "t.conf:5: unknown key \"lisen\" (did you mean \"listen\"?)");
	must_fail("max-body = 1", "did you mean \"max_body\"?");
	must_fail("Listen = x", "did you mean \"listen\"?");
	must_fail("nothing_like_it = x", "t.conf:1: unknown key \"nothing_like_it\"");
	assert_null(strstr(why.text, "did you mean"));
	must_fail("xx = x", "t.conf:1: unknown key \"xx\"");
	assert_null(strstr(why.text, "did you mean"));
	must_fail("= x", "unknown key \"\"");
	must_fail("listen", "t.conf:1: expected \"key = value\"");
}

static void a_key_twice_in_the_file_is_an_error(void **state)
{
	(void)state;
	must_fail("agent = a\nnsm = dummy\nagent = a\n", "t.conf:3: agent was already set on line 1");
}

static void bytes_that_are_no_text_are_errors(void **state)
{
	static const char nul[] = "agent = a\0b\n", comment[] = "# a\0b\n";

	(void)state;
	must_fail_with(bytes_of(nul, sizeof nul - 1), NULL, NULL, 0, "t.conf:1: the line holds a NUL byte");
	must_fail_with(bytes_of(comment, sizeof comment - 1), NULL, NULL, 0, "a NUL byte");
	must_fail("agent = a\x01"
		  "b",
		  "a control character");
	must_fail("agent = a\x7f", "a control character");
	must_fail("agent = a\xc2\x9b"
		  "31m",
		  "a control character");
	must_fail("agent = \xff", "not UTF-8");
	must_fail("# \xed\xa0\x80", "not UTF-8");
	must_fail("agent = a\tb", "the value of agent holds a control character");
	must_fail("agent = a\r\nnsm = dummy\r\n", "t.conf:1: the line ends in CR LF");
	must_fail("\xef\xbb\xbf"
		  "agent = a",
		  "byte-order mark");
	config_free(must_parse("agent = \xc3\xa9\xc2\xa0\xf0\x9f\x90\xbe"));
}

static void lines_have_a_limit(void **state)
{
	char line[CONFIG_LINE_MAX + 2];

	(void)state;
	memset(line, 'x', sizeof line);
	line[0] = '#';
	line[CONFIG_LINE_MAX] = '\0';
	config_free(must_parse(line));
	line[CONFIG_LINE_MAX] = 'x';
	line[CONFIG_LINE_MAX + 1] = '\0';
	must_fail(line, "t.conf:1: the line is 4097 bytes long");
}

static void files_have_a_limit(void **state)
{
	char *text = malloc(CONFIG_FILE_MAX + 1), path[] = "/tmp/attestd-config-XXXXXX";
	int fd = mkstemp(path);
	struct config *c = NULL;

	(void)state;
	assert_non_null(text);
	assert_true(fd >= 0);
	memset(text, '\n', CONFIG_FILE_MAX + 1);
	assert_int_equal(write(fd, text, CONFIG_FILE_MAX), CONFIG_FILE_MAX);
	assert_int_equal(config_load(&c, path, NULL, NULL, 0, &why), ERR_OK);
	config_free(c);
	assert_int_equal(write(fd, text, 1), 1);
	assert_int_equal(config_load(&c, path, NULL, NULL, 0, &why), ERR_CONFIG);
	assert_non_null(strstr(why.text, "larger than 262144 bytes"));
	must_fail_with(bytes_of(text, CONFIG_FILE_MAX + 1), NULL, NULL, 0, "t.conf: the file is larger");
	close(fd);
	unlink(path);
	free(text);
}

static void an_unreadable_file_is_the_environments_fault(void **state)
{
	struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load(&c, "/nonexistent/a.conf", NULL, NULL, 0, &why), ERR_ENVIRONMENT);
	assert_non_null(strstr(why.text, "/nonexistent/a.conf cannot be opened: No such file"));
	assert_int_equal(config_load(&c, "/", NULL, NULL, 0, &why), ERR_ENVIRONMENT);
	assert_null(c);
}

static void values_have_limits(void **state)
{
	char line[CONFIG_VALUE_MAX + 16] = "kek_file = ";
	size_t front = strlen(line);
	struct config *c;

	(void)state;
	memset(line + front, 'p', CONFIG_VALUE_MAX);
	line[front + CONFIG_VALUE_MAX] = '\0';
	c = must_parse(line);
	assert_int_equal(strlen(c->kek_file), CONFIG_VALUE_MAX);
	config_free(c);
	line[front + CONFIG_VALUE_MAX] = 'p';
	line[front + CONFIG_VALUE_MAX + 1] = '\0';
	must_fail(line, "the value of kek_file is 1025 bytes long, and at most 1024 are allowed");

	memcpy(line, "info_name =", 11);
	line[front + 128] = '\0';
	config_free(must_parse(line));
	line[front + 128] = 'p';
	line[front + 129] = '\0';
	must_fail(line, "info_name is 129 bytes long, and at most 128");
}

static void numbers_are_strict(void **state)
{
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  " ",
					  "1x",
					  "0x10",
					  "1.5",
					  "1e3",
					  "01",
					  "1 ",
					  "k",
					  "5k",
					  "9223372036854775808",
					  "18446744073709551617",
					  "99999999999999999999999999"};
	char line[64];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct config_set set = {"--set", "nsm_queue", bad[i]};

		must_fail_with(bytes_str(""), NULL, &set, 1, "--set: nsm_queue must be a whole number from 1 to 4096");
		if (bad[i][0] != '\0' && strchr(bad[i], ' ') == NULL) {
			snprintf(line, sizeof line, "nsm_queue = %s", bad[i]);
			must_fail(line, "t.conf:1: nsm_queue must be a whole number");
		}
	}
	must_fail("nsm_queue = 0", "from 1 to 4096, not \"0\"");
	must_fail("nsm_queue = 4097", "from 1 to 4096, not \"4097\"");
	config_free(must_parse("nsm_queue = 1"));
	config_free(must_parse("nsm_queue = 4096"));
	config_free(must_parse("workers = 0"));
}

static void sizes_and_times_take_units(void **state)
{
	struct config *c = must_parse("max_body = 1k\nmax_inflight = 2g\npublic_inflight = 3m\nsession_lifetime = 2h\n"
				      "nsm_timeout = 5m\nheader_timeout = 7s\nidle_timeout = 8\n");

	(void)state;
	assert_int_equal(c->max_body, 1024);
	assert_int_equal(c->max_inflight, INT64_C(2) << 30);
	assert_int_equal(c->public_inflight, 3 << 20);
	assert_int_equal(c->session_lifetime, 7200);
	assert_int_equal(c->nsm_timeout, 300);
	assert_int_equal(c->header_timeout, 7);
	assert_int_equal(c->idle_timeout, 8);
	config_free(c);
	must_fail("max_body = 5h", "not \"5h\"");
	must_fail("max_body = k", "not \"k\"");
	must_fail("max_body = 1kk", "not \"1kk\"");
	must_fail("max_body = 9007199254740993k", "max_body must be");
	must_fail("max_body = 1023", "from 1024 to 1073741824 bytes");
	must_fail("max_body = 1073741825", "from 1024 to 1073741824 bytes");
	must_fail("nsm_timeout = 5k", "from 1 to 300 seconds");
	must_fail("nsm_timeout = 6m", "from 1 to 300 seconds");
}

static void choices_are_listed(void **state)
{
	(void)state;
	must_fail("log_level = loud", "t.conf:1: log_level must be one of error|warn|info|debug, not \"loud\"");
	must_fail("log_level =", "log_level must be one of");
	must_fail("log_level = warn|info", "log_level must be one of");
	must_fail("durability = proc", "durability must be one of process|power");
}

static void environment_overrides_the_file_and_flags_override_both(void **state)
{
	char *env[] = {VAR("PATH=/bin"),
		       VAR("ATTESTD_LISTEN=unix:/env"),
		       VAR("ATTESTD_NSM_QUEUE=7"),
		       VAR("ATTESTD_CONFIG=/etc/x"),
		       VAR("ATTESTD_INFO_NAME= #"),
		       VAR("ATTESTDX=1"),
		       VAR("attestd_nsm=x"),
		       NULL};
	struct config_set sets[] = {{"--set", "nsm_queue", "8"}, {"--set", "nsm_queue", "9"}};
	const char *file = "listen = unix:/file\nnsm_queue = 6\nnsm_burst = 5\n";
	struct config *c = must_parse_with(file, env, sets, 2);

	(void)state;
	assert_string_equal(c->listen, "unix:/env");
	assert_string_equal(c->info_name, " #"); /* no quoting outside the file */
	assert_int_equal(c->nsm_queue, 9);
	assert_int_equal(c->nsm_burst, 5);
	config_free(c);
}

static void env_fails(char *variable, const char *expected)
{
	char *const env[] = {variable, NULL};

	must_fail_with(bytes_str(""), env, NULL, 0, expected);
}

static void faults_name_the_variable_or_the_flag(void **state)
{
	struct config_set sets[] = {{"--listen", "listen", "a\nb"}, {"--set", "lisen", "x"}, {"--set", "zzzzzz", "x"}};
	char lengthy[512];

	(void)state;
	env_fails(VAR("ATTESTD_LISEN=x"), "ATTESTD_LISEN: there is no such key (did you mean ATTESTD_LISTEN?)");
	env_fails(VAR("ATTESTD_NSM_QUEUE=0"), "ATTESTD_NSM_QUEUE: nsm_queue must be");
	env_fails(VAR("ATTESTD_=x"), "ATTESTD_: there is no such key");
	env_fails(VAR("ATTESTD_listen=x"), "ATTESTD_listen: there is no such key");
	env_fails(VAR("ATTESTD_AGENT=\xff"), "ATTESTD_AGENT: the value of agent holds text that is not UTF-8");
	for (size_t n = 60; n < 70; n++) {
		memset(lengthy, 'Q', sizeof lengthy);
		memcpy(lengthy, "ATTESTD_", 8);
		lengthy[8 + n] = '=';
		lengthy[9 + n] = '\0';
		env_fails(lengthy, "QQQ: there is no such key");
	}
	must_fail_with(bytes_str(""), NULL, &sets[0], 1, "--listen: the value of listen holds a control character");
	must_fail_with(bytes_str(""), NULL, &sets[1], 1, "--set: unknown key \"lisen\" (did you mean \"listen\"?)");
	must_fail_with(bytes_str(""), NULL, &sets[2], 1, "--set: unknown key \"zzzzzz\"");
}

static void shares_that_contradict_are_errors_and_defaults_give_way(void **state)
{
	struct config *c = must_parse(
		"max_sessions = 100\nmax_connections = 8\nmax_inflight = 131072\nmax_body = 1024\n");

	(void)state;
	assert_int_equal(c->public_sessions, 50);
	assert_int_equal(c->public_connections, 4);
	assert_int_equal(c->public_inflight, 65536);
	assert_int_equal(c->tls_connections, 4);
	assert_int_equal(c->peer_connections, 4);
	assert_int_equal(c->tls_inflight, 65536);
	config_free(c);
	c = must_parse("max_sessions = 100\npublic_sessions = 99\n");
	assert_int_equal(c->public_sessions, 99);
	config_free(c);
	must_fail(
		"public_sessions = 100\nmax_sessions = 100\n",
		"t.conf:1: public_sessions (100) must be less than max_sessions (100): the rest is kept for local callers");
	must_fail("public_sessions = 100001\n", "must be less than max_sessions (100000)");
	must_fail("public_connections = 8\nmax_connections = 8\n", "must be less than max_connections");
	must_fail("public_inflight = 1g\n", "must be less than max_inflight");
	must_fail("tls_inflight = 1g\n", "tls_inflight (1073741824) must be less than max_inflight");
	config_free(must_parse("tls_connections = 7\npeer_connections = 7\nmax_connections = 8\n"));
	must_fail("tls_connections = 8\nmax_connections = 8\n", "tls_connections (8) must be less than max_conn");
	must_fail("peer_connections = 8\nmax_connections = 8\n", "peer_connections (8) must be less than max_conn");
	must_fail("max_body = 512m\n",
		  "t.conf:1: one body of max_body (536870912) does not fit into max_inflight (268435456)");
	must_fail("max_inflight = 1m\n", "t.conf:1: one body of max_body");
	config_free(must_parse("max_body = 1m\nmax_inflight = 1m\n"));
}

static void attested_names_must_fit(void **state)
{
	/* 64 bytes and 24, then 25. */
#define NAME64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	(void)state;
	config_free(must_parse("agent = " NAME64 "\nguardrail = 0123456789abcdef01234567\n"));
	must_fail("agent = " NAME64 "\nguardrail = 0123456789abcdef012345678\n",
		  "t.conf:2: agent and guardrail together take 89 bytes");
	must_fail("agent = " NAME64 "x\n", "agent is 65 bytes long");
	/* 63 + 25 of the default guardrail, then one more: the agent is named. */
	config_free(must_parse("agent = 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n"));
	must_fail("agent = 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
		  "t.conf:1: agent and guardrail");
	/* Escapes count: 43 quotes are 86, six-byte escapes and surrogate pairs likewise. */
	config_free(must_parse(
		"guardrail = x\nagent = .\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n"));
	must_fail(
		"guardrail = x\nagent = ..\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\n",
		"take 89 bytes");
	must_fail(
		"guardrail = x\nagent = \xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\xf0\x9f\x90\xbe\n",
		"take 97 bytes");
	must_fail(
		"guardrail = x\nagent = \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\n",
		"take 91 bytes");
	must_fail("agent =\n", "t.conf:1: agent must not be empty");
	must_fail("guardrail = \"\"\n", "t.conf:1: guardrail must not be empty");
}

static void keys_that_must_mean_something_do(void **state)
{
	(void)state;
	config_free(must_parse("nsm = auto"));
	config_free(must_parse("nsm = device"));
	config_free(must_parse("nsm = dummy"));
	config_free(must_parse("nsm = simulator\nnsm_root_out = root.pem"));
	config_free(must_parse("nsm = socket:/run/nsm"));
	must_fail("nsm = simulater",
		  "t.conf:1: nsm must be auto, device, simulator, dummy or socket:PATH, not \"simulater\"");
	must_fail("nsm = socket", "nsm must be auto, device, simulator, dummy or socket:PATH, not \"socket\"");
	must_fail("nsm =", "nsm must be auto, device, simulator, dummy or socket:PATH, not \"\"");
	must_fail("db =", "db must not be empty");
	must_fail("boot_id_file =", "boot_id_file must not be empty");
}

static void an_nsms_socket_has_a_path_that_fits_its_address(void **state)
{
	static const char head[] = "nsm = socket:";
	char text[160];

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text, head, sizeof head - 1);
	must_fail("nsm = socket:", "t.conf:1: the path in nsm = socket:PATH has 0 bytes, and must have 1 to 107");
	config_free(must_parse("nsm = socket:x"));
	text[sizeof head - 1 + 108] = '\0';
	must_fail(text, "t.conf:1: the path in nsm = socket:PATH has 108 bytes, and must have 1 to 107");
	text[sizeof head - 1 + 107] = '\0';
	config_free(must_parse(text));
}

static void only_a_simulator_has_a_root_to_write(void **state)
{
	(void)state;
	must_fail("nsm = device\nnsm_root_out = root.pem\n", "t.conf:2: nsm_root_out is for nsm = simulator");
	must_fail("nsm_root_out = root.pem\n", "t.conf:1: nsm_root_out is for nsm = simulator");
	config_free(must_parse("nsm_root_out =\n"));
	must_fail("nsm = simulator\nnsm_root_out = attestd.db\n",
		  "t.conf:2: nsm_root_out is the file that db names, which would be overwritten");
	must_fail("nsm = simulator\nkek_file = k\nnsm_root_out = k\n", "nsm_root_out is the file that kek_file names");
	must_fail("nsm = simulator\nmetadata_file = m\nnsm_root_out = m\n",
		  "nsm_root_out is the file that metadata_file names");
}

static void a_certificate_and_its_key_come_together(void **state)
{
	(void)state;
	must_fail("tls_cert_file = c\n", "t.conf:1: tls_cert_file is set and tls_key_file is not");
	must_fail("\ntls_key_file = k\n", "t.conf:2: tls_key_file is set and tls_cert_file is not");
	config_free(must_parse("tls_cert_file = c\ntls_key_file = k\n"));
}

static void hosts_and_names_are_lists(void **state)
{
	static const char *const bad[] = {"a,",	  ",a",	   "a,,b",	   ",",	  "a:443",	     "a, b", "a/b",
					  "a*.b", "[::1]", "h\303\251.fr", "a;b", "http://a.example"};
	char text[512] = "";

	(void)state;
	config_free(must_parse("allowed_hosts = a\n"));
	config_free(must_parse("allowed_hosts = enclave.example,10.0.0.1,x_y-z\n"));
	config_free(must_parse("tls_names = ::1,*.example.org,10.0.0.1,a.b\n"));
	config_free(must_parse("tls_names =\n"));
	must_fail("tls_names = a b\n", "t.conf:1: tls_names must be names with commas between them");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(text, sizeof text, "allowed_hosts = %s\n", bad[i]);
		must_fail(text, "t.conf:1: allowed_hosts must be names ");
	}
	snprintf(text, sizeof text, "allowed_hosts = %0253d,a\n", 0);
	config_free(must_parse(text));
	snprintf(text, sizeof text, "allowed_hosts = %0254d\n", 0);
	must_fail(text, "names of 1 to 253 characters");
	config_free(must_parse("tls_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\n"));
	must_fail("tls_names = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n", "t.conf:1: tls_names may hold at most 16 names");
}

static void private_data_has_limits_and_a_file_of_its_own(void **state)
{
	struct config *c = must_parse("tls_inflight = 65536\n");

	(void)state;
	assert_int_equal(c->private_data_max_body, 65536); /* a default gives way */
	config_free(c);
	config_free(must_parse("tls_inflight = 65536\nprivate_data_max_body = 65536\n"));
	must_fail("tls_inflight = 65536\nprivate_data_max_body = 65537\n",
		  "t.conf:2: private_data_max_body (65537) must not be more than tls_inflight (65536)");
	c = must_parse("private_data_total_items = 7\nprivate_data_total_bytes = 5000\n");
	assert_int_equal(c->private_data_items, 7);
	assert_int_equal(c->private_data_bytes, 5000);
	assert_int_equal(c->private_data_max_body, 5000);
	config_free(c);
	c = must_parse("private_data_bytes = 2000\n");
	assert_int_equal(c->private_data_max_body, 2000);
	config_free(c);
	config_free(must_parse("private_data_items = 7\nprivate_data_total_items = 7\n"));
	must_fail("private_data_items = 8\nprivate_data_total_items = 7\n",
		  "t.conf:1: private_data_items (8) must not be more than private_data_total_items (7)");
	config_free(must_parse("private_data_bytes = 2000\nprivate_data_total_bytes = 2000\n"));
	must_fail("private_data_bytes = 2001\nprivate_data_total_bytes = 2000\n",
		  "t.conf:1: private_data_bytes (2001) must not be more than private_data_total_bytes (2000)");
	config_free(must_parse("private_data_max_body = 2000\nprivate_data_bytes = 2000\n"));
	must_fail("private_data_max_body = 2001\nprivate_data_bytes = 2000\n",
		  "t.conf:1: private_data_max_body (2001) must not be more than private_data_bytes (2000)");
	config_free(must_parse("private_data_max_body = 8388608\n"));
	must_fail("private_data_max_body = 8388609\n", "t.conf:1: private_data_max_body");
	must_fail("private_data_anonymous = true\nnsm = device\n",
		  "t.conf:1: private_data_anonymous = true is refused with nsm = device");
	config_free(must_parse("private_data_anonymous = auto\nnsm = device\n"));
	config_free(must_parse("private_data_anonymous = true\nnsm = auto\n"));
	must_fail("private_data_db =\n", "t.conf:1: private_data_db must not be empty");
	must_fail("private_data_db = attestd.db\n", "t.conf:1: private_data_db is the file that db names");
	must_fail("db = attestd-private.db\n", "t.conf:1: private_data_db is the file that db names");
	must_fail("kek_file = k\nprivate_data_db = k\n", "private_data_db is the file that kek_file names");
	must_fail("nsm = simulator\nnsm_root_out = attestd-private.db\n",
		  "nsm_root_out is the file that private_data_db names, which would be overwritten");
}

static void use_tls_fills_what_nothing_else_sets(void **state)
{
	char *const on[] = {VAR("USE_TLS=true"), NULL}, *const off[] = {VAR("USE_TLS=false"), NULL};
	char *const odd[] = {VAR("USE_TLS=yes"), NULL}, *const empty[] = {VAR("USE_TLS="), NULL};
	char *const paths[] = {VAR("TLS_KEY_PATH=/k"), VAR("USE_TLS=true"), VAR("TLS_CERT_PATH=/c"), NULL};
	char *const no_switch[] = {VAR("TLS_KEY_PATH=/k"), VAR("TLS_CERT_PATH=/c"), VAR("USE_TLSX=true"), NULL};
	char *const no_text[] = {VAR("USE_TLS=true"), VAR("TLS_CERT_PATH=a\nb"), NULL};
	struct config *c = must_parse_with("", on, NULL, 0);

	(void)state;
	assert_string_equal(c->tls_cert_file, "cert.pem");
	assert_string_equal(c->tls_key_file, "key.pem");
	config_free(c);
	c = must_parse_with("tls_key_file = mine\n", paths, NULL, 0);
	assert_string_equal(c->tls_cert_file, "/c");
	assert_string_equal(c->tls_key_file, "mine");
	config_free(c);
	c = must_parse_with("", no_switch, NULL, 0);
	assert_string_equal(c->tls_cert_file, "");
	assert_string_equal(c->tls_key_file, "");
	config_free(c);
	c = must_parse_with("", off, NULL, 0);
	assert_string_equal(c->tls_cert_file, "");
	config_free(c);
	must_fail_with(bytes_str("tls_listen = 127.0.0.1:1\n"), off, NULL, 0,
		       "USE_TLS: false contradicts tls_listen = 127.0.0.1:1");
	must_fail_with(bytes_str(""), odd, NULL, 0, "USE_TLS: must be true or false, not \"yes\"");
	must_fail_with(bytes_str(""), empty, NULL, 0, "USE_TLS: must be true or false, not \"\"");
	must_fail_with(bytes_str(""), no_text, NULL, 0, "TLS_CERT_PATH: the value of tls_cert_file holds a control");
	must_fail_with(bytes_str("tls_key_file =\n"), on, NULL, 0,
		       "USE_TLS: tls_cert_file is set and tls_key_file is not");
}

static void what_is_shown_parses_back_to_itself(void **state)
{
	static const char *const texts[] = {
		"",
		"max_sessions = 100\nmax_body = 1m\nmax_inflight = 1m\nsession_lifetime = 2h\nlog_format = json\n",
		"agent = \" a\"\nguardrail = \"b \"\ninfo_name = \"a#\\\\b\\\"\"\ninfo_build = a\\b\"\ninfo_version = \"\\\"\"\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct config *c = must_parse(texts[i]), *again;
		char *first = shown(c, false), *second, *sec = shown(c, true), *sec_again;

		again = must_parse(first);
		second = shown(again, false);
		sec_again = shown(again, true);
		assert_string_equal(first, second);
		assert_string_equal(sec, sec_again);
		config_free(c);
		config_free(again);
		free(first);
		free(second);
		free(sec);
		free(sec_again);
	}
}

static void security_shows_the_marked_keys_only_and_operations_do_not_change_it(void **state)
{
	struct config *a = must_parse(""), *b = must_parse("workers = 3\nlog_level = debug\ndb = x\n");
	struct config *c = must_parse("session_lifetime = 61\n");
	char *sa = shown(a, true), *sb = shown(b, true), *sc = shown(c, true);

	(void)state;
	assert_string_equal(sa, sb);
	assert_string_not_equal(sa, sc);
	assert_ptr_equal(strstr(sa, "listen = 127.0.0.1:8765\npublic_listen = \"\"\nvsock_listen = \"\"\n"
				    "tls_listen = \"\"\npeer_listen = \"\"\npeer_tls_listen = \"\"\n"
				    "tls_cert_file = \"\"\n"),
			 sa);
	assert_null(strstr(sa, "workers"));
	assert_non_null(strstr(sa, "\nmax_messages = 1048576\n"));
	config_free(a);
	config_free(b);
	config_free(c);
	free(sa);
	free(sb);
	free(sc);
}

/* The example with its keys uncommented is the defaults. */
static void the_example_shows_every_default(void **state)
{
	struct buf b = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20);
	struct config *c = must_parse(""), *d;
	char *defaults = shown(c, false), *example;
	const char *line;

	(void)state;
	config_example(&b);
	line = buf_cstr(&b);
	assert_non_null(line);
	config_free(must_parse(line));
	while (*line != '\0') {
		size_t n = strcspn(line, "\n") + 1;

		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
			buf_put(&text, line + 1, n - 1);
		assert_true(n <= 120);
		line += n;
	}
	d = must_parse(buf_cstr(&text));
	example = shown(d, false);
	assert_string_equal(defaults, example);
	config_free(c);
	config_free(d);
	free(defaults);
	free(example);
	buf_free(&b);
	buf_free(&text);
}

static void help_names_every_key(void **state)
{
	struct buf keys = BUF_INIT(1 << 20), help = BUF_INIT(1 << 20);
	struct config *c = must_parse("");
	char *defaults = shown(c, false);

	(void)state;
	for (size_t i = 0; config_help(i, &keys, &help); i++) {
		buf_put_str(&keys, "\n");
		buf_put_str(&help, "\n");
	}
	assert_string_equal(buf_cstr(&keys), defaults);
	assert_non_null(strstr(buf_cstr(&help), ". One of error|warn|info|debug.\n"));
	assert_non_null(strstr(buf_cstr(&help), ". From 1 to 300 seconds.\n"));
	assert_non_null(strstr(buf_cstr(&help), ". From 1024 to 1073741824 bytes.\n"));
	config_free(c);
	free(defaults);
	buf_free(&help);
	buf_free(&keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_gives_the_defaults),
		cmocka_unit_test(reads_keys_comments_and_blanks),
		cmocka_unit_test(quotes_keep_spaces_and_hashes),
		cmocka_unit_test(an_unknown_key_is_an_error_that_suggests_one),
		cmocka_unit_test(a_key_twice_in_the_file_is_an_error),
		cmocka_unit_test(bytes_that_are_no_text_are_errors),
		cmocka_unit_test(lines_have_a_limit),
		cmocka_unit_test(files_have_a_limit),
		cmocka_unit_test(an_unreadable_file_is_the_environments_fault),
		cmocka_unit_test(values_have_limits),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(sizes_and_times_take_units),
		cmocka_unit_test(choices_are_listed),
		cmocka_unit_test(environment_overrides_the_file_and_flags_override_both),
		cmocka_unit_test(faults_name_the_variable_or_the_flag),
		cmocka_unit_test(shares_that_contradict_are_errors_and_defaults_give_way),
		cmocka_unit_test(attested_names_must_fit),
		cmocka_unit_test(keys_that_must_mean_something_do),
		cmocka_unit_test(an_nsms_socket_has_a_path_that_fits_its_address),
		cmocka_unit_test(only_a_simulator_has_a_root_to_write),
		cmocka_unit_test(a_certificate_and_its_key_come_together),
		cmocka_unit_test(hosts_and_names_are_lists),
		cmocka_unit_test(private_data_has_limits_and_a_file_of_its_own),
		cmocka_unit_test(use_tls_fills_what_nothing_else_sets),
		cmocka_unit_test(what_is_shown_parses_back_to_itself),
		cmocka_unit_test(security_shows_the_marked_keys_only_and_operations_do_not_change_it),
		cmocka_unit_test(the_example_shows_every_default),
		cmocka_unit_test(help_names_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
