/* The detail text of the calling thread's last error. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ringway.h"

static _Thread_local char detail[512];
static _Thread_local uint32_t raw_status;

const char *rw_detail(void)
{
	return detail;
}

uint32_t rw_status(void)
{
	return raw_status;
}

int rw_fail(int code, const char *format, ...)
{
	/* The arguments may point into the old sentence: format beside it first. */
	char text[sizeof(detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(detail, text, sizeof(detail));
	raw_status = 0;
	return -code;
}

void rw_fail_add(const char *format, ...)
{
	size_t used = strlen(detail);
	va_list args;

	va_start(args, format);
	vsnprintf(detail + used, sizeof(detail) - used, format, args);
	va_end(args);
}

void rw_fail_status(uint32_t status)
{
	raw_status = status;
}
