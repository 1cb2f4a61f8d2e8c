/* Sync calls: one operation at a time, each thread over a queue of its own. */
#include <errno.h>
#include <pthread.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/queue.h"
#include "core/thread.h"

/* Deep enough for a large transfer that is split. */
#define SYNC_DEPTH 32u

/* ---------------------------------------------------------- thread queues */

/* The queue this thread used last; the serial tells whether it is still alive. */
static _Thread_local struct {
	uint64_t serial;
	struct rw_queue *queue;
} near;

static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *unused)
{
	(void)unused;
	rw_devices_thread_ends(rw_thread_id());
}

static void make_key(void)
{
	pthread_key_create(&thread_end_key, thread_ends);
}

/* The calling thread has a queue: it goes when the thread ends. */
static void watch_thread_end(void)
{
	pthread_once(&thread_end_once, make_key);
	pthread_setspecific(thread_end_key, &near);
}

static struct rw_queue *find_own(struct rw_device *device)
{
	uint64_t self = rw_thread_id();
	struct rw_queue *queue;

	pthread_mutex_lock(&device->lock);
	for (queue = device->queues; queue; queue = queue->next)
		if (queue->per_thread && queue->owner == self)
			break;
	pthread_mutex_unlock(&device->lock);
	return queue;
}

static struct rw_queue *own_queue(struct rw_device *device)
{
	if (near.serial != device->serial) {
		near.queue = find_own(device);
		near.serial = device->serial;
	}
	return near.queue;
}

static int replace_queue(struct rw_device *device, struct rw_queue *old, uint32_t depth)
{
	struct rw_queue *queue;
	int error = old ? rw_queue_check_idle(old) : 0;

	if (!error)
		error = rw_queue_make(device, depth, true, &queue);
	if (error)
		return error;
	near.queue = queue;
	if (old && !old->in_flight && !rw_queue_shut_down(old, rw_now_ns())) {
		rw_queue_unlink(old);
		rw_queue_put(old);
	}
	watch_thread_end();
	return 0;
}

int rw_device_thread_queue(struct rw_device *device, uint32_t depth, struct rw_queue **out)
{
	struct rw_queue *queue = own_queue(device);
	uint32_t most = device->info.max_depth;
	int error;

	if (!queue || queue->depth < depth) {
		if (!queue && depth < SYNC_DEPTH)
			depth = SYNC_DEPTH < most ? SYNC_DEPTH : most;
		error = replace_queue(device, queue, depth);
		if (error)
			return error;
	}
	*out = near.queue;
	return 0;
}

/* ---------------------------------------------------------------- transfer */

/* A transfer without a queue that came back for its caller to look after signals. */
static _Thread_local struct {
	uint64_t serial;         /* of the device, 0: there is none */
	struct rw_op op;
	uint64_t moved;
} halfway;

static int64_t out_of_time(const struct rw_op *op, uint64_t moved)
{
	return rw_fail(ETIME, "%llu of %llu bytes were moved in time", (unsigned long long)moved,
		       (unsigned long long)op->length);
}

/* One part, here and now: 1 when there is more to do, 0 at the end, or a negative errno. */
static int transfer_part(struct rw_device *device, const struct rw_op *op, uint64_t *moved,
			 uint8_t *tries, int64_t deadline)
{
	uint64_t rest = op->length - *moved;
	uint32_t most = rw_longest_of(&device->info, op->opcode);
	struct rw_part part = {
		.offset = op->offset + *moved,
		.memory = op->memory + *moved,
		.length = (uint32_t)(rest < most ? rest : most),
		.region = -1,
		.opcode = (uint8_t)op->opcode,
		.retried = *tries,
	};
	int64_t result = device->path->transfer(device, &part);
	int state = rw_part_advance(&device->info, &part, result);

	if (state < 0)
		return (int)rw_explain(op->opcode, state, 0);
	*moved += result > 0 ? (uint64_t)result : 0;
	*tries = part.retried;
	if (part.retried)
		rw_back_off(part.retried, deadline);
	/* Done with the part, and neither with the operation nor at the device's end. */
	return state || (!part.length && *moved < op->length);
}

/*
 * A signal handler may be doing this inside another device's transfer: then
 * there is no second place to note how far it is, and it does not pause.
 */
static int64_t go_on_at_once(struct rw_device *device, struct rw_op op, uint64_t moved,
			     int64_t timeout_ns)
{
	int64_t now = rw_now_ns(), deadline = rw_deadline_ns(timeout_ns);
	int64_t pause = halfway.serial ? INT64_MAX : now + RW_SLICE_NS;
	uint8_t tries = 0;

	for (; now < pause; now = rw_now_ns()) {
		int state;

		if (now >= deadline)
			return out_of_time(&op, moved);
		state = transfer_part(device, &op, &moved, &tries, deadline);
		if (state <= 0)
			return state ? state : (int64_t)moved;
	}
	halfway.serial = device->serial;
	halfway.op = op;
	halfway.moved = moved;
	return -EINTR;
}

/* Where the path can do it without a queue: part by part, here and now. */
static int64_t transfer_at_once(struct rw_device *device, const struct rw_op *op, int64_t timeout_ns)
{
	struct rw_part part = {
		.offset = op->offset,
		.memory = op->memory,
		.length = (uint32_t)op->length,
		.region = -1,
		.opcode = (uint8_t)op->opcode,
	};
	uint64_t moved = 0;
	int64_t result;
	int state;

	if (halfway.serial == device->serial)
		return rw_fail(EBUSY, "this thread is inside another call; a signal handler must not do "
				      "I/O");
	if (op->length <= rw_longest_of(&device->info, op->opcode)) {
		result = device->path->transfer(device, &part);
		if (result == (int64_t)op->length)
			return result; /* as a rule: without a look at the clock */
		state = rw_part_advance(&device->info, &part, result);
		if (state < 0)
			return rw_explain(op->opcode, state, 0);
		moved = result > 0 ? (uint64_t)result : 0;
		if (!state)
			return (int64_t)moved;
	}
	return go_on_at_once(device, *op, moved, timeout_ns);
}

/* Waits for the one operation this thread's queue has; older ones were abandoned. */
static int64_t wait_for_it(struct rw_queue *queue, int64_t timeout_ns)
{
	int64_t slice = timeout_ns < RW_SLICE_NS ? timeout_ns : RW_SLICE_NS;
	struct rw_completion done;
	int n = rw_queue_collect(queue, &done, 1, 1, rw_deadline_ns(slice));

	if (n > 0 && done.result < 0)
		return rw_explain(done.opcode, done.result, done.status);
	if (n > 0)
		return done.result;
	if (!n && timeout_ns > slice)
		return -EINTR;
	if (n != -EINTR)
		rw_queue_abandon(queue);
	return n ? n : rw_fail(ETIME, "the operation did not end in time; it is abandoned");
}

static int64_t transfer_queued(struct rw_device *device, const struct rw_op *op, int64_t timeout_ns)
{
	struct rw_completion ignored[SYNC_DEPTH];
	struct rw_queue *queue;
	int64_t token;
	int error = rw_device_thread_queue(device, 1, &queue);

	if (!error)
		error = rw_queue_check_idle(queue);
	if (error)
		return error;
	if (!queue->free_slot_count) /* abandoned ones may have ended since */
		rw_queue_collect(queue, ignored, 0, SYNC_DEPTH, 0);
	token = rw_queue_place(queue, op);
	return token < 0 ? token : wait_for_it(queue, timeout_ns);
}

int64_t rw_device_transfer(struct rw_device *device, uint32_t opcode, uint64_t offset,
			   const struct rw_span *span, int64_t timeout_ns)
{
	const struct rw_op op = {
		.offset = offset,
		.memory = span->memory,
		.length = opcode == RW_FLUSH ? 0 : span->length,
		.opcode = opcode,
	};
	int64_t result = rw_device_begin(device);

	if (result)
		return result;
	result = rw_device_check(device, &op);
	if (!result)
		result = device->path->transfer ? transfer_at_once(device, &op, timeout_ns) :
			 transfer_queued(device, &op, timeout_ns);
	rw_device_end(device);
	return result;
}

int64_t rw_device_resume(struct rw_device *device, int64_t timeout_ns)
{
	int64_t result = rw_device_begin(device);
	bool at_once = halfway.serial == device->serial;
	struct rw_queue *queue;

	if (at_once)
		halfway.serial = 0;
	if (result)
		return result;
	queue = own_queue(device);
	if (at_once) {
		result = go_on_at_once(device, halfway.op, halfway.moved, timeout_ns);
	} else {
		result = queue && rw_queue_check_idle(queue) ? wait_for_it(queue, timeout_ns) :
			 rw_fail(EINVAL, "this thread has no transfer in flight");
	}
	rw_device_end(device);
	return result;
}

int rw_device_abandon(struct rw_device *device, int64_t timeout_ns)
{
	int left = rw_device_begin(device);
	struct rw_queue *queue;

	if (halfway.serial == device->serial)
		halfway.serial = 0;
	if (left)
		return left;
	queue = own_queue(device);
	if (queue)
		left = rw_queue_drain(queue, rw_deadline_ns(timeout_ns));
	if (left < 0)
		left = (int)queue->in_flight;
	rw_device_end(device);
	return left;
}
