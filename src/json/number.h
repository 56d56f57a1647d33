/* number.h - numbers as text, for the files of this folder. */
#ifndef ATTESTD_JSON_NUMBER_H
#define ATTESTD_JSON_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT_MAX = 32 };

/* Both write at most NUMBER_TEXT_MAX bytes and return how many; no NUL is written. */
size_t number_int(int64_t v, char *out);
/* As Python's repr(): the shortest digits that read back as v, and of those the closest to it. v is finite. */
size_t number_real(double v, char *out);

#endif
