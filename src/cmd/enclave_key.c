/* enclave_key.c - the key that private data is sealed under, from the environment. */
#include "enclave_key.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"

static const char name[] = "ENCLAVE_KEY_BASE64";

_Static_assert(BASE64_DECODED_MAX(BASE64_SIZE(SESSION_KEK_SIZE)) <= SECRET_MAX, "what is decoded fits");

static enum err read_key(struct bytes text, struct secret *key, struct why *w)
{
	const bool good = text.n == BASE64_SIZE(SESSION_KEK_SIZE) && base64_decode(text, key->b, &key->n) &&
			  key->n == SESSION_KEK_SIZE;
	if (good && !bytes_is_zero(secret_view(key)))
		return ERR_OK;
	return why_set(w, ERR_CONFIG, "%s must be %d bytes in padded base64%s: make one with `openssl rand -base64 %d`",
		       name, SESSION_KEK_SIZE, good ? ", and not zeros only" : "", SESSION_KEK_SIZE);
}

/* /proc/PID/environ shows these very bytes, and an environment may name the same variable twice. */
static void wipe_all(void)
{
	const size_t n = sizeof name - 1;

	for (char **at = environ; *at != NULL; at++)
		if (strncmp(*at, name, n) == 0 && (*at)[n] == '=')
			mem_wipe(*at + n + 1, strlen(*at + n + 1));
}

enum err enclave_key_take(struct session_kek *out, struct why *w)
{
	const char *value = getenv(name);
	struct session_kek k = {0};

	if (value == NULL)
		return ERR_OK;
	enum err e = secret_new_locked(&k.key, w);
	if (e == ERR_OK)
		e = read_key(bytes_str(value), k.key, w);
	wipe_all();
	(void)unsetenv(name);
	if (e != ERR_OK) {
		session_kek_close(&k);
		return e;
	}
	*out = k;
	return ERR_OK;
}
