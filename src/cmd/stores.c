/* stores.c - the two files and the key that they are sealed under. */
#include "stores.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cmd.h"

/* ---- the turn's transactions ---- */

bool stores_dirty(void *ctx)
{
	const struct stores *s = ctx;
	return store_dirty(s->sessions) || (s->private_data != NULL && private_store_dirty(s->private_data));
}

/* Neither committed nor rolled back: nothing that this process says of what it keeps can be relied on. The next one
 * begins with what was committed. */
static void give_up(const struct stores *s, const struct why *w)
{
	log_why(s->log, LOG_ERROR, "rollback", w);
	log_flush(s->log);
	_exit(CMD_ENVIRONMENT);
}

enum err stores_commit(void *ctx, struct why *w)
{
	struct stores *s = ctx;
	struct why inner = {0};
	const enum err first = s->private_data != NULL ? private_store_commit(s->private_data, w) : ERR_OK;
	if (s->private_data != NULL && private_store_dirty(s->private_data))
		give_up(s, w);
	const enum err e = store_commit(s->sessions, &inner);
	session_turn_end(s->app->sessions, e == ERR_OK);
	if (store_dirty(s->sessions))
		give_up(s, &inner);
	if (first != ERR_OK)
		return first;
	if (e != ERR_OK)
		*w = inner;
	return e;
}

/* ---- opening ---- */

enum err stores_check(const struct stores *s, struct why *w)
{
	if (!nsm_is_device(s->app->nsm))
		return ERR_OK;
	if (s->enclave_kek.key != NULL)
		return why_set(
			w, ERR_CONFIG,
			"ENCLAVE_KEY_BASE64 is refused with a real NSM: whoever starts the enclave would know the "
			"key. Leave it out, give the systemd credential `kek`, or set kek_file.");
	if (s->app->config->private_data_anonymous == CONFIG_ANONYMOUS_TRUE)
		return why_set(w, ERR_CONFIG,
			       "private_data_anonymous = true is refused with a real NSM: whoever reaches an enclave "
			       "could read what others have stored there");
	return ERR_OK;
}

static enum err read_boot_id(const char *path, char out[SESSION_BOOT_ID_MAX], struct why *w)
{
	size_t n = 0;
	const enum err e = file_load("the boot id", path, (uint8_t *)out, SESSION_BOOT_ID_MAX - 1, &n, w);
	if (e != ERR_OK)
		return e;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	/* A part of a longer text would make boots look alike that are not. */
	if (out[0] == '\0' || n == SESSION_BOOT_ID_MAX - 1)
		return why_set(w, ERR_ENVIRONMENT, "%s holds no boot id", path);
	return ERR_OK;
}

/* Where a generated key may be kept: memory-backed where systemd gives a directory. Beside the database it seals
 * nothing from whoever reads the disk: fit for development, not for an enclave, where the answer then is none. */
static enum err runtime_dir(const struct app *app, struct buf *out, bool *beside_db, struct why *w)
{
	const struct config *c = app->config;
	const char *env = getenv("RUNTIME_DIRECTORY");
	const char *slash = strrchr(c->db, '/');
	if (c->runtime_dir[0] != '\0')
		buf_put_str(out, c->runtime_dir);
	else if (env != NULL && env[0] != '\0')
		buf_put(out, env, strcspn(env, ":"));
	else if (!nsm_is_device(app->nsm))
		*beside_db = true;
	if (*beside_db && slash == NULL)
		buf_put_str(out, ".");
	else if (*beside_db)
		buf_put(out, c->db, slash > c->db ? (size_t)(slash - c->db) : 1);
	(void)buf_cstr(out);
	return buf_check(out, w);
}

static enum err open_kek(struct stores *s, struct why *w)
{
	struct buf dir = BUF_INIT(4096);
	bool beside_db = false;
	enum err e = runtime_dir(s->app, &dir, &beside_db, w);

	if (e == ERR_OK)
		e = session_kek_open(&s->kek, s->app->config->kek_file, getenv("CREDENTIALS_DIRECTORY"),
				     (const char *)dir.p, &s->app->random, w);
	buf_free(&dir);
	if (e == ERR_OK && s->kek.generated && beside_db)
		log_event(s->log, LOG_WARN, "kek",
			  LOG_S("text",
				"the generated key lies beside the database and protects it from nobody who reads "
				"the disk; set runtime_dir or kek_file"));
	return e;
}

static enum err open_sessions(struct stores *s, struct why *w)
{
	struct app *app = s->app;
	const struct config *c = app->config;
	char boot_id[SESSION_BOOT_ID_MAX];
	enum err e;

	if ((e = read_boot_id(c->boot_id_file, boot_id, w)) != ERR_OK ||
	    (e = store_open(&s->sessions, c->db, c->durability == CONFIG_DURABILITY_POWER, w)) != ERR_OK ||
	    (e = open_kek(s, w)) != ERR_OK)
		return e;
	const struct session_env env = {
		.store = s->sessions,
		.crypto = app->crypto,
		.random = app->random,
		.clock = app->clock,
		.log = s->log,
		.limits = {c->session_lifetime * 1000, (uint64_t)c->max_sessions, (uint64_t)c->public_sessions,
			   (uint64_t)c->max_messages, (uint64_t)c->max_seen_ivs},
	};
	return sessions_open(&app->sessions, &env, &s->kek, boot_id, w);
}

static enum err open_private_data(struct stores *s, struct why *w)
{
	struct app *app = s->app;
	const struct config *c = app->config;
	const struct private_data_limits limits = {c->private_data_items, c->private_data_bytes,
						   c->private_data_total_items, c->private_data_total_bytes};
	const bool own_key = s->enclave_kek.key != NULL;
	enum err e = private_store_open(&s->private_data, c->private_data_db, c->durability == CONFIG_DURABILITY_POWER,
					w);
	if (e != ERR_OK)
		return e;
	log_event(s->log, LOG_INFO, "private_data",
		  LOG_S("sealed_under", own_key		       ? "ENCLAVE_KEY_BASE64"
					: *c->kek_file != '\0' ? "kek_file"
					: s->kek.generated     ? "a generated key"
							       : "the credential kek"));
	app->private_data_anonymous = c->private_data_anonymous == CONFIG_ANONYMOUS_TRUE ||
				      (c->private_data_anonymous == CONFIG_ANONYMOUS_AUTO && !nsm_is_device(app->nsm));
	return private_data_open(&app->private_data, s->private_data, app->crypto, app->random, app->clock, s->log,
				 own_key ? &s->enclave_kek : &s->kek, &limits, w);
}

enum err stores_open(struct stores *s, bool with_private_data, struct why *w)
{
	const enum err e = open_sessions(s, w);
	return e == ERR_OK && with_private_data ? open_private_data(s, w) : e;
}

void stores_leave(struct stores *s)
{
	private_store_close(s->private_data);
	store_close(s->sessions);
	session_kek_close(&s->enclave_kek);
	session_kek_close(&s->kek);
	s->private_data = NULL;
	s->sessions = NULL;
}

void stores_close(struct stores *s)
{
	private_data_close(s->app->private_data);
	sessions_close(s->app->sessions);
	s->app->private_data = NULL;
	s->app->sessions = NULL;
	stores_leave(s);
}
