/* programs.c - reads /etc/attestd/start, and looks up its users in /etc/passwd and /etc/group. */
#include "programs.h"

#include "pid1.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		pid1_fail("cannot open %s: %s", path, strerror(errno));
	return f;
}

static void add_groups(struct program *p, const char *path)
{
	FILE *f = open_file(path);
	struct group *g;

	while ((g = fgetgrent(f)) != NULL) {
		for (char **member = g->gr_mem; *member != NULL; member++) {
			if (strcmp(*member, p->user) != 0)
				continue;
			if (p->n_groups == PROGRAMS_GROUPS_MAX)
				pid1_fail("%s: %s is in more than %d groups", path, p->user, PROGRAMS_GROUPS_MAX);
			p->groups[p->n_groups++] = g->gr_gid;
			break;
		}
	}
	(void)fclose(f);
}

struct program_user programs_user(const char *passwd, const char *name)
{
	struct program_user found = {0};
	FILE *f = open_file(passwd);
	struct passwd *u;
	int is = 0;

	while (!is && (u = fgetpwent(f)) != NULL) {
		is = strcmp(u->pw_name, name) == 0;
		found.uid = u->pw_uid;
		found.gid = u->pw_gid;
		(void)snprintf(found.home, sizeof found.home, "%s", u->pw_dir);
	}
	(void)fclose(f);
	if (!is)
		pid1_fail("there is no user %s in %s", name, passwd);
	return found;
}

/* The first control character, which would be taken for a part of a word and upset what programs_print says. 0: none.
 */
static unsigned control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
		if (*c < 0x20 || *c == 0x7f)
			return *c;
	return 0;
}

static void look_up_user(struct program *p, const struct programs_files *from, int line)
{
	p->is = programs_user(from->passwd, p->user);
	/* Root would own what all others rely on: /sbin/start, this file and the programs. */
	if (p->is.uid == 0 || p->is.gid == 0)
		pid1_fail("%s:%d: %s is root or of its group: give the program a user of its own", from->start, line,
			  p->user);
	if (p->is.home[0] != '/' || strlen(p->is.home) > PROGRAMS_HOME_MAX)
		pid1_fail("%s: the home of %s is no absolute path of at most %d bytes", from->passwd, p->user,
			  PROGRAMS_HOME_MAX);
	if (control(p->is.home) != 0)
		pid1_fail("%s: the home of %s has a control character (byte 0x%02x)", from->passwd, p->user,
			  control(p->is.home));
	add_groups(p, from->group);
}

/* Cuts the word at *at out of the line, and moves *at behind it. NULL: there is none left. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " ");
	char *end = word + strcspn(word, " ");

	*at = *end == '\0' ? end : end + 1;
	*end = '\0';
	return *word == '\0' ? NULL : word;
}

static void read_line(struct programs *all, char *text, const struct programs_files *from, int line)
{
	if (strlen(text) > PROGRAMS_LINE_MAX)
		pid1_fail("%s:%d: the line is longer than %d bytes", from->start, line, PROGRAMS_LINE_MAX);
	if (control(text) != 0)
		pid1_fail("%s:%d: a control character (byte 0x%02x): what separates words are spaces", from->start,
			  line, control(text));
	char *user = next_word(&text);
	if (user == NULL || *user == '#')
		return;
	if (all->n == PROGRAMS_MAX)
		pid1_fail("%s:%d: more than %d programs", from->start, line, PROGRAMS_MAX);

	struct program *p = &all->p[all->n++];
	p->user = user;
	size_t n = 0;
	for (char *word; (word = next_word(&text)) != NULL; p->argv[n++] = word)
		if (n == PROGRAMS_ARGS_MAX)
			pid1_fail("%s:%d: more than %d words after the user", from->start, line, PROGRAMS_ARGS_MAX);
	if (n == 0 || p->argv[0][0] != '/')
		pid1_fail("%s:%d: after the user comes the absolute path of a program", from->start, line);
	look_up_user(p, from, line);
}

void programs_read(struct programs *all, const struct programs_files *from)
{
	int line = 1;

	pid1_read(from->start, all->text, sizeof all->text);
	for (char *text = all->text; *text != '\0'; line++) {
		char *end = text + strcspn(text, "\n");
		char *next = *end == '\0' ? end : end + 1;
		*end = '\0';
		read_line(all, text, from, line);
		text = next;
	}
	if (all->n == 0)
		pid1_fail("%s names no program", from->start);
}

void programs_print(const struct programs *all)
{
	for (const struct program *p = all->p; p < all->p + all->n; p++) {
		(void)printf("%s\t%u\t%u\t%s", p->user, (unsigned)p->is.uid, (unsigned)p->is.gid, p->is.home);
		for (char *const *arg = p->argv; *arg != NULL; arg++)
			(void)printf("\t%s", *arg);
		(void)printf("\n");
	}
}
