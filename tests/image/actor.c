/* actor.c - a program for /sbin/start to start: tells what it finds itself in, or ends as it is told to. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

static void tell_file(const char *path, const char *prefix)
{
	char line[512];
	FILE *f = fopen(path, "r");

	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "Cap", 3) == 0 || *prefix != '\0')
			printf("%s%s", prefix, line);
	if (f != NULL)
		(void)fclose(f);
}

static void tell_folder(const char *path)
{
	struct stat s;

	if (stat(path, &s) == 0)
		printf("folder %s %o %u %u\n", path, (unsigned)(s.st_mode & 07777), (unsigned)s.st_uid,
		       (unsigned)s.st_gid);
}

/* Whether it can be opened for reading and writing. */
static void tell_open(const char *path)
{
	int fd = open(path, O_RDWR);

	printf("open %s: %s\n", path, fd < 0 ? strerror(errno) : "yes");
	if (fd >= 0)
		(void)close(fd);
}

static void tell(void)
{
	char text[256];
	gid_t groups[64];
	struct rlimit r;
	struct ifreq lo = {.ifr_name = "lo"};

	printf("ids %u %u %u %u\n", (unsigned)getuid(), (unsigned)geteuid(), (unsigned)getgid(), (unsigned)getegid());
	int n = getgroups(64, groups);
	printf("groups");
	for (int i = 0; i < n; i++)
		printf(" %u", (unsigned)groups[i]);
	printf("\nsession %d\n", getsid(0) == getpid());
	printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("cwd %s\n", getcwd(text, sizeof text) == NULL ? "?" : text);
	for (char **e = environ; *e != NULL; e++)
		printf("env %s\n", *e);
	printf("stdin %d\n", (int)read(0, text, 1));
	mode_t mask = umask(0);
	printf("umask %03o\n", (unsigned)mask);
	const int limits[] = {RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK};
	for (int i = 0; i < 4; i++)
		if (getrlimit((__rlimit_resource_t)limits[i], &r) == 0)
			printf("limit %d %llu %llu\n", i, (unsigned long long)r.rlim_cur,
			       (unsigned long long)r.rlim_max);
	sigset_t blocked;
	(void)sigprocmask(SIG_SETMASK, NULL, &blocked);
	printf("blocked %d\n", sigismember(&blocked, SIGTERM) || sigismember(&blocked, SIGCHLD));
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd == 3 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0)
		printf("lo %d\n", (lo.ifr_flags & IFF_UP) != 0);
	tell_file("/proc/self/status", "");
	tell_file("/proc/self/mounts", "mount ");
	tell_file("/proc/self/oom_score_adj", "oom_score_adj ");
	tell_file("/proc/meminfo", "memory ");
	tell_open("/dev/nsm");
	tell_folder("/proc/1");
	if (isatty(1))
		printf("console mode %d taken %d\n", fcntl(1, F_GETFL) & O_ACCMODE, ioctl(1, TIOCSCTTY, 0) == 0);
	tell_folder("/run/attestd");
	tell_folder("/var/lib/attestd");
	tell_folder("/tmp");
}

static void drain(int sig)
{
	(void)sig;
	(void)!write(1, "drained\n", 8);
	_exit(0);
}

/* Stops the console for everyone who has it open and leaves no room in it; its own descriptor would wait for both. */
static void stall(void)
{
	static const char filler[4096];
	int flags = fcntl(1, F_GETFL);

	printf("stopped %d\n", tcflow(1, TCOOFF) == 0);
	(void)fcntl(1, F_SETFL, flags | O_NONBLOCK);
	while (write(1, filler, sizeof filler) > 0)
		;
	(void)fcntl(1, F_SETFL, flags & ~O_NONBLOCK);
	_exit(0);
}

/* Becomes /sbin/start, which cannot make processes. */
static void become_start_without_fork(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog all = {.len = sizeof f / sizeof f[0], .filter = f};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) == 0)
		(void)execl("/sbin/start", "start", (char *)NULL);
	perror("actor");
	_exit(3);
}

/* Its child ends at once and leaves a grandchild behind, which tells who adopted it. */
static void leave_orphan(void)
{
	char text[64];

	if (fork() != 0)
		return;
	pid_t parent = getpid();
	if (fork() != 0)
		_exit(0);
	while (getppid() == parent)
		(void)usleep(1000);
	int n = snprintf(text, sizeof text, "adopted by %d\n", (int)getppid());
	(void)!write(1, text, (size_t)n);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;

	printf("began %s\n", what);
	(void)fflush(stdout);
	if (strcmp(what, "exit") == 0)
		return n;
	if (strcmp(what, "signal") == 0)
		(void)raise(n);
	if (strcmp(what, "orphan") == 0)
		leave_orphan();
	if (strcmp(what, "stall") == 0)
		stall();
	if (strcmp(what, "start") == 0)
		become_start_without_fork();
	if (strcmp(what, "tell") == 0)
		tell();
	(void)signal(SIGTERM, strcmp(what, "stubborn") == 0 ? SIG_IGN : drain);
	printf("ready\n");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
