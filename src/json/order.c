/* order.c - the names of an object in order: by code points, which is the order of UTF-8's bytes.
 *
 * Sorted byte by byte from the front, so the work is bounded by the bytes of the names, however a stranger chose them;
 * and in place, so that nothing can fail: the American flag sort of Peter McIlroy, Keith Bostic and Douglas McIlroy
 * ("Engineering radix sort", 1993), and for few names an insertion sort.
 */
#include "tape.h"

enum { FEW = 16, BUCKETS = 257 /* for each byte, and first for the names that have ended */ };

static struct bytes name_at(const struct json_value *object, struct json_value name)
{
	return tape_string(object + name.word);
}

static size_t bucket(const struct json_value *object, struct json_value name, size_t depth)
{
	const struct bytes s = name_at(object, name);
	return depth < s.n ? (size_t)1 + s.p[depth] : 0;
}

int order_compare(struct bytes a, struct bytes b, size_t depth)
{
	const size_t n = a.n < b.n ? a.n : b.n;
	const int r = memcmp(a.p + depth, b.p + depth, n - depth);
	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static bool order_few(const struct json_value *object, struct json_value *names, size_t n, size_t depth)
{
	bool same = false;
	for (size_t i = 1; i < n; i++) {
		const struct json_value x = names[i];
		const struct bytes name = name_at(object, x);
		size_t at = i;
		int r = 1;
		while (at > 0 && (r = order_compare(name_at(object, names[at - 1]), name, depth)) > 0) {
			names[at] = names[at - 1];
			at--;
		}
		names[at] = x;
		same |= at > 0 && r == 0;
	}
	return same;
}

/* How far the names, which are the same up to `depth`, are all the same. */
static size_t common(const struct json_value *object, const struct json_value *names, size_t n, size_t depth)
{
	const struct bytes first = name_at(object, names[0]);
	size_t end = first.n;
	for (size_t i = 1; i < n; i++) {
		const struct bytes name = name_at(object, names[i]);
		const size_t most = name.n < end ? name.n : end;
		for (end = depth; end < most && name.p[end] == first.p[end];)
			end++;
	}
	return end;
}

/* Each name into its bucket; begin gets where the buckets begin, and where the last ends. */
static void distribute(const struct json_value *object, struct json_value *names, size_t n, size_t depth,
		       uint32_t begin[BUCKETS + 1])
{
	uint32_t next[BUCKETS];
	memset(begin, 0, (BUCKETS + 1) * sizeof *begin);
	for (size_t i = 0; i < n; i++)
		begin[bucket(object, names[i], depth) + 1]++;
	for (size_t b = 0; b < BUCKETS; b++) {
		begin[b + 1] += begin[b];
		next[b] = begin[b];
	}
	for (size_t b = 0; b < BUCKETS; b++) {
		while (next[b] < begin[b + 1]) {
			const struct json_value x = names[next[b]];
			const size_t to = bucket(object, x, depth);
			names[next[b]] = names[next[to]];
			names[next[to]++] = x;
		}
	}
}

/* The names are the same up to `depth`. Recursion is for all buckets but the largest, so it is never deep. */
static bool order_from(const struct json_value *object, struct json_value *names, size_t n, size_t depth)
{
	bool same = false;
	while (n > FEW) {
		uint32_t begin[BUCKETS + 1];
		/* A bucket for each byte of what they share would take longer than the sender needs to send it. */
		depth = common(object, names, n, depth);
		distribute(object, names, n, depth, begin);
		size_t largest = 1;
		for (size_t b = 2; b < BUCKETS; b++)
			if (begin[b + 1] - begin[b] > begin[largest + 1] - begin[largest])
				largest = b;
		same |= begin[1] > 1;
		depth++;
		for (size_t b = 1; b < BUCKETS; b++)
			if (b != largest && begin[b + 1] - begin[b] > 1)
				same |= order_from(object, names + begin[b], begin[b + 1] - begin[b], depth);
		names += begin[largest];
		n = begin[largest + 1] - begin[largest];
	}
	return order_few(object, names, n, depth) || same;
}

bool order_names(const struct json_value *object, struct json_value *names, size_t n)
{
	return order_from(object, names, n, 0);
}

uint32_t order_repeated(const struct json_value *object, const struct json_value *names, size_t n)
{
	uint32_t found = 0;
	for (size_t i = 0; i < n;) {
		uint32_t first = names[i].word, second = 0;
		const struct bytes name = name_at(object, names[i]);
		for (i++; i < n && bytes_equal(name_at(object, names[i]), name); i++) {
			const uint32_t x = names[i].word;
			if (x < first) {
				second = first;
				first = x;
			} else if (second == 0 || x < second) {
				second = x;
			}
		}
		if (second != 0 && (found == 0 || second < found))
			found = second;
	}
	return found;
}
