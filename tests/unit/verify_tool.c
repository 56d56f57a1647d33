/* verify_tool.c - verifies thousands of documents in one process, as `attestd verify --json` would one.
 *
 * Reads jobs from stdin: a policy (JSON, as in a policy file), a format's name and an input, each behind its length
 * (four bytes, big-endian). Answers each with a line of JSON: the verdict, and the CPU time that it took in
 * microseconds. A fault of ours (no memory, say) is a line with `error` instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "json.h"
#include "verify.h"

enum { PART_MAX = 1 << 20, VERDICT_MAX = 1 << 20 };

static bool read_framed(struct buf *b)
{
	uint8_t head[4], *p;
	size_t n;

	if (fread(head, 1, sizeof head, stdin) != sizeof head)
		return false;
	n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	buf_reset(b);
	p = buf_reserve(b, n);
	if (p == NULL || fread(p, 1, n, stdin) != n)
		return false;
	b->n = n;
	return true;
}

/* The thread's own time, so that a busy machine slows nothing down. */
static long long now_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		abort();
	return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static enum err judge(struct verify *v, const struct buf *parts, struct buf *verdict, long long *micros, struct why *w)
{
	struct verify_policy policy;
	struct verify_verdict *d = NULL;
	enum verify_format format;
	enum err e = ERR_OK;

	verify_policy_init(&policy);
	e = verify_policy_text(&policy, buf_bytes(&parts[0]), w);
	if (e != ERR_OK)
		return e;
	if (!verify_format_parse(buf_bytes(&parts[1]), &format))
		return why_set(w, ERR_USAGE, "the format is unknown");
	long long start = now_us();
	e = verify_input(v, buf_bytes(&parts[2]), format, &policy, &d, w);
	*micros = now_us() - start;
	if (e != ERR_OK)
		return e;
	buf_reset(verdict);
	verify_verdict_json(d, verdict);
	verify_verdict_free(d);
	return buf_check(verdict, w);
}

int main(void)
{
	struct buf parts[3] = {BUF_INIT(PART_MAX), BUF_INIT(PART_MAX), BUF_INIT(PART_MAX)};
	struct buf verdict = BUF_INIT(VERDICT_MAX), error = BUF_INIT(VERDICT_MAX);
	struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct verify *v = NULL;
	struct why w = {0};

	if (crypto_new(&crypto, &w) != ERR_OK || verify_new(&v, crypto, &clock, &w) != ERR_OK) {
		fprintf(stderr, "%s\n", w.text);
		return EXIT_FAILURE;
	}
	while (read_framed(&parts[0]) && read_framed(&parts[1]) && read_framed(&parts[2])) {
		long long micros = 0;

		if (judge(v, parts, &verdict, &micros, &w) == ERR_OK) {
			printf("{\"us\":%lld,\"verdict\":%.*s}\n", micros, (int)verdict.n, (const char *)verdict.p);
		} else {
			buf_reset(&error);
			json_put_cstr(&error, w.text);
			printf("{\"us\":%lld,\"error\":%.*s}\n", micros, (int)error.n, (const char *)error.p);
		}
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		buf_free(&parts[i]);
	buf_free(&verdict);
	buf_free(&error);
	verify_free(v);
	crypto_free(crypto);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
