/* The input is requests, each behind a length of two bytes: of one simulator, so that what was extended and locked
 * stays. Each is answered with what the reader of replies understands: the very thing that was asked for, or an error
 * by name.
 */
#include <stdlib.h>
#include <string.h>

#include "cborio.h"
#include "simulator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static int64_t wall(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400123);
}

static bool is_one_of(struct bytes name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_is(name, names[i]))
			return true;
	return false;
}

/* One value without looking into it. */
static void skip(struct cborio_reader *r)
{
	const enum cborio_kind kind = cborio_peek(r);
	if (kind == CBORIO_BYTES)
		must(cborio_bytes(r).n <= NSM_REPLY_MAX);
	else if (kind == CBORIO_TEXT)
		(void)cborio_text(r);
	else if (kind == CBORIO_BOOL)
		(void)cborio_bool(r);
	else if (kind == CBORIO_ARRAY)
		for (uint64_t left = cborio_array(r); cborio_more(r, &left);)
			must(cborio_uint(r) < NSM_PCRS_MAX);
	else
		(void)cborio_uint(r);
}

static void check_reply(struct bytes request, struct bytes reply)
{
	static const char *const errors[] = {"InvalidIndex", "ReadOnlyIndex", "InvalidOperation", "InputTooLarge"};
	static const char *const alone[] = {"LockPCR", "LockPCRs"};
	static const char *const maps[] = {"DescribeNSM", "DescribePCR", "ExtendPCR", "GetRandom", "Attestation"};
	struct cborio_reader r;
	struct why w = {.err = ERR_OK};
	cborio_reader_init(&r, reply);
	if (cborio_peek(&r) == CBORIO_TEXT) {
		must(is_one_of(cborio_text(&r), alone, 2));
	} else {
		must(cborio_map(&r) == 1);
		const struct bytes name = cborio_text(&r);
		if (bytes_is(name, "Error")) {
			must(is_one_of(cborio_text(&r), errors, 4));
		} else {
			must(is_one_of(name, maps, 5) && memmem(request.p, request.n, name.p, name.n) != NULL);
			for (uint64_t left = cborio_map(&r); cborio_more(&r, &left);) {
				must(cborio_text(&r).n > 0);
				skip(&r);
			}
		}
	}
	must(cborio_done(&r, &w) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct clock clock = {.wall_ms = wall};
	static struct crypto *crypto;
	struct simulator *s = NULL;
	struct why w = {.err = ERR_OK};
	if (crypto == NULL)
		must(crypto_new(&crypto, &w) == ERR_OK);
	const struct simulator_options o = {.crypto = crypto, .clock = &clock, .random = crypto_random(crypto)};
	must(simulator_new(&s, &o, &w) == ERR_OK);
	while (size >= 2) {
		size_t n = (size_t)data[0] << 8 | data[1];
		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		struct buf reply = BUF_INIT(NSM_REPLY_MAX);
		must(simulator_call(s, bytes_of(data, n), &reply, &w) == ERR_OK);
		check_reply(bytes_of(data, n), buf_bytes(&reply));
		buf_free(&reply);
		data += n;
		size -= n;
	}
	simulator_free(s);
	return 0;
}
