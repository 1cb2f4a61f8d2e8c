/* Operations and their parts: carving, short transfers, retries, the end. */
#include <errno.h>

#include "core/queue.h"
#include "core/region.h"

#define NONE UINT32_MAX

static void carve_one(struct rw_queue *queue, struct rw_slot *slot, uint32_t index)
{
	struct rw_part *part = &queue->parts[queue->free_parts[--queue->free_part_count]];
	uint64_t rest = slot->length - slot->carved;
	uint32_t most = rw_longest_of(&queue->device->info, slot->opcode);

	part->offset = slot->offset + slot->carved;
	part->memory = slot->memory ? slot->memory + slot->carved : 0;
	part->length = rest < most ? (uint32_t)rest : most;
	part->op = index;
	part->region = slot->region;
	part->opcode = slot->opcode;
	part->retried = 0;
	slot->carved += part->length;
	slot->parts++;
	queue->ready[queue->ready_count++] = part;
}

static void wait_in_line(struct rw_queue *queue, uint32_t index)
{
	struct rw_slot *slot = &queue->slots[index];

	slot->next = NONE;
	slot->waiting = true;
	if (queue->waiting_head == NONE)
		queue->waiting_head = index;
	else
		queue->slots[queue->waiting_tail].next = index;
	queue->waiting_tail = index;
}

void rw_parts_carve(struct rw_queue *queue, uint32_t index)
{
	struct rw_slot *slot = &queue->slots[index];

	/* A flush has no bytes and still is one part. */
	if (queue->free_part_count && !slot->parts && !slot->carved)
		carve_one(queue, slot, index);
	while (slot->carved < slot->length && queue->free_part_count)
		carve_one(queue, slot, index);
	if (slot->carved < slot->length || !slot->parts)
		wait_in_line(queue, index);
}

void rw_parts_carve_waiting(struct rw_queue *queue)
{
	while (queue->waiting_head != NONE && queue->free_part_count) {
		uint32_t index = queue->waiting_head;

		queue->waiting_head = queue->slots[index].next;
		queue->slots[index].waiting = false;
		rw_parts_carve(queue, index);
	}
}

static void leave_line(struct rw_queue *queue, uint32_t index)
{
	uint32_t before = NONE, at = queue->waiting_head;

	while (at != index) {
		before = at;
		at = queue->slots[at].next;
	}
	if (before == NONE)
		queue->waiting_head = queue->slots[index].next;
	else
		queue->slots[before].next = queue->slots[index].next;
	if (queue->waiting_tail == index)
		queue->waiting_tail = before;
	queue->slots[index].waiting = false;
}

/* The first failure is the operation's; what is not carved yet never will be. */
static void fail(struct rw_queue *queue, uint32_t index, int error, uint32_t status)
{
	struct rw_slot *slot = &queue->slots[index];

	if (!slot->error) {
		slot->error = error;
		slot->status = status;
	}
	slot->carved = slot->length;
	if (slot->waiting)
		leave_line(queue, index);
}

int rw_part_advance(const struct rw_device_info *info, struct rw_part *part, int64_t result)
{
	bool aligned = !(result & (info->block_size - 1));

	if (result == -EAGAIN || result == -EINTR) {
		part->retried += part->retried < UINT8_MAX;
		return 1;
	}
	if (result < 0)
		return (int)result;
	part->offset += (uint64_t)result;
	part->memory += (uint64_t)result;
	part->length -= (uint32_t)result;
	part->retried = 0; /* it moved on: no reason to back off */
	if (!part->length || part->offset >= info->size)
		return 0;
	if (result && aligned)
		return 1;
	return part->opcode == RW_READ ? -ENODATA : -EIO;
}

/* A part that did not simply succeed; false when it was sent out again. */
static bool absorb(struct rw_queue *queue, struct rw_part *part, const struct rw_event *event)
{
	int state = rw_part_advance(&queue->device->info, part, event->result);

	if (event->result > 0)
		queue->slots[part->op].moved += (uint64_t)event->result;
	if (state < 0)
		fail(queue, part->op, state, event->status);
	if (state <= 0)
		return true;
	queue->counters.retries++;
	queue->ready[queue->ready_count++] = part;
	return false;
}

static bool finish(struct rw_queue *queue, uint32_t index, int64_t now_ns, struct rw_completion *out)
{
	struct rw_slot *slot = &queue->slots[index];

	out->token = (uint64_t)slot->generation << 32 | index;
	out->user_data = slot->user_data;
	out->result = slot->error ? slot->error : (int64_t)slot->moved;
	out->latency_ns = (uint64_t)(now_ns - slot->started_ns);
	out->status = slot->status;
	out->opcode = slot->opcode;
	if (slot->hold)
		rw_buffer_drop(slot->hold);
	slot->busy = false;
	queue->free_slots[queue->free_slot_count++] = index;
	queue->in_flight--;
	queue->counters.operations++;
	return !slot->abandoned;
}

bool rw_parts_settle(struct rw_queue *queue, const struct rw_event *event, int64_t now_ns,
		     struct rw_completion *out)
{
	struct rw_part *part = &queue->parts[event->part];
	struct rw_slot *slot = &queue->slots[part->op];

	if (event->result == part->length)
		slot->moved += part->length;
	else if (!absorb(queue, part, event))
		return false;
	queue->free_parts[queue->free_part_count++] = event->part;
	if (--slot->parts || slot->carved < slot->length)
		return false;
	return finish(queue, part->op, now_ns, out);
}

void rw_parts_cancel_ready(struct rw_queue *queue)
{
	struct rw_completion ignored;

	while (queue->waiting_head != NONE) {
		uint32_t index = queue->waiting_head;

		fail(queue, index, -ECANCELED, 0);
		if (!queue->slots[index].parts)
			finish(queue, index, 0, &ignored);
	}
	while (queue->ready_count) {
		struct rw_event event = {
			.part = queue->ready[--queue->ready_count]->index,
			.result = -ECANCELED,
		};

		rw_parts_settle(queue, &event, 0, &ignored);
	}
}
