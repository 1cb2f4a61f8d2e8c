/* A file of known contents, devices over it, and what a queue moves between them. */
#ifndef RW_TESTS_PATHS_REAL_FILE_H
#define RW_TESTS_PATHS_REAL_FILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/queue.h"
#include "tests/check.h"

enum { REAL_SIZE = 16 << 20, REAL_BLOCK = 4096, REAL_BLOCKS = REAL_SIZE / REAL_BLOCK };

static char real_name[] = "/var/tmp/ringway-file-XXXXXX";

/* What the file holds at `at`, a multiple of 8, of that generation. */
static inline uint64_t real_word(uint64_t at, uint64_t generation)
{
	return (at + 8) * 0x9e3779b97f4a7c15ull + generation;
}

static inline void real_fill(void *memory, uint64_t offset, uint64_t length, uint64_t generation)
{
	for (uint64_t i = 0; i < length / 8; i++)
		((uint64_t *)memory)[i] = real_word(offset + 8 * i, generation);
}

static inline bool real_bytes_are(const void *memory, uint64_t offset, uint64_t length,
				  uint64_t generation)
{
	for (uint64_t i = 0; i < length / 8; i++)
		if (((const uint64_t *)memory)[i] != real_word(offset + 8 * i, generation))
			return false;
	return true;
}

/* Makes the file, generation 0; false where that cannot be. */
static inline bool real_create(void)
{
	char *bytes = malloc(REAL_SIZE);
	int fd = mkstemp(real_name);
	bool made;

	real_fill(bytes, 0, REAL_SIZE, 0);
	made = fd >= 0 && write(fd, bytes, REAL_SIZE) == REAL_SIZE && fdatasync(fd) == 0;
	free(bytes);
	if (fd >= 0)
		close(fd);
	return made;
}

static inline void real_remove(void)
{
	unlink(real_name);
}

/* The file on that path, writable; NULL, with the reason told, where it is refused. */
static inline struct rw_device *real_open(const char *path, uint32_t options, bool direct)
{
	struct rw_open_request request = { .target = real_name, .path = path, .options = options,
					   .writable = true, .direct = direct };
	struct rw_device *device;

	if (!rw_device_open(&request, &device))
		return device;
	fprintf(stderr, "%s, options %u%s, left out: %s\n", path, options, direct ? ", direct" : "",
		rw_detail());
	return NULL;
}

static inline void real_close(struct rw_device *device)
{
	CHECK_EQ(rw_device_close(device, 10 * RW_NS_PER_S), 0);
	rw_device_destroy(device);
}

static inline struct rw_queue *real_queue(struct rw_device *device, uint32_t depth)
{
	struct rw_queue *queue = NULL;

	CHECK_EQ(rw_queue_create(device, depth, &queue), 0);
	return queue;
}

static inline struct rw_counters counters_of(const struct rw_queue *queue)
{
	struct rw_counters counters;

	rw_queue_counters(queue, &counters);
	return counters;
}

static inline int64_t real_prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
				   void *memory, uint64_t length)
{
	struct rw_span span = { (uintptr_t)memory, length };

	return rw_queue_prepare(queue, opcode, offset, &span, offset);
}

/* One operation by itself; its result. */
static inline int64_t real_do(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
			      void *memory, uint64_t length)
{
	struct rw_completion done = { .result = -ETIME };
	int64_t token = real_prepare(queue, opcode, offset, memory, length);

	if (token < 0)
		return token;
	CHECK_EQ(rw_queue_reap(queue, &done, 1, 1, 10 * RW_NS_PER_S), 1);
	return done.result;
}

/* Blocks from all over the file into memory of `count` blocks, in one batch. */
static inline void real_read_all(struct rw_device *device, char *memory, uint64_t count,
				 uint32_t depth, uint64_t generation)
{
	int64_t *offsets = calloc(3 * count, sizeof(*offsets)), *out = offsets + count;
	struct rw_span span = { (uintptr_t)memory, count * REAL_BLOCK };
	struct rw_batch batch;
	uint64_t wrong = 0;
	int error;

	for (uint64_t i = 0; i < count; i++)
		offsets[i] = (int64_t)(i * 1031 % REAL_BLOCKS * REAL_BLOCK);
	memset(memory, 0, count * REAL_BLOCK);
	error = rw_batch_begin(device, &batch, RW_READ, offsets, count, REAL_BLOCK, &span, depth,
			       out);
	while (error == -EAGAIN || error == -EINTR)
		error = rw_batch_run(device, &batch, RW_SLICE_NS);
	CHECK_EQ(error, 0);
	CHECK_EQ(batch.failed, 0);
	for (uint64_t i = 0; i < count; i++)
		wrong += out[i] != REAL_BLOCK ||
			 !real_bytes_are(memory + i * REAL_BLOCK, (uint64_t)offsets[i], REAL_BLOCK,
					 generation);
	CHECK_EQ(wrong, 0);
	free(offsets);
}

/* All the file in a generation of its own, `depth` writes in flight, newest block first. */
static inline void real_write_all(struct rw_queue *queue, char *memory, uint64_t generation)
{
	struct rw_completion done[64];
	uint64_t next = REAL_BLOCKS, complete = 0, wrong = 0;

	real_fill(memory, 0, REAL_SIZE, generation);
	while (complete < REAL_BLOCKS) {
		uint64_t at = (next - 1) * REAL_BLOCK;
		int n;

		if (next && real_prepare(queue, RW_WRITE, at, memory + at, REAL_BLOCK) > 0) {
			next--;
			continue;
		}
		n = rw_queue_reap(queue, done, 1, 64, 10 * RW_NS_PER_S);
		CHECK(n > 0);
		if (n <= 0)
			return;
		for (int i = 0; i < n; i++)
			wrong += done[i].result != REAL_BLOCK;
		complete += (uint64_t)n;
	}
	CHECK_EQ(wrong, 0);
}

/*
 * Reads all, writes all anew, flushes and reads it back in one operation, then
 * ends the queue; `count` blocks fit in the memory. What the queue had counted.
 */
static inline struct rw_counters real_data_is_right(struct rw_device *device, char *memory,
						    uint64_t count, uint64_t generation)
{
	struct rw_counters counters;
	struct rw_queue *queue;

	real_read_all(device, memory, count, 32, generation);
	real_read_all(device, memory, count, 1, generation);
	queue = real_queue(device, 64);
	real_write_all(queue, memory, generation + 1);
	counters = counters_of(queue);
	CHECK_EQ(counters.operations, REAL_BLOCKS);
	CHECK_EQ(counters.parts, REAL_BLOCKS + counters.retries);
	CHECK(counters.syscalls > 0);
	CHECK_EQ(real_do(queue, RW_FLUSH, 0, NULL, 0), 0);
	CHECK_EQ(real_do(queue, RW_READ, 0, memory, REAL_SIZE), REAL_SIZE);
	CHECK(real_bytes_are(memory, 0, REAL_SIZE, generation + 1));
	CHECK_EQ(rw_queue_destroy(queue, RW_NS_PER_S), 0);
	return counters;
}

#endif
