/* Runs over a fake device that fails, lies or hangs, and runs that are cut short. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/workload/fake_device.h"

#define MS RW_NS_PER_MS

static struct rw_device device;
static struct rw_run_result result;
static char detail[512];

static struct rw_workload workload(uint32_t read_percent, uint32_t verify)
{
	return (struct rw_workload){
		.bs = FAKE_BS,
		.runtime_ns = 100 * MS,
		.seed = 5,
		.zipf_theta = 0.99,
		.access = RW_UNIFORM,
		.read_percent = read_percent,
		.depth = 8,
		.threads = 2,
		.batch = 1,
		.verify = verify,
		.first_cpu = -1,
	};
}

/* Returns how long it took; it must not be long, whatever the device does. */
static int64_t run_on(const struct rw_workload *w, int64_t stop_after_ns)
{
	int64_t begin = rw_now_ns();
	struct rw_run_status status;
	struct rw_run *run;

	memset(&result, 0, sizeof(result));
	CHECK_EQ(rw_run_start(&device, w, &run), 0);
	CHECK_EQ(rw_run_poll(run, &status, stop_after_ns), 0);
	rw_run_stop(run);
	CHECK_EQ(rw_run_poll(run, &status, 2000 * MS), 0);
	CHECK(status.finished);
	CHECK_EQ(rw_run_result(run, &result), 0);
	CHECK_EQ(status.error, result.error);
	strcpy(detail, rw_run_detail(run));
	rw_run_destroy(run);
	CHECK_EQ(device.misuses, 0);
	CHECK_EQ(device.open_queues, 0);
	return rw_now_ns() - begin;
}

static void with_fault(enum fake_fault fault, uint64_t count, struct rw_workload w)
{
	fake_init(&device);
	device.fault = fault;
	device.fault_from = 500;
	device.fault_count = count;
	run_on(&w, 2000 * MS);
}

static bool told(const char *words)
{
	if (strstr(detail, words))
		return true;
	fprintf(stderr, "no \"%s\" in: %s\n", words, detail);
	return false;
}

/* --------------------------------------------------------- I/O that fails */

static void an_error_ends_the_run(void)
{
	struct rw_workload w = workload(100, 0);

	w.runtime_ns = 60000 * MS;
	with_fault(FAKE_ERROR, 1, w);
	CHECK_EQ(result.error, -EIO);
	CHECK_EQ(result.errors, 1);
	CHECK(result.elapsed_ns < 1000 * MS);
	CHECK(result.reads > 0);
	CHECK(told("read of 4096 bytes at offset") && told("failed: Input/output error"));
}

static void the_first_error_is_kept(void)
{
	with_fault(FAKE_ERROR, 100, workload(0, 0));
	CHECK_EQ(result.error, -EIO);
	CHECK(result.errors > 1);
	CHECK(told("write of 4096 bytes"));
}

static void a_short_transfer_is_an_error(void)
{
	with_fault(FAKE_SHORT, 1, workload(100, 0));
	CHECK_EQ(result.error, -EIO);
	CHECK(told("moved 3584 of 4096 bytes"));
}

/* ----------------------------------------------------------------- verify */

static void right_data_passes(uint32_t access, uint32_t read_percent, uint32_t depth)
{
	struct rw_workload w = workload(read_percent, 1);

	w.access = access;
	w.depth = depth;
	with_fault(FAKE_NO_FAULT, 0, w);
	CHECK_EQ(result.verify_errors, 0);
	CHECK_EQ(result.error, 0);
	CHECK_EQ(device.overlaps, 0);
	CHECK(result.writes > 0);
	CHECK(!read_percent || result.reads > 0);
}

/* Twenty operations are hit, so that a read meets one before a write mends it; the run goes on. */
static void wrong_data_is_found(enum fake_fault fault, const char *words)
{
	struct rw_workload w = workload(60, 1);

	w.runtime_ns = 300 * MS;
	with_fault(fault, 20, w);
	CHECK_EQ(device.faults, 20);
	CHECK(result.verify_errors >= 1);
	CHECK_EQ(result.error, -EILSEQ);
	CHECK_EQ(result.errors, 0);
	CHECK(result.elapsed_ns >= 200 * MS);
	CHECK(told("verify: offset") && told(words));
}

static void write_all(uint64_t seed)
{
	struct rw_workload w = workload(0, 1);

	w.access = RW_SEQUENTIAL;
	w.runtime_ns = 0;
	w.total_bytes = sizeof(device.data);
	w.seed = seed;
	run_on(&w, 2000 * MS);
	CHECK_EQ(result.writes, FAKE_BLOCKS);
	CHECK_EQ(result.error, 0);
}

static void check_all(uint64_t seed)
{
	struct rw_workload w = workload(100, 1);

	w.access = RW_SEQUENTIAL;
	w.runtime_ns = 0;
	w.total_bytes = sizeof(device.data);
	w.seed = seed;
	w.threads = 3;
	run_on(&w, 2000 * MS);
	CHECK_EQ(result.reads, FAKE_BLOCKS);
}

static void a_later_run_finds_what_was_written(void)
{
	fake_init(&device);
	write_all(5);
	check_all(5);
	CHECK_EQ(result.error, 0);
	device.data[100 * FAKE_BS + 77] ^= 1;
	check_all(5);
	CHECK_EQ(result.verify_errors, 1);
	CHECK(told("offset 409600: generation 1 with damaged data"));
	check_all(6);
	CHECK_EQ(result.verify_errors, FAKE_BLOCKS);
	CHECK(told("expected seed 6, found seed 5"));
	memset(device.data, 0, sizeof(device.data));
	check_all(5);
	CHECK_EQ(result.verify_errors, FAKE_BLOCKS);
	CHECK(told("no verifying run wrote"));
}

/* ----------------------------------------------------- hanging and ending */

static void a_device_that_hangs(void)
{
	struct rw_workload w = workload(100, 0);

	fake_init(&device);
	device.hang = true;
	CHECK(run_on(&w, 2000 * MS) < 1000 * MS);
	CHECK_EQ(result.reads, 0);
	CHECK_EQ(result.error, -ETIME);
	CHECK(told("still in flight"));
}

static void stop_ends_a_run(uint64_t rate, int64_t delay_ns, uint64_t ramp_ns)
{
	struct rw_workload w = workload(50, 0);

	w.runtime_ns = 0;
	w.total_bytes = UINT64_MAX;
	w.ramp_ns = ramp_ns;
	w.rate = rate;
	fake_init(&device);
	device.delay_ns = delay_ns;
	CHECK(run_on(&w, 30 * MS) < 500 * MS);
	CHECK_EQ(result.error, 0);
	if (ramp_ns)
		CHECK(!result.elapsed_ns && !result.reads && !result.helper_ns);
}

static void destroy_alone_ends_a_run(void)
{
	struct rw_workload w = workload(50, 0);
	int64_t begin = rw_now_ns();
	struct rw_run *run;

	w.runtime_ns = 100000 * MS;
	fake_init(&device);
	CHECK_EQ(rw_run_start(&device, &w, &run), 0);
	rw_run_destroy(run);
	CHECK(rw_now_ns() - begin < 500 * MS);
	CHECK_EQ(device.open_queues, 0);
}

/* ------------------------------------------------------------- no start */

static void a_refused_workload_starts_nothing(void)
{
	struct rw_workload w = workload(50, 0);
	struct rw_run *run = NULL;

	fake_init(&device);
	w.depth = 5000;
	CHECK_EQ(rw_run_start(&device, &w, &run), -ERANGE);
	CHECK(strstr(rw_detail(), "depth is 5000"));
	CHECK(!run && !device.queues);
}

static void a_thread_that_cannot_be_set_up(void)
{
	struct rw_workload w = workload(50, 0);
	struct rw_run *run = NULL;

	fake_init(&device);
	device.queues_allowed = 2;
	w.threads = 3;
	CHECK_EQ(rw_run_start(&device, &w, &run), -ENOSPC);
	CHECK(strstr(rw_detail(), "no more queues in this fake"));
	CHECK(!run);
	CHECK_EQ(device.operations, 0);
	CHECK_EQ(device.open_queues, 0);
	device.info.max_depth = UINT32_MAX;
	w.depth = 1 << 19;
	CHECK_EQ(rw_run_start(&device, &w, &run), -ENOMEM);
	CHECK(!run);
}

int main(void)
{
	an_error_ends_the_run();
	the_first_error_is_kept();
	a_short_transfer_is_an_error();
	right_data_passes(RW_UNIFORM, 50, 8);
	right_data_passes(RW_ZIPF, 50, 64);
	right_data_passes(RW_SEQUENTIAL, 80, 128);
	right_data_passes(RW_UNIFORM, 0, 8);
	wrong_data_is_found(FAKE_LOST_WRITE, "stale");
	wrong_data_is_found(FAKE_MISPLACED_WRITE, "");
	wrong_data_is_found(FAKE_TORN_WRITE, "torn");
	wrong_data_is_found(FAKE_FLIPPED_BIT, "damaged");
	a_later_run_finds_what_was_written();
	a_device_that_hangs();
	stop_ends_a_run(0, 0, 0);
	stop_ends_a_run(1, 0, 0);
	stop_ends_a_run(0, 100 * MS, 0);
	stop_ends_a_run(0, 0, 60000 * MS);
	destroy_alone_ends_a_run();
	a_refused_workload_starts_nothing();
	a_thread_that_cannot_be_set_up();
	return rw_check_end();
}
