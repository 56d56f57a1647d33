/* fail.c - what a command prints at its end, what it says when it fails, and its exit status. */
#include "cmd.h"

#include <stdio.h>

int cmd_status(const struct why *w)
{
	switch (w->err) {
	case ERR_USAGE:
		return CMD_USAGE;
	case ERR_CONFIG:
	case ERR_INVALID:
	case ERR_BAD_MESSAGE:
	case ERR_REPLAY:
	case ERR_SESSION:
	case ERR_NOT_FOUND:
	case ERR_IDENTITY:
	case ERR_UNATTESTED:
		return CMD_FALSE;
	default:
		return CMD_ENVIRONMENT;
	}
}

int cmd_fail(const struct why *w)
{
	fprintf(stderr, "attestd: %s\n", w->text[0] != '\0' ? w->text : err_title(w->err));
	return cmd_status(w);
}

int cmd_printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CMD_OK;
	fprintf(stderr, "attestd: cannot write to the standard output: %m\n");
	return CMD_ENVIRONMENT;
}

int cmd_print(const struct buf *b)
{
	struct why w = {0};
	if (buf_check(b, &w) != ERR_OK)
		return cmd_fail(&w);
	if (b->n > 0)
		fwrite(b->p, 1, b->n, stdout);
	return cmd_printed();
}
