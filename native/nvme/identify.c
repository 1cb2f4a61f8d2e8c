/* Reading what Identify answers. */
#include "nvme/identify.h"

#include <errno.h>
#include <stddef.h>

#include "core/error.h"
#include "nvme/command.h"

/* No block of a drive is longer than a page of the largest controllers. */
enum { SMALLEST_SHIFT = 9, LARGEST_SHIFT = 16, PAGE_SHIFT = 12, LONGEST = 1 << 30 };

static uint64_t number(const void *bytes, size_t at, size_t length)
{
	const uint8_t *from = (const uint8_t *)bytes + at;
	uint64_t value = 0;

	while (length--)
		value = value << 8 | from[length];
	return value;
}

/* Pages of 4 KiB, the smallest that a controller may count in; 0 stands for no limit. */
static uint32_t pages(uint64_t exponent)
{
	if (!exponent)
		return 0;
	return exponent > 30 - PAGE_SHIFT ? LONGEST : 1u << (exponent + PAGE_SHIFT);
}

int rw_nvme_namespace_parse(const void *bytes, struct rw_nvme_namespace *out)
{
	enum { NSZE = 0, NLBAF = 25, FLBAS = 26, DPS = 29, NSATTR = 99, LBAF = 128 };
	uint64_t flbas = number(bytes, FLBAS, 1), index = flbas & 0xf, format;

	/* Two more bits count only where there are more than 16 formats. */
	if (number(bytes, NLBAF, 1) > 15)
		index |= (flbas >> 5 & 3) << 4;
	format = number(bytes, LBAF + 4 * index, 4);
	*out = (struct rw_nvme_namespace){
		.blocks = number(bytes, NSZE, 8),
		.block_shift = format >> 16 & 0xff,
		.metadata_size = format & 0xffff,
		.extended = flbas >> 4 & 1,
		.protection = number(bytes, DPS, 1) & 7,
		.write_protected = number(bytes, NSATTR, 1) & 1,
	};
	if (!out->blocks)
		return rw_fail(ENODEV, "the namespace is not there: it is detached or was deleted");
	if (out->block_shift < SMALLEST_SHIFT || out->block_shift > LARGEST_SHIFT ||
	    out->blocks > (uint64_t)INT64_MAX >> out->block_shift)
		return rw_fail(EOPNOTSUPP, "the drive tells an LBA format that cannot be: %llu blocks "
			       "of 2^%u bytes", (unsigned long long)out->blocks, out->block_shift);
	return 0;
}

int rw_nvme_namespace_check(const struct rw_nvme_namespace *space)
{
	if (!space->metadata_size)
		return 0;
	return rw_fail(EOPNOTSUPP, "the namespace is formatted with %u bytes of metadata to each block "
		       "of %u (%s%s), which this path cannot carry; use the block device, or a format "
		       "without metadata (nvme format --lbaf=N erases it)", space->metadata_size,
		       1u << space->block_shift, space->extended ? "extended blocks" :
		       "in a buffer of their own", space->protection ? ", with protection" : "");
}

void rw_nvme_controller_parse(const void *bytes, struct rw_nvme_controller *out)
{
	enum { MDTS = 77, NN = 516, ONCS = 520, VWC = 525 };

	*out = (struct rw_nvme_controller){
		.namespaces = (uint32_t)number(bytes, NN, 4),
		.max_transfer = pages(number(bytes, MDTS, 1)),
		.optional = (uint16_t)number(bytes, ONCS, 2),
		.write_cache = number(bytes, VWC, 1) & 1,
	};
}

void rw_nvme_set_limits_parse(const void *bytes, struct rw_nvme_set_limits *out)
{
	enum { WZSL = 1, DMRSL = 4 };

	out->max_zeroes = pages(number(bytes, WZSL, 1));
	out->max_deallocate = (uint32_t)number(bytes, DMRSL, 4);
}

/* The least of those limits that there are, in whole blocks, at least one. */
static uint32_t least(uint32_t shift, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t limits[] = { a, b, c }, lowest = LONGEST;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limits[i] && limits[i] < lowest)
			lowest = limits[i];
	lowest = lowest >> shift << shift;
	return lowest ? (uint32_t)lowest : 1u << shift;
}

struct rw_nvme_limits rw_nvme_limits_of(const struct rw_nvme_namespace *space,
					const struct rw_nvme_controller *controller,
					const struct rw_nvme_set_limits *set, uint32_t most)
{
	uint32_t shift = space->block_shift;
	uint64_t nlb = (uint64_t)RW_NVME_MOST_BLOCKS << shift;
	/* A drive that tells no limit of its own may hold Write Zeroes to MDTS. */
	uint64_t zeroes = set->max_zeroes ? set->max_zeroes : controller->max_transfer;

	return (struct rw_nvme_limits){
		.transfer = least(shift, nlb, controller->max_transfer, most),
		.zeroes = least(shift, nlb, zeroes, 0),
		.deallocate = least(shift, (uint64_t)set->max_deallocate << shift, 0, 0),
	};
}
