/* control.c - runs scripts for the host, in the guest: a connection each, many at once.
 *
 * The host sends a line "SCRIPT-BYTES INPUT-BYTES SECONDS", the script and its input. It gets a line "STATUS OUT-BYTES
 * ERR-BYTES" and what the script said on stdout and stderr, and then closes the connection. A program of our own,
 * because a shell that does it takes longer than most scripts. The listening socket is descriptor 3 (systemd's). */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LISTENER = 3,
	LINE_MAX_BYTES = 64,
	TIMED_OUT = 124, /* as timeout(1) has it */
	LAST_SECONDS = 2,
};

static void or_exit(int ok)
{
	if (!ok)
		_exit(1);
}

/* A file in memory, which a script that leaves something in the background does not wait for, as a pipe would. */
static int file_of(const char *name, int peer, size_t n)
{
	static char chunk[1 << 16];
	const int fd = memfd_create(name, 0);
	or_exit(fd >= 0);
	while (n > 0) {
		const ssize_t got = read(peer, chunk, n < sizeof chunk ? n : sizeof chunk);
		or_exit(got > 0 && write(fd, chunk, (size_t)got) == got);
		n -= (size_t)got;
	}
	or_exit(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static size_t size_of(int fd)
{
	struct stat st;
	or_exit(fstat(fd, &st) == 0);
	return (size_t)st.st_size;
}

static void send_file(int peer, int fd, size_t n)
{
	off_t from = 0;
	while (n > 0) {
		const ssize_t sent = sendfile(peer, fd, &from, n);
		or_exit(sent > 0);
		n -= (size_t)sent;
	}
}

static int run(int script, int in, int out, int err)
{
	char path[32];
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", script);
	const pid_t pid = fork();
	or_exit(pid >= 0);
	if (pid > 0)
		return pid;
	/* A group of its own, to be killed as one. */
	or_exit(setsid() >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(err, 2) == 2 && chdir("/root") == 0);
	for (int fd = LISTENER; fd <= err; fd++)
		if (fd != script)
			close(fd);
	execl("/bin/sh", "sh", path, (char *)NULL);
	_exit(127);
}

/* Whether it ended within this time. */
static int ended(int pidfd, int seconds)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, seconds * 1000) == 1;
}

static int wait_for(pid_t pid, int seconds)
{
	const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	or_exit(pidfd >= 0);
	const int in_time = ended(pidfd, seconds);
	if (!in_time) {
		kill(-pid, SIGTERM);
		if (!ended(pidfd, LAST_SECONDS))
			kill(-pid, SIGKILL);
	}
	int status = 0;
	or_exit(waitpid(pid, &status, 0) == pid);
	if (!in_time)
		return TIMED_OUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void serve(int peer)
{
	char line[LINE_MAX_BYTES] = "";
	for (size_t n = 0; n == 0 || line[n - 1] != '\n'; n++)
		or_exit(n < sizeof line - 1 && read(peer, &line[n], 1) == 1);
	size_t script_bytes, in_bytes;
	int seconds;
	or_exit(sscanf(line, "%zu %zu %d", &script_bytes, &in_bytes, &seconds) == 3);

	const int script = file_of("script", peer, script_bytes), in = file_of("in", peer, in_bytes);
	const int out = file_of("out", peer, 0), err = file_of("err", peer, 0);
	const int status = wait_for(run(script, in, out, err), seconds);
	/* What is still running may go on writing. */
	const size_t out_bytes = size_of(out), err_bytes = size_of(err);
	or_exit(dprintf(peer, "%d %zu %zu\n", status, out_bytes, err_bytes) > 0);
	send_file(peer, out, out_bytes);
	send_file(peer, err, err_bytes);
	(void)!read(peer, line, 1);
}

int main(void)
{
	/* Nobody waits for those who serve a connection. They wait for theirs. */
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		const int peer = accept(LISTENER, NULL, NULL);
		if (peer < 0)
			continue;
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			serve(peer);
			_exit(0);
		}
		close(peer);
	}
}
