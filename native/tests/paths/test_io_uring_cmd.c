/*
 * io_uring_cmd: entries as the kernel gets them, completions as the core gets
 * them, and targets it refuses. No ring and no drive: the file is compiled in.
 */
#include "paths/io_uring_cmd.c"

#include "core/region.h"
#include "tests/check.h"

static struct rw_part parts[4];
static struct rw_nvme_range ranges[4];
static struct rw_cmd_device drive = { .fd = -1 };
static struct rw_cmd_queue queue = {
	.uring = { .line = { .base = { .device = &drive.base, .parts = parts } }, .file = 5 },
	.nsid = 3,
	.block_shift = 12,
	.ranges = ranges,
};
static struct io_uring_sqe entry[2];

static const struct rw_nvme_command *filled(struct rw_part part)
{
	memset(entry, 0xff, sizeof(entry));
	fill(&queue.uring, entry, &part);
	CHECK_EQ(entry->opcode, IORING_OP_URING_CMD);
	CHECK_EQ(entry->fd, 5);
	CHECK_EQ(entry->cmd_op, 0xc0484e80); /* NVME_URING_CMD_IO: 72 bytes, 'N', 0x80 */
	CHECK_EQ(entry->uring_cmd_flags, 0);
	return (const struct rw_nvme_command *)((char *)entry + 48);
}

static void transfers(void)
{
	const struct rw_nvme_command *command;
	struct rw_part part = { .offset = 5ull << 44, .memory = 0x1000, .length = 16384,
				.region = -1, .opcode = RW_READ };

	command = filled(part);
	CHECK_EQ(command->opcode, RW_NVME_READ);
	CHECK_EQ(command->nsid, 3);
	CHECK_EQ(command->cdw10, 0);
	CHECK_EQ(command->cdw11, 5);
	CHECK_EQ(command->cdw12, 3);
	CHECK_EQ(command->address, 0x1000);
	CHECK_EQ(command->data_length, 16384);
	CHECK_EQ(command->metadata_length, 0);
	part.opcode = RW_WRITE;
	CHECK_EQ(filled(part)->opcode, RW_NVME_WRITE);
}

static void without_data(void)
{
	const struct rw_nvme_command *command = filled((struct rw_part){ .opcode = RW_FLUSH });

	CHECK_EQ(command->opcode, RW_NVME_FLUSH);
	CHECK_EQ(command->data_length, 0);
	command = filled((struct rw_part){ .opcode = RW_WRITE_ZEROES, .offset = 8192,
					   .length = 1 << 20 });
	CHECK_EQ(command->opcode, RW_NVME_WRITE_ZEROES);
	CHECK_EQ(command->cdw10, 2);
	CHECK_EQ(command->cdw12, 255);
	CHECK_EQ(command->data_length, 0);
}

/* The range is the command's data, and stays as it is until the part is back. */
static void deallocates(void)
{
	const struct rw_nvme_command *command =
		filled((struct rw_part){ .opcode = RW_DISCARD, .offset = 1ull << 40,
					 .length = 1 << 30, .index = 2 });

	CHECK_EQ(command->opcode, RW_NVME_DATASET_MANAGEMENT);
	CHECK_EQ(command->cdw10, 0);
	CHECK_EQ(command->cdw11, RW_NVME_DEALLOCATE);
	CHECK_EQ(command->address, (uintptr_t)&ranges[2]);
	CHECK_EQ(command->data_length, 16);
	CHECK_EQ(ranges[2].slba, 1 << 28);
	CHECK_EQ(ranges[2].blocks, 1 << 18);
}

static struct rw_event taken(int32_t res)
{
	struct io_uring_cqe completion = { .res = res };
	struct rw_event event = { .part = 1 };

	parts[1].length = 8192;
	read_status(&queue.uring, &completion, &event);
	return event;
}

/* liburing#1413: success is 0, not the bytes moved. */
static void completions(void)
{
	CHECK_EQ(taken(0).result, 8192);
	CHECK_EQ(taken(0).status, 0);
	CHECK_EQ(taken(0x4281).result, -EIO);
	CHECK_EQ(taken(0x4281).status, 0x4281);
	CHECK_EQ(taken(0x80).result, -ENODATA);
	CHECK_EQ(taken(0x82).result, -EAGAIN);
	CHECK_EQ(taken(-EFAULT).result, -EFAULT);
	CHECK_EQ(taken(-EFAULT).status, 0);
	/* That it cannot be asked for its id any more says that the namespace is gone. */
	CHECK_EQ(taken(-EINVAL).result, -ENODEV);
}

/* ----------------------------------------------------------------- targets */

static int probe(const char *target, bool direct)
{
	struct rw_open_request request = { .target = target, .path = "io_uring_cmd",
					   .direct = direct };

	return rw_probe(&request);
}

static void targets_that_are_refused(void)
{
	CHECK_EQ(probe("/dev/null", true), -EINVAL);
	CHECK(strstr(rw_detail(), "/dev/ngXnY, and /dev/null is none"));
	CHECK_EQ(probe("/proc/self/exe", true), -EINVAL);
	CHECK_EQ(probe("/nowhere/ng0n1", true), -ENOENT);
	CHECK(strstr(rw_detail(), "/nowhere/ng0n1 does not exist"));
}

/* Of files nobody hears that this path serves none: it is no reason for another choice. */
static void the_choice_does_not_mention_it(void)
{
	struct rw_open_request request = { .target = "/proc/self/exe" };
	struct rw_device_info info;
	struct rw_device *device;

	CHECK_EQ(rw_device_open(&request, &device), 0);
	rw_device_info(device, &info);
	CHECK(!strstr(info.why, "io_uring_cmd"));
	CHECK_EQ(rw_device_close(device, 0), 0);
	rw_device_destroy(device);
}

int main(void)
{
	transfers();
	without_data();
	deallocates();
	completions();
	targets_that_are_refused();
	the_choice_does_not_mention_it();
	return rw_check_end();
}
