/* What can be connected to, as text: read in one way only, and written so that it reads the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

#include "net.h"

#define FORMS "use tcp:HOST:PORT, tcp:[IPV6]:PORT, unix:PATH or vsock:CID:PORT"

static struct net_target must_parse(const char *text)
{
	struct net_target t;
	struct why w = {0};
	if (net_target_parse(&t, text, &w) != ERR_OK)
		fail_msg("%s: %s", text, w.text);
	return t;
}

static void each_form_is_read_and_written(void **s)
{
	(void)s;
	static const struct {
		const char *text, *written;
		enum net_kind kind;
		const char *host;
		unsigned port;
		int family;
		bool loopback;
	} cases[] = {
		{"tcp:127.0.0.1:443", "tcp:127.0.0.1:443", NET_TCP, "", 0, AF_INET, true},
		{"127.0.0.1:1", "tcp:127.0.0.1:1", NET_TCP, "", 0, AF_INET, true},
		{"tcp:192.0.2.7:65535", "tcp:192.0.2.7:65535", NET_TCP, "", 0, AF_INET, false},
		{"tcp:[::1]:443", "tcp:[::1]:443", NET_TCP, "", 0, AF_INET6, true},
		{"[2001:DB8:0:0::7]:80", "tcp:[2001:db8::7]:80", NET_TCP, "", 0, AF_INET6, false},
		{"tcp:example.org:443", "tcp:example.org:443", NET_TCP, "example.org", 443, AF_UNSPEC, false},
		{"localhost:8765", "tcp:localhost:8765", NET_TCP, "localhost", 8765, AF_UNSPEC, false},
		{"tcp:Enclave_7.4ever:1", "tcp:Enclave_7.4ever:1", NET_TCP, "Enclave_7.4ever", 1, AF_UNSPEC, false},
		{"tcp:example.org.:443", "tcp:example.org.:443", NET_TCP, "example.org.", 443, AF_UNSPEC, false},
		{"tcp:1.a.:1", "tcp:1.a.:1", NET_TCP, "1.a.", 1, AF_UNSPEC, false},
		{"tcp:tcp:80", "tcp:tcp:80", NET_TCP, "tcp", 80, AF_UNSPEC, false},
		{"tcp:unix:80", "tcp:unix:80", NET_TCP, "unix", 80, AF_UNSPEC, false},
		{"tcp:VSOCK:80", "tcp:VSOCK:80", NET_TCP, "VSOCK", 80, AF_UNSPEC, false},
		{"unix:/run/a b:\xc3\xa4.sock", "unix:/run/a b:\xc3\xa4.sock", NET_UNIX, "", 0, AF_UNIX, false},
		{"unix:80", "unix:80", NET_UNIX, "", 0, AF_UNIX, false},
		{"vsock:16:5005", "vsock:16:5005", NET_VSOCK, "", 0, AF_VSOCK, false},
		{"vsock:0:1", "vsock:0:1", NET_VSOCK, "", 0, AF_VSOCK, false},
		{"vsock:4294967294:4294967294", "vsock:4294967294:4294967294", NET_VSOCK, "", 0, AF_VSOCK, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct net_target t = must_parse(cases[i].text);
		char written[NET_TARGET_MAX];
		net_target_text(&t, written);
		assert_string_equal(written, cases[i].written);
		assert_int_equal(t.addr.kind, cases[i].kind);
		assert_string_equal(t.host, cases[i].host);
		assert_int_equal(t.port, cases[i].port);
		assert_int_equal(t.addr.sa.ss_family, cases[i].family);
		assert_int_equal(t.addr.loopback, cases[i].loopback);
		assert_int_equal(t.addr.len > 0, cases[i].family != AF_UNSPEC);
	}
}

static void an_address_is_what_the_kernel_needs(void **s)
{
	(void)s;
	const struct net_target v4 = must_parse("tcp:10.0.0.9:258"), v6 = must_parse("tcp:[::2]:258"),
				vm = must_parse("vsock:16:5005");
	const struct sockaddr_in *in = (const struct sockaddr_in *)&v4.addr.sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&v6.addr.sa;
	const struct sockaddr_vm *at = (const struct sockaddr_vm *)&vm.addr.sa;
	assert_int_equal(v4.addr.len, sizeof *in);
	assert_int_equal(in->sin_addr.s_addr, htonl(0x0a000009));
	assert_int_equal(in->sin_port, htons(258));
	assert_int_equal(v6.addr.len, sizeof *in6);
	assert_int_equal(in6->sin6_addr.s6_addr[15], 2);
	assert_int_equal(in6->sin6_port, htons(258));
	assert_int_equal(vm.addr.len, sizeof *at);
	assert_int_equal(at->svm_cid, 16);
	assert_int_equal(at->svm_port, 5005);
}

static void refuses(const char *text, const char *says)
{
	struct net_target t, before;
	struct why w = {0};
	memset(&t, 0x5a, sizeof t);
	memcpy(&before, &t, sizeof t);
	if (net_target_parse(&t, text, &w) != ERR_CONFIG || strstr(w.text, says) == NULL)
		fail_msg("%s: %s", text, w.text);
	assert_memory_equal(&t, &before, sizeof t);
}

static void anything_else_is_refused_with_the_forms(void **s)
{
	(void)s;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "\"\" is no address; " FORMS},
		{"443", "\"443\" is no address; " FORMS},
		{"example.org", "\"example.org\" is no address; " FORMS},
		{"[::1]", "\"[::1]\" is no address; " FORMS},
		{"TCP:80", "\"TCP:80\" is no address; " FORMS},
		{"UNIX:80", "\"UNIX:80\" is no address; " FORMS},
		{"Vsock:80", "\"Vsock:80\" is no address; " FORMS},
		{"tcp:", "no port from 1 to 65535 behind its host; " FORMS},
		{"tcp:80", "no port from 1 to 65535 behind its host"},
		{"tcp:h", "no port from 1 to 65535 behind its host"},
		{"tcp:h:", "no port from 1 to 65535 behind its host"},
		{"tcp:h:0", "no port from 1 to 65535 behind its host"},
		{"tcp:h:65536", "no port from 1 to 65535 behind its host"},
		{"tcp:h:4294967297", "no port from 1 to 65535 behind its host"},
		{"tcp:h:18446744073709551617", "no port from 1 to 65535 behind its host"},
		{"tcp:h:080", "no port from 1 to 65535 behind its host"},
		{"tcp:h:0x50", "no port from 1 to 65535 behind its host"},
		{"tcp:h:+80", "no port from 1 to 65535 behind its host"},
		{"tcp:h:-80", "no port from 1 to 65535 behind its host"},
		{"tcp:h: 80", "no port from 1 to 65535 behind its host"},
		{"tcp:h:80 ", "no port from 1 to 65535 behind its host"},
		{"tcp:h:80:80", "no port from 1 to 65535 behind its host"},
		{"tcp:h:http", "no port from 1 to 65535 behind its host"},
		{"tcp:[::1]80", "no port from 1 to 65535 behind its host"},
		{"http://h:80", "no port from 1 to 65535 behind its host"},
		{"UNIX:/run/s", "\"UNIX:/run/s\" is no address; " FORMS},
		{"VSOCK:16:5005", "\"VSOCK:16:5005\" is no address; " FORMS},
		{"tcp:unix:/run/s", "no port from 1 to 65535 behind its host"},
		{"tcp:[::1:80", "\"[::1:80\" lacks the ] of its IPv6 address; " FORMS},
		{":80", "a host has 1 to 253 bytes, and this one has 0; " FORMS},
		{"tcp::80", "a host has 1 to 253 bytes, and this one has 0"},
		{"tcp:[]:80", "a host has 1 to 253 bytes, and this one has 0"},
		{"tcp:[127.0.0.1]:80", "\"127.0.0.1\" is neither a host's name nor an IP address; " FORMS},
		{"tcp:[fe80::1%lo]:80", "neither a host's name nor an IP address"},
		{"tcp:[ ::1]:80", "neither a host's name nor an IP address"},
		{"tcp:[h]:80", "neither a host's name nor an IP address"},
		{"tcp:[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", "neither a host's name"},
		{"tcp:127.1:80", "neither a host's name nor an IP address"},
		{"tcp:127.0.0.01:80", "neither a host's name nor an IP address"},
		{"tcp:0177.0.0.1:80", "neither a host's name nor an IP address"},
		{"tcp:256.0.0.1:80", "neither a host's name nor an IP address"},
		{"tcp:2130706433:80", "neither a host's name nor an IP address"},
		{"tcp:0x7f000001:80", "neither a host's name nor an IP address"},
		{"tcp:127.0.0.0X1:80", "neither a host's name nor an IP address"},
		{"tcp:127.0.0.1.:80", "neither a host's name nor an IP address"},
		{"tcp:1:80", "neither a host's name nor an IP address"},
		{"tcp:a..b:80", "neither a host's name nor an IP address"},
		{"tcp:.a:80", "neither a host's name nor an IP address"},
		{"tcp:.:80", "neither a host's name nor an IP address"},
		{"tcp:..:80", "neither a host's name nor an IP address"},
		{"tcp:a..:80", "neither a host's name nor an IP address"},
		{"tcp:1.:80", "neither a host's name nor an IP address"},
		{"tcp:0x7f000001.:80", "neither a host's name nor an IP address"},
		{"tcp:127.0.0.1..:80", "neither a host's name nor an IP address"},
		{"tcp:-a:80", "neither a host's name nor an IP address"},
		{"tcp:a.-b:80", "neither a host's name nor an IP address"},
		{"tcp: a:80", "neither a host's name nor an IP address"},
		{"tcp:a b:80", "neither a host's name nor an IP address"},
		{"tcp:a/b:80", "neither a host's name nor an IP address"},
		{"tcp:me@h:80", "neither a host's name nor an IP address"},
		{"tcp:*:80", "neither a host's name nor an IP address"},
		{"tcp:h\xc3\xa4:80", "neither a host's name nor an IP address"},
		{"unix:", "unix: lacks a path; " FORMS},
		{"unix:@abstract", "abstract sockets are refused, because they have no permissions; " FORMS},
		{"unix:/a\nb", "control character 0x0a"},
		{"unix:/a\x1f", "control character 0x1f"},
		{"unix:/a\x7f", "control character 0x7f"},
		{"vsock:", "vsock: lacks a CID from 0 to 4294967294 and a port from 1 to 4294967294, as in "
			   "vsock:16:5005; " FORMS},
		{"vsock:9000", "vsock: lacks a CID"},
		{"vsock:16:", "vsock: lacks a CID"},
		{"vsock::5005", "vsock: lacks a CID"},
		{"vsock:16:0", "vsock: lacks a CID"},
		{"vsock:16:4294967295", "vsock: lacks a CID"},
		{"vsock:4294967295:1", "vsock: lacks a CID"},
		{"vsock:4294967296:1", "vsock: lacks a CID"},
		{"vsock:18446744073709551632:1", "vsock: lacks a CID"},
		{"vsock:016:1", "vsock: lacks a CID"},
		{"vsock:0x10:1", "vsock: lacks a CID"},
		{"vsock:00:1", "vsock: lacks a CID"},
		{"vsock:16:01", "vsock: lacks a CID"},
		{"vsock:+16:1", "vsock: lacks a CID"},
		{"vsock:-1:1", "vsock: lacks a CID"},
		{"vsock: 16:1", "vsock: lacks a CID"},
		{"vsock:16:1 ", "vsock: lacks a CID"},
		{"vsock:16:1:1", "vsock: lacks a CID"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refuses(cases[i].text, cases[i].says);
}

/* The text `start`, then `fill` up to n bytes, then `end`. */
static const char *stretched(char *out, const char *start, size_t n, const char *fill, const char *end)
{
	const size_t head = strlen(start), one = strlen(fill);
	memcpy(out, start, head);
	for (size_t i = head; i < n; i++)
		out[i] = fill[(i - head) % one];
	memcpy(out + n, end, strlen(end) + 1);
	return out;
}

static void limits_hold_at_the_last_byte(void **s)
{
	(void)s;
	static const char labels[] =
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789X."; /* 63 and a dot */
	char text[400], written[NET_TARGET_MAX];
	struct net_target t = must_parse(stretched(text, "tcp:", 4 + NET_HOST_MAX, labels, ":65535"));
	assert_int_equal(strlen(t.host), NET_HOST_MAX);
	net_target_text(&t, written);
	assert_string_equal(written, text);
	refuses(stretched(text, "tcp:", 4 + NET_HOST_MAX + 1, labels, ":1"), "1 to 253 bytes, and this one has 254");
	t = must_parse(stretched(text, "tcp:", 4 + NET_HOST_MAX - 1, labels, ".:1"));
	assert_int_equal(strlen(t.host), NET_HOST_MAX);
	refuses(stretched(text, "tcp:", 4 + NET_HOST_MAX, labels, ".:1"), "1 to 253 bytes, and this one has 254");
	t = must_parse(stretched(text, "tcp:", 4 + 63, "a", ":1"));
	assert_int_equal(strlen(t.host), 63);
	refuses(stretched(text, "tcp:", 4 + 64, "a", ":1"), "neither a host's name");
	t = must_parse(stretched(text, "unix:", 5 + 107, "p", ""));
	net_target_text(&t, written);
	assert_string_equal(written, text);
	refuses(stretched(text, "unix:", 5 + 108, "p", ""), "at most 107 bytes long, and this is 108");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_read_and_written),
		cmocka_unit_test(an_address_is_what_the_kernel_needs),
		cmocka_unit_test(anything_else_is_refused_with_the_forms),
		cmocka_unit_test(limits_hold_at_the_last_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
