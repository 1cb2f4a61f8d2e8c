/*
 * Batches of random reads in a loop, on the public header alone: what the core
 * costs a C program.
 *
 *   loop TARGET PATH[+OPTION...] DIRECT BATCH DEPTH BS MILLISECONDS [ROUNDS]
 *
 * BATCH reads of BS bytes at a time, DEPTH of them in flight, until the time is
 * over or ROUNDS batches are done. Prints operations, elapsed nanoseconds and
 * nanoseconds of CPU.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ringway.h"

/* Batches take their offsets from here in turn: drawn before the clock runs. */
#define OFFSETS (1u << 18)
#define SLICE_NS 50000000
#define MAX_NAME 64

struct loop {
	struct rw_device *device;
	struct rw_batch batch;
	int64_t *offsets;
	uint64_t first;          /* where in offsets the next batch begins */
};

static void die(const char *what)
{
	fprintf(stderr, "loop: %s: %s\n", what, rw_detail());
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static uint32_t option_bit(const char *path, const char *option)
{
	const struct rw_path_info *info;
	const struct rw_option_info *known;

	for (uint32_t i = 0; (info = rw_path_at(i)); i++)
		for (uint32_t j = 0; (known = rw_path_option_at(i, j)); j++)
			if (!strcmp(info->name, path) && !strcmp(known->name, option))
				return known->bit;
	fprintf(stderr, "loop: path %s has no option %s\n", path, option);
	exit(2);
}

static struct rw_device *open_device(const char *target, const char *spec, bool direct)
{
	char name[MAX_NAME];
	struct rw_open_request request = { .target = target, .path = name, .direct = direct };
	struct rw_device *device;

	snprintf(name, sizeof(name), "%s", spec);
	strtok(name, "+");
	for (char *option = strtok(NULL, "+"); option; option = strtok(NULL, "+"))
		request.options |= option_bit(name, option);
	if (rw_device_open(&request, &device))
		die(target);
	return device;
}

/* xorshift64*: the offsets need to be spread, not good. */
static int64_t *draw_offsets(uint64_t blocks, uint64_t bs)
{
	int64_t *offsets = calloc(OFFSETS, sizeof(*offsets));
	uint64_t state = 88172645463325252ull;

	if (!offsets)
		exit(1);
	for (uint32_t i = 0; i < OFFSETS; i++) {
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		offsets[i] = (int64_t)((state * 2685821657736338717ull >> 32) % blocks * bs);
	}
	return offsets;
}

static void prepare(struct loop *loop, uint64_t count, uint32_t depth, uint64_t bs)
{
	struct rw_batch *batch = &loop->batch;
	struct rw_device_info info;
	struct rw_buffer *buffer;

	rw_device_info(loop->device, &info);
	if (!count || count > OFFSETS || !bs || info.size < bs) {
		fprintf(stderr, "loop: 1 to %u reads at a time, no longer than the target\n", OFFSETS);
		exit(2);
	}
	loop->offsets = draw_offsets(info.size / bs, bs);
	if (rw_buffer_create(count * bs, &buffer))
		die("memory");
	batch->memory.memory = (uintptr_t)rw_buffer_memory(buffer);
	batch->memory.length = count * bs;
	batch->count = count;
	batch->depth = depth;
	batch->bs = bs;
	batch->opcode = RW_READ;
	batch->result = calloc(count, sizeof(*batch->result));
	batch->latency = calloc(count, sizeof(*batch->latency));
	if (!batch->result || !batch->latency)
		exit(1);
}

static void run_batch(struct loop *loop)
{
	struct rw_batch *batch = &loop->batch;
	int error;

	if (loop->first + batch->count > OFFSETS)
		loop->first = 0;
	batch->offsets = loop->offsets + loop->first;
	loop->first += batch->count;
	batch->next = batch->done = batch->failed = 0;
	do
		error = rw_batch_run(loop->device, batch, SLICE_NS);
	while (error == -EAGAIN || error == -EINTR);
	if (error || batch->failed)
		die("a batch failed");
}

static void measure(struct loop *loop, int64_t runtime_ns, uint64_t rounds)
{
	int64_t cpu, start, now;
	uint64_t done = 0;

	run_batch(loop); /* the queue is made, memory registered */
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = now = clock_ns(CLOCK_MONOTONIC);
	while (rounds ? done < rounds : now - start < runtime_ns) {
		run_batch(loop);
		done++;
		if (!rounds)
			now = clock_ns(CLOCK_MONOTONIC);
	}
	now = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", done * loop->batch.count, now - start, cpu);
}

int main(int argc, char **argv)
{
	struct loop loop = { 0 };

	if (argc < 8) {
		fprintf(stderr, "usage: loop TARGET PATH[+OPTION...] DIRECT BATCH DEPTH BS MILLISECONDS "
				"[ROUNDS]\n");
		return 2;
	}
	loop.device = open_device(argv[1], argv[2], atoi(argv[3]));
	prepare(&loop, strtoull(argv[4], NULL, 10), (uint32_t)atoi(argv[5]),
		strtoull(argv[6], NULL, 10));
	measure(&loop, atoll(argv[7]) * 1000000, argc > 8 ? strtoull(argv[8], NULL, 10) : 0);
	return 0;
}
