/*
 * null: every operation completes at once and moves nothing. It measures the
 * core itself and sets the floor of every comparison.
 */
#include "core/target.h"
#include "paths/inline.h"
#include "paths/memory.h"

static int64_t null_transfer(struct rw_device *device, const struct rw_part *part)
{
	(void)device;
	return part->length;
}

static int null_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	uint64_t size;

	(void)request;
	return rw_size_parse(target->rest, &size);
}

static int null_open(struct rw_device *device, const struct rw_target *target,
		     const struct rw_open_request *request)
{
	uint64_t size;
	int error = rw_size_parse(target->rest, &size);

	if (!error)
		rw_memory_info(device, size, request);
	return error;
}

static void null_close(struct rw_device *device)
{
	(void)device;
}

const struct rw_path rw_null_path = {
	.info = {
		.name = "null",
		.summary = "completes at once, moves nothing: the cost of Ringway itself",
		.scheme = "null",
	},
	.abi = RW_PATH_ABI,
	.device_size = sizeof(struct rw_device),
	.queue_size = sizeof(struct rw_inline_queue),
	.probe = null_probe,
	.open = null_open,
	.close = null_close,
	.queue_create = rw_inline_create,
	.queue_destroy = rw_inline_destroy,
	.submit = rw_inline_submit,
	.reap = rw_inline_reap,
	.transfer = null_transfer,
};
