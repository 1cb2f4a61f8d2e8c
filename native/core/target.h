/* What the user named: a scheme and the rest, or a plain path name. */
#ifndef RW_CORE_TARGET_H
#define RW_CORE_TARGET_H

#include <stdint.h>

struct rw_target {
	const char *text;        /* as given */
	const char *rest;        /* behind "scheme:", or the whole text */
	char scheme[24];         /* "" for files and block devices */
};

/* Splits `text`, which must outlive the target. A scheme is one some path serves. */
int rw_target_parse(const char *text, struct rw_target *out);

/* "4k", "1MiB", "512": bytes, k = 1024. */
int rw_size_parse(const char *text, uint64_t *out);

#endif
