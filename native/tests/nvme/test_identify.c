/* What Identify answers: sizes, formats, limits, and drives that answer oddly. */
#include "nvme/identify.h"

#include <errno.h>
#include <string.h>

#include "nvme/command.h"
#include "ringway.h"
#include "tests/check.h"

static uint8_t bytes[RW_NVME_IDENTIFY_BYTES];

static void put(size_t at, uint64_t value, size_t length)
{
	for (size_t i = 0; i < length; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

/* ------------------------------------------------------------- namespaces */

/* A namespace with formats of 512, 4096, and 4096 bytes with 8 of metadata; `flbas` in use. */
static void namespace_with(uint64_t blocks, uint8_t flbas)
{
	memset(bytes, 0, sizeof(bytes));
	put(0, blocks, 8);
	put(25, 2, 1);
	put(26, flbas, 1);
	put(128, 9 << 16, 4);
	put(132, 12 << 16, 4);
	put(136, 12 << 16 | 8, 4);
}

static void formats(void)
{
	struct rw_nvme_namespace space;

	namespace_with(2097152, 0);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK_EQ(space.blocks, 2097152);
	CHECK_EQ(space.block_shift, 9);
	CHECK_EQ(rw_nvme_namespace_check(&space), 0);
	namespace_with(100, 1);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK_EQ(space.block_shift, 12);
	CHECK(!space.write_protected && !space.metadata_size);
	put(99, 1, 1);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK(space.write_protected);
}

static void metadata_is_refused(void)
{
	struct rw_nvme_namespace space;

	namespace_with(100, 2);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK_EQ(space.metadata_size, 8);
	CHECK(!space.extended);
	CHECK_EQ(rw_nvme_namespace_check(&space), -EOPNOTSUPP);
	CHECK(strstr(rw_detail(), "8 bytes of metadata to each block of 4096 (in a buffer of "));
	namespace_with(100, 2 | 1 << 4);
	put(29, 1, 1);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK(space.extended);
	CHECK_EQ(space.protection, 1);
	CHECK_EQ(rw_nvme_namespace_check(&space), -EOPNOTSUPP);
	CHECK(strstr(rw_detail(), "(extended blocks, with protection)"));
}

/* Base 2.0 has up to 64 formats, whose index has two more bits; older drives may have junk there. */
static void many_formats(void)
{
	struct rw_nvme_namespace space;

	namespace_with(100, 1 | 1 << 5);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK_EQ(space.block_shift, 12);
	put(25, 17, 1);
	put(128 + 17 * 4, 13 << 16, 4);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), 0);
	CHECK_EQ(space.block_shift, 13);
}

static void no_namespace(void)
{
	struct rw_nvme_namespace space;

	namespace_with(0, 0);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), -ENODEV);
	CHECK(strstr(rw_detail(), "detached"));
	namespace_with(100, 3); /* a format that is not there */
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), -EOPNOTSUPP);
	namespace_with(1ull << 60, 0);
	CHECK_EQ(rw_nvme_namespace_parse(bytes, &space), -EOPNOTSUPP);
	CHECK(strstr(rw_detail(), "cannot be"));
}

/* ------------------------------------------------------------ controllers */

static void controllers(void)
{
	struct rw_nvme_controller controller;

	memset(bytes, 0, sizeof(bytes));
	put(77, 5, 1);
	put(516, 256, 4);
	put(520, 1 << 2 | 1 << 3 | 1 << 8, 2);
	put(525, 0x07, 1);
	rw_nvme_controller_parse(bytes, &controller);
	CHECK_EQ(controller.namespaces, 256);
	CHECK_EQ(controller.max_transfer, 128 << 10);
	CHECK(controller.optional & RW_NVME_HAS_DEALLOCATE);
	CHECK(controller.optional & RW_NVME_HAS_WRITE_ZEROES);
	CHECK(controller.write_cache);
	memset(bytes, 0, sizeof(bytes));
	rw_nvme_controller_parse(bytes, &controller);
	CHECK(!controller.max_transfer && !controller.write_cache);
	put(77, 255, 1);
	rw_nvme_controller_parse(bytes, &controller);
	CHECK_EQ(controller.max_transfer, 1 << 30);
}

/* ---------------------------------------------------------------- limits */

static void limits(void)
{
	const struct rw_nvme_namespace small = { .block_shift = 9 }, large = { .block_shift = 12 };
	struct rw_nvme_controller controller = { .max_transfer = 128 << 10 };
	struct rw_nvme_set_limits set = { .max_zeroes = 0 };
	struct rw_nvme_limits least;

	least = rw_nvme_limits_of(&small, &controller, &set, 1 << 20);
	CHECK_EQ(least.transfer, 128 << 10);
	CHECK_EQ(least.zeroes, 128 << 10);
	CHECK_EQ(least.deallocate, 1 << 30);
	least = rw_nvme_limits_of(&small, &controller, &set, (33 << 10) + 100);
	CHECK_EQ(least.transfer, 33 << 10);
	/* Without limits of the drive NLB has sixteen bits. */
	controller.max_transfer = 0;
	least = rw_nvme_limits_of(&small, &controller, &set, 1 << 30);
	CHECK_EQ(least.transfer, 65536 * 512);
	CHECK_EQ(least.zeroes, 65536 * 512);
	least = rw_nvme_limits_of(&large, &controller, &set, 100);
	CHECK_EQ(least.transfer, 4096);
	CHECK_EQ(least.zeroes, 65536 * 4096);
}

static void limits_of_the_command_set(void)
{
	const struct rw_nvme_namespace space = { .block_shift = 12 };
	const struct rw_nvme_controller controller = { .max_transfer = 128 << 10 };
	struct rw_nvme_set_limits set;
	struct rw_nvme_limits least;

	memset(bytes, 0, sizeof(bytes));
	put(1, 8, 1);
	put(4, 1000, 4);
	rw_nvme_set_limits_parse(bytes, &set);
	CHECK_EQ(set.max_zeroes, 1 << 20);
	CHECK_EQ(set.max_deallocate, 1000);
	least = rw_nvme_limits_of(&space, &controller, &set, 1 << 20);
	CHECK_EQ(least.transfer, 128 << 10);
	CHECK_EQ(least.zeroes, 1 << 20);
	CHECK_EQ(least.deallocate, 1000 * 4096);
}

int main(void)
{
	formats();
	metadata_is_refused();
	many_formats();
	no_namespace();
	controllers();
	limits();
	limits_of_the_command_set();
	return rw_check_end();
}
