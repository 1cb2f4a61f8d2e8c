/* The scripted path. */
#include "tests/core/fake_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/open.h"

struct pending {
	struct rw_part *part;
	int64_t result;
	int64_t ready_ns;
};

struct fake_queue {
	struct rw_queue base;
	struct pending *pending;
	uint32_t count;
};

static struct fake_device *device_of(const struct rw_queue *queue)
{
	return (struct fake_device *)queue->device;
}

/* --------------------------------------------------------- a device's life */

struct rw_device_info fake_info(void)
{
	return (struct rw_device_info){
		.size = FAKE_SIZE,
		.block_size = 512,
		.memory_alignment = 16,
		.max_transfer = FAKE_MAX,
		.max_depth = 64,
		.opcodes = 1u << RW_READ | 1u << RW_WRITE | 1u << RW_FLUSH | 1u << RW_DISCARD |
			   1u << RW_WRITE_ZEROES,
		.writable = true,
	};
}

struct fake_device *fake_open(const struct rw_path *path, const struct rw_device_info *info)
{
	struct fake_device *fake = (struct fake_device *)rw_device_new(path, "fake:1MiB");

	fake->base.info = info ? *info : fake_info();
	fake->data = malloc(fake->base.info.size);
	for (uint64_t i = 0; i < fake->base.info.size; i++)
		fake->data[i] = fake_byte(i);
	fake->otherwise = FAKE_ALL;
	pthread_mutex_init(&fake->seen_lock, NULL);
	rw_device_publish(&fake->base);
	return fake;
}

int fake_close(struct fake_device *fake)
{
	int error = rw_device_close(&fake->base, RW_NS_PER_S);

	rw_device_destroy(&fake->base);
	return error;
}

struct rw_queue *fake_queue(struct fake_device *fake, uint32_t depth)
{
	struct rw_queue *queue = NULL;

	return rw_queue_create(&fake->base, depth, &queue) ? NULL : queue;
}

void fake_script(struct fake_device *fake, uint32_t n, const int64_t *results)
{
	pthread_mutex_lock(&fake->seen_lock);
	for (uint32_t i = 0; i < n; i++)
		fake->script[i] = results[i];
	fake->scripted = n;
	fake->logged = 0;
	pthread_mutex_unlock(&fake->seen_lock);
}

static int open_never(struct rw_device *device, const struct rw_target *target,
		      const struct rw_open_request *request)
{
	(void)device;
	(void)target;
	(void)request;
	return rw_fail(EINVAL, "the fake device is opened by fake_open()");
}

static int probe_never(const struct rw_target *target, const struct rw_open_request *request)
{
	return open_never(NULL, target, request);
}

static void close_device(struct rw_device *device)
{
	struct fake_device *fake = (struct fake_device *)device;

	fake->closed++;
	fake->queue_left_at_close = fake->queues_made != fake->queues_destroyed;
	free(fake->data);
	fake->data = NULL;
}

static int map(struct rw_device *device, const struct rw_region *region, uint32_t index)
{
	struct fake_device *fake = (struct fake_device *)device;

	if (fake->map_error)
		return rw_fail(fake->map_error, "the fake maps no memory");
	if (!atomic_load(&region->length))
		return rw_fail(EFAULT, "an empty region was to be mapped");
	fake->maps[index]++;
	return 0;
}

static void unmap(struct rw_device *device, const struct rw_region *region, uint32_t index)
{
	struct fake_device *fake = (struct fake_device *)device;

	fake->unmaps[index] += atomic_load(&region->length) != 0;
}

/* ------------------------------------------------------------------ queues */

static int create(struct rw_queue *queue)
{
	struct fake_device *fake = device_of(queue);

	if (fake->create_error)
		return rw_fail(fake->create_error, "the fake makes no queue");
	((struct fake_queue *)queue)->pending = calloc(queue->depth, sizeof(struct pending));
	pthread_mutex_lock(&fake->seen_lock);
	fake->queues_made++;
	pthread_mutex_unlock(&fake->seen_lock);
	return 0;
}

static void destroy(struct rw_queue *queue)
{
	struct fake_device *fake = device_of(queue);

	free(((struct fake_queue *)queue)->pending);
	pthread_mutex_lock(&fake->seen_lock);
	fake->queues_destroyed++;
	fake->out -= ((struct fake_queue *)queue)->count;
	pthread_mutex_unlock(&fake->seen_lock);
}

/* Under the lock: what the script says of a part that is accepted now. */
static int64_t next_result(struct fake_device *fake, const struct rw_part *part)
{
	uint32_t at = fake->logged++;

	if (at < FAKE_LOG)
		fake->log[at] = *part;
	return at < fake->scripted ? fake->script[at] : fake->otherwise;
}

static int submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n, uint32_t flags)
{
	struct fake_queue *self = (struct fake_queue *)queue;
	struct fake_device *fake = device_of(queue);
	uint32_t i;

	(void)flags;
	if (fake->submit_error)
		return rw_fail(fake->submit_error, "the fake accepts nothing");
	pthread_mutex_lock(&fake->seen_lock);
	fake->submits++;
	for (i = 0; i < n && !fake->full && (!fake->ring || self->count < fake->ring); i++) {
		int64_t result = next_result(fake, parts[i]);

		self->pending[self->count++] =
			(struct pending){ parts[i], result, rw_now_ns() + fake->delay_ns };
		fake->out++;
	}
	if (fake->most_out < fake->out)
		fake->most_out = fake->out;
	pthread_mutex_unlock(&fake->seen_lock);
	return (int)i;
}

static bool is_ready(const struct fake_device *fake, const struct pending *pending, int64_t now)
{
	return !fake->held && pending->ready_ns <= now &&
	       (pending->result != FAKE_NEVER || fake->released);
}

/* The transfer itself: as many bytes as the script lets it move. */
static int64_t carry_out(struct fake_device *fake, const struct rw_part *part, int64_t result)
{
	uint64_t rest = fake->base.info.size - part->offset;
	unsigned char *data = fake->data + part->offset;

	if (result == FAKE_ALL || result == FAKE_NEVER)
		result = part->length < rest ? part->length : (int64_t)rest;
	if (result > 0 && part->opcode == RW_READ)
		memcpy((void *)part->memory, data, (size_t)result);
	else if (result > 0 && part->opcode == RW_WRITE)
		memcpy(data, (const void *)part->memory, (size_t)result);
	return result;
}

static struct rw_event complete(struct fake_queue *self, uint32_t at)
{
	struct fake_device *fake = device_of(&self->base);
	struct pending done = self->pending[at];
	int64_t result;

	memmove(&self->pending[at], &self->pending[at + 1],
		(--self->count - at) * sizeof(self->pending[0]));
	pthread_mutex_lock(&fake->seen_lock);
	fake->out--;
	result = carry_out(fake, done.part, done.result);
	pthread_mutex_unlock(&fake->seen_lock);
	return (struct rw_event){ done.part->index, result < 0 ? 77 : 0, result };
}

static uint32_t collect(struct fake_queue *self, struct rw_event *out, uint32_t max)
{
	struct fake_device *fake = device_of(&self->base);
	int64_t now = rw_now_ns();
	uint32_t n = 0, i = 0;

	while (i < self->count && n < max) {
		uint32_t at = fake->newest_first ? self->count - 1 - i : i;

		if (is_ready(fake, &self->pending[at], now))
			out[n++] = complete(self, at);
		else
			i++;
	}
	return n;
}

static bool interrupted(struct fake_device *fake)
{
	uint32_t left = atomic_load(&fake->interruptions);

	if (left)
		atomic_store(&fake->interruptions, left - 1);
	return left;
}

/* Sleeps until the next part is ready, at most a while; false when a signal ended it. */
static bool nap(const struct fake_queue *self, int64_t deadline_ns)
{
	int64_t now = rw_now_ns(), end = now + 5 * RW_NS_PER_MS;
	struct timespec time = { 0 };

	for (uint32_t i = 0; i < self->count; i++)
		if (self->pending[i].ready_ns > now && self->pending[i].ready_ns < end)
			end = self->pending[i].ready_ns;
	if (end > deadline_ns)
		end = deadline_ns;
	time.tv_nsec = end > now ? end - now : 0;
	return nanosleep(&time, NULL) == 0;
}

static int reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		int64_t deadline_ns)
{
	struct fake_queue *self = (struct fake_queue *)queue;
	struct fake_device *fake = device_of(queue);
	uint32_t n = 0;
	bool signal;

	if (!min || !self->count)
		return (int)collect(self, out, max);
	signal = interrupted(fake);
	atomic_fetch_add(&fake->waiters, 1);
	for (;;) {
		n += collect(self, out + n, max - n);
		if (n >= min || signal || rw_now_ns() >= deadline_ns)
			break;
		signal = !nap(self, deadline_ns);
	}
	atomic_fetch_sub(&fake->waiters, 1);
	return n || !signal ? (int)n : -EINTR;
}

static int event_fd(struct rw_queue *queue)
{
	int error = device_of(queue)->event_fd_error;

	return error ? rw_fail(error, "the fake has no event fd today") : 0;
}

static int64_t transfer(struct rw_device *device, const struct rw_part *part)
{
	struct fake_device *fake = (struct fake_device *)device;
	const struct timespec pause = { .tv_nsec = fake->delay_ns ? fake->delay_ns : 100000 };
	int64_t result;

	atomic_fetch_add(&fake->waiters, 1);
	if (fake->delay_ns)
		nanosleep(&pause, NULL);
	while (fake->held)
		nanosleep(&pause, NULL);
	atomic_fetch_sub(&fake->waiters, 1);
	pthread_mutex_lock(&fake->seen_lock);
	result = carry_out(fake, part, next_result(fake, part));
	pthread_mutex_unlock(&fake->seen_lock);
	return result;
}

#define HOOKS_OF_ALL \
	.abi = RW_PATH_ABI, .device_size = sizeof(struct fake_device), \
	.queue_size = sizeof(struct fake_queue), .probe = probe_never, .open = open_never, \
	.close = close_device, .queue_create = create, .queue_destroy = destroy, .submit = submit, \
	.reap = reap

const struct rw_path fake_path = {
	.info = { .name = "fake", .summary = "follows a script", .scheme = "fake" },
	HOOKS_OF_ALL,
	.map = map,
	.unmap = unmap,
	.event_fd = event_fd,
};

const struct rw_path fake_sync_path = {
	.info = { .name = "fake_sync", .summary = "follows a script at once", .scheme = "fake" },
	HOOKS_OF_ALL,
	.transfer = transfer,
};

const struct rw_path fake_bare_path = {
	.info = { .name = "fake_bare", .summary = "follows a script", .scheme = "fake" },
	HOOKS_OF_ALL,
};
