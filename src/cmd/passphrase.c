/* passphrase.c - a passphrase, from a file or from the terminal. */
#include "passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "private_file.h"
#include "rsa.h"

static enum err judge(const struct buf *p, struct why *w)
{
	if (p->n == 0)
		return why_set(w, ERR_ENVIRONMENT, "the passphrase is empty");
	if (p->n > RSA_PASSPHRASE_MAX)
		return why_set(w, ERR_ENVIRONMENT, "the passphrase is longer than %d bytes", RSA_PASSPHRASE_MAX);
	if (memchr(p->p, '\n', p->n) != NULL || memchr(p->p, '\0', p->n) != NULL)
		return why_set(w, ERR_ENVIRONMENT, "the passphrase must be one line of text");
	return ERR_OK;
}

static void cut_newline(struct buf *b)
{
	if (b->n > 0 && b->p[b->n - 1] == '\n')
		b->n--;
	if (b->n > 0 && b->p[b->n - 1] == '\r')
		b->n--;
}

enum err passphrase_file(const char *path, struct buf *out, struct why *w)
{
	enum err e = private_file_read("the passphrase file", path, RSA_PASSPHRASE_MAX + 2, out, w);
	if (e != ERR_OK)
		return e;
	cut_newline(out);
	return judge(out, w);
}

/* ---- the terminal ---- */

struct terminal {
	int fd, signals;
	struct termios shown;
	sigset_t before;
};

/* A signal must not leave a terminal behind that shows nothing of what is typed: while it is so they are read here. */
static enum err hide(struct terminal *t, struct why *w)
{
	sigset_t held;
	struct termios hidden;

	sigemptyset(&held);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&held, (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP}[i]);
	if (sigprocmask(SIG_BLOCK, &held, &t->before) != 0)
		return why_set(w, ERR_ENVIRONMENT, "cannot hold signals: %s", strerror(errno));
	t->signals = signalfd(-1, &held, SFD_CLOEXEC);
	if (t->signals < 0 || tcgetattr(t->fd, &t->shown) != 0)
		goto failed;
	hidden = t->shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	if (tcsetattr(t->fd, TCSAFLUSH, &hidden) == 0)
		return ERR_OK;
failed:
	(void)why_set(w, ERR_ENVIRONMENT, "cannot hide what is typed on the terminal: %s", strerror(errno));
	if (t->signals >= 0)
		(void)close(t->signals);
	(void)sigprocmask(SIG_SETMASK, &t->before, NULL);
	return w->err;
}

static void show(struct terminal *t)
{
	(void)tcsetattr(t->fd, TCSAFLUSH, &t->shown);
	(void)close(t->signals);
	(void)sigprocmask(SIG_SETMASK, &t->before, NULL);
}

static enum err read_line(const struct terminal *t, struct buf *out, struct why *w)
{
	struct pollfd p[] = {{.fd = t->fd, .events = POLLIN}, {.fd = t->signals, .events = POLLIN}};

	while (out->n == 0 || out->p[out->n - 1] != '\n') {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return why_set(w, ERR_ENVIRONMENT, "cannot wait for the terminal: %s", strerror(errno));
		if (p[1].revents != 0)
			return why_set(w, ERR_ENVIRONMENT, "given up: no passphrase was typed");
		if (p[0].revents == 0)
			continue;
		uint8_t *to = buf_reserve(out, RSA_PASSPHRASE_MAX + 2 - out->n);
		if (to == NULL)
			return buf_check(out, w);
		const ssize_t n = read(t->fd, to, out->max - out->n);
		if (n <= 0)
			return why_set(w, ERR_ENVIRONMENT, "no passphrase was typed");
		out->n += (size_t)n;
		if (out->n == out->max && out->p[out->n - 1] != '\n')
			return why_set(w, ERR_ENVIRONMENT, "the passphrase is longer than %d bytes",
				       RSA_PASSPHRASE_MAX);
	}
	cut_newline(out);
	return judge(out, w);
}

static enum err ask(struct terminal *t, const char *before, const char *what_for, struct buf *out, struct why *w)
{
	*out = BUF_INIT(RSA_PASSPHRASE_MAX + 2);
	if (dprintf(t->fd, "%s %s: ", before, what_for) < 0)
		return why_set(w, ERR_ENVIRONMENT, "cannot write to the terminal: %s", strerror(errno));
	return read_line(t, out, w);
}

enum err passphrase_ask(const char *what_for, bool twice, struct buf *out, struct why *w)
{
	struct terminal t = {.fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
	struct buf again = BUF_INIT(0);

	*out = BUF_INIT(0);
	if (t.fd < 0)
		return why_set(w, ERR_ENVIRONMENT,
			       "a passphrase is needed for %s and there is no terminal to ask on: give it with "
			       "--passphrase-file FILE (- is the standard input)",
			       what_for);
	enum err e = hide(&t, w);
	if (e == ERR_OK) {
		e = ask(&t, "Passphrase for", what_for, out, w);
		if (e == ERR_OK && twice)
			e = ask(&t, "The same again for", what_for, &again, w);
		if (e == ERR_OK && twice && !secret_equal(buf_bytes(out), buf_bytes(&again)))
			e = why_set(w, ERR_ENVIRONMENT, "the two passphrases differ: nothing was done");
		show(&t);
	}
	buf_free(&again);
	(void)close(t.fd);
	return e;
}
