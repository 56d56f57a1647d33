/* start.c - /sbin/start: makes what attestd needs of a bare enclave and starts the programs of /etc/attestd/start.
 *
 * It runs after boot.c, or after AWS's own init when it is the ENTRYPOINT of an image for nitro-cli build-enclave: then
 * much is there already, and it may not be the first process. `start --check START PASSWD GROUP` only reads those
 * files, and prints what would be started (programs_print). */
#include "pid1.h"
#include "programs.h"
#include "supervise.h"

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTESTD	  "attestd"
#define NSM	  "/dev/nsm"
#define RUN_DIR	  "/run/attestd"
#define STATE_DIR "/var/lib/attestd"

enum { PATH_BYTES = 64 };

static const struct pid1_place mounts[] = {
	{"/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, PID1_PROC},
	{"/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL},
	{"/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=10%"},
	{"/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=25%"},
	/* The root may be a file system without a limit: a full database must be an error, and not the end of memory.
	 */
	{STATE_DIR, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"},
};

static int is_mounted(const char *where)
{
	char parent[PATH_BYTES];
	struct stat here, above;

	(void)snprintf(parent, sizeof parent, "%s/..", where);
	if (stat(where, &here) != 0 || stat(parent, &above) != 0)
		pid1_fail("there is no folder %s to mount on: %s", where, strerror(errno));
	return here.st_dev != above.st_dev;
}

static void loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &lo) != 0)
		pid1_fail("cannot see the loopback interface: %s", strerror(errno));
	if (!(lo.ifr_flags & IFF_UP)) {
		lo.ifr_flags |= IFF_UP;
		if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0)
			pid1_fail("cannot bring the loopback interface up: %s", strerror(errno));
	}
	(void)close(fd);
}

static void give(const char *folder, mode_t mode, const struct program_user *to)
{
	if (mkdir(folder, mode) != 0 && errno != EEXIST)
		pid1_fail("cannot make %s: %s", folder, strerror(errno));
	if (chown(folder, to->uid, to->gid) != 0 || chmod(folder, mode) != 0)
		pid1_fail("cannot give %s to " ATTESTD ": %s", folder, strerror(errno));
}

int main(int argc, char **argv)
{
	static struct programs all;
	struct programs_files files = {"/etc/attestd/start", "/etc/passwd", "/etc/group"};

	if (argc == 5 && strcmp(argv[1], "--check") == 0) {
		files = (struct programs_files){argv[2], argv[3], argv[4]};
		programs_read(&all, &files);
		(void)programs_user(files.passwd, ATTESTD);
		programs_print(&all);
		return 0;
	}
	if (argc != 1) {
		(void)fprintf(stderr, "usage: start [--check START PASSWD GROUP]\n");
		return 2;
	}

	supervise_block();
	/* Ignored by whoever started this one, it would let no end of a program be seen. */
	(void)signal(SIGCHLD, SIG_DFL);
	if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		pid1_fail("cannot adopt orphans: %s", strerror(errno));
	(void)umask(0022);

	for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++)
		if (!is_mounted(mounts[i].where))
			pid1_mount(&mounts[i]);
	pid1_console();
	loopback_up();
	const struct program_user attestd = programs_user(files.passwd, ATTESTD);
	give(RUN_DIR, 0750, &attestd);
	give(STATE_DIR, 0700, &attestd);
	/* The driver makes it for everyone, and whoever asks the NSM itself has attested what it likes, in attestd's
	 * name. */
	if (chown(NSM, attestd.uid, attestd.gid) != 0 ? errno != ENOENT : chmod(NSM, 0600) != 0)
		pid1_fail("cannot give " NSM " to " ATTESTD ": %s", strerror(errno));
	programs_read(&all, &files);
	pid1_end(supervise_run(&all));
}
