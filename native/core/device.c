/* Devices: opening by name or by choice, checking, mapping, closing. */
#include "core/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/open.h"
#include "core/queue.h"
#include "core/region.h"
#include "core/thread.h"
#include "nvme/status.h"

static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rw_device *devices;
static uint64_t last_serial;

/* The parent's devices are not the child's, and its lock may be taken for ever. */
static void forget_devices(void)
{
	pthread_mutex_init(&devices_lock, NULL);
	devices = NULL;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_devices);
}

void rw_device_get(struct rw_device *device)
{
	atomic_fetch_add(&device->references, 1);
}

void rw_device_put(struct rw_device *device)
{
	if (atomic_fetch_sub(&device->references, 1) != 1)
		return;
	pthread_mutex_destroy(&device->lock);
	free(device->target);
	free(device);
}

struct rw_device *rw_device_new(const struct rw_path *path, const char *target)
{
	struct rw_device *device = calloc(1, path->device_size);

	if (!device)
		return NULL;
	device->target = strdup(target);
	if (!device->target) {
		free(device);
		return NULL;
	}
	device->path = path;
	device->fork_generation = rw_fork_generation;
	atomic_init(&device->references, 1);
	pthread_mutex_init(&device->lock, NULL);
	return device;
}

void rw_device_publish(struct rw_device *device)
{
	uint64_t mask = device->info.block_size - 1;

	device->info.path = device->path->info.name;
	device->info.target = device->target;
	device->info.why = device->why;
	device->info.has_event_fd = device->path->event_fd != NULL;
	device->info.synchronous = device->path->transfer != NULL;
	if (!device->info.discard_alignment)
		device->info.discard_alignment = device->info.block_size;
	if (!device->info.max_discard)
		device->info.max_discard = device->info.max_transfer;
	if (!device->info.max_zeroes)
		device->info.max_zeroes = device->info.max_transfer;
	device->limit = (device->info.size + mask) & ~mask;
	pthread_mutex_lock(&devices_lock);
	device->serial = ++last_serial;
	device->next = devices;
	devices = device;
	pthread_mutex_unlock(&devices_lock);
}

/* Under the lock. */
static void unpublish(struct rw_device *device)
{
	struct rw_device **at;

	for (at = &devices; *at && *at != device; at = &(*at)->next)
		;
	if (*at)
		*at = device->next;
}

void rw_device_info(const struct rw_device *device, struct rw_device_info *out)
{
	*out = device->info;
}

/* --------------------------------------------------------------- mapping */

int rw_device_map(struct rw_device *device, uint32_t region)
{
	uint64_t bit = 1ull << region;
	int error = 0;

	pthread_mutex_lock(&device->lock);
	if (!(atomic_load(&device->mapped) & bit)) {
		if (device->path->map)
			error = device->path->map(device, &rw_regions[region], region);
		if (!error)
			atomic_fetch_or(&device->mapped, bit);
	}
	pthread_mutex_unlock(&device->lock);
	return error;
}

static void unmap(struct rw_device *device, uint32_t region)
{
	uint64_t bit = 1ull << region;

	if ((atomic_fetch_and(&device->mapped, ~bit) & bit) && device->path->unmap)
		device->path->unmap(device, &rw_regions[region], region);
}

void rw_devices_unmap(uint32_t region)
{
	pthread_mutex_lock(&devices_lock);
	for (struct rw_device *device = devices; device; device = device->next) {
		pthread_mutex_lock(&device->lock);
		unmap(device, region);
		pthread_mutex_unlock(&device->lock);
	}
	pthread_mutex_unlock(&devices_lock);
}

/* -------------------------------------------------------------- checking */

static const char *const opcode_names[] = { "read", "write", "flush", "discard", "write_zeroes" };

const char *rw_status_name(uint32_t status)
{
	return rw_nvme_status_name(status);
}

/* What the device itself said tells more than the errno it became. */
static int64_t explain_status(const char *name, int error, uint32_t status)
{
	const char *sentence = rw_nvme_status_sentence(status);

	rw_fail(error, "%s: %s (NVMe status 0x%x)%s%s", name, rw_nvme_status_name(status), status,
		sentence[0] ? ": " : "", sentence);
	rw_fail_status(status);
	return -error;
}

int64_t rw_explain(uint32_t opcode, int64_t result, uint32_t status)
{
	const char *name = opcode <= RW_WRITE_ZEROES ? opcode_names[opcode] : "operation";
	int error = (int)-result;

	if (status)
		return explain_status(name, error, status);
	switch (error) {
	case ENODATA:
		return rw_fail(error, "%s: the file is shorter than it was when it was opened", name);
	case ENOSPC:
		return rw_fail(error, "%s: the disk is full", name);
	case ENODEV:
	case ENXIO:
		return rw_fail(error, "%s: the device is gone", name);
	case EOPNOTSUPP:
		return rw_fail(error, "%s: the device or file system does not support it", name);
	case ECANCELED:
		return rw_fail(error, "%s: cancelled before it was carried out", name);
	case EFAULT:
		return rw_fail(error, "%s: the memory cannot be accessed so", name);
	default:
		return rw_fail(error, "%s failed: %s", name, strerror(error));
	}
}

static int refuse_misaligned(const struct rw_device_info *info, const struct rw_op *op)
{
	uint32_t alignment = rw_alignment_of(info, op->opcode);

	if (op->offset & (alignment - 1))
		return rw_fail(EINVAL, "offset %llu is misaligned: it must be a multiple of %u bytes",
			       (unsigned long long)op->offset, alignment);
	if (op->length & (alignment - 1))
		return rw_fail(EINVAL, "length %llu is misaligned: it must be a multiple of %u bytes",
			       (unsigned long long)op->length, alignment);
	if (!op->memory)
		return rw_fail(EINVAL, "there is no memory to move the data to or from");
	return rw_fail(EINVAL, "memory at 0x%llx is misaligned: its address must be a multiple of %u "
			       "bytes; memory from alloc() is", (unsigned long long)op->memory,
		       info->memory_alignment);
}

int rw_device_refusal(const struct rw_device *device, const struct rw_op *op)
{
	const struct rw_device_info *info = &device->info;

	if (op->opcode > RW_WRITE_ZEROES)
		return rw_fail(EINVAL, "there is no operation %u", op->opcode);
	if (op->flags)
		return rw_fail(EINVAL, "operation flags must be 0");
	if (!info->writable && op->opcode != RW_READ && op->opcode != RW_FLUSH)
		return rw_fail(EROFS, "%s is open read-only; open it writable to %s", info->target,
			       opcode_names[op->opcode]);
	if (!(info->opcodes >> op->opcode & 1))
		return rw_fail(EOPNOTSUPP, "%s on path %s cannot %s: the device does not support it",
			       info->target, info->path, opcode_names[op->opcode]);
	if (!op->length)
		return rw_fail(EINVAL, "a %s of zero bytes does nothing; give a length",
			       opcode_names[op->opcode]);
	if (op->length > device->limit || op->offset > device->limit - op->length)
		return rw_fail(ERANGE, "%llu bytes at offset %llu reach beyond the end: the device has "
				       "%llu bytes", (unsigned long long)op->length,
			       (unsigned long long)op->offset, (unsigned long long)info->size);
	return refuse_misaligned(info, op);
}

/* --------------------------------------------------------------- closing */

int rw_device_begin(struct rw_device *device)
{
	if (device->fork_generation != rw_fork_generation)
		return rw_fail(ECHILD, "this device belongs to the parent process; open it again in the "
				       "child, or start it with spawn instead of fork");
	atomic_fetch_add(&device->active, 1);
	if (!atomic_load(&device->closing))
		return 0;
	rw_device_end(device);
	return rw_fail(EBADF, "%s is closed", device->target);
}

void rw_device_end(struct rw_device *device)
{
	atomic_fetch_sub_explicit(&device->active, 1, memory_order_release);
}

/* False when the deadline has passed. */
static bool wait_a_moment(int64_t deadline_ns)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	if (rw_now_ns() >= deadline_ns)
		return false;
	nanosleep(&moment, NULL);
	return true;
}

/* An open queue with a reference for the caller; of that thread's own where one is given. */
static struct rw_queue *claim_queue(struct rw_device *device, uint64_t thread)
{
	struct rw_queue *queue;

	pthread_mutex_lock(&device->lock);
	for (queue = device->queues; queue; queue = queue->next)
		if (!queue->closed && (!thread || (queue->per_thread && queue->owner == thread)))
			break;
	if (queue)
		atomic_fetch_add(&queue->references, 1);
	pthread_mutex_unlock(&device->lock);
	return queue;
}

/* A thread's own queue has no handle: the list's reference goes with it. */
static void release_thread_queue(struct rw_queue *queue)
{
	rw_queue_unlink(queue);
	rw_queue_put(queue);
}

/* Handles of explicit queues outlive this and find them closed. */
static int shut_down_queues(struct rw_device *device, int64_t deadline_ns)
{
	struct rw_queue *queue;
	int worst = 0;

	while ((queue = claim_queue(device, 0))) {
		int error = rw_queue_shut_down(queue, deadline_ns);
		bool closed = queue->closed;

		worst = error ? error : worst;
		if (closed && queue->per_thread)
			release_thread_queue(queue);
		rw_queue_put(queue);
		if (!closed)
			return error;
	}
	return worst;
}

/* Some device's queue of that thread, with the device kept from closing. */
static struct rw_queue *claim_of_thread(uint64_t thread)
{
	struct rw_queue *queue = NULL;

	pthread_mutex_lock(&devices_lock);
	for (struct rw_device *device = devices; device && !queue; device = device->next) {
		if (rw_device_begin(device))
			continue; /* closing: its queues go with it */
		queue = claim_queue(device, thread);
		if (!queue)
			rw_device_end(device);
	}
	pthread_mutex_unlock(&devices_lock);
	return queue;
}

void rw_devices_thread_ends(uint64_t thread)
{
	struct rw_queue *queue;

	while ((queue = claim_of_thread(thread))) {
		int64_t deadline = rw_deadline_ns(RW_NS_PER_S);
		struct rw_device *device = queue->device;

		/* A signal must not leave a ring behind that nobody can reach any more. */
		while (rw_queue_shut_down(queue, deadline) == -EINTR)
			;
		release_thread_queue(queue);
		rw_device_get(device);
		rw_queue_put(queue);
		rw_device_end(device);
		rw_device_put(device);
	}
}

static int close_alone(struct rw_device *device, int64_t deadline_ns)
{
	int error;

	while (atomic_load(&device->active))
		if (!wait_a_moment(deadline_ns))
			return rw_fail(EBUSY, "another thread is still inside a call on %s",
				       device->target);
	error = shut_down_queues(device, deadline_ns);
	if (error == -EBUSY || error == -EINTR)
		return error;
	/* A region that goes meanwhile waits: until it is stopped the device may write there. */
	pthread_mutex_lock(&devices_lock);
	device->path->close(device);
	atomic_store(&device->mapped, 0);
	unpublish(device);
	pthread_mutex_unlock(&devices_lock);
	device->closed = true;
	return error;
}

int rw_device_close(struct rw_device *device, int64_t timeout_ns)
{
	int64_t deadline = rw_deadline_ns(timeout_ns);
	int error;

	if (device->fork_generation != rw_fork_generation)
		return 0;
	atomic_store(&device->closing, true);
	while (atomic_exchange(&device->in_close, true))
		if (!wait_a_moment(deadline))
			return rw_fail(EBUSY, "another thread is closing %s", device->target);
	error = device->closed ? 0 : close_alone(device, deadline);
	atomic_store(&device->in_close, false);
	return error;
}

void rw_device_destroy(struct rw_device *device)
{
	/* One that could not be closed is still known, and maybe in use. */
	if (device->closed || device->fork_generation != rw_fork_generation)
		rw_device_put(device);
}
