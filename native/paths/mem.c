/* mem: a device in memory, private to whoever opened it, zeroed, gone at close. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/error.h"
#include "core/target.h"
#include "paths/inline.h"
#include "paths/memory.h"

struct mem_device {
	struct rw_device base;
	char *bytes;
};

static int64_t mem_transfer(struct rw_device *device, const struct rw_part *part)
{
	char *bytes = ((struct mem_device *)device)->bytes + part->offset;
	uint64_t rest = device->info.size - part->offset;
	uint64_t length = part->length < rest ? part->length : rest;

	switch (part->opcode) {
	case RW_READ:
		memcpy((void *)part->memory, bytes, length);
		break;
	case RW_WRITE:
		memcpy(bytes, (const void *)part->memory, length);
		break;
	case RW_DISCARD:
	case RW_WRITE_ZEROES:
		memset(bytes, 0, length);
		break;
	default: /* a flush has nothing to do */
		break;
	}
	return (int64_t)length;
}

static int mem_size(const struct rw_target *target, uint64_t *size)
{
	int error = rw_size_parse(target->rest, size);

	if (!error && !*size)
		return rw_fail(EINVAL, "%s has no bytes; give a size like mem:256MiB", target->text);
	return error;
}

static int mem_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	uint64_t size;

	(void)request;
	return mem_size(target, &size);
}

static int mem_open(struct rw_device *device, const struct rw_target *target,
		    const struct rw_open_request *request)
{
	struct mem_device *self = (struct mem_device *)device;
	uint64_t size;
	int error = mem_size(target, &size);

	if (error)
		return error;
	self->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (self->bytes == MAP_FAILED)
		return rw_fail(ENOMEM, "there is not enough memory for %s", target->text);
	rw_memory_info(device, size, request);
	return 0;
}

static void mem_close(struct rw_device *device)
{
	munmap(((struct mem_device *)device)->bytes, device->info.size);
}

const struct rw_path rw_mem_path = {
	.info = {
		.name = "mem",
		.summary = "a device in memory: data is kept until it is closed",
		.scheme = "mem",
	},
	.abi = RW_PATH_ABI,
	.device_size = sizeof(struct mem_device),
	.queue_size = sizeof(struct rw_inline_queue),
	.probe = mem_probe,
	.open = mem_open,
	.close = mem_close,
	.queue_create = rw_inline_create,
	.queue_destroy = rw_inline_destroy,
	.submit = rw_inline_submit,
	.reap = rw_inline_reap,
	.transfer = mem_transfer,
};
