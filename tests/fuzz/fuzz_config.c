#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SHOWN_MAX = 256 * 1024 };

/* What parses, shows, parses again to the same show; and the keys that enter config_digest likewise. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf first[2] = {BUF_INIT(SHOWN_MAX), BUF_INIT(SHOWN_MAX)};
	struct buf again[2] = {BUF_INIT(SHOWN_MAX), BUF_INIT(SHOWN_MAX)};
	struct config *c = NULL, *d = NULL;
	struct why w = {0};

	if (config_parse(&c, "fuzz.conf", bytes_of(data, size), NULL, NULL, 0, &w) != ERR_OK) {
		if (strncmp(w.text, "fuzz.conf", 9) != 0)
			abort();
		return 0;
	}
	config_show(c, false, &first[0]);
	config_show(c, true, &first[1]);
	if (buf_check(&first[0], &w) != ERR_OK ||
	    config_parse(&d, "shown", buf_bytes(&first[0]), NULL, NULL, 0, &w) != ERR_OK)
		abort();
	config_show(d, false, &again[0]);
	config_show(d, true, &again[1]);
	for (int i = 0; i < 2; i++) {
		if (buf_check(&first[i], &w) != ERR_OK || buf_check(&again[i], &w) != ERR_OK ||
		    !bytes_equal(buf_bytes(&first[i]), buf_bytes(&again[i])))
			abort();
		buf_free(&first[i]);
		buf_free(&again[i]);
	}
	config_free(c);
	config_free(d);
	return 0;
}
