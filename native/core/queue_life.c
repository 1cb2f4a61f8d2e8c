/* Queues: how they come to be, are drained, and go; and their event fds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/queue.h"
#include "core/thread.h"

static void free_tables(struct rw_queue *queue)
{
	free(queue->slots);
	free(queue->parts);
	free(queue->ready);
	free(queue->events);
	free(queue->free_slots);
	free(queue->free_parts);
	queue->slots = NULL;
	queue->parts = NULL;
	queue->ready = NULL;
	queue->events = NULL;
	queue->free_slots = queue->free_parts = NULL;
}

static int make_tables(struct rw_queue *queue, uint32_t depth)
{
	queue->slots = calloc(depth, sizeof(*queue->slots));
	queue->parts = calloc(depth, sizeof(*queue->parts));
	queue->ready = calloc(depth, sizeof(struct rw_part *));
	queue->events = calloc(depth, sizeof(*queue->events));
	queue->free_slots = calloc(depth, sizeof(*queue->free_slots));
	queue->free_parts = calloc(depth, sizeof(*queue->free_parts));
	if (!queue->slots || !queue->parts || !queue->ready || !queue->events ||
	    !queue->free_slots || !queue->free_parts) {
		free_tables(queue);
		return rw_fail(ENOMEM, "no memory for a queue of depth %u", depth);
	}
	/* Lowest index on top: a shallow load keeps to a few cache lines. */
	for (uint32_t i = 0; i < depth; i++) {
		queue->parts[i].index = i;
		queue->free_slots[i] = queue->free_parts[i] = depth - 1 - i;
	}
	queue->free_slot_count = queue->free_part_count = depth;
	return 0;
}

static void link_queue(struct rw_queue *queue)
{
	struct rw_device *device = queue->device;

	rw_device_get(device);
	pthread_mutex_lock(&device->lock);
	queue->next = device->queues;
	device->queues = queue;
	pthread_mutex_unlock(&device->lock);
}

void rw_queue_unlink(struct rw_queue *queue)
{
	struct rw_device *device = queue->device;
	struct rw_queue **at;

	pthread_mutex_lock(&device->lock);
	for (at = &device->queues; *at && *at != queue; at = &(*at)->next)
		;
	if (*at)
		*at = queue->next;
	pthread_mutex_unlock(&device->lock);
}

int rw_queue_make(struct rw_device *device, uint32_t depth, bool per_thread, struct rw_queue **out)
{
	struct rw_queue *queue;
	int error;

	if (!depth || depth > device->info.max_depth)
		return rw_fail(ERANGE, "depth %u is out of range: path %s takes 1 to %u here", depth,
			       device->info.path, device->info.max_depth);
	queue = calloc(1, device->path->queue_size);
	if (!queue)
		return rw_fail(ENOMEM, "no memory for a queue");
	queue->device = device;
	queue->path = device->path;
	queue->depth = depth;
	queue->waiting_head = UINT32_MAX;
	queue->event_fd = -1;
	atomic_init(&queue->references, 1);
	queue->owner = rw_thread_id();
	queue->fork_generation = rw_fork_generation;
	queue->per_thread = per_thread;
	error = make_tables(queue, depth);
	if (!error)
		error = device->path->queue_create(queue);
	if (error) {
		free_tables(queue);
		free(queue);
		return error;
	}
	link_queue(queue);
	*out = queue;
	return 0;
}

/* ------------------------------------------------------------------ event fd */

int rw_queue_make_event_fd(struct rw_queue *queue)
{
	int error;

	if (!queue->path->event_fd)
		return rw_fail(EOPNOTSUPP, "path %s has no event fd", queue->path->info.name);
	if (queue->event_fd >= 0)
		return 0;
	/* What is in flight may have completed before there was a fd to tell it. */
	queue->event_fd = eventfd(queue->in_flight > 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->event_fd < 0)
		return rw_fail(errno, "no event fd: %s", strerror(errno));
	error = queue->path->event_fd(queue);
	if (!error)
		return 0;
	close(queue->event_fd);
	queue->event_fd = -1;
	return error;
}

void rw_queue_announce(struct rw_queue *queue)
{
	if (queue->event_fd < 0)
		return;
	queue->counters.syscalls++;
	eventfd_write(queue->event_fd, 1);
}

void rw_queue_hush(struct rw_queue *queue)
{
	eventfd_t count;

	if (queue->event_fd < 0)
		return;
	queue->counters.syscalls++;
	eventfd_read(queue->event_fd, &count);
}

/* ------------------------------------------------------------------- the end */

/* Another thread may be about to leave a call on this queue. */
static bool acquire(struct rw_queue *queue, int64_t deadline_ns)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	while (atomic_exchange_explicit(&queue->busy, true, memory_order_acquire)) {
		if (rw_now_ns() >= deadline_ns)
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

int rw_queue_drain(struct rw_queue *queue, int64_t deadline_ns)
{
	struct rw_completion ignored[32];
	int n = 0;

	rw_queue_abandon(queue);
	if (!queue->in_flight)
		return 0;
	do {
		n = rw_queue_collect(queue, ignored, 1, 32, deadline_ns);
		if (n == -EINTR)
			return n;
	} while (n >= 0 && queue->in_flight && rw_now_ns() < deadline_ns);
	return (int)queue->in_flight;
}

static void dismantle(struct rw_queue *queue)
{
	queue->closed = true;
	queue->path->queue_destroy(queue);
	if (queue->event_fd >= 0)
		close(queue->event_fd);
	free_tables(queue);
}

int rw_queue_shut_down(struct rw_queue *queue, int64_t deadline_ns)
{
	int left = 0;

	/* After a fork the ring is the parent's: the child only forgets it. */
	if (queue->fork_generation != rw_fork_generation)
		return 0;
	atomic_store(&queue->closing, true);
	if (!acquire(queue, deadline_ns)) {
		atomic_store(&queue->closing, false);
		return rw_fail(EBUSY, "another thread is still inside a call on this queue");
	}
	if (!queue->closed) {
		/* What stays in flight keeps its memory: its holds are never dropped. */
		left = rw_queue_drain(queue, deadline_ns);
		if (left >= 0)
			dismantle(queue);
	}
	atomic_store(&queue->closing, false);
	atomic_store_explicit(&queue->busy, false, memory_order_release);
	if (left < 0)
		return rw_fail(-left, "a signal arrived while the queue was draining");
	if (left && queue->owner != rw_thread_id())
		return rw_fail(ETIME, "%d operations of another thread's queue were still in flight; close "
				      "it in that thread. Their memory stays reserved", left);
	if (left)
		return rw_fail(ETIME, "%d operations were still in flight at the deadline; their memory "
				      "stays reserved", left);
	return 0;
}

void rw_queue_put(struct rw_queue *queue)
{
	struct rw_device *device = queue->device;

	if (atomic_fetch_sub(&queue->references, 1) != 1)
		return;
	free(queue);
	rw_device_put(device);
}

int rw_queue_create(struct rw_device *device, uint32_t depth, struct rw_queue **out)
{
	int error = rw_device_begin(device);

	if (error)
		return error;
	error = rw_queue_make(device, depth, false, out);
	rw_device_end(device);
	return error;
}

int rw_queue_close(struct rw_queue *queue, int64_t timeout_ns)
{
	return rw_queue_shut_down(queue, rw_deadline_ns(timeout_ns));
}

int rw_queue_destroy(struct rw_queue *queue, int64_t timeout_ns)
{
	int error = rw_queue_shut_down(queue, rw_deadline_ns(timeout_ns));

	if (queue->fork_generation != rw_fork_generation) {
		rw_queue_put(queue);
	} else if (queue->closed) {
		rw_queue_unlink(queue);
		rw_queue_put(queue);
	}
	return error; /* not closed: a call is still inside, which needs the struct */
}
