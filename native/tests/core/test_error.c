/* The sentence of the last error: one per thread, cut where it is too long. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/error.h"
#include "ringway.h"
#include "tests/check.h"

static bool is(const char *text)
{
	return !strcmp(rw_detail(), text);
}

static void notes_and_adds(void)
{
	CHECK(is(""));
	CHECK_EQ(rw_fail(EIO, "part %d of %s", 3, "four"), -EIO);
	CHECK(is("part 3 of four"));
	rw_fail_add(" (%s)", "and more");
	CHECK(is("part 3 of four (and more)"));
	/* A sentence may be made of the one before. */
	CHECK_EQ(rw_fail(ENOENT, "first: %s", rw_detail()), -ENOENT);
	CHECK(is("first: part 3 of four (and more)"));
	CHECK_EQ(rw_fail(0, "%s", ""), 0);
	CHECK(is(""));
}

static void long_sentences(void)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	rw_fail(EIO, "%s", text);
	CHECK_EQ(strlen(rw_detail()), 511);
	rw_fail_add("more");
	CHECK_EQ(strlen(rw_detail()), 511);
	rw_fail(EIO, "%.505s", text);
	rw_fail_add("0123456789");
	CHECK_EQ(strlen(rw_detail()), 511);
	CHECK(!strcmp(rw_detail() + 505, "012345"));
}

static void *in_thread(void *unused)
{
	(void)unused;
	CHECK(is(""));
	rw_fail(EIO, "theirs");
	CHECK(is("theirs"));
	return NULL;
}

static void every_thread_has_its_own(void)
{
	pthread_t thread;

	rw_fail(EIO, "ours");
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	CHECK(is("ours"));
}

/* Results of operations become sentences that name the operation. */
static void explained(void)
{
	static const struct {
		uint32_t opcode;
		int error;
		const char *text;
	} cases[] = {
		{ RW_READ, ENODATA, "read: the file is shorter" },
		{ RW_WRITE, ENOSPC, "write: the disk is full" },
		{ RW_FLUSH, ENODEV, "flush: the device is gone" },
		{ RW_READ, ENXIO, "read: the device is gone" },
		{ RW_DISCARD, EOPNOTSUPP, "discard: the device or file system does not support" },
		{ RW_WRITE_ZEROES, ECANCELED, "write_zeroes: cancelled" },
		{ RW_READ, EFAULT, "read: the memory cannot be accessed" },
		{ RW_READ, EIO, "read failed: Input/output error" },
		{ 99, EIO, "operation failed: " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(rw_explain(cases[i].opcode, -cases[i].error, 0), -cases[i].error);
		CHECK(!strncmp(rw_detail(), cases[i].text, strlen(cases[i].text)));
	}
}

/* A device's own word for it goes before the errno's, and stays until the next error. */
static void explained_by_status(void)
{
	CHECK_EQ(rw_explain(RW_READ, -EIO, 0x4281), -EIO);
	CHECK(is("read: Unrecovered Read Error (NVMe status 0x4281): the drive could not read its "
		 "media"));
	CHECK_EQ(rw_status(), 0x4281);
	CHECK_EQ(rw_explain(RW_WRITE, -EIO, 0x7c0), -EIO);
	CHECK(is("write: Vendor Specific Status (NVMe status 0x7c0)"));
	rw_fail(EINVAL, "another");
	CHECK_EQ(rw_status(), 0);
	CHECK(!strcmp(rw_status_name(0x80), "LBA Out of Range"));
}

int main(void)
{
	notes_and_adds();
	long_sentences();
	every_thread_has_its_own();
	explained();
	explained_by_status();
	return rw_check_end();
}
