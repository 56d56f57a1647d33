/* Anything that nitro-cli may print: what is kept of it is bounded and fit to be shown. */
#include <stdlib.h>
#include <string.h>

#include "cmd/nitro_cli.h"
#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_shown(const char text[NITRO_TEXT_MAX])
{
	const char *end = memchr(text, '\0', NITRO_TEXT_MAX);
	must(end != NULL);
	must(end == text || bytes_printable(bytes_of(text, (size_t)(end - text))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nitro_enclaves out = {.n = NITRO_ENCLAVES_MAX + 1};
	struct why w = {0};
	const enum err e = nitro_cli_parse(bytes_of(data, size), &out, &w);
	must(e == ERR_OK ? out.n <= NITRO_ENCLAVES_MAX : e == ERR_ENVIRONMENT && out.n == NITRO_ENCLAVES_MAX + 1);
	for (size_t i = 0; e == ERR_OK && i < out.n; i++) {
		must(out.list[i].cid < UINT32_MAX);
		must_be_shown(out.list[i].name);
		must_be_shown(out.list[i].id);
	}
	return 0;
}
