/* keys.h - what the files of src/config share: keys.def as a table, and where a value came from. */
#ifndef ATTESTD_CONFIG_KEYS_H
#define ATTESTD_CONFIG_KEYS_H

#include "config.h"

enum key_type { KEY_STR, KEY_PATH, KEY_INT, KEY_SIZE, KEY_SECONDS, KEY_ENUM };

/* KEY_listen and so on, in keys.def's order. */
enum key_id {
#define CONFIG_STR(key, dflt, max, sec, help)	     KEY_##key,
#define CONFIG_PATH(key, dflt, sec, help)	     KEY_##key,
#define CONFIG_INT(key, dflt, lo, hi, sec, help)     KEY_##key,
#define CONFIG_SIZE(key, dflt, lo, hi, sec, help)    KEY_##key,
#define CONFIG_SECONDS(key, dflt, lo, hi, sec, help) KEY_##key,
#define CONFIG_ENUM(key, dflt, names, sec, help)     KEY_##key,
#include "keys.def"
	KEY_COUNT
};

struct key {
	const char *name;
	enum key_type type;
	size_t offset;	  /* of its member in struct config */
	const char *text; /* STR, PATH: the default; ENUM: the choices, separated by | */
	int64_t dflt;	  /* all but STR and PATH */
	int64_t lo, hi;	  /* limits; for STR and PATH hi is the most bytes */
	bool sec;
	const char *help;
};

extern const struct key config_keys[KEY_COUNT];

/* NULL if there is none; case matters. */
const struct key *config_key_find(struct bytes name);
/* The key most like `name`, or NULL if none is near enough to be meant. */
const struct key *config_key_near(struct bytes name);
/* The i-th choice of an ENUM; .p is NULL past the last. */
struct bytes config_key_choice(const struct key *k, int64_t i);

/* Where a value was set; name NULL means that it is the default. */
struct source {
	const char *name;
	int len;       /* of name, which may be the front of an environment entry */
	unsigned line; /* 0 if it has none */
};

/* ERR_CONFIG with "NAME: " or "NAME:LINE: " in front. */
enum err config_fault(struct why *w, const struct source *s, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Why `text` cannot be in a configuration ("a NUL byte"), or NULL. */
const char *config_text_fault(struct bytes text, bool tab_ok);

/* The member of `c` that belongs to `k`. */
const char *config_get_text(const struct config *c, const struct key *k); /* STR, PATH */
int64_t config_get_number(const struct config *c, const struct key *k);	  /* all others */
void config_put_number(struct config *c, const struct key *k, int64_t v);

/* Parses `text` as the type of `k` and puts it into `c`; checks the limits of keys.def. */
enum err config_assign(struct config *c, const struct key *k, struct bytes text, const struct source *s,
		       struct why *w) MUST_USE;
/* Reads a whole file's text into `c` and notes in from[] what it set. */
enum err config_read_text(struct config *c, struct source from[KEY_COUNT], const char *name, struct bytes text,
			  struct why *w) MUST_USE;
/* Fills tls_cert_file and tls_key_file, where nothing has set them, as USE_TLS, TLS_CERT_PATH and TLS_KEY_PATH say. */
enum err config_read_tls_env(struct config *c, struct source from[KEY_COUNT], char *const *env, struct why *w) MUST_USE;
/* What holds between keys. Defaults that a set key has made too large are lowered. */
enum err config_check(struct config *c, const struct source from[KEY_COUNT], struct why *w) MUST_USE;

#endif
