/* Regions: growing, going back, being found by address, being mapped into devices. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"
#include "tests/core/pool.h"

#define MIB (1ull << 20)

static char own[RW_MAX_REGIONS * 64];

static struct rw_buffer *registered(void *memory, uint64_t length)
{
	struct rw_buffer *buffer = NULL;

	CHECK_EQ(rw_buffer_register(memory, length, &buffer), 0);
	return buffer;
}

/* The region of the buffer that holds this memory, -1 when none does. */
static int region_of(const void *memory, uint64_t length, uint32_t hint)
{
	return rw_memory_find((uintptr_t)memory, length, &hint) ? (int)hint : -1;
}

/* ------------------------------------------------------------------ growing */

static void grow_and_go(void)
{
	struct rw_buffer *small, *half, *more, *large;

	CHECK_EQ(stats().regions, 0);
	small = buffer_of(4096);
	CHECK_EQ(stats().regions, 1);
	CHECK_EQ(stats().region_bytes, RW_SMALLEST_REGION);
	half = buffer_of(RW_SMALLEST_REGION / 2);
	CHECK_EQ(stats().regions, 1);
	/* No room left for this one. */
	more = buffer_of(RW_SMALLEST_REGION / 2);
	CHECK_EQ(stats().regions, 2);
	CHECK_EQ(region_of(rw_buffer_memory(small), 4096, 0), 0);
	CHECK_EQ(region_of(rw_buffer_memory(more), 4096, 0), 1);
	large = buffer_of(65 * MIB);
	CHECK_EQ(stats().regions, 3);
	CHECK(stats().region_bytes >= 2 * RW_SMALLEST_REGION + 65 * MIB);
	memset(rw_buffer_memory(large), 1, 65 * MIB);
	/* The large one goes back to the system at once, the small ones are kept. */
	CHECK_EQ(rw_buffer_drop(large), 1);
	CHECK_EQ(stats().regions, 2);
	CHECK_EQ(stats().region_bytes, 2 * RW_SMALLEST_REGION);
	rw_buffer_drop(more);
	rw_buffer_drop(half);
	rw_buffer_drop(small);
	CHECK_EQ(stats().regions, 2);
	CHECK_EQ(stats().buffers, 0);
	small = buffer_of(RW_SMALLEST_REGION);
	CHECK_EQ(stats().regions, 2);
	rw_buffer_drop(small);
}

/* As long as anything in a large region is held it stays. */
static void a_large_region_in_use_stays(void)
{
	struct rw_buffer *large = buffer_of(65 * MIB);
	uint64_t bytes = stats().region_bytes;
	struct rw_buffer *tail = buffer_of(MIB);

	/* Where huge pages are free the region is rounded up and the tail may lie in it. */
	rw_buffer_hold(large);
	CHECK_EQ(rw_buffer_drop(large), 0);
	CHECK_EQ(stats().region_bytes, bytes);
	rw_buffer_drop(tail);
	CHECK_EQ(stats().region_bytes, bytes);
	CHECK_EQ(rw_buffer_drop(large), 1);
	CHECK(stats().region_bytes < bytes);
}

static void ignore_signal(int number)
{
	(void)number;
}

/* A storm of signals does not keep a region from being made. */
static void signals_meanwhile(void)
{
	struct itimerval timer = { { .tv_usec = 1000 }, { .tv_usec = 1000 } };
	struct itimerval off = { 0 };
	struct sigaction action = { .sa_handler = ignore_signal };
	struct rw_buffer *large = NULL;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	CHECK_EQ(rw_buffer_create(96 * MIB, &large), 0);
	setitimer(ITIMER_REAL, &off, NULL);
	if (large)
		rw_buffer_drop(large);
}

/* ------------------------------------------------------------------ finding */

static void finding_by_address(void)
{
	struct rw_buffer *pool = buffer_of(100), *mine = registered(own, 64);
	struct rw_buffer *next = registered(own + 64, 64);
	char *memory = rw_buffer_memory(pool);
	int of_mine = region_of(own, 64, 0), of_next = region_of(own + 64, 64, 0);

	CHECK(of_mine >= 0 && of_next >= 0 && of_mine != of_next);
	/* Wherever one looks first. */
	for (uint32_t hint = 0; hint < RW_MAX_REGIONS + 2; hint++) {
		CHECK_EQ(region_of(memory, 100, hint), (int)pool->region);
		CHECK_EQ(region_of(own + 10, 54, hint), of_mine);
		CHECK_EQ(region_of(own + 64, 1, hint), of_next);
		/* Across two, beyond the last, and lengths that would wrap round. */
		CHECK_EQ(region_of(own + 63, 2, hint), -1);
		CHECK_EQ(region_of(own + 128, 1, hint), -1);
		CHECK_EQ(region_of(own + 10, UINT64_MAX, hint), -1);
		CHECK_EQ(region_of(own + 10, UINT64_MAX - 9, hint), -1);
		/* In its last page but behind its end. */
		CHECK_EQ(region_of(memory + 100, 1, hint), -1);
		CHECK_EQ(region_of(memory + 50, 51, hint), -1);
		CHECK_EQ(region_of(memory + 4096, 1, hint), -1);
		CHECK_EQ(region_of(memory + 2000, UINT64_MAX - 1000, hint), -1);
	}
	rw_buffer_drop(mine);
	CHECK_EQ(region_of(own, 64, 0), -1);
	CHECK_EQ(region_of(own + 64, 64, 0), of_next);
	rw_buffer_drop(next);
	rw_buffer_drop(pool);
	CHECK_EQ(region_of(memory, 100, 0), -1);
}

static void overlaps_are_refused(void)
{
	struct rw_buffer *mine = registered(own + 100, 100), *pool = buffer_of(4096), *out = NULL;
	char *memory = rw_buffer_memory(pool);

	CHECK_EQ(rw_buffer_register(own + 100, 100, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(own + 150, 10, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(own, 101, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(own + 199, 100, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(own, 300, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(memory, 10, &out), -EEXIST);
	CHECK_EQ(rw_buffer_register(memory + 8192, 10, &out), -EEXIST);
	CHECK(strstr(rw_detail(), "overlaps"));
	CHECK(!out);
	/* Beside it is not over it. */
	out = registered(own, 100);
	rw_buffer_drop(out);
	out = registered(own + 200, 100);
	rw_buffer_drop(out);
	rw_buffer_drop(mine);
	rw_buffer_drop(pool);
}

static void all_regions_taken(void)
{
	struct rw_buffer *taken[RW_MAX_REGIONS], *out = NULL;
	uint32_t pool = (uint32_t)stats().regions, n = RW_MAX_REGIONS - pool;
	uint64_t buffers = stats().buffers;

	for (uint32_t i = 0; i < n; i++)
		taken[i] = registered(own + 64 * i, 64);
	CHECK_EQ(rw_buffer_register(own + 64 * n, 64, &out), -ENOSPC);
	CHECK(strstr(rw_detail(), "64 memory regions"));
	CHECK_EQ(rw_buffer_create(2 * RW_SMALLEST_REGION, &out), -ENOSPC);
	CHECK(!out);
	CHECK_EQ(stats().buffers, buffers + n);
	for (uint32_t i = 0; i < n; i++)
		CHECK_EQ(region_of(own + 64 * i, 64, 0), (int)taken[i]->region);
	/* What fits the regions there are still can be had; and a freed slot is used again. */
	rw_buffer_drop(buffer_of(4096));
	rw_buffer_drop(taken[7]);
	CHECK_EQ(region_of(own + 7 * 64, 64, 0), -1);
	taken[7] = registered(own + 64 * n, 64);
	CHECK_EQ(region_of(own + 64 * n, 64, 0), (int)taken[7]->region);
	for (uint32_t i = 0; i < n; i++)
		rw_buffer_drop(taken[i]);
	CHECK_EQ(stats().buffers, buffers);
}

/* ------------------------------------------------------------------ mapping */

static int64_t read_into(struct fake_device *fake, void *memory)
{
	struct rw_span span = span_of(memory, 512);

	return rw_device_transfer(&fake->base, RW_READ, 0, &span, RW_NS_PER_S);
}

static void mapped_once_and_unmapped(void)
{
	static char memory[1024] __attribute__((aligned(16)));
	struct fake_device *one = fake_open(&fake_path, NULL), *two = fake_open(&fake_path, NULL);
	struct fake_device *idle = fake_open(&fake_path, NULL);
	struct fake_device *bare = fake_open(&fake_bare_path, NULL);
	struct rw_buffer *mine = registered(memory, 1024);
	uint32_t region = mine->region;

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(read_into(one, memory), 512);
		CHECK_EQ(read_into(two, memory + 512), 512);
		CHECK_EQ(read_into(bare, memory), 512);
	}
	CHECK_EQ(one->maps[region], 1);
	CHECK_EQ(two->maps[region], 1);
	CHECK_EQ(idle->maps[region], 0);
	CHECK_EQ(one->log[0].region, (int)region);
	CHECK_EQ(bare->log[0].region, (int)region);
	/* The memory goes: every device that knew it forgets it, while it is still there. */
	CHECK_EQ(rw_buffer_drop(mine), 1);
	CHECK_EQ(one->unmaps[region], 1);
	CHECK_EQ(two->unmaps[region], 1);
	CHECK_EQ(idle->unmaps[region], 0);
	/* Another life of the slot is mapped anew. */
	mine = registered(memory, 1024);
	CHECK_EQ(mine->region, region);
	CHECK_EQ(read_into(one, memory), 512);
	CHECK_EQ(one->maps[region], 2);
	/* A path that closes gives back by itself what it has mapped. */
	CHECK_EQ(rw_device_close(&one->base, RW_NS_PER_S), 0);
	CHECK_EQ(one->base.mapped, 0);
	rw_buffer_drop(mine);
	CHECK_EQ(one->unmaps[region], 1);
	CHECK_EQ(two->unmaps[region], 1);
	rw_device_destroy(&one->base);
	CHECK_EQ(fake_close(two), 0);
	CHECK_EQ(fake_close(idle), 0);
	CHECK_EQ(fake_close(bare), 0);
}

static void large_regions_are_unmapped(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_buffer *large = buffer_of(65 * MIB);
	uint32_t region = large->region;

	CHECK_EQ(read_into(fake, rw_buffer_memory(large)), 512);
	CHECK_EQ(fake->maps[region], 1);
	CHECK_EQ(rw_buffer_drop(large), 1);
	CHECK_EQ(fake->unmaps[region], 1);
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(fake_close(fake_open(&fake_path, NULL)), 0);
}

/* Refused once, it is tried again at the next use. */
static void a_refused_mapping(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_buffer *buffer = buffer_of(4096);

	fake->map_error = ENOSPC;
	CHECK_EQ(read_into(fake, rw_buffer_memory(buffer)), -ENOSPC);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	fake->map_error = 0;
	CHECK_EQ(read_into(fake, rw_buffer_memory(buffer)), 512);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	rw_buffer_drop(buffer);
	CHECK_EQ(fake_close(fake), 0);
}

int main(void)
{
	grow_and_go();
	a_large_region_in_use_stays();
	signals_meanwhile();
	finding_by_address();
	overlaps_are_refused();
	all_regions_taken();
	mapped_once_and_unmapped();
	large_regions_are_unmapped();
	a_refused_mapping();
	CHECK_EQ(stats().buffers, 0);
	return rw_check_end();
}
