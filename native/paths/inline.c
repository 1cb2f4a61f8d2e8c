/* Lining parts up and carrying them out one after another. */
#include "paths/inline.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/error.h"

/* A reap of memory looks up after this many bytes, some milliseconds. */
#define MUCH_ENOUGH (32u << 20)
/* A reap of slow parts looks up after this long, for signals and other work. */
#define LONG_ENOUGH_NS (10 * RW_NS_PER_MS)

int rw_inline_create(struct rw_queue *queue)
{
	struct rw_inline_queue *self = (struct rw_inline_queue *)queue;

	self->transfer = queue->path->transfer;
	self->line = calloc(queue->depth, sizeof(struct rw_part *));
	return self->line ? 0 : rw_fail(ENOMEM, "no memory for a queue of depth %u", queue->depth);
}

void rw_inline_destroy(struct rw_queue *queue)
{
	struct rw_inline_queue *self = (struct rw_inline_queue *)queue;

	free(self->line);
	self->line = NULL;
}

int rw_inline_submit(struct rw_queue *queue, struct rw_part *const *parts, uint32_t n,
		     uint32_t flags)
{
	struct rw_inline_queue *self = (struct rw_inline_queue *)queue;
	uint32_t at = self->head + self->count;

	(void)flags;
	if (at >= queue->depth)
		at -= queue->depth;
	for (uint32_t i = 0; i < n; i++) {
		self->line[at] = parts[i];
		if (++at == queue->depth)
			at = 0;
	}
	self->count += n;
	return (int)n;
}

static inline void carry_out(struct rw_inline_queue *self, struct rw_event *event)
{
	struct rw_part *part = self->line[self->head];

	if (++self->head == self->base.depth)
		self->head = 0;
	self->count--;
	event->part = part->index;
	event->status = 0;
	event->result = self->transfer(self->base.device, part);
}

int rw_inline_reap(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
		   int64_t deadline_ns)
{
	struct rw_inline_queue *self = (struct rw_inline_queue *)queue;
	uint64_t bytes = 0;
	uint32_t n = 0;

	(void)min;
	(void)deadline_ns;
	while (n < max && self->count && bytes < MUCH_ENOUGH) {
		bytes += self->line[self->head]->length;
		carry_out(self, &out[n++]);
	}
	return (int)n;
}

int rw_inline_reap_slow(struct rw_queue *queue, struct rw_event *out, uint32_t min, uint32_t max,
			int64_t deadline_ns)
{
	struct rw_inline_queue *self = (struct rw_inline_queue *)queue;
	int64_t end = rw_now_ns() + LONG_ENOUGH_NS;
	uint32_t n = 0;

	(void)min;
	(void)deadline_ns;
	while (n < max && self->count) {
		carry_out(self, &out[n++]);
		queue->counters.syscalls++;
		if (rw_now_ns() >= end)
			break;
	}
	if (self->count)
		rw_queue_announce(queue);
	return (int)n;
}
