/* supervise.c - keeps the programs of /etc/attestd/start running, as attestd.service does it on a machine with systemd.
 *
 * One that ends by a signal or with another exit status than 0, 1 and 2 is started again after a second; with one of
 * those it has nothing left to do, or would fail in the same way again, and the enclave ends. So it does when one was
 * restarted RESTARTS_MAX times within a minute. */
#include "supervise.h"

#include "pid1.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	RESTARTS_MAX = 5,
	RESTART_AFTER_MS = 1000,
	RESTARTS_WINDOW_MS = 60 * 1000,
	DRAIN_MS = 20 * 1000, /* rootfs.py allows attestd's drain_timeout less */
	DESCRIPTORS = 131072,
	PROCESSES = 512, /* of a user; the unit's TasksMax is for attestd's threads */
	LOCKED_BYTES = 1024 * 1024,
	START_FAILED = 2,
};

struct child {
	const struct program *is;
	pid_t pid;			/* 0: it does not run */
	int64_t start_at;		/* when it is to be started, in milliseconds */
	int64_t restarts[RESTARTS_MAX]; /* a ring of when it was restarted */
	unsigned restarted;		/* how often, in all */
};

struct children {
	struct child c[PROGRAMS_MAX];
	size_t n;
};

static int64_t now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- one program ---- */

static void limit(int what, rlim_t at)
{
	struct rlimit r = {.rlim_cur = at, .rlim_max = at};

	if (setrlimit((__rlimit_resource_t)what, &r) == 0)
		return;
	/* Behind another init this may not be allowed to raise it: then it stays, and attestd says if that is too low.
	 */
	if (getrlimit((__rlimit_resource_t)what, &r) != 0 || r.rlim_max > at) {
		pid1_say("cannot set a limit: %s", strerror(errno));
		_exit(START_FAILED);
	}
	r.rlim_cur = r.rlim_max;
	(void)setrlimit((__rlimit_resource_t)what, &r);
}

/* When memory runs out, the others go first. Behind another init this may not be allowed. */
static void oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, score, strlen(score));
		(void)close(fd);
	}
}

static void drop_privileges(const struct program *p)
{
	/* Ends with EINVAL behind the last capability that this kernel knows. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	if (errno != EINVAL || setgroups(p->n_groups, p->groups) != 0 ||
	    setresgid(p->is.gid, p->is.gid, p->is.gid) != 0 || setresuid(p->is.uid, p->is.uid, p->is.uid) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		pid1_say("cannot become user %s: %s", p->user, strerror(errno));
		_exit(START_FAILED);
	}
}

static _Noreturn void run(const struct program *p)
{
	char path[] = PID1_PATH;
	char *const envp[] = {path, NULL};
	sigset_t none;

	(void)setsid();
	pid1_console();
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0) {
		pid1_say("cannot open /dev/null: %s", strerror(errno));
		_exit(START_FAILED);
	}
	if (null > STDERR_FILENO)
		(void)close(null);
	(void)umask(0077);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, DESCRIPTORS);
	limit(RLIMIT_NPROC, PROCESSES);
	limit(RLIMIT_MEMLOCK, LOCKED_BYTES);
	oom_score(strcmp(p->user, "attestd") == 0 ? "-900" : "500");
	if (chdir(p->is.home) != 0) {
		pid1_say("cannot enter %s, the home of %s: %s", p->is.home, p->user, strerror(errno));
		_exit(START_FAILED);
	}
	drop_privileges(p);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execve(p->argv[0], p->argv, envp);
	pid1_say("cannot run %s: %s", p->argv[0], strerror(errno));
	_exit(START_FAILED);
}

/* True: it is to be started again, and start_at is set; else that was too often. */
static int again(struct child *c)
{
	int64_t now = now_ms(), *oldest = &c->restarts[c->restarted % RESTARTS_MAX];

	if (c->restarted >= RESTARTS_MAX && now - *oldest < RESTARTS_WINDOW_MS) {
		pid1_say("%s was restarted %d times within %d s: no more", c->is->argv[0], RESTARTS_MAX,
			 RESTARTS_WINDOW_MS / 1000);
		return 0;
	}
	*oldest = now;
	c->restarted++;
	c->start_at = now + RESTART_AFTER_MS;
	return 1;
}

/* Looks at how it ended. True: it is to be started again. */
static int restarts(struct child *c, int status)
{
	if (WIFEXITED(status)) {
		pid1_say("%s ended with exit status %d", c->is->argv[0], WEXITSTATUS(status));
		return WEXITSTATUS(status) > 2 && again(c);
	}
	pid1_say("%s was ended by signal %d (%s)", c->is->argv[0], WTERMSIG(status), strsignal(WTERMSIG(status)));
	return again(c);
}

/* False: it cannot be started, and will not be tried again. */
static int launch(struct child *c)
{
	pid_t pid = fork();

	if (pid == 0)
		run(c->is);
	if (pid < 0) {
		pid1_say("cannot start %s: %s", c->is->argv[0], strerror(errno));
		return again(c);
	}
	c->pid = pid;
	return 1;
}

/* ---- all of them ---- */

static void signal_all(const struct children *all, int sig)
{
	for (const struct child *c = all->c; c < all->c + all->n; c++)
		/* Its whole group, as systemd does; a child that has no group of its own yet gets it alone. */
		if (c->pid != 0 && kill(-c->pid, sig) != 0)
			(void)kill(c->pid, sig);
}

static size_t running(const struct children *all)
{
	size_t n = 0;

	for (const struct child *c = all->c; c < all->c + all->n; c++)
		n += c->pid != 0;
	return n;
}

/* Collects every child that has ended, orphans of others among them. True: one of the programs ended for good. */
static int reap(struct children *all)
{
	int status, over = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (struct child *c = all->c; c < all->c + all->n; c++) {
			if (c->pid != pid)
				continue;
			c->pid = 0;
			over |= !restarts(c, status);
		}
	}
	return over;
}

/* Starts what is due. *next: when the next is; INT64_MAX: none. False: one of the programs ended for good. */
static int start_due(struct children *all, int64_t *next)
{
	*next = INT64_MAX;
	for (struct child *c = all->c; c < all->c + all->n; c++) {
		if (c->pid == 0 && c->start_at <= now_ms() && !launch(c))
			return 0;
		if (c->pid == 0 && c->start_at < *next)
			*next = c->start_at;
	}
	return 1;
}

static sigset_t awaited(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	return set;
}

void supervise_block(void)
{
	/* The kernel drops what its first process has no handler for, but keeps what is blocked for sigtimedwait. */
	const sigset_t set = awaited();

	(void)sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Waits for an awaited signal until `until`. 0: none came. */
static int wait_signal(int64_t until)
{
	struct timespec t = {0};
	const sigset_t set = awaited();
	int64_t ms = until == INT64_MAX ? INT64_MAX : until - now_ms();
	if (ms > 0 && ms != INT64_MAX)
		t = (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	int sig = sigtimedwait(&set, NULL, ms == INT64_MAX ? NULL : &t);
	return sig < 0 ? 0 : sig;
}

static void stop_all(struct children *all)
{
	int64_t until = now_ms() + DRAIN_MS;

	signal_all(all, SIGTERM);
	while (running(all) > 0 && now_ms() < until) {
		(void)wait_signal(until);
		(void)reap(all);
	}
	if (running(all) > 0) {
		pid1_say("not all programs ended within %d s", DRAIN_MS / 1000);
		signal_all(all, SIGKILL);
	}
}

int supervise_run(const struct programs *programs)
{
	struct children all = {.n = programs->n};
	int status = 1;

	for (size_t i = 0; i < all.n; i++)
		all.c[i].is = &programs->p[i];
	for (int64_t next; start_due(&all, &next);) {
		int sig = wait_signal(next);
		if (reap(&all))
			break;
		if (sig == SIGTERM || sig == SIGINT) {
			status = 0;
			break;
		}
	}
	stop_all(&all);
	return status;
}
