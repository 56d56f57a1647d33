/* pid1.c - what the two programs that an enclave begins with share: the console, the end, mounts, small files. */
#include "pid1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, LAST_WORDS_MS = 1000, LAST_WORDS_STEP_MS = 10 };

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	int n = snprintf(line, sizeof line, "%s: ", program_invocation_short_name);

	if (n > 0 && (size_t)n < sizeof line)
		(void)vsnprintf(line + n, sizeof line - (size_t)n, format, args);
	size_t end = strlen(line);
	if (end > sizeof line - 2)
		end = sizeof line - 2;
	line[end] = '\n';
	/* In one call, so that lines of several processes do not mix. */
	(void)!write(STDERR_FILENO, line, end + 1);
}

void pid1_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

void pid1_console(void)
{
	if (!isatty(STDERR_FILENO))
		return;
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return;
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

/* A serial console is slower than the end of the machine; but who has stopped it must not put the end off. */
static void let_last_words_out(void)
{
	const struct timespec step = {.tv_nsec = LAST_WORDS_STEP_MS * 1000000L};
	int left = 0;

	for (int ms = 0; ms < LAST_WORDS_MS && ioctl(STDERR_FILENO, TIOCOUTQ, &left) == 0 && left > 0;
	     ms += LAST_WORDS_STEP_MS) {
		(void)tcflow(STDERR_FILENO, TCOON);
		(void)nanosleep(&step, NULL);
	}
}

void pid1_end(int status)
{
	if (getpid() == 1) {
		let_last_words_out();
		(void)reboot(RB_AUTOBOOT);
	}
	/* In a container that may not reboot; anywhere else the kernel panics when its first process ends. */
	exit(status);
}

void pid1_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	pid1_end(3);
}

void pid1_mount(const struct pid1_place *m)
{
	if (mount(m->type, m->where, m->type, m->flags, m->options) != 0)
		pid1_fail("cannot mount %s on %s: %s", m->type, m->where, strerror(errno));
}

void pid1_read(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		pid1_fail("cannot open %s: %s", path, strerror(errno));
	while (n < size) {
		ssize_t got = read(fd, to + n, size - n);
		if (got < 0)
			pid1_fail("cannot read %s: %s", path, strerror(errno));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	(void)close(fd);
	if (n == size)
		pid1_fail("%s is longer than %zu bytes", path, size - 1);
	to[n] = '\0';
	if (strlen(to) != n)
		pid1_fail("%s has a NUL byte in it", path);
}
