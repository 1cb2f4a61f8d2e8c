/* The queue: slots, hand-over, reaping with spin and sleep, the public calls. */
#include "core/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/region.h"
#include "core/thread.h"

/* A device that answers within this is worth spinning for: sleeping costs as much. */
#define SPIN_LIMIT_NS 30000
#define LEARN_SHIFT 3
/* A device found slow is tried again after so many sleeps: at most 3 % of the time. */
#define SPIN_AGAIN_AFTER 32

/* ------------------------------------------------------------ operations */

static int hold_memory(struct rw_queue *queue, struct rw_slot *slot, const struct rw_op *op)
{
	uint32_t region = queue->near_region;
	int error;

	slot->region = -1;
	slot->hold = NULL;
	slot->memory = 0;
	if (!rw_has_data(op->opcode))
		return 0;
	slot->memory = op->memory;
	slot->hold = rw_memory_find(op->memory, op->length, &region);
	if (!slot->hold)
		return 0;
	if (!(atomic_load_explicit(&queue->device->mapped, memory_order_acquire) >> region & 1)) {
		error = rw_device_map(queue->device, region);
		if (error)
			return error;
	}
	rw_buffer_hold(slot->hold);
	queue->near_region = region;
	slot->region = (int16_t)region;
	return 0;
}

int64_t rw_queue_add(struct rw_queue *queue, const struct rw_op *op)
{
	int error = rw_device_check(queue->device, op);

	return error ? error : rw_queue_place(queue, op);
}

int64_t rw_queue_place(struct rw_queue *queue, const struct rw_op *op)
{
	struct rw_slot *slot;
	uint32_t index;
	int error;

	if (!queue->free_slot_count)
		return rw_fail(EBUSY, "the queue is full: %u operations are in flight; reap some first",
			       queue->in_flight);
	index = queue->free_slots[queue->free_slot_count - 1];
	slot = &queue->slots[index];
	error = hold_memory(queue, slot, op);
	if (error)
		return error;
	queue->free_slot_count--;
	slot->offset = op->offset;
	slot->length = op->opcode == RW_FLUSH ? 0 : op->length;
	slot->user_data = op->user_data;
	slot->opcode = (uint8_t)op->opcode;
	slot->carved = slot->moved = 0;
	slot->started_ns = 0;
	slot->parts = slot->status = 0;
	slot->error = 0;
	slot->abandoned = slot->waiting = false;
	slot->busy = true;
	/* Never 0, so that no token is. */
	slot->generation = (slot->generation < INT32_MAX ? slot->generation : 0) + 1;
	queue->in_flight++;
	queue->prepared++;
	rw_parts_carve(queue, index);
	return (int64_t)((uint64_t)slot->generation << 32 | index);
}

/* One clock reading serves all that are handed over together. */
int rw_queue_hand_over(struct rw_queue *queue, uint32_t flags)
{
	int64_t now;
	int n;

	queue->prepared = 0;
	if (!queue->ready_count)
		return 0;
	now = rw_now_ns();
	n = queue->path->submit(queue, queue->ready, queue->ready_count, flags);
	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++) {
		struct rw_slot *slot = &queue->slots[queue->ready[i]->op];

		if (!slot->started_ns)
			slot->started_ns = now;
	}
	queue->ready_count -= (uint32_t)n;
	queue->counters.parts += (uint32_t)n;
	if (queue->ready_count)
		memmove(queue->ready, queue->ready + n, queue->ready_count * sizeof(*queue->ready));
	return 0;
}

/* --------------------------------------------------------------- waiting */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int look(struct rw_queue *queue, uint32_t max)
{
	return queue->path->reap(queue, queue->events, 0, max, 0);
}

static int spin(struct rw_queue *queue, uint32_t max, int64_t start, int64_t deadline_ns)
{
	int64_t end = start + 2 * queue->wait_ns + 1000;
	int n;

	if (end > deadline_ns)
		end = deadline_ns;
	do {
		relax();
		n = look(queue, max);
	} while (!n && rw_now_ns() < end);
	return n;
}

/*
 * Is this device quick enough to spin for? Being woken takes long itself, so
 * that a sleeper cannot tell: now and then it spins to find out.
 */
static bool worth_spinning(struct rw_queue *queue)
{
	if (queue->wait_ns < SPIN_LIMIT_NS)
		return true;
	if (++queue->sleeps % SPIN_AGAIN_AFTER)
		return false;
	queue->wait_ns = SPIN_LIMIT_NS / 2;
	return true;
}

/* Looks, spins as long as this device has been worth it, then sleeps. */
static int await_events(struct rw_queue *queue, uint32_t min, uint32_t max, int64_t deadline_ns)
{
	bool quick = min && worth_spinning(queue);
	int64_t start, sample;
	int n = quick || !min ? look(queue, max) : 0;

	if (n || !min)
		return n;
	start = rw_now_ns();
	if (quick)
		n = spin(queue, max, start, deadline_ns);
	if (!n)
		n = queue->path->reap(queue, queue->events, min, max, deadline_ns);
	if (n <= 0)
		return n;
	sample = rw_now_ns() - start;
	if (sample > 4 * SPIN_LIMIT_NS)
		sample = 4 * SPIN_LIMIT_NS; /* so that one stall is soon forgotten */
	queue->wait_ns += (sample - queue->wait_ns) >> LEARN_SHIFT;
	return n;
}

void rw_back_off(uint32_t tries, int64_t deadline_ns)
{
	int64_t pause = 20000LL << (tries < 8 ? tries : 8);
	int64_t left = deadline_ns - rw_now_ns();
	struct timespec time = { .tv_nsec = pause < left ? pause : left };

	if (left > 0)
		nanosleep(&time, NULL);
}

static uint32_t settle_all(struct rw_queue *queue, int n, struct rw_completion *out)
{
	int64_t now = rw_now_ns();
	uint32_t count = 0;

	for (int i = 0; i < n; i++)
		count += rw_parts_settle(queue, &queue->events[i], now, &out[count]);
	return count;
}

/* Has a round with n events moved nothing, and has something been left to hand over? */
static bool is_stuck(const struct rw_queue *queue, uint32_t n, uint64_t retries_before)
{
	if (!queue->ready_count || queue->counters.retries - retries_before != n)
		return false;
	/* The last to come back; one that came back short has moved on. */
	return !n || queue->ready[queue->ready_count - 1]->retried;
}

/* One round: hand over, wait for `min` events, take them in. */
static int collect_round(struct rw_queue *queue, struct rw_completion *out, uint32_t min,
			 uint32_t max, int64_t deadline_ns)
{
	uint64_t retries = queue->counters.retries;
	uint32_t count;
	int n;

	rw_parts_carve_waiting(queue);
	n = rw_queue_hand_over(queue, min ? RW_SUBMIT_REAP_FOLLOWS : 0);
	if (n < 0)
		return n;
	n = await_events(queue, min, max, deadline_ns);
	if (n < 0)
		return n;
	count = n ? settle_all(queue, n, out) : 0;
	/* All came back with EAGAIN, or the path takes nothing: give the device a moment. */
	if (min && is_stuck(queue, (uint32_t)n, retries))
		rw_back_off(queue->ready[queue->ready_count - 1]->retried, deadline_ns);
	return (int)count;
}

int rw_queue_collect(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		     int64_t deadline_ns)
{
	uint32_t count = 0;
	int n;

	for (;;) {
		uint32_t wanted = min < count + queue->in_flight ? min : count + queue->in_flight;
		uint32_t missing = wanted > count ? wanted - count : 0;

		n = collect_round(queue, out + count, missing, max - count, deadline_ns);
		if (n < 0)
			return count ? (int)count : n;
		count += (uint32_t)n;
		if (count >= wanted || count == max || rw_now_ns() >= deadline_ns)
			break;
	}
	/* Retries and the rest of split operations must not wait for the next call. */
	rw_parts_carve_waiting(queue);
	n = rw_queue_hand_over(queue, 0);
	return n < 0 && !count ? n : (int)count;
}

int rw_queue_check_idle(const struct rw_queue *queue)
{
	for (uint32_t i = 0; queue->in_flight && i < queue->depth; i++)
		if (queue->slots[i].busy && !queue->slots[i].abandoned)
			return rw_fail(EBUSY, "this thread is inside another call on this device; a signal "
					      "handler must not do I/O on it");
	return 0;
}

void rw_queue_abandon(struct rw_queue *queue)
{
	rw_parts_cancel_ready(queue);
	for (uint32_t i = 0; i < queue->depth; i++)
		if (queue->slots[i].busy)
			queue->slots[i].abandoned = true;
}

/* ---------------------------------------------------------- public calls */

static int enter(struct rw_queue *queue)
{
	if (queue->fork_generation != rw_fork_generation)
		return rw_fail(ECHILD, "this queue belongs to the parent process; open the device again "
				       "in the child, or start it with spawn instead of fork");
	if (queue->owner != rw_thread_id())
		return rw_fail(EREMOTE, "a queue belongs to the thread that created it; create one per "
					"thread");
	/* Whoever closes waits for a moment without a call inside: it must come. */
	if (atomic_load_explicit(&queue->closing, memory_order_relaxed) ||
	    atomic_exchange_explicit(&queue->busy, true, memory_order_acquire))
		return rw_fail(EBADF, "the queue is being closed");
	if (!queue->closed)
		return 0;
	atomic_store_explicit(&queue->busy, false, memory_order_release);
	return rw_fail(EBADF, "the queue is closed");
}

static void leave(struct rw_queue *queue)
{
	atomic_store_explicit(&queue->busy, false, memory_order_release);
}

int64_t rw_queue_prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
			 const struct rw_span *span, uint64_t user_data)
{
	const struct rw_op op = {
		.offset = offset,
		.memory = span->memory,
		.length = span->length,
		.user_data = user_data,
		.opcode = opcode,
	};
	int64_t token = enter(queue);

	if (token)
		return token;
	token = rw_queue_add(queue, &op);
	leave(queue);
	return token;
}

int rw_queue_prepare_many(struct rw_queue *queue, const struct rw_op *ops, uint32_t n,
			  int64_t *tokens)
{
	int error = enter(queue);
	uint32_t i;

	if (error)
		return error;
	for (i = 0; i < n; i++) {
		int64_t token = rw_queue_add(queue, &ops[i]);

		if (token < 0) {
			error = (int)token;
			break;
		}
		tokens[i] = token;
	}
	leave(queue);
	return i ? (int)i : error;
}

int rw_queue_submit(struct rw_queue *queue)
{
	int error = enter(queue);
	uint32_t prepared;

	if (error)
		return error;
	prepared = queue->prepared;
	error = rw_queue_hand_over(queue, 0);
	leave(queue);
	return error ? error : (int)prepared;
}

int rw_queue_reap(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		  int64_t timeout_ns)
{
	int n = enter(queue);

	if (n)
		return n;
	if (max > queue->depth)
		max = queue->depth;
	rw_queue_hush(queue);
	n = max ? rw_queue_collect(queue, out, min < max ? min : max, max,
				   rw_deadline_ns(timeout_ns)) : 0;
	if (n == (int)max && queue->in_flight) /* there may be more than it was allowed to take */
		rw_queue_announce(queue);
	leave(queue);
	return n;
}

int rw_queue_event_fd(struct rw_queue *queue)
{
	int error = enter(queue);

	if (error)
		return error;
	error = rw_queue_make_event_fd(queue);
	leave(queue);
	return error ? error : queue->event_fd;
}

uint32_t rw_queue_depth(const struct rw_queue *queue)
{
	return queue->depth;
}

uint32_t rw_queue_in_flight(const struct rw_queue *queue)
{
	return queue->in_flight;
}

void rw_queue_counters(const struct rw_queue *queue, struct rw_counters *out)
{
	*out = queue->counters;
}
