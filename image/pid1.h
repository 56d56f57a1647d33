/* pid1.h - what the two programs that an enclave begins with share: /init of the first ramdisk and /sbin/start. */
#ifndef IMAGE_PID1_H
#define IMAGE_PID1_H

#include <stddef.h>

#define PID1_PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

/* Options of /proc: users see their own processes alone. */
#define PID1_PROC "hidepid=2"

/* Where something belongs, how and with which mount(2) options. */
struct pid1_place {
	const char *where;
	const char *type;
	unsigned long flags;
	const char *options;
};

/* Opens the console anew for standard output and error, to write alone and never to wait: whoever has a terminal open
 * can stop it. Does nothing when standard error is no terminal. */
void pid1_console(void);

/* Writes one line to the console (standard error), with the program's name before it; cut off at 512 bytes. */
void pid1_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the enclave when this is the kernel's first process, else this process with `status`. Nothing hangs, nobody gets
 * a shell: an enclave that did not come up is to be seen as ended from outside. */
_Noreturn void pid1_end(int status);

/* pid1_say, then pid1_end(3). */
_Noreturn void pid1_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Mounts it, and fails if that is not possible. */
void pid1_mount(const struct pid1_place *m);

/* Reads a whole file of at most size - 1 bytes, and ends it with a NUL. Fails if it cannot be read, is longer, or has a
 * NUL in it. */
void pid1_read(const char *path, char *to, size_t size);

#endif
