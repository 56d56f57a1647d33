/* Any text as an address to listen on and as a target: what is accepted is written as a text that reads the same. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_equal(const struct net_addr *a, const struct net_addr *b)
{
	must(a->kind == b->kind && a->loopback == b->loopback && a->len == b->len &&
	     memcmp(&a->sa, &b->sa, sizeof a->sa) == 0);
}

static void listening(const char *text)
{
	struct net_addr a, again;
	struct why w = {0};
	char out[NET_TEXT_MAX];
	if (net_parse(&a, text, &w) != ERR_OK) {
		must(w.err == ERR_CONFIG && w.text[0] != '\0');
		return;
	}
	must(a.len > 0 && a.len <= sizeof a.sa && a.sa.ss_family != AF_UNSPEC && strlen(text) < NET_TEXT_MAX);
	net_text(&a, "tcp", out);
	/* An address is no URL. */
	if (a.kind == NET_TCP) {
		must(strncmp(out, "tcp://", 6) == 0);
		memmove(out + 4, out + 6, strlen(out + 6) + 1);
	}
	must(net_parse(&again, out, &w) == ERR_OK);
	must_be_equal(&a, &again);
}

static void connecting(const char *text)
{
	struct net_target t, again;
	struct why w = {0};
	char out[NET_TARGET_MAX];
	if (net_target_parse(&t, text, &w) != ERR_OK) {
		must(w.err == ERR_CONFIG && w.text[0] != '\0');
		return;
	}
	const size_t n = strnlen(t.host, sizeof t.host);
	must(n < sizeof t.host);
	if (n > 0)
		must(t.addr.kind == NET_TCP && t.addr.sa.ss_family == AF_UNSPEC && t.addr.len == 0 && t.port > 0);
	else
		must(t.addr.len > 0 && t.addr.len <= sizeof t.addr.sa && t.addr.sa.ss_family != AF_UNSPEC);
	struct in_addr v4;
	must(n == 0 || inet_aton(t.host, &v4) == 0);
	for (size_t i = 0; i < n; i++)
		must((uint8_t)t.host[i] > ' ' && (uint8_t)t.host[i] < 0x7f);
	net_target_text(&t, out);
	must(net_target_parse(&again, out, &w) == ERR_OK);
	must_be_equal(&t.addr, &again.addr);
	must(strcmp(t.host, again.host) == 0 && t.port == again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	must(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	listening(text);
	connecting(text);
	free(text);
	return 0;
}
