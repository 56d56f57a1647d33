/* Reads texts from stdin, each behind its length (four bytes, big-endian), and answers each on stdout with a byte: `=`
 * if it may be attested as it is, else `!`. */
#include <stdio.h>
#include <stdlib.h>

#include "attest.h"

enum { TEXT_MAX = 64 * 1024 };

int main(void)
{
	struct why w = {.err = ERR_OK};
	uint8_t head[4], *text = malloc(TEXT_MAX);
	int status = EXIT_SUCCESS;

	while (text != NULL && fread(head, 1, sizeof head, stdin) == sizeof head) {
		const size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];

		if (n > TEXT_MAX || fread(text, 1, n, stdin) != n) {
			status = EXIT_FAILURE;
			break;
		}
		putchar(attest_raw_check(bytes_of(text, n), &w) == ERR_OK ? '=' : '!');
	}
	free(text);
	return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}
