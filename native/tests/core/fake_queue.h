/* Operations on queues of a fake device, and the memory that they move. */
#ifndef RW_TESTS_CORE_FAKE_QUEUE_H
#define RW_TESTS_CORE_FAKE_QUEUE_H

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

/* Made at the start of main(), dropped at its end. */
static struct rw_buffer *buffer;
static char *memory;

static inline void make_memory(void)
{
	CHECK_EQ(rw_buffer_create(32 * FAKE_MAX, &buffer), 0);
	memory = rw_buffer_memory(buffer);
}

static inline void drop_memory(void)
{
	CHECK_EQ(rw_buffer_drop(buffer), 1);
}

static inline int64_t prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
			      uint64_t length)
{
	struct rw_span span = span_of(memory, length);

	return rw_queue_prepare(queue, opcode, offset, &span, 1000 + offset);
}

static inline int64_t prepare_read(struct rw_queue *queue)
{
	return prepare(queue, RW_READ, 0, 512);
}

/* Nothing is left in flight, and nothing holds the memory. */
static inline void end(struct fake_device *fake, struct rw_queue *queue)
{
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
}

#endif
