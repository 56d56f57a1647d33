/* config.c - default < file < environment < flag, and which of them a fault is told of. */
#include "keys.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define ENV_PREFIX "ATTESTD_"
enum { ENV_PREFIX_LEN = sizeof ENV_PREFIX - 1, ENV_NAME_MAX = 64 };

static enum err set_defaults(struct config *c, struct why *w)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];
		if (k->type == KEY_STR || k->type == KEY_PATH) {
			static const struct source s = {"keys.def", 8, 0};
			const enum err e = config_assign(c, k, bytes_str(k->text), &s, w);
			if (e != ERR_OK)
				return e;
		} else {
			config_put_number(c, k, k->dflt);
		}
	}
	return ERR_OK;
}

/* A variable's name in lower case, or an empty span if it has lower case already or is longer than any key. */
static struct bytes env_key(const char *entry, size_t n, char out[ENV_NAME_MAX])
{
	if (n > ENV_NAME_MAX)
		return bytes_of(out, 0);
	for (size_t i = 0; i < n; i++) {
		if (islower((unsigned char)entry[i]))
			return bytes_of(out, 0);
		out[i] = (char)tolower((unsigned char)entry[i]);
	}
	return bytes_of(out, n);
}

static enum err unknown_variable(struct bytes name, const struct source *s, struct why *w)
{
	const struct key *near = config_key_near(name);
	if (near == NULL)
		return config_fault(w, s, "there is no such key");
	char upper[ENV_NAME_MAX];
	const size_t n = strlen(near->name);
	for (size_t i = 0; i < n; i++)
		upper[i] = (char)toupper((unsigned char)near->name[i]);
	return config_fault(w, s, "there is no such key (did you mean " ENV_PREFIX "%.*s?)", (int)n, upper);
}

static enum err read_env(struct config *c, struct source from[KEY_COUNT], char *const *env, struct why *w)
{
	for (; env != NULL && *env != NULL; env++) {
		const char *eq = strchr(*env, '=');
		if (strncmp(*env, ENV_PREFIX, ENV_PREFIX_LEN) != 0 || eq == NULL)
			continue;
		const struct source s = {*env, eq - *env < ENV_NAME_MAX ? (int)(eq - *env) : ENV_NAME_MAX, 0};
		char lower[ENV_NAME_MAX];
		const struct bytes name = env_key(*env + ENV_PREFIX_LEN, (size_t)(eq - *env) - ENV_PREFIX_LEN, lower);
		if (bytes_is(name, "config"))
			continue;
		const struct key *k = config_key_find(name);
		const enum err e = k != NULL ? config_assign(c, k, bytes_str(eq + 1), &s, w)
					     : unknown_variable(name, &s, w);
		if (e != ERR_OK)
			return e;
		from[k - config_keys] = s;
	}
	return ERR_OK;
}

static enum err read_sets(struct config *c, struct source from[KEY_COUNT], const struct config_set *sets, size_t n,
			  struct why *w)
{
	for (size_t i = 0; i < n; i++) {
		const struct source s = {sets[i].origin, (int)strnlen(sets[i].origin, ENV_NAME_MAX), 0};
		const struct key *k = config_key_find(bytes_str(sets[i].key));
		const struct key *near = k != NULL ? NULL : config_key_near(bytes_str(sets[i].key));
		if (near != NULL)
			return config_fault(w, &s, "unknown key \"%.64s\" (did you mean \"%s\"?)", sets[i].key,
					    near->name);
		if (k == NULL)
			return config_fault(w, &s, "unknown key \"%.64s\"", sets[i].key);
		const enum err e = config_assign(c, k, bytes_str(sets[i].value), &s, w);
		if (e != ERR_OK)
			return e;
		from[k - config_keys] = s;
	}
	return ERR_OK;
}

enum err config_parse(struct config **out, const char *name, struct bytes text, char *const *env,
		      const struct config_set *sets, size_t n_sets, struct why *w)
{
	struct source from[KEY_COUNT] = {{NULL, 0, 0}};
	struct config *c = calloc(1, sizeof *c);
	enum err e;

	if (c == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the configuration");
	if ((e = set_defaults(c, w)) != ERR_OK || (e = config_read_text(c, from, name, text, w)) != ERR_OK ||
	    (e = read_env(c, from, env, w)) != ERR_OK || (e = read_sets(c, from, sets, n_sets, w)) != ERR_OK ||
	    (e = config_read_tls_env(c, from, env, w)) != ERR_OK || (e = config_check(c, from, w)) != ERR_OK)
		goto out;
	*out = c;
	c = NULL;
out:
	config_free(c);
	return e;
}

/* One byte past the limit, so that config_read_text sees that there was too much. */
static enum err read_file(struct buf *out, const char *file, struct why *w)
{
	uint8_t *p = buf_reserve(out, CONFIG_FILE_MAX + 1);
	if (p == NULL)
		return buf_check(out, w);
	return file_load("the configuration", file, p, CONFIG_FILE_MAX + 1, &out->n, w);
}

enum err config_load(struct config **out, const char *file, char *const *env, const struct config_set *sets,
		     size_t n_sets, struct why *w)
{
	struct buf text = BUF_INIT(CONFIG_FILE_MAX + 1);
	enum err e = file != NULL ? read_file(&text, file, w) : ERR_OK;
	if (e == ERR_OK)
		e = config_parse(out, file != NULL ? file : "", buf_bytes(&text), env, sets, n_sets, w);
	buf_free(&text);
	return e;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];
		if (k->type == KEY_STR || k->type == KEY_PATH)
			free(*(char **)(void *)((char *)c + k->offset));
	}
	free(c);
}
