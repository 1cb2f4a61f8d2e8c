/* The fake device: every public function of the core that a run calls. */
#define _GNU_SOURCE
#include "tests/workload/fake_device.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"

struct pending {
	struct rw_op op;
	int64_t ready_ns, started_ns;
	enum fake_fault fault;
};

struct rw_queue {
	struct rw_device *device;
	struct pending *pending;
	uint32_t depth, count;
	bool first;
	pthread_t owner;
	struct rw_counters counters;
};

struct rw_buffer {
	uint64_t length;
	void *memory;
};

void fake_init(struct rw_device *device)
{
	memset(device, 0, sizeof(*device));
	pthread_mutex_init(&device->lock, NULL);
	device->info = (struct rw_device_info){
		.size = sizeof(device->data),
		.block_size = 512,
		.memory_alignment = 512,
		.max_depth = 1024,
		.opcodes = 1 << RW_READ | 1 << RW_WRITE,
		.writable = true,
		.path = "fake",
		.target = "fake:1MiB",
	};
	device->queues_allowed = RW_MAX_THREADS;
	device->signals_blocked = true;
}

void rw_device_info(const struct rw_device *device, struct rw_device_info *out)
{
	*out = device->info;
}

/* --------------------------------------------------------------- buffers */

int rw_buffer_create(uint64_t length, struct rw_buffer **out)
{
	struct rw_buffer *buffer = malloc(sizeof(*buffer));

	if (!buffer || length > 1 << 30 || posix_memalign(&buffer->memory, 4096, length)) {
		free(buffer);
		return rw_fail(ENOMEM, "no memory for a buffer");
	}
	memset(buffer->memory, 0, length);
	buffer->length = length;
	*out = buffer;
	return 0;
}

int rw_buffer_drop(struct rw_buffer *buffer)
{
	free(buffer->memory);
	free(buffer);
	return 1;
}

void *rw_buffer_memory(const struct rw_buffer *buffer)
{
	return buffer->memory;
}

/* ----------------------------------------------------------------- queue */

int rw_queue_create(struct rw_device *device, uint32_t depth, struct rw_queue **out)
{
	struct rw_queue *queue = calloc(1, sizeof(*queue));
	bool refused;

	queue->device = device;
	queue->depth = depth;
	queue->pending = calloc(depth, sizeof(*queue->pending));
	queue->owner = pthread_self();
	pthread_mutex_lock(&device->lock);
	refused = device->queues >= device->queues_allowed;
	queue->first = !device->queues;
	device->queues += !refused;
	device->open_queues += !refused;
	pthread_mutex_unlock(&device->lock);
	if (!refused) {
		*out = queue;
		return 0;
	}
	free(queue->pending);
	free(queue);
	return rw_fail(ENOSPC, "no more queues in this fake");
}

int rw_queue_destroy(struct rw_queue *queue, int64_t timeout_ns)
{
	bool hung = queue->device->hang && queue->count && timeout_ns > 0;

	pthread_mutex_lock(&queue->device->lock);
	queue->device->open_queues--;
	queue->device->misuses += queue->owner != pthread_self();
	pthread_mutex_unlock(&queue->device->lock);
	free(queue->pending);
	free(queue);
	return hung ? rw_fail(ETIME, "operations were still in flight") : 0;
}

/*
 * Write faults wait for a block that was written before, so that what they
 * leave behind is an older pattern. The caller has counted the operation.
 */
static bool has_fault(struct rw_device *device, const struct rw_op *op, uint64_t block)
{
	bool reads = op->opcode == RW_READ;

	if (!device->fault || device->operations <= device->fault_from ||
	    device->faults == device->fault_count)
		return false;
	if (device->fault < FAKE_LOST_WRITE)
		return true;
	return device->fault == FAKE_FLIPPED_BIT ? reads :
	       !reads && device->touched[block][RW_WRITE] > 1;
}

static void see(struct rw_queue *queue, struct pending *new)
{
	struct rw_device *device = queue->device;
	uint64_t block = new->op.offset / FAKE_BS;

	if (new->op.length != FAKE_BS || new->op.offset % FAKE_BS || block >= FAKE_BLOCKS) {
		device->misuses++;
		new->op.offset = block = 0;
	}
	for (uint32_t i = 0; i < queue->count; i++)
		device->misuses += queue->pending[i].op.memory == new->op.memory;
	device->overlaps += device->in_flight[block]++ != 0;
	device->touched[block][new->op.opcode]++;
	device->operations++;
	if (has_fault(device, &new->op, block)) {
		device->faults++;
		new->fault = device->fault;
	}
	if (queue->first && device->traced < FAKE_TRACE)
		device->trace[device->traced++] = new->op.offset | new->op.opcode;
}

int rw_queue_prepare_many(struct rw_queue *queue, const struct rw_op *ops, uint32_t n,
			  int64_t *tokens)
{
	int64_t now = rw_now_ns();

	pthread_mutex_lock(&queue->device->lock);
	queue->device->misuses += queue->owner != pthread_self();
	for (uint32_t i = 0; i < n; i++) {
		struct pending new = { ops[i], now + queue->device->delay_ns, now, FAKE_NO_FAULT };

		if (queue->count == queue->depth) {
			pthread_mutex_unlock(&queue->device->lock);
			return i ? (int)i : rw_fail(EBUSY, "the fake queue is full");
		}
		see(queue, &new);
		queue->pending[queue->count++] = new;
		tokens[i] = i + 1;
	}
	pthread_mutex_unlock(&queue->device->lock);
	return (int)n;
}

static int64_t move(struct rw_device *device, const struct pending *done)
{
	unsigned char *memory = (unsigned char *)done->op.memory;
	unsigned char *data = device->data + done->op.offset;

	switch (done->fault) {
	case FAKE_ERROR:
		return -EIO;
	case FAKE_SHORT:
		return FAKE_BS - 512;
	case FAKE_LOST_WRITE:
		return FAKE_BS;
	case FAKE_MISPLACED_WRITE:
		memcpy(device->data + (done->op.offset + FAKE_BS) % sizeof(device->data), memory,
		       FAKE_BS);
		return FAKE_BS;
	case FAKE_TORN_WRITE:
		memcpy(data, memory, FAKE_BS / 2);
		return FAKE_BS;
	default:
		memcpy(done->op.opcode == RW_READ ? memory : data,
		       done->op.opcode == RW_READ ? data : memory, FAKE_BS);
	}
	if (done->fault == FAKE_FLIPPED_BIT)
		memory[1000] ^= 4;
	return FAKE_BS;
}

/* The newest first: an order that a run must not mind. */
static int complete(struct rw_queue *queue, struct rw_completion *out, uint32_t max)
{
	struct rw_device *device = queue->device;
	int64_t now = rw_now_ns();
	uint32_t n = 0;

	pthread_mutex_lock(&device->lock);
	for (uint32_t i = queue->count; i-- && n < max && !device->hang;) {
		struct pending done = queue->pending[i];

		if (done.ready_ns > now)
			continue;
		queue->pending[i] = queue->pending[--queue->count];
		device->in_flight[done.op.offset / FAKE_BS]--;
		out[n] = (struct rw_completion){ .user_data = done.op.user_data,
						 .opcode = done.op.opcode,
						 .result = move(device, &done),
						 .latency_ns = (uint64_t)(now - done.started_ns) };
		queue->counters.operations++;
		n++;
	}
	queue->counters.syscalls++;
	pthread_mutex_unlock(&device->lock);
	return (int)n;
}

static void look_at_signals(struct rw_device *device)
{
	sigset_t blocked;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	pthread_mutex_lock(&device->lock);
	if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM) ||
	    sigismember(&blocked, SIGSEGV))
		device->signals_blocked = false;
	pthread_mutex_unlock(&device->lock);
}

int rw_queue_reap(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		  int64_t timeout_ns)
{
	int64_t deadline = rw_deadline_ns(timeout_ns);
	struct timespec pause = { .tv_nsec = 20000 };
	uint32_t n = 0;

	look_at_signals(queue->device);
	for (;;) {
		n += (uint32_t)complete(queue, out + n, max - n);
		if (n >= min || n >= max || rw_now_ns() >= deadline)
			return (int)n;
		nanosleep(&pause, NULL);
	}
}

void rw_queue_counters(const struct rw_queue *queue, struct rw_counters *out)
{
	*out = queue->counters;
}
