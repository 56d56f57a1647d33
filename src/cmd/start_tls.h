/* start_tls.h - the TLS identities of the server: made in memory or read from files at the start, and renewed while it
 * runs. Private to src/cmd. On the loop's thread.
 *
 * tls_listen has a key made here, renewed after two thirds of its certificate's life, or one from tls_cert_file and
 * tls_key_file. peer_tls_listen always has one of its own, made here. Connections that are open go on with what they
 * began with.
 */
#ifndef ATTESTD_CMD_START_TLS_H
#define ATTESTD_CMD_START_TLS_H

#include "api.h"

struct start_tls_part {
	struct start_tls *all;
	const char *listener; /* the key of the listener, for the log */
	bool from_files;
	struct tls_server **server; /* in struct app; NULL there: no such listener */
	struct loop_timer timer;    /* to renew it, or to look at how old the files' certificate is */
};
enum { START_TLS_PARTS = 2 };
struct start_tls { /* embedded by value; must stay put */
	struct app *app;
	struct log *log;
	struct start_tls_part part[START_TLS_PARTS];
};

/* Makes app->tls and app->peer_tls, each if asked for, with app->loop, crypto, config and, for peers, peer_ca in
 * place. ERR_CONFIG or ERR_ENVIRONMENT names the file that cannot be used. */
enum err start_tls(struct start_tls *t, struct app *app, struct log *log, bool tls, bool peers, struct why *w) MUST_USE;
/* Both anew, now; files are read again. What cannot be renewed stays as it is, and the log says why. */
void start_tls_renew(struct start_tls *t);
/* After http_free and before loop_free; app's two are freed. Fine if start_tls was never called. */
void start_tls_end(struct start_tls *t);

#endif
