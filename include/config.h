/* config.h - plain `key = value`: default < file < ATTESTD_* environment < flag.
 *
 * src/config/keys.def lists every key once: type, default, limits, whether it is security-relevant, help. The parser,
 * `attestd config`, `serve --help` and configs/attestd.conf are made from it. Unknown and duplicate keys, values out of
 * range and contradictions between keys are errors that name `file:line`, the variable, or the flag. Everything is
 * parsed and cross-checked before a socket opens. Secrets are named by path only.
 */
#ifndef ATTESTD_CONFIG_H
#define ATTESTD_CONFIG_H

#include "base/bytes.h"

/* What `nsm` may be, as errors and help say it. */
#ifdef ATTESTD_ENCLAVE
#define CONFIG_NSM_NAMES "device or auto (this build is for the enclave and has no simulator, dummy or socket)"
#else
#define CONFIG_NSM_NAMES "auto, device, simulator, dummy or socket:PATH"
#endif

enum { CONFIG_FILE_MAX = 256 * 1024, CONFIG_LINE_MAX = 4096, CONFIG_VALUE_MAX = 1024 };

/* Types in keys.def: STR (text), PATH (text), INT, SIZE (bytes; k, m, g suffixes are powers of 1024),
 * SECONDS (s, m, h suffixes), ENUM (index into its list). STR and PATH are never NULL: "" is unset.
 */
struct config {
#define CONFIG_STR(key, dflt, max, sec, help)	     char *key;
#define CONFIG_PATH(key, dflt, sec, help)	     char *key;
#define CONFIG_INT(key, dflt, lo, hi, sec, help)     int64_t key;
#define CONFIG_SIZE(key, dflt, lo, hi, sec, help)    int64_t key;
#define CONFIG_SECONDS(key, dflt, lo, hi, sec, help) int64_t key;
#define CONFIG_ENUM(key, dflt, names, sec, help)     int key;
#include "../src/config/keys.def"
};

/* ENUM values, in the order of their names in keys.def. */
enum { CONFIG_DURABILITY_PROCESS, CONFIG_DURABILITY_POWER };
enum { CONFIG_TLS_12, CONFIG_TLS_13 };
enum { CONFIG_ANONYMOUS_AUTO, CONFIG_ANONYMOUS_FALSE, CONFIG_ANONYMOUS_TRUE };
enum { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
enum { CONFIG_LOG_LEVEL_ERROR, CONFIG_LOG_LEVEL_WARN, CONFIG_LOG_LEVEL_INFO, CONFIG_LOG_LEVEL_DEBUG };

/* One `--set key=value` or a short flag, in the order given. `origin` is what an error names: "--listen". */
struct config_set {
	const char *origin, *key, *value;
};

/* file may be NULL (no file). env is an environ-style NULL-terminated array; only ATTESTD_* names are read, and one
 * that names no key is an error, except ATTESTD_CONFIG. A later source overrides an earlier one; the same key twice
 * within the file is an error, twice among flags the last wins. USE_TLS, TLS_CERT_PATH and TLS_KEY_PATH count where
 * nothing else sets tls_cert_file and tls_key_file. Returns ERR_CONFIG, ERR_ENVIRONMENT (unreadable file)
 * or ERR_MEMORY. */
enum err config_load(struct config **out, const char *file, char *const *env, const struct config_set *sets,
		     size_t n_sets, struct why *w) MUST_USE;
/* The same from memory, for tests and the fuzz target; `name` stands for the file in errors. */
enum err config_parse(struct config **out, const char *name, struct bytes text, char *const *env,
		      const struct config_set *sets, size_t n_sets, struct why *w) MUST_USE;
void config_free(struct config *c);

/* `key = value` lines, sorted as in keys.def; security_only leaves out keys that keys.def does not mark. These exact
 * bytes are what config_digest is the SHA-256 of. Values print in a form that parses back to themselves. */
void config_show(const struct config *c, bool security_only, struct buf *out);
/* The annotated example file configs/attestd.conf. */
void config_example(struct buf *out);
/* How a configuration is written, and what overrides what. */
extern const char config_syntax[];
/* Of the i-th key: appends `key = default`, and its help. False beyond the last. */
bool config_help(size_t i, struct buf *key, struct buf *help);

#endif
