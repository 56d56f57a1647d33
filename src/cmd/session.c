/* session.c - `attestd session`: the remote user's end of an encrypted session. */
#include "session_parts.h"

#include <signal.h>

#include "harden.h"

enum err session_begin(struct crypto **out, struct why *w)
{
	signal(SIGXFSZ, SIG_IGN); /* a file limit is then an error of the write, and no half of a file stays */
	const enum err e = harden(w);
	return e == ERR_OK ? crypto_new(out, w) : e;
}

static const struct help_part help[] = {
	{.text = "A conversation with an enclave that nobody in between can read. First open a session, which verifies "
		 "the enclave and leaves a session file; then encrypt what you send and decrypt what you receive."},
	{0},
};

static const struct command *const commands[] = {
	&session_keygen, &session_open, &session_encrypt, &session_decrypt, &session_show, &session_close, NULL,
};

const struct command cmd_session = {
	.name = "session",
	.summary = "the remote user's end of an encrypted session",
	.help = help,
	.exits = "0 done, 1 refused (what was verified or opened is not sound, or the server said no), 2 usage, 3 a "
		 "file, a terminal or the server fails.",
	.commands = commands,
};
