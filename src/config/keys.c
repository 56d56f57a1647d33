/* keys.c - keys.def as a table, and looking a key up in it. */
#include "keys.h"

#include <string.h>

#define SEC true
#define OPS false

const struct key config_keys[KEY_COUNT] = {
#define AT(key)					     offsetof(struct config, key)
#define CONFIG_STR(key, dflt, max, sec, help)	     {#key, KEY_STR, AT(key), dflt, 0, 0, max, sec, help},
#define CONFIG_PATH(key, dflt, sec, help)	     {#key, KEY_PATH, AT(key), dflt, 0, 0, CONFIG_VALUE_MAX, sec, help},
#define CONFIG_INT(key, dflt, lo, hi, sec, help)     {#key, KEY_INT, AT(key), NULL, dflt, lo, hi, sec, help},
#define CONFIG_SIZE(key, dflt, lo, hi, sec, help)    {#key, KEY_SIZE, AT(key), NULL, dflt, lo, hi, sec, help},
#define CONFIG_SECONDS(key, dflt, lo, hi, sec, help) {#key, KEY_SECONDS, AT(key), NULL, dflt, lo, hi, sec, help},
#define CONFIG_ENUM(key, dflt, names, sec, help)     {#key, KEY_ENUM, AT(key), names, dflt, 0, INT32_MAX, sec, help},
#include "keys.def"
};

/* Long enough for any key; a longer name is near none. */
enum { NEAR_MAX = 40, NEAR_DISTANCE = 2 };

const struct key *config_key_find(struct bytes name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (bytes_is(name, config_keys[i].name))
			return &config_keys[i];
	return NULL;
}

/* Levenshtein's distance, one row at a time. */
static size_t distance(struct bytes a, struct bytes b)
{
	size_t row[NEAR_MAX + 1];

	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 0; i < a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < b.n; j++) {
			size_t best = diagonal + (a.p[i] != b.p[j]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[b.n];
}

const struct key *config_key_near(struct bytes name)
{
	const struct key *near = NULL;
	size_t least = NEAR_DISTANCE + 1;

	if (name.n > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct bytes key = bytes_str(config_keys[i].name);
		const size_t d = distance(key, name);
		/* Two letters changed in a name of two or three say nothing. */
		if (d < least && d * 2 < key.n) {
			least = d;
			near = &config_keys[i];
		}
	}
	return near;
}

struct bytes config_key_choice(const struct key *k, int64_t i)
{
	const char *p = k->text;

	for (; i > 0; i--) {
		p += strcspn(p, "|");
		if (*p == '\0')
			return (struct bytes){NULL, 0};
		p++;
	}
	return bytes_of(p, strcspn(p, "|"));
}
