/* Commands word for word, as the specifications lay them out. */
#include "nvme/command.h"

#include <stddef.h>
#include <string.h>

#include "tests/check.h"

static const uint8_t *bytes_of(const struct rw_nvme_command *command)
{
	return (const uint8_t *)command;
}

/* Base 3.3.3.1, figures 86 and 87. */
static void fields_are_where_the_specification_has_them(void)
{
	CHECK_EQ(offsetof(struct rw_nvme_command, id), 2);
	CHECK_EQ(offsetof(struct rw_nvme_command, nsid), 4);
	CHECK_EQ(offsetof(struct rw_nvme_command, metadata), 16);
	CHECK_EQ(offsetof(struct rw_nvme_command, prp1), 24);
	CHECK_EQ(offsetof(struct rw_nvme_command, prp2), 32);
	CHECK_EQ(offsetof(struct rw_nvme_command, address), 24);
	CHECK_EQ(offsetof(struct rw_nvme_command, metadata_length), 32);
	CHECK_EQ(offsetof(struct rw_nvme_command, data_length), 36);
	CHECK_EQ(offsetof(struct rw_nvme_command, cdw10), 40);
	CHECK_EQ(offsetof(struct rw_nvme_command, cdw15), 60);
	CHECK_EQ(offsetof(struct rw_nvme_range, blocks), 4);
	CHECK_EQ(offsetof(struct rw_nvme_range, slba), 8);
}

static void read_and_write(void)
{
	static const uint8_t expected[64] = {
		[0] = 0x02, [4] = 7, [40] = 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
		[48] = 0x07,
	};
	struct rw_nvme_command command = { .id = 0 };

	rw_nvme_fill_blocks(&command, RW_NVME_READ, 7, 0x1122334455667788, 8);
	CHECK(!memcmp(bytes_of(&command), expected, sizeof(expected)));
	memset(&command, 0, sizeof(command));
	rw_nvme_fill_blocks(&command, RW_NVME_WRITE, 1, 0, RW_NVME_MOST_BLOCKS);
	CHECK_EQ(command.opcode, 0x01);
	CHECK_EQ(command.cdw12, 0xffff);
	memset(&command, 0, sizeof(command));
	rw_nvme_fill_blocks(&command, RW_NVME_WRITE_ZEROES, 1, 5, 1);
	CHECK_EQ(command.opcode, 0x08);
	CHECK_EQ(command.cdw10, 5);
	CHECK_EQ(command.cdw12, 0);
}

static void flush(void)
{
	static const uint8_t expected[64] = { [4] = 9 };
	struct rw_nvme_command command = { .id = 0 };

	rw_nvme_fill_flush(&command, 9);
	CHECK(!memcmp(bytes_of(&command), expected, sizeof(expected)));
}

static void deallocate(void)
{
	static const uint8_t expected[64] = { [0] = 0x09, [4] = 1, [44] = 0x04 };
	struct rw_nvme_command command = { .id = 0 };

	rw_nvme_fill_deallocate(&command, 1, 1);
	CHECK(!memcmp(bytes_of(&command), expected, sizeof(expected)));
	rw_nvme_fill_deallocate(&command, 1, 256);
	CHECK_EQ(command.cdw10, 255);
}

static void identify(void)
{
	static const uint8_t expected[64] = { [0] = 0x06, [4] = 2, [40] = 0x06, [47] = 0x02 };
	struct rw_nvme_command command = { .id = 0 };

	rw_nvme_fill_identify(&command, 2, 0x06, 0x02);
	CHECK(!memcmp(bytes_of(&command), expected, sizeof(expected)));
}

int main(void)
{
	fields_are_where_the_specification_has_them();
	read_and_write();
	flush();
	deallocate();
	identify();
	return rw_check_end();
}
