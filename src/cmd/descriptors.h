/* descriptors.h - how many files the process may have open. Private to src/cmd. */
#ifndef ATTESTD_CMD_DESCRIPTORS_H
#define ATTESTD_CMD_DESCRIPTORS_H

#include <stdint.h>

#include "base/err.h"

/* Sees to it that `need` descriptors can be open at once. ERR_ENVIRONMENT names the setting that asks for them. */
enum err descriptors_raise(uint64_t need, const char *setting, int64_t value, struct why *w) MUST_USE;

#endif
