/* confined.c - tries what a service has no business with, and tells how each attempt ended: a line `what: errno or
 * "ok"`. It runs in attestd's place, and once more outside the sandbox, to show that the attempts are real.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/module.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CODE_MAX = 4 << 20 };

static void tell(const char *what, long result)
{
	printf("%s: %s\n", what, result >= 0 ? "ok" : strerrorname_np(errno));
}

static void open_device(const char *path, int flags)
{
	char what[64];
	const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	snprintf(what, sizeof what, "open %s", path);
	tell(what, fd);
	if (fd >= 0)
		close(fd);
}

static void write_file(const char *path)
{
	char what[64];
	const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	snprintf(what, sizeof what, "write %s", path);
	tell(what, fd < 0 ? fd : write(fd, "x", 1));
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
}

/* What execve says; the program does nothing when it runs. */
static void execute(const char *what, const char *path)
{
	int told[2], error = 0;
	if (pipe2(told, O_CLOEXEC) != 0)
		exit(1);
	const pid_t child = fork();
	if (child == 0) {
		execl(path, path, "-c", ":", (char *)NULL);
		(void)!write(told[1], &errno, sizeof errno);
		_exit(1);
	}
	close(told[1]);
	const ssize_t n = child < 0 ? -1 : read(told[0], &error, sizeof error);
	close(told[0]);
	errno = n == sizeof error ? error : errno;
	tell(what, n == 0 ? 0 : -1);
	waitpid(child, NULL, 0);
}

static void copy_shell(int to)
{
	static char code[CODE_MAX];
	const int from = open("/bin/sh", O_RDONLY | O_CLOEXEC);
	const ssize_t n = read(from, code, sizeof code);
	close(from);
	if (n <= 0 || write(to, code, (size_t)n) != n)
		exit(1);
}

static void execute_copies(void)
{
	char path[64];
	int fd = open("shell", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (fd < 0) {
		tell("execute a program of its own making", -1);
	} else {
		copy_shell(fd);
		close(fd);
		execute("execute a program of its own making", "./shell");
		unlink("shell");
	}
	fd = memfd_create("shell", 0);
	if (fd < 0) {
		tell("execute a program in memory", -1);
		return;
	}
	copy_shell(fd);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	execute("execute a program in memory", path);
	close(fd);
}

/* An address that is not loopback's, on the one interface that there is: made by the run outside the sandbox. */
static const char elsewhere[] = "192.0.2.1";

static void add_address(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo:1"};
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
	a->sin_family = AF_INET;
	inet_pton(AF_INET, elsewhere, &a->sin_addr);
	(void)!ioctl(fd, SIOCSIFADDR, &r);
	close(fd);
}

/* A datagram to itself would need no other end, but is dropped without a word; a connection without a listener is
 * refused at once where packets get through. */
static void connect_to(const char *what, const char *address)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct timeval wait = {.tv_sec = 2};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	inet_pton(AF_INET, address, &a.sin_addr);
	const int rc = connect(fd, (struct sockaddr *)&a, sizeof a);
	tell(what, rc != 0 && errno == ECONNREFUSED ? 0 : rc);
	close(fd);
}

static void bind_low(void)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(444)};
	tell("bind to port 444", bind(fd, (const struct sockaddr *)&a, sizeof a));
	close(fd);
}

static void open_socket(const char *what, int family, int type, int protocol)
{
	const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
	tell(what, fd);
	if (fd >= 0)
		close(fd);
}

/* In a child, so that what succeeds changes nothing here. */
static void in_child(const char *what, long (*attempt)(void))
{
	const pid_t child = fork();
	int status = 0;
	if (child == 0) {
		errno = 0;
		_exit(attempt() >= 0 ? 0 : errno);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		exit(1);
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
	tell(what, errno == 0 ? 0 : -1);
}

/* ENOEXEC is what the kernel says to a module that is none, once it has agreed to load one. */
static long load_module(void)
{
	char none[64] = "none";
	const long rc = syscall(SYS_init_module, none, sizeof none, "");
	return rc != 0 && errno == ENOEXEC ? 0 : rc;
}

static long load_module_file(void)
{
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const long rc = syscall(SYS_finit_module, fd, "", 0);
	return rc != 0 && (errno == ENOEXEC || errno == EINVAL) ? 0 : rc;
}

/* On a folder of its own: outside the sandbox it succeeds. */
static long mount_something(void)
{
	(void)!mkdir("mounted", 0700);
	const long rc = mount("none", "mounted", "tmpfs", 0, NULL);
	const int error = errno;
	umount("mounted");
	rmdir("mounted");
	errno = error;
	return rc;
}

static long make_namespace(void)
{
	return unshare(CLONE_NEWNS);
}

static long become_root(void)
{
	return setresuid(0, 0, 0);
}

static long set_clock(void)
{
	struct timeval now;
	gettimeofday(&now, NULL);
	return settimeofday(&now, NULL);
}

static long set_host_name(void)
{
	char name[65];
	gethostname(name, sizeof name);
	return sethostname(name, strlen(name));
}

static long signal_first_process(void)
{
	return kill(1, 0);
}

static long trace_parent(void)
{
	return ptrace(PTRACE_SEIZE, getppid(), 0, 0);
}

static long add_key(void)
{
	return syscall(SYS_add_key, "user", "confined", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static long map_writable_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? -1
		       : 0;
}

static long make_setuid_file(void)
{
	const int fd = open("setuid", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	const long rc = fd < 0 ? fd : fchmod(fd, 04700);
	unlink("setuid");
	return rc;
}

static long look_at_first_process(void)
{
	return access("/proc/1/status", R_OK);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--free") == 0)
		add_address();
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	open_device("/dev/nsm", O_RDWR);
	open_device("/dev/vda", O_RDONLY);
	open_device("/dev/mem", O_RDONLY);
	open_device("/dev/kmsg", O_WRONLY);
	open_device("/dev/ttyS0", O_RDWR | O_NOCTTY);
	open_device("/dev/hwrng", O_RDONLY);
	open_device("/dev/vsock", O_RDONLY);
	write_file("here");
	write_file("/run/attestd/confined");
	static const char *const elsewhere_on_disk[] = {"/etc/confined",     "/usr/confined", "/root/confined",
							"/var/lib/confined", "/run/confined", "/run/lock/confined",
							"/dev/shm/confined", "/home/confined"};
	for (size_t i = 0; i < sizeof elsewhere_on_disk / sizeof *elsewhere_on_disk; i++)
		write_file(elsewhere_on_disk[i]);
	execute("execute a shell", "/bin/sh");
	execute("execute kill", "/usr/bin/kill");
	execute_copies();
	connect_to("connect to loopback", "127.0.0.1");
	connect_to("connect out", elsewhere);
	bind_low();
	open_socket("vsock socket", AF_VSOCK, SOCK_STREAM, 0);
	open_socket("netlink socket", AF_NETLINK, SOCK_RAW, 0);
	open_socket("packet socket", AF_PACKET, SOCK_RAW, 0);
	open_socket("raw socket", AF_INET, SOCK_RAW, IPPROTO_ICMP);
	in_child("load a module", load_module);
	in_child("load a module from a file", load_module_file);
	in_child("mount", mount_something);
	in_child("make a namespace", make_namespace);
	in_child("become root", become_root);
	in_child("set the clock", set_clock);
	in_child("set the host name", set_host_name);
	in_child("signal the first process", signal_first_process);
	in_child("see the first process", look_at_first_process);
	in_child("trace another process", trace_parent);
	in_child("keep a key in the kernel", add_key);
	in_child("map writable code", map_writable_code);
	in_child("make a setuid file", make_setuid_file);
	return 0;
}
