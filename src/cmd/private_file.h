/* private_file.h - files that hold keys: theirs is a mode that lets nobody else read them, from their first byte on.
 * Private to src/cmd. Faults are ERR_ENVIRONMENT with what to do; `what` is "the key file".
 *
 * What is written is first written under one name beside the file's own, .NAME.new, which the writer keeps locked. Who
 * is killed meanwhile leaves that; the next who locks, writes or destroys the file wipes and removes it.
 */
#ifndef ATTESTD_CMD_PRIVATE_FILE_H
#define ATTESTD_CMD_PRIVATE_FILE_H

#include <signal.h>
#include <sys/types.h>

#include "base/bytes.h"

enum { PRIVATE_MODE = 0600, PUBLIC_MODE = 0644 };

/* ---- reading (private_file.c) ---- */

/* At most `max` bytes into *out, which is made here and freed by the caller in any case. A file that group or others
 * may read or write is refused, with the command that mends it. path "-": the standard input, whatever its mode. What
 * file_open (base/file.h) opens piped will do. */
enum err private_file_read(const char *what, const char *path, size_t max, struct buf *out, struct why *w) MUST_USE;
/* The same of a file of any mode; *loose is 0, or the mode if others may read or write it. */
enum err private_file_look(const char *what, const char *path, size_t max, struct buf *out, mode_t *loose,
			   struct why *w) MUST_USE;

/* ---- changing (private_file.c) ---- */

/* A private file that nobody else reads or changes before it is unlocked. */
struct private_file {
	int fd;
	char *path; /* without symbolic links */
	mode_t mode;
	off_t size;
};
/* A regular file of any mode, which is not read. Waits for others. */
enum err private_file_take(const char *what, const char *path, struct private_file *f, struct why *w) MUST_USE;
/* What a file that was taken holds; *out as in private_file_read. */
enum err private_file_get(const char *what, const struct private_file *f, size_t max, struct buf *out,
			  struct why *w) MUST_USE;
/* Both, with private_file_read's demands. The file at `path` when this returns is the one that was read. */
enum err private_file_lock(const char *what, const char *path, size_t max, struct private_file *f, struct buf *out,
			   struct why *w) MUST_USE;
/* Overwrites and removes it. */
enum err private_file_destroy(const char *what, struct private_file *f, struct why *w) MUST_USE;
void private_file_unlock(struct private_file *f); /* also of one that was never locked: {.fd = -1} */

/* ---- writing (private_write.c) ---- */

/* There is nothing at `path`, not even a link that leads nowhere. */
enum err private_file_absent(const char *what, const char *path, struct why *w) MUST_USE;
/* There is nothing at `path`, or a regular file. */
enum err private_file_replaceable(const char *what, const char *path, struct why *w) MUST_USE;

/* A file that is on the disk, but does not have its name yet. */
struct private_draft {
	int fd;
	char *path, *temporary;
	enum { DRAFT_BESIDE, DRAFT_NEW, DRAFT_SWAPPED, DRAFT_OVER } placed;
};
#define PRIVATE_DRAFT_NONE ((struct private_draft){.fd = -1})
/* Of this mode, whatever the umask. */
enum err private_draft_write(const char *what, const char *path, mode_t mode, struct bytes text,
			     struct private_draft *d, struct why *w) MUST_USE;
/* Gives it its name, all at once and lastingly, or not at all. Without `force` nothing that exists is replaced. */
enum err private_draft_place(const char *what, struct private_draft *d, bool force, struct why *w) MUST_USE;
/* As if it had not been placed. */
void private_draft_undo(struct private_draft *d);
/* One that has no name yet is wiped and removed, else what it took the place of, unless that has another name, too. */
void private_draft_end(struct private_draft *d);

/* Changes a locked file; the key in what it was before is wiped, whatever other names that has. */
enum err private_file_replace(const char *what, const struct private_file *f, struct bytes text,
			      struct why *w) MUST_USE;

/* Overwrites what fd holds. */
bool private_wipe(int fd) MUST_USE;
/* Wipes and removes what a killed writer of `path` left beside it. False, with errno: it cannot be. */
bool private_sweep(const char *path);
/* Makes the name at `path`, or its end, last. */
bool private_sync_folder(const char *path) MUST_USE;
bool private_is_at(int fd, const char *path);

/* Signals that end a command wait until it has tidied up. *before is for private_signals_release. */
void private_signals_hold(sigset_t *before);
void private_signals_release(const sigset_t *before);
bool private_signals_wait(void); /* one of them came */

#endif
