/* boot.c - /init of the first ramdisk: drivers, a sign of life to the parent, and over to /sbin/start of the second. */
#include "pid1.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define HEARTBEAT_KEY  "attestd.heartbeat="
#define HEARTBEAT_NONE "none"
#define MODULES	       "/modules"
#define ROOTFS	       "/rootfs"
/* The last file of the second ramdisk (rootfs.py). */
#define LAST	       ROOTFS "~"
#define START	       "/sbin/start"

enum {
	CMDLINE_BYTES = 4096,
	ORDER_BYTES = 16384, /* all modules with the longest names */
	MODULES_MAX = 64,
	MODULE_NAME_MAX = 128,
	HEARTBEAT_CID = 3,
	HEARTBEAT_PORT = 9000,
	HEARTBEAT_BYTE = 0xB7,
	HEARTBEAT_SECONDS = 10,
};

static const struct pid1_place dev = {"/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL};
static const struct pid1_place proc = {"/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, PID1_PROC};

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	/* A machine without a console has nobody who would read it: that is no reason to end. */
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	for (int to = 0; to <= 2; to++)
		(void)dup2(fd, to);
	if (fd > 2)
		(void)close(fd);
}

static void insert_module(const char *name)
{
	char path[sizeof MODULES + MODULE_NAME_MAX + 1];

	if (*name == '\0' || strlen(name) > MODULE_NAME_MAX || strchr(name, '/') != NULL)
		pid1_fail("%s/order: %s is no name of a module", MODULES, name);
	(void)snprintf(path, sizeof path, "%s/%s", MODULES, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		pid1_fail("cannot open %s: %s", path, strerror(errno));
	/* EEXIST: the kernel has it built in. */
	if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
		pid1_fail("cannot insert %s: %s", path, strerror(errno));
	(void)close(fd);
}

static void insert_modules(void)
{
	static char order[ORDER_BYTES];
	int count = 0;

	pid1_read(MODULES "/order", order, sizeof order);
	for (char *line = order; *line != '\0'; count++) {
		char *end = line + strcspn(line, "\n");
		char *next = *end == '\0' ? end : end + 1;
		*end = '\0';
		if (count == MODULES_MAX)
			pid1_fail("%s/order has more than %d modules", MODULES, MODULES_MAX);
		insert_module(line);
		line = next;
	}
}

/* The value of our own parameter, cut out of the kernel's command line; the last one counts, as the kernel does it. */
static const char *heartbeat_setting(char *cmdline)
{
	const char *value = NULL;

	for (char *word = cmdline; *word != '\0';) {
		char *end = word + strcspn(word, " \n");
		char *next = *end == '\0' ? end : end + 1;
		*end = '\0';
		if (strncmp(word, HEARTBEAT_KEY, sizeof HEARTBEAT_KEY - 1) == 0)
			value = word + sizeof HEARTBEAT_KEY - 1;
		word = next;
	}
	return value;
}

/* Decimal digits up to `stop`, which is where *text then points to. */
static int read_u32(const char **text, char stop, uint32_t *to)
{
	uint64_t n = 0;
	const char *p = *text;

	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > UINT32_MAX)
			return 0;
	}
	if (p == *text || *p != stop)
		return 0;
	*text = p;
	*to = (uint32_t)n;
	return 1;
}

static struct sockaddr_vm heartbeat_address(const char *setting)
{
	struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = HEARTBEAT_CID, .svm_port = HEARTBEAT_PORT};

	if (setting == NULL)
		return to;
	const char *p = setting;
	if (!read_u32(&p, ':', &to.svm_cid))
		pid1_fail(HEARTBEAT_KEY "%s is neither CID:PORT nor " HEARTBEAT_NONE, setting);
	p++;
	if (!read_u32(&p, '\0', &to.svm_port))
		pid1_fail(HEARTBEAT_KEY "%s is neither CID:PORT nor " HEARTBEAT_NONE, setting);
	return to;
}

/* Whoever started the enclave waits for this byte and takes it as booted when it comes. Without an answer nitro-cli
 * ends the enclave anyway, without a word of why; so it ends here, with one. */
static void heartbeat(const struct sockaddr_vm *to)
{
	const struct timeval limit = {.tv_sec = HEARTBEAT_SECONDS};
	unsigned char byte = HEARTBEAT_BYTE;
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		pid1_fail("cannot make a vsock socket for the heartbeat: %s", strerror(errno));
	if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
		pid1_fail("cannot limit the heartbeat's time: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		pid1_fail("the heartbeat cannot reach CID %u, port %u: %s", to->svm_cid, to->svm_port, strerror(errno));
	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		pid1_fail("the heartbeat could not be sent: %s", strerror(errno));
	ssize_t n = recv(fd, &byte, 1, 0);
	if (n < 0)
		pid1_fail("the heartbeat was not answered within %d s: %s", HEARTBEAT_SECONDS, strerror(errno));
	if (n != 1 || byte != HEARTBEAT_BYTE)
		pid1_fail("the heartbeat was answered wrongly");
	(void)close(fd);
}

static void move(const char *from, const char *to)
{
	if (mount(from, to, NULL, MS_MOVE, NULL) != 0)
		pid1_fail("cannot move %s to %s: %s", from, to, strerror(errno));
}

int main(void)
{
	static char cmdline[CMDLINE_BYTES];

	if (mount(dev.type, dev.where, dev.type, dev.flags, dev.options) != 0 && errno != EBUSY)
		pid1_fail("cannot mount %s: %s", dev.where, strerror(errno));
	open_console();
	pid1_mount(&proc);
	insert_modules();

	pid1_read("/proc/cmdline", cmdline, sizeof cmdline);
	const char *setting = heartbeat_setting(cmdline);
	if (setting == NULL || strcmp(setting, HEARTBEAT_NONE) != 0) {
		const struct sockaddr_vm to = heartbeat_address(setting);
		heartbeat(&to);
	}

	/* The kernel goes on when there was no room to unpack all of the second ramdisk, and says so where nobody reads
	 * it. Whoever chooses the memory could then have files left out under unchanged PCRs. */
	if (access(LAST, F_OK) != 0)
		pid1_fail("the second ramdisk was not unpacked to its end: the enclave has too little memory");
	move(dev.where, ROOTFS "/dev");
	move(proc.where, ROOTFS "/proc");
	/* The initial root cannot be pivoted away. What is left outside is /init and the modules, which hold nothing
	 * secret and are out of reach of programs without CAP_SYS_CHROOT: start gives them none. */
	if (chdir(ROOTFS) != 0 || chroot(".") != 0)
		pid1_fail("cannot enter %s: %s", ROOTFS, strerror(errno));
	char start[] = START, path[] = PID1_PATH;
	char *const argv[] = {start, NULL}, *const envp[] = {path, NULL};
	(void)execve(start, argv, envp);
	pid1_fail("cannot run %s of the second ramdisk: %s", start, strerror(errno));
}
