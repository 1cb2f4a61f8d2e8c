/* Parsing of targets and sizes. */
#include "core/target.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/error.h"
#include "core/registry.h"

int rw_target_parse(const char *text, struct rw_target *out)
{
	const char *colon;
	size_t length;

	if (!text || !text[0])
		return rw_fail(EINVAL, "the target is empty; name a file, a block device or scheme:rest");
	*out = (struct rw_target){ .text = text, .rest = text };
	colon = strchr(text, ':');
	length = colon ? (size_t)(colon - text) : 0;
	if (!length || length >= sizeof(out->scheme))
		return 0;
	memcpy(out->scheme, text, length);
	if (rw_registry_serves(out->scheme))
		out->rest = colon + 1;
	else
		out->scheme[0] = '\0'; /* a file whose name has a colon */
	return 0;
}

/* The power of 1024 a unit stands for, -1 when it is none. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "kmgt";
	const char *letter;

	if (!unit[0] || !strcasecmp(unit, "b"))
		return 0;
	letter = strchr(letters, tolower((unsigned char)unit[0]));
	if (!letter || (unit[1] && strcasecmp(unit + 1, "b") && strcasecmp(unit + 1, "ib")))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int rw_size_parse(const char *text, uint64_t *out)
{
	char *unit;
	unsigned long long number;
	int shift;

	errno = 0;
	number = strtoull(text, &unit, 10);
	shift = unit_shift(unit);
	if (!isdigit((unsigned char)text[0]) || errno || shift < 0 ||
	    number > (uint64_t)INT64_MAX >> shift)
		return rw_fail(EINVAL, "\"%s\" is not a size; write it like 4k, 256MiB or 1GiB", text);
	*out = (uint64_t)number << shift;
	return 0;
}
