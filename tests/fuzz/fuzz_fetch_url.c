/* Any URL: what is accepted fits its fields, and can be written into a request. */
#include <stdlib.h>
#include <string.h>

#include "fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_visible(const char *s, size_t size)
{
	must(strnlen(s, size) < size);
	for (; *s != '\0'; s++)
		must(*s > ' ' && *s < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fetch_url u;
	struct why w = {0};
	uint8_t *copy = malloc(size);
	must(size == 0 || copy != NULL);
	memcpy(copy, data, size);
	const enum err e = fetch_url_parse(&u, bytes_of(copy, size), &w);
	free(copy);
	if (e != ERR_OK) {
		must(e == ERR_INVALID && w.tell && w.text[0] != '\0');
		return 0;
	}
	must_be_visible(u.authority, sizeof u.authority);
	must_be_visible(u.port, sizeof u.port);
	must_be_visible(u.prefix, sizeof u.prefix);
	must(u.authority[0] != '\0' && strnlen(u.host, sizeof u.host) < sizeof u.host && u.host[0] != '\0');
	must(u.kind == NET_UNIX ? u.port[0] == '\0' && strlen(u.host) <= FETCH_UNIX_MAX : u.port[0] != '\0');
	must(u.tls == (size > 5 && (data[4] == 's' || data[4] == 'S') && (data[0] == 'h' || data[0] == 'H')));
	must(u.prefix[0] == '\0' || (u.prefix[0] == '/' && u.prefix[strlen(u.prefix) - 1] != '/'));
	return 0;
}
