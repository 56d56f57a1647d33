/* start_tls.c - TLS identities from their making to their renewal. */
#include "start_tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/file.h"

enum {
	SECOND = 1000,
	RETRY_MS = 60 * SECOND,
	LOOK_MS_MIN = 60 * SECOND, /* at the age of the files' certificate: a twentieth of its life, within these */
	LOOK_MS_MAX = 24 * 3600 * SECOND,
};

/* ---- making ---- */

static enum err make_key(const struct app *app, struct tls_identity **out, struct why *w)
{
	struct bytes names[TLS_NAMES_MAX];
	size_t n = 0;

	for (const char *at = app->config->tls_names; *at != '\0' && n < TLS_NAMES_MAX;) {
		const size_t len = strcspn(at, ",");
		names[n++] = bytes_of(at, len);
		at += at[len] == ',' ? len + 1 : len;
	}
	const enum err e = tls_identity_new(app->crypto, "attestd", names, n, clock_wall(app->clock) / 1000,
					    app->config->tls_lifetime, out, w);
	return e == ERR_CONFIG ? why_set(w, e, "tls_names: %.256s", w->text) : e;
}

/* Read again while the server runs, which must not wait for a pipe. */
static enum err read_cert_file(const char *path, uint8_t *text, size_t *n, struct why *w)
{
	static const char what[] = "the TLS certificate";
	int fd = -1;
	enum err e = file_open(what, path, O_RDONLY, false, &fd, w);

	if (e != ERR_OK)
		return e;
	e = file_read(fd, what, path, text, TLS_PEM_MAX + 1, n, w);
	close(fd);
	return e;
}

/* systemd hands credentials out as root's, readable by the unit's group at most. */
static bool is_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	const size_t n = dir != NULL ? strlen(dir) : 0;
	return n > 0 && strncmp(path, dir, n) == 0 && path[n] == '/';
}

static enum err read_key_file(const char *path, uint8_t *text, size_t *n, struct why *w)
{
	static const char what[] = "the TLS key file";
	int fd = -1;
	enum err e = file_open_private(AT_FDCWD, path, what, path, is_credential(path), &fd, w);

	if (e != ERR_OK)
		return e;
	e = file_read(fd, what, path, text, TLS_PEM_MAX + 1, n, w);
	close(fd);
	return e;
}

static enum err read_files(const struct app *app, struct tls_identity **out, struct why *w)
{
	const char *cert_path = app->config->tls_cert_file, *key_path = app->config->tls_key_file;
	uint8_t *cert = malloc(TLS_PEM_MAX + 1), *key = malloc(TLS_PEM_MAX + 1);
	size_t n_cert = 0, n_key = 0;
	enum err e;

	if (cert == NULL || key == NULL) {
		e = why_set(w, ERR_MEMORY, "no memory to read the TLS certificate");
		goto out;
	}
	if ((e = read_cert_file(cert_path, cert, &n_cert, w)) != ERR_OK ||
	    (e = read_key_file(key_path, key, &n_key, w)) != ERR_OK)
		goto out;
	e = tls_identity_read(bytes_of(cert, n_cert), bytes_of(key, n_key), clock_wall(app->clock) / 1000, out, w);
	if (e == ERR_CONFIG)
		e = why_set(w, e, "tls_cert_file = %.80s, tls_key_file = %.80s: %.128s", cert_path, key_path, w->text);
out:
	if (key != NULL)
		mem_wipe(key, n_key);
	free(key);
	free(cert);
	return e;
}

static enum err make(const struct start_tls_part *p, struct tls_identity **out, struct why *w)
{
	return p->from_files ? read_files(p->all->app, out, w) : make_key(p->all->app, out, w);
}

/* ---- renewing ---- */

static void say(const struct start_tls_part *p, const char *event, const struct tls_identity *i)
{
	char hash[HEX_SIZE(SHA256_SIZE)], until[CLOCK_TEXT_SIZE];
	hex_encode(bytes_of(tls_identity_cert_hash(i), SHA256_SIZE), hash);
	clock_text(tls_identity_not_after_s(i) * SECOND, until);
	log_event(p->all->log, LOG_INFO, event, LOG_S("listener", p->listener),
		  LOG_B("certificate", bytes_of(hash, sizeof hash)), LOG_S("until", until),
		  LOG_S("key_origin", p->from_files ? "file" : "memory"));
}

/* Those of the files are renewed by somebody else: all that can be done is to say when it is time. */
static void look_at_age(struct start_tls_part *p)
{
	const struct start_tls *t = p->all;
	const struct tls_identity *i = tls_server_identity(*p->server);
	const int64_t end = tls_identity_not_after_s(i), life = end - tls_identity_not_before_s(i);
	const int64_t left = end - clock_wall(t->app->clock) / SECOND;
	const int64_t wait = life > 0 && life < LOOK_MS_MAX / SECOND * 20 ? life * SECOND / 20 : LOOK_MS_MAX;
	char until[CLOCK_TEXT_SIZE];

	if (left < life / 10) {
		clock_text(end * SECOND, until);
		log_event(t->log, LOG_WARN, "tls", LOG_S("listener", p->listener), LOG_S("until", until),
			  LOG_S("text",
				left <= 0 ? "the certificate in tls_cert_file has expired: renew it and send SIGHUP"
					  : "less than a tenth of the life of the certificate in tls_cert_file is "
					    "left: renew it and send SIGHUP"));
	}
	loop_timer_arm(t->app->loop, &p->timer, wait > LOOK_MS_MIN ? wait : LOOK_MS_MIN);
}

static void wait_for_next(struct start_tls_part *p)
{
	const struct app *app = p->all->app;
	if (p->from_files)
		look_at_age(p);
	else
		loop_timer_arm(app->loop, &p->timer, app->config->tls_lifetime * SECOND / 3 * 2);
}

static void renew(struct start_tls_part *p)
{
	const struct start_tls *t = p->all;
	struct tls_identity *fresh = NULL;
	struct why w = {0};
	enum err e = make(p, &fresh, &w);

	if (e == ERR_OK)
		e = tls_server_renew(*p->server, fresh, &w);
	if (e == ERR_OK) {
		say(p, "tls_renewed", fresh);
		wait_for_next(p);
	} else {
		log_why(t->log, LOG_ERROR, "tls_not_renewed", &w);
		if (p->from_files)
			look_at_age(p);
		else
			loop_timer_arm(t->app->loop, &p->timer, RETRY_MS);
	}
	tls_identity_free(fresh);
}

void start_tls_renew(struct start_tls *t)
{
	bool any = false;
	for (size_t i = 0; i < START_TLS_PARTS; i++) {
		if (*t->part[i].server == NULL)
			continue;
		renew(&t->part[i]);
		any = true;
	}
	if (!any)
		log_event(t->log, LOG_INFO, "tls", LOG_S("text", "there is no TLS listener, and so nothing to renew"));
}

static void on_timer(struct loop_timer *timer)
{
	struct start_tls_part *p = timer->ctx;
	if (p->from_files)
		look_at_age(p);
	else
		renew(p);
}

/* ---- the start and the end ---- */

static enum err start(struct start_tls_part *p, bool allow_12, enum tls_clients clients, struct why *w)
{
	struct app *app = p->all->app;
	struct tls_identity *i = NULL;
	enum err e = make(p, &i, w);

	if (e == ERR_OK)
		e = tls_server_new(i, allow_12, clients, app->peer_ca, p->server, w);
	if (e == ERR_OK) {
		say(p, "tls_identity", i);
		wait_for_next(p);
	}
	tls_identity_free(i);
	return e;
}

enum err start_tls(struct start_tls *t, struct app *app, struct log *log, bool tls, bool peers, struct why *w)
{
	const struct config *c = app->config;
	enum err e = ERR_OK;

	t->app = app;
	t->log = log;
	t->part[0] = (struct start_tls_part){
		.listener = "tls_listen", .from_files = c->tls_cert_file[0] != '\0', .server = &app->tls};
	/* Made in memory whatever tls_cert_file says, so that no key from outside is attested to peers; and never
	 * TLS 1.2. */
	t->part[1] = (struct start_tls_part){.listener = "peer_tls_listen", .server = &app->peer_tls};
	for (size_t i = 0; i < START_TLS_PARTS; i++) {
		t->part[i].all = t;
		t->part[i].timer = (struct loop_timer){.fire = on_timer, .ctx = &t->part[i]};
	}
	if (tls)
		e = start(&t->part[0], c->tls_min_version == CONFIG_TLS_12, TLS_CLIENTS_ASKED, w);
	else if (c->tls_cert_file[0] != '\0')
		log_event(
			log, LOG_WARN, "tls",
			LOG_S("text",
			      "a certificate is named, by tls_cert_file or by USE_TLS=true, and tls_listen is not set: "
			      "nothing is served over TLS"));
	return e == ERR_OK && peers ? start(&t->part[1], false, TLS_CLIENTS_OURS, w) : e;
}

void start_tls_end(struct start_tls *t)
{
	for (size_t i = 0; i < START_TLS_PARTS; i++) {
		struct start_tls_part *p = &t->part[i];
		if (p->server == NULL)
			continue;
		if (*p->server != NULL)
			loop_timer_disarm(t->app->loop, &p->timer);
		tls_server_free(*p->server);
		*p->server = NULL;
	}
}
