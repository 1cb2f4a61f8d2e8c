/* A batch over a fake device: reads from all over it, and what must have become of them. */
#ifndef RW_TESTS_CORE_FAKE_BATCH_H
#define RW_TESTS_CORE_FAKE_BATCH_H

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

enum { BS = 512, MOST = 512 };

static struct rw_buffer *buffer;
static char *memory;
static int64_t offsets[MOST], result[MOST], latency[MOST];

/* Reads of blocks all over the device, none twice. */
static inline struct rw_batch batch_of(uint64_t count, uint32_t depth)
{
	for (uint64_t i = 0; i < MOST; i++) {
		offsets[i] = (int64_t)(i * 7 % MOST) * BS * 4;
		result[i] = latency[i] = -1;
	}
	memset(memory, 0, MOST * BS);
	return (struct rw_batch){
		.offsets = offsets,
		.count = count,
		.bs = BS,
		.memory = span_of(memory, MOST * BS),
		.opcode = RW_READ,
		.depth = depth,
		.result = result,
		.latency = latency,
	};
}

static inline bool data_is_right(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (!fake_bytes_are(memory + i * BS, (uint64_t)offsets[i], BS))
			return false;
	return true;
}

static inline void check_complete(const struct rw_batch *batch)
{
	CHECK_EQ(batch->next, batch->count);
	CHECK_EQ(batch->done, batch->count);
	CHECK_EQ(batch->failed, 0);
	for (uint64_t i = 0; i < batch->count; i++) {
		CHECK_EQ(result[i], BS);
		CHECK(latency[i] >= 0 && latency[i] < RW_NS_PER_S);
	}
	CHECK(data_is_right(batch->count));
	CHECK_EQ(rw_buffer_holders(buffer), 1);
}

static inline void end(struct fake_device *fake)
{
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
}

/* Between making the buffer and dropping it main() calls its cases. */
static inline void begin_batches(void)
{
	CHECK_EQ(rw_buffer_create(MOST * BS, &buffer), 0);
	memory = rw_buffer_memory(buffer);
}

static inline int end_batches(void)
{
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_check_end();
}

#endif
