/* Batches: arrays in, arrays out, the loop between them here. */
#include <errno.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/queue.h"

#define REAP_AT_ONCE 256

static struct rw_op op_of(const struct rw_batch *batch, uint64_t index)
{
	return (struct rw_op){
		.offset = (uint64_t)batch->offsets[index],
		.memory = batch->memory.memory + index * batch->bs,
		.length = batch->bs,
		.user_data = index,
		.opcode = batch->opcode,
	};
}

/* Names the operation that is refused: the first one. */
static int refuse_first(const struct rw_device *device, const struct rw_batch *batch)
{
	for (uint64_t i = 0; i < batch->count; i++) {
		struct rw_op op = op_of(batch, i);
		int error = rw_device_check(device, &op);

		if (!error)
			continue;
		rw_fail_add(" (operation %llu of %llu; none was started)", (unsigned long long)i,
			    (unsigned long long)batch->count);
		return error;
	}
	return 0;
}

/*
 * Operations differ only in their offsets and memory: one pass that gathers
 * the worst of them, which the compiler vectorises, settles all.
 */
static bool offsets_fit(const struct rw_device *device, const struct rw_batch *batch)
{
	uint64_t bits = 0, highest = 0;
	struct rw_op worst = op_of(batch, 0);

	for (uint64_t i = 0; i < batch->count; i++) {
		uint64_t offset = (uint64_t)batch->offsets[i];

		bits |= offset;
		highest = offset > highest ? offset : highest;
	}
	worst.offset = highest;
	worst.memory |= worst.memory ? batch->bs : 0;
	return !(bits & (device->info.block_size - 1)) && highest <= INT64_MAX &&
	       !rw_device_check(device, &worst);
}

static int check(const struct rw_device *device, const struct rw_batch *batch)
{
	if (!rw_has_data(batch->opcode) || !batch->result)
		return rw_fail(EINVAL, "a batch reads or writes, and needs an array for its results");
	if (!batch->depth || batch->depth > device->info.max_depth)
		return rw_fail(ERANGE, "depth %u is out of range: path %s takes 1 to %u here",
			       batch->depth, device->info.path, device->info.max_depth);
	if (!batch->count)
		return 0;
	if (batch->bs > batch->memory.length / batch->count)
		return rw_fail(ERANGE, "%llu blocks of %llu bytes do not fit a buffer of %llu",
			       (unsigned long long)batch->count, (unsigned long long)batch->bs,
			       (unsigned long long)batch->memory.length);
	return offsets_fit(device, batch) ? 0 : refuse_first(device, batch);
}

static int fill(struct rw_queue *queue, struct rw_batch *batch)
{
	while (batch->next < batch->count && batch->next - batch->done < batch->depth &&
	       queue->free_slot_count) {
		struct rw_op op = op_of(batch, batch->next);
		int64_t token = rw_queue_add(queue, &op); /* checks: offsets may have changed */

		if (token < 0)
			return (int)token;
		batch->next++;
	}
	return 0;
}

static void note_failure(struct rw_batch *batch, const struct rw_completion *done)
{
	if (batch->failed++ && batch->first_failed < done->user_data)
		return;
	batch->first_failed = done->user_data;
	batch->status = done->status;
}

static void record(struct rw_batch *batch, const struct rw_completion *done, int n)
{
	for (int i = 0; i < n; i++) {
		batch->result[done[i].user_data] = done[i].result;
		if (batch->latency)
			batch->latency[done[i].user_data] = (int64_t)done[i].latency_ns;
		if (done[i].result < 0)
			note_failure(batch, &done[i]);
	}
	batch->done += (uint64_t)n;
}

/*
 * A batch wants throughput: an eighth of the depth at once keeps the device's
 * queue nearly full, at a fraction of the system calls and wake-ups.
 */
static uint32_t reap_at_least(const struct rw_batch *batch)
{
	uint32_t share = batch->depth / 8;

	return share > REAP_AT_ONCE ? REAP_AT_ONCE : share ? share : 1;
}

static int run(struct rw_queue *queue, struct rw_batch *batch, int64_t deadline_ns)
{
	struct rw_completion done[REAP_AT_ONCE];

	while (batch->done < batch->count) {
		int n = fill(queue, batch);

		if (!n)
			n = rw_queue_collect(queue, done, reap_at_least(batch), REAP_AT_ONCE,
					     deadline_ns);
		if (n < 0)
			return n;
		record(batch, done, n);
		if (batch->done < batch->count && rw_now_ns() >= deadline_ns)
			return -EAGAIN;
	}
	return 0;
}

int rw_batch_run(struct rw_device *device, struct rw_batch *batch, int64_t slice_ns)
{
	struct rw_queue *queue;
	int error = rw_device_begin(device);

	if (error)
		return error;
	if (!batch->next)
		error = check(device, batch);
	if (!error)
		error = rw_device_thread_queue(device, batch->depth, &queue);
	if (!error && !batch->next)
		error = rw_queue_check_idle(queue);
	if (!error)
		error = run(queue, batch, rw_deadline_ns(slice_ns));
	rw_device_end(device);
	return error;
}

int rw_batch_begin(struct rw_device *device, struct rw_batch *batch, uint32_t opcode,
		   const int64_t *offsets, uint64_t count, uint64_t bs,
		   const struct rw_span *memory, uint32_t depth, int64_t *out)
{
	*batch = (struct rw_batch){
		.offsets = offsets,
		.count = count,
		.bs = bs,
		.memory = *memory,
		.opcode = opcode,
		.depth = depth,
		.result = out,
		.latency = out + count,
	};
	return rw_batch_run(device, batch, RW_SLICE_NS);
}
