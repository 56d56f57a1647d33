/* page.h - laying out a verdict for a person: headings, items, fields, wrapped at PAGE_WIDTH columns. Private to
 * src/attest.
 *
 * Nothing but printable ASCII and newlines of our own leaves here, whatever is put in: other bytes are shown as \xNN,
 * so that no document can speak to a terminal. What an outsider wrote can't imitate our layout either: of several
 * spaces in a row only the first is shown as one (the others as \x20), and each line that it wraps to is indented.
 */
#ifndef ATTESTD_ATTEST_PAGE_H
#define ATTESTD_ATTEST_PAGE_H

#include "base/bytes.h"

enum {
	PAGE_WIDTH = 80,	/* a terminal of 80 columns breaks none of our lines itself, but those to be copied */
	PAGE_TEXT_MAX = 1024,	/* of one formatted item; longer ones are cut */
	PAGE_NAME_MAX = 40,	/* characters of an outsider's name */
	PAGE_VALUE_COLUMN = 14, /* where the values of fields begin */
	PAGE_HEX_ROW = 64,	/* digits of a long hex value in one line */
};

void page_heading(struct buf *out, const char *text);
/* "  - " and a sentence or several. */
void page_item(struct buf *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A sentence on the fields that follow. */
void page_note(struct buf *out, const char *text);
/* "  name        value"; the name is ours. */
void page_field(struct buf *out, const char *name, struct bytes value);
/* What somebody states, under a name of their own: `  | "name": value`, each line of it behind the bar. */
void page_stated(struct buf *out, struct bytes name, struct bytes value);
/* As page_field, with bytes of any kind: in quotes if they are printable ASCII (\ and " escaped), else as hex; `none`
 * if they are absent. */
void page_value(struct buf *out, const char *name, struct bytes value);
/* The same with hex in one piece, to be copied. */
void page_hex(struct buf *out, const char *name, struct bytes value);
/* A paragraph at the left edge, whose first line goes on at `column`. */
void page_text(struct buf *out, size_t column, const char *text);

#endif
