/* What decodes must encode to the very same text, so that no value has two spellings; and the other way round. */
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *get(size_t n)
{
	void *p = malloc(n > 0 ? n : 1);

	if (p == NULL)
		abort();
	return p;
}

static void decode_then_encode(struct bytes in)
{
	uint8_t *out = get(BASE64_DECODED_MAX(in.n)), *half = get(in.n / 2);
	char *text = get(in.n);
	size_t n = 99;

	if (base64_decode(in, out, &n)) {
		if (BASE64_SIZE(n) != in.n)
			abort();
		base64_encode(bytes_of(out, n), text);
		if (!bytes_equal(bytes_of(text, in.n), in))
			abort();
	} else if (n != 0) {
		abort();
	}
	if (hex_decode(in, half, &n)) {
		if (HEX_SIZE(n) != in.n)
			abort();
		hex_encode(bytes_of(half, n), text);
		for (size_t i = 0; i < in.n; i++)
			if (text[i] != (char)in.p[i] && text[i] != (char)(in.p[i] | 0x20))
				abort();
	} else if (n != 0) {
		abort();
	}
	free(out);
	free(half);
	free(text);
}

static void encode_then_decode(struct bytes in)
{
	size_t size = BASE64_SIZE(in.n), url_size = BASE64URL_SIZE(in.n), n = 0;
	char *text = get(size), *url = get(url_size);
	uint8_t *out = get(BASE64_DECODED_MAX(size));

	base64_encode(in, text);
	if (!base64_decode(bytes_of(text, size), out, &n) || !bytes_equal(bytes_of(out, n), in))
		abort();
	base64url_encode(in, url);
	for (size_t i = 0; i < url_size; i++)
		if (text[i] != (url[i] == '-' ? '+' : url[i] == '_' ? '/' : url[i]))
			abort();
	free(text);
	free(url);
	free(out);
}

/* The same question, asked in the plainest way. */
static bool plain_utf8(struct bytes in)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < in.n;) {
		uint8_t c = in.p[i];
		size_t len = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
		uint32_t cp = len == 1 ? c : c & (0x7fu >> len);

		if (len == 0 || len > in.n - i)
			return false;
		for (size_t k = 1; k < len; k++) {
			if (in.p[i + k] >> 6 != 2)
				return false;
			cp = cp << 6 | (in.p[i + k] & 0x3fu);
		}
		if (cp < least[len] || cp > 0x10ffff || cp >> 11 == 0xd800 >> 11)
			return false;
		i += len;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);

	decode_then_encode(in);
	encode_then_decode(in);
	if (utf8_valid(in) != plain_utf8(in))
		abort();
	return 0;
}
