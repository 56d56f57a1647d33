/* programs.h - what /sbin/start starts: the programs of /etc/attestd/start and the users that they run as. */
#ifndef IMAGE_PROGRAMS_H
#define IMAGE_PROGRAMS_H

#include <stddef.h>
#include <sys/types.h>

enum {
	PROGRAMS_FILE_BYTES = 65536, /* one less, with the NUL */
	PROGRAMS_MAX = 16,
	PROGRAMS_LINE_MAX = 4096, /* bytes without the line's end */
	PROGRAMS_ARGS_MAX = 64,	  /* with the path, without the user */
	PROGRAMS_GROUPS_MAX = 32,
	PROGRAMS_HOME_MAX = 128,
};

struct program_user {
	uid_t uid;
	gid_t gid;
	char home[PROGRAMS_HOME_MAX + 2]; /* one more than allowed: so it shows when it is longer */
};

struct program {
	const char *user;
	char *argv[PROGRAMS_ARGS_MAX + 1];
	struct program_user is;
	gid_t groups[PROGRAMS_GROUPS_MAX];
	size_t n_groups;
};

struct programs {
	char text[PROGRAMS_FILE_BYTES];
	struct program p[PROGRAMS_MAX];
	size_t n;
};

/* Where things are found: all three are paths of files. */
struct programs_files {
	const char *start;
	const char *passwd;
	const char *group;
};

/* Looks a user up in a passwd file; fails if there is none of that name. */
struct program_user programs_user(const char *passwd, const char *name);

/* Reads them. Each fault is told on standard error with its file and line and ends the enclave (pid1_fail). */
void programs_read(struct programs *all, const struct programs_files *from);

/* Prints them, a line each, with a tab between fields: user, uid, gid, home, and each word of the command. */
void programs_print(const struct programs *all);

#endif
