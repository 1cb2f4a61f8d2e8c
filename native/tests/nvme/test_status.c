/* Names, errno and sentences of NVMe statuses. */
#include "nvme/status.h"

#include <errno.h>
#include <string.h>

#include "tests/check.h"

static void known_statuses(void)
{
	static const struct {
		uint32_t status;
		int error;
		const char *name;
	} cases[] = {
		{ 0x000, 0, "Successful Completion" },
		{ 0x001, -EOPNOTSUPP, "Invalid Command Opcode" },
		{ 0x00b, -ENODEV, "Invalid Namespace or Format" },
		{ 0x020, -EROFS, "Namespace is Write Protected" },
		{ 0x080, -ENODATA, "LBA Out of Range" },
		{ 0x081, -ENOSPC, "Capacity Exceeded" },
		{ 0x280, -EIO, "Write Fault" },
		{ 0x281, -EIO, "Unrecovered Read Error" },
		{ 0x282, -EILSEQ, "End-to-end Guard Check Error" },
		{ 0x286, -EACCES, "Access Denied" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(rw_nvme_status_error(cases[i].status), cases[i].error);
		/* With More, Do Not Retry and a retry delay it is still the same. */
		CHECK_EQ(rw_nvme_status_error(cases[i].status | 0x7800), cases[i].error);
		CHECK(!strcmp(rw_nvme_status_name(cases[i].status | 0x7800), cases[i].name));
	}
}

static void what_may_be_sent_again(void)
{
	CHECK_EQ(rw_nvme_status_error(0x082), -EAGAIN);
	CHECK_EQ(rw_nvme_status_error(0x021), -EAGAIN);
	CHECK_EQ(rw_nvme_status_error(0x082 | RW_NVME_DO_NOT_RETRY), -EIO);
}

static void unknown_statuses(void)
{
	CHECK_EQ(rw_nvme_status_error(0x07f), -EIO);
	CHECK(!strcmp(rw_nvme_status_name(0x07f), "Generic Command Status"));
	CHECK(!strcmp(rw_nvme_status_name(0x1ff), "Command Specific Status"));
	CHECK(!strcmp(rw_nvme_status_name(0x2f0), "Media and Data Integrity Error"));
	CHECK(!strcmp(rw_nvme_status_name(0x3f0), "Path Related Status"));
	CHECK(!strcmp(rw_nvme_status_name(0x5f0), "Reserved Status"));
	CHECK(!strcmp(rw_nvme_status_name(0x7c1), "Vendor Specific Status"));
	CHECK_EQ(rw_nvme_status_sentence(0x7c1)[0], '\0');
	for (uint32_t status = 1; status <= RW_NVME_CODE; status++)
		CHECK(rw_nvme_status_error(status) < 0);
}

int main(void)
{
	known_statuses();
	what_may_be_sent_again();
	unknown_statuses();
	return rw_check_end();
}
