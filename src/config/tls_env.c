/* tls_env.c - USE_TLS, TLS_CERT_PATH and TLS_KEY_PATH: what other servers in enclaves are told by, in place of keys. */
#include "keys.h"

#include <string.h>

static const char switch_name[] = "USE_TLS";

/* The value of a variable, NULL if it is not set, and where it was set. */
static const char *value_of(char *const *env, const char *name, struct source *s)
{
	const size_t n = strlen(name);

	for (; env != NULL && *env != NULL; env++) {
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') {
			*s = (struct source){*env, (int)n, 0};
			return *env + n + 1;
		}
	}
	return NULL;
}

enum err config_read_tls_env(struct config *c, struct source from[KEY_COUNT], char *const *env, struct why *w)
{
	static const struct {
		enum key_id key;
		const char *name, *dflt;
	} files[] = {{KEY_tls_cert_file, "TLS_CERT_PATH", "cert.pem"}, {KEY_tls_key_file, "TLS_KEY_PATH", "key.pem"}};
	struct source s = {NULL, 0, 0};
	const char *use = value_of(env, switch_name, &s);

	if (use == NULL)
		return ERR_OK;
	if (strcmp(use, "false") == 0)
		return *c->tls_listen == '\0'
			       ? ERR_OK
			       : config_fault(
					 w, &s,
					 "false contradicts tls_listen = %.64s, which never speaks plain HTTP: leave "
					 "tls_listen out, and set public_listen for plain HTTP",
					 c->tls_listen);
	if (strcmp(use, "true") != 0)
		return config_fault(w, &s, "must be true or false, not \"%.64s\"", use);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct source of_path = s;
		const char *path = value_of(env, files[i].name, &of_path);
		if (from[files[i].key].name != NULL)
			continue;
		if (path == NULL || *path == '\0')
			path = files[i].dflt;
		const enum err e = config_assign(c, &config_keys[files[i].key], bytes_str(path), &of_path, w);
		if (e != ERR_OK)
			return e;
		from[files[i].key] = of_path;
	}
	return ERR_OK;
}
