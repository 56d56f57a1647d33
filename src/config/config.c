#include "keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_PREFIX "ATTESTD_"
enum { ENV_PREFIX_LEN = sizeof(ENV_PREFIX) - 1, ENV_NAME_MAX = 64 };

static enum err set_defaults(struct config *c, struct why *w)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];

		if (k->type == KEY_STR || k->type == KEY_PATH) {
			static const struct source s = {"keys.def", 8, 0};
			enum err e = config_assign(c, k, bytes_str(k->text), &s, w);

			if (e)
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
	char upper[ENV_NAME_MAX];
	size_t n;

	if (!near)
		return config_fault(w, s, "there is no such key");
	n = strlen(near->name);
	for (size_t i = 0; i < n; i++)
		upper[i] = (char)toupper((unsigned char)near->name[i]);
	return config_fault(w, s, "there is no such key (did you mean " ENV_PREFIX "%.*s?)", (int)n, upper);
}

static enum err read_env(struct config *c, struct source from[KEY_COUNT], char *const *env, struct why *w)
{
	for (; env && *env; env++) {
		const char *eq = strchr(*env, '=');
		char lower[ENV_NAME_MAX];
		struct source s = {*env, 0, 0};
		const struct key *k;
		struct bytes name;
		enum err e;

		if (strncmp(*env, ENV_PREFIX, ENV_PREFIX_LEN) != 0 || !eq)
			continue;
		s.len = eq - *env < ENV_NAME_MAX ? (int)(eq - *env) : ENV_NAME_MAX;
		name = env_key(*env + ENV_PREFIX_LEN, (size_t)(eq - *env) - ENV_PREFIX_LEN, lower);
		if (bytes_is(name, "config"))
			continue;
		k = config_key_find(name);
		e = k ? config_assign(c, k, bytes_str(eq + 1), &s, w) : unknown_variable(name, &s, w);
		if (e)
			return e;
		from[k - config_keys] = s;
	}
	return ERR_OK;
}

static enum err read_sets(struct config *c, struct source from[KEY_COUNT], const struct config_set *sets, size_t n,
			  struct why *w)
{
	for (size_t i = 0; i < n; i++) {
		struct source s = {sets[i].origin, (int)strnlen(sets[i].origin, ENV_NAME_MAX), 0};
		const struct key *k = config_key_find(bytes_str(sets[i].key));
		const struct key *near = k ? NULL : config_key_near(bytes_str(sets[i].key));
		enum err e;

		if (near)
			return config_fault(w, &s, "unknown key \"%.64s\" (did you mean \"%s\"?)", sets[i].key,
					    near->name);
		if (!k)
			return config_fault(w, &s, "unknown key \"%.64s\"", sets[i].key);
		e = config_assign(c, k, bytes_str(sets[i].value), &s, w);
		if (e)
			return e;
		from[k - config_keys] = s;
	}
	return ERR_OK;
}

enum err config_parse(struct config **out, const char *name, struct bytes text, char *const *env,
		      const struct config_set *sets, size_t n_sets, struct why *w)
{
	struct source from[KEY_COUNT] = {{NULL, 0, 0}};
	struct config *c = calloc(1, sizeof(*c));
	enum err e;

	if (!c)
		return why_set(w, ERR_MEMORY, "no memory for the configuration");
	if ((e = set_defaults(c, w)) || (e = config_read_text(c, from, name, text, w)) ||
	    (e = read_env(c, from, env, w)) || (e = read_sets(c, from, sets, n_sets, w)) ||
	    (e = config_check(c, from, w)))
		goto out;
	*out = c;
	c = NULL;
out:
	config_free(c);
	return e;
}

/* Reads until one byte past the limit, so that config_read_text sees that there was too much. */
static enum err read_file(struct buf *out, const char *file, struct why *w)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	enum err e = ERR_OK;

	if (fd < 0)
		return why_set(w, ERR_ENVIRONMENT, "cannot open the configuration %s: %s", file, strerror(errno));
	while (out->n <= CONFIG_FILE_MAX) {
		size_t room = CONFIG_FILE_MAX + 1 - out->n;
		uint8_t *p = buf_reserve(out, room);
		ssize_t n;

		if (!p) {
			e = buf_check(out, w);
			break;
		}
		n = read(fd, p, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = why_set(w, ERR_ENVIRONMENT, "cannot read the configuration %s: %s", file, strerror(errno));
		if (n <= 0)
			break;
		out->n += (size_t)n;
	}
	close(fd);
	return e;
}

enum err config_load(struct config **out, const char *file, char *const *env, const struct config_set *sets,
		     size_t n_sets, struct why *w)
{
	struct buf text = BUF_INIT(CONFIG_FILE_MAX + 1);
	enum err e = file ? read_file(&text, file, w) : ERR_OK;

	if (e == ERR_OK)
		e = config_parse(out, file ? file : "", buf_bytes(&text), env, sets, n_sets, w);
	buf_free(&text);
	return e;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];

		if (k->type == KEY_STR || k->type == KEY_PATH)
			free(*(char **)(void *)((char *)c + k->offset));
	}
	free(c);
}
