/* agent.c - an agent that was taken over, beside attestd in the enclave's image: tries what would hurt attestd, tells
 * of it on the console, then stops the console for everybody and ends, which is to end the enclave.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char *result(int rc)
{
	return rc >= 0 ? "ok" : strerrorname_np(errno);
}

int main(void)
{
	struct rlimit processes = {0};
	char line[4096];

	/* attestd makes it when it starts. */
	while (access("/run/attestd/kek", F_OK) != 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	(void)getrlimit(RLIMIT_NPROC, &processes);
	int n = snprintf(line, sizeof line, "agent: nsm %s, kek %s, ", result(open("/dev/nsm", O_RDWR)),
			 result(open("/run/attestd/kek", O_RDONLY)));
	n += snprintf(line + n, sizeof line - (size_t)n, "first process %s, ",
		      result(open("/proc/1/status", O_RDONLY)));
	n += snprintf(line + n, sizeof line - (size_t)n, "console %s, ", result(ioctl(STDERR_FILENO, TIOCSCTTY, 0)));
	n += snprintf(line + n, sizeof line - (size_t)n, "processes %lu\n", (unsigned long)processes.rlim_max);
	(void)!write(STDERR_FILENO, line, (size_t)n);
	/* For the test to see that it runs. */
	(void)nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
	(void)tcflow(STDERR_FILENO, TCOOFF);
	memset(line, '.', sizeof line);
	for (int i = 0; i < 64; i++)
		(void)!write(STDERR_FILENO, line, sizeof line);
	return 0;
}
