/* Targets and sizes as users write them. */
#include "core/target.h"

#include <errno.h>
#include <string.h>

#include "ringway.h"
#include "tests/check.h"

/* ------------------------------------------------------------------- targets */

static void schemes(void)
{
	static const struct {
		const char *text, *scheme, *rest;
	} cases[] = {
		{ "null:1GiB", "null", "1GiB" },
		{ "mem:256MiB", "mem", "256MiB" },
		{ "null:", "null", "" },
		{ "mem:a:b", "mem", "a:b" },
		/* Files, whatever their names look like. */
		{ "/dev/nvme0n1", "", "/dev/nvme0n1" },
		{ "data", "", "data" },
		{ "null", "", "null" },
		{ ":1GiB", "", ":1GiB" },
		{ "NULL:1GiB", "", "NULL:1GiB" },
		{ "nul:1GiB", "", "nul:1GiB" },
		{ "nullx:1GiB", "", "nullx:1GiB" },
		{ "./null:1GiB", "", "./null:1GiB" },
		{ "C:\\disk", "", "C:\\disk" },
		{ "abcdefghijklmnopqrstuvw:x", "", "abcdefghijklmnopqrstuvw:x" },
		{ "abcdefghijklmnopqrstuvwxyz:x", "", "abcdefghijklmnopqrstuvwxyz:x" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rw_target target;

		CHECK_EQ(rw_target_parse(cases[i].text, &target), 0);
		CHECK(!strcmp(target.scheme, cases[i].scheme));
		CHECK(!strcmp(target.rest, cases[i].rest));
		CHECK(target.text == cases[i].text);
		CHECK(target.rest >= target.text);
	}
}

static void no_target(void)
{
	struct rw_target target;

	CHECK_EQ(rw_target_parse("", &target), -EINVAL);
	CHECK_EQ(rw_target_parse(NULL, &target), -EINVAL);
	CHECK(strstr(rw_detail(), "empty"));
}

/* --------------------------------------------------------------------- sizes */

static void sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "512", 512 },
		{ "007", 7 },
		{ "4k", 4096 },
		{ "4K", 4096 },
		{ "4kb", 4096 },
		{ "4kB", 4096 },
		{ "4KiB", 4096 },
		{ "4kib", 4096 },
		{ "100b", 100 },
		{ "100B", 100 },
		{ "256MiB", 256ull << 20 },
		{ "256m", 256ull << 20 },
		{ "1GiB", 1ull << 30 },
		{ "3g", 3ull << 30 },
		{ "2T", 2ull << 40 },
		{ "8388607t", 8388607ull << 40 },
		{ "9007199254740991k", 9007199254740991ull << 10 },
		{ "9223372036854775807", INT64_MAX },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 42;

		CHECK_EQ(rw_size_parse(cases[i].text, &bytes), 0);
		CHECK_EQ(bytes, cases[i].bytes);
	}
}

static void what_is_no_size(void)
{
	static const char *const cases[] = {
		"", " ", "k", "MiB", "-1", "+1", " 1", "1 ", "1 k", "4kk", "4kibi", "4i", "4ki",
		"4bk", "1.5k", "0x10", "1e6", "4x", "1p", "4\xc3\xa4",
		/* Beyond what an offset can be. */
		"9223372036854775808", "18446744073709551615", "18446744073709551616",
		"99999999999999999999999999", "8388608t", "9007199254740992k", "8589934592g",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 42;

		CHECK_EQ(rw_size_parse(cases[i], &bytes), -EINVAL);
		CHECK_EQ(bytes, 42);
		CHECK(strstr(rw_detail(), "is not a size"));
	}
}

int main(void)
{
	schemes();
	no_target();
	sizes();
	what_is_no_size();
	return rw_check_end();
}
