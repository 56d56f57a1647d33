#include <stdio.h>

#include "cmd.h"

int cmd_fail(const struct why *w)
{
	fprintf(stderr, "attestd: %s\n", w->text[0] != '\0' ? w->text : err_title(w->err));
	switch (w->err) {
	case ERR_USAGE:
		return CMD_USAGE;
	case ERR_CONFIG:
	case ERR_INVALID:
		return CMD_FALSE;
	default:
		return CMD_ENVIRONMENT;
	}
}
