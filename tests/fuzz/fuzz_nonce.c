/* The first byte chooses what forces the encoding, the rest is the nonce. */
#include <stdlib.h>
#include <string.h>

#include "attest.h"
#include "base/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was decoded must encode back to the text, or two verifiers could read one nonce differently. */
static void encodes_back(const struct attest_nonce *n, struct bytes text)
{
	char again[2 * NSM_NONCE_MAX + 8];
	size_t len = n->n;
	struct bytes value = {n->b, n->n};
	const char *prefix = attest_encoding_name(n->encoding);
	size_t p = strlen(prefix);
	if (text.n > p && memcmp(text.p, prefix, p) == 0 && text.p[p] == ':')
		text = bytes_of(text.p + p + 1, text.n - p - 1);
	if (n->encoding == ATTEST_HEX) {
		hex_encode(value, again);
		len = HEX_SIZE(n->n);
		for (size_t i = 0; i < len; i++)
			if (again[i] != (text.p[i] >= 'A' && text.p[i] <= 'F' ? text.p[i] + 32 : text.p[i]))
				abort();
	} else if (n->encoding == ATTEST_BASE64) {
		base64_encode(value, again);
		len = BASE64_SIZE(n->n);
		if (len != text.n || memcmp(again, text.p, len) != 0)
			abort();
	} else if (!bytes_equal(value, text)) {
		abort();
	}
	if (len != text.n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct attest_nonce n = {.present = false};
	struct why w;
	struct bytes text = {data + 1, size - 1};
	enum attest_encoding forced = (enum attest_encoding)(data[0] % 4);
	if (attest_nonce_parse(&n, text, forced, &w) != ERR_OK) {
		if (w.err != ERR_INVALID || !w.tell || n.present)
			abort();
		return 0;
	}
	if (!n.present || n.n < 1 || n.n > NSM_NONCE_MAX || n.encoding == ATTEST_AUTO)
		abort();
	if (forced != ATTEST_AUTO && n.encoding != forced)
		abort();
	encodes_back(&n, text);
	return 0;
}
