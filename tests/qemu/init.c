/* init.c - the guest's first process: the kernel's modules, the root file system, then systemd in its own place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* PID 1 that ends is a kernel's panic: QEMU ends, and the host shows this line. */
static int fail(const char *what)
{
	printf("guest: init cannot %s: %s\n", what, strerror(errno));
	return 1;
}

static int insert(const char *name)
{
	const int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
		return fail(name);
	close(fd);
	return 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
		return fail("mount /dev");

	/* `order` lists them so that each comes after those that it needs. */
	FILE *list = chdir("/modules") == 0 ? fopen("order", "re") : NULL;
	if (list == NULL)
		return fail("open /modules/order");
	char line[256];
	while (fgets(line, sizeof line, list) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (insert(line) != 0)
			return 1;
	}
	fclose(list);

	/* The disk appears a moment after its driver. */
	const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
	int tries = 0;
	while (mount("/dev/vda", "/root", "ext4", MS_NOATIME, NULL) != 0) {
		if (++tries > 500)
			return fail("mount /dev/vda");
		nanosleep(&moment, NULL);
	}
	if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) != 0)
		return fail("move /dev");
	if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
		return fail("enter the root file system");
	execl("/lib/systemd/systemd", "systemd", (char *)NULL);
	return fail("run systemd");
}
