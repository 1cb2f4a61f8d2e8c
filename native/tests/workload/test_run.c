/* Whole runs over the fake device: what is counted, what is touched, how they end. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/workload/fake_device.h"

#define MS RW_NS_PER_MS

static struct rw_device device;
static struct rw_run_result result;
static struct rw_run_status status;
static uint64_t histogram[RW_HISTOGRAM_BUCKETS];

static struct rw_workload workload(uint32_t access, uint32_t read_percent, uint64_t runtime_ns)
{
	return (struct rw_workload){
		.bs = FAKE_BS,
		.runtime_ns = runtime_ns,
		.seed = 11,
		.zipf_theta = 0.9,
		.access = access,
		.read_percent = read_percent,
		.depth = 8,
		.threads = 2,
		.batch = 1,
		.first_cpu = -1,
	};
}

/* To the end, or to a second and a half beyond all that a test here takes. */
static void run_on(const struct rw_workload *w)
{
	struct rw_run *run;

	memset(&result, 0, sizeof(result));
	memset(&status, 0, sizeof(status));
	CHECK_EQ(rw_run_start(&device, w, &run), 0);
	CHECK_EQ(rw_run_poll(run, &status, 3000 * MS), 0);
	CHECK(status.finished);
	rw_run_stop(run);
	CHECK_EQ(rw_run_poll(run, &status, 3000 * MS), 0);
	CHECK_EQ(rw_run_result(run, &result), 0);
	CHECK_EQ(rw_run_histogram(run, histogram), 0);
	rw_run_destroy(run);
	CHECK_EQ(device.misuses, 0);
	CHECK_EQ(device.open_queues, 0);
}

static void run(struct rw_workload w)
{
	fake_init(&device);
	run_on(&w);
}

static uint64_t histogram_sum(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < RW_HISTOGRAM_BUCKETS; i++)
		sum += histogram[i];
	return sum;
}

static void figures_agree(void)
{
	uint64_t operations;

	run(workload(RW_UNIFORM, 70, 200 * MS));
	operations = result.reads + result.writes;
	CHECK(operations > 1000);
	CHECK_EQ(histogram_sum(), operations);
	CHECK_EQ(result.counters.operations, operations);
	CHECK_EQ(status.operations, operations);
	CHECK_EQ(status.bytes, operations * FAKE_BS);
	CHECK_EQ(result.read_bytes, result.reads * FAKE_BS);
	CHECK_EQ(result.write_bytes, result.writes * FAKE_BS);
	CHECK(result.elapsed_ns >= 100 * MS && result.elapsed_ns < 1000 * MS);
	CHECK_EQ(status.elapsed_ns, result.elapsed_ns);
	CHECK(result.reads > operations * 65 / 100 && result.reads < operations * 75 / 100);
	CHECK(result.user_ns + result.system_ns > 0);
	CHECK(result.latency_min_ns > 0 && result.latency_min_ns <= result.latency_max_ns);
	CHECK(result.latency_sum_ns >= operations * result.latency_min_ns);
	CHECK(result.latency_sum_ns <= operations * result.latency_max_ns);
	CHECK_EQ(result.errors + result.verify_errors, 0);
	CHECK_EQ(result.error, 0);
	CHECK(result.punts >= -1);
	CHECK(device.signals_blocked);
}

static void pure_directions(void)
{
	run(workload(RW_UNIFORM, 100, 20 * MS));
	CHECK(result.reads > 0 && result.writes == 0);
	run(workload(RW_UNIFORM, 0, 20 * MS));
	CHECK(result.reads == 0 && result.writes > 0);
}

/* A millisecond per operation, one at a time: the ramp's 100 are left out. */
static void ramp_is_left_out(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 100 * MS);

	w.ramp_ns = 100 * MS;
	w.depth = w.threads = 1;
	fake_init(&device);
	device.delay_ns = MS;
	run_on(&w);
	CHECK(result.reads > 10 && result.reads <= 101);
	CHECK(device.operations > result.reads + 10);
	CHECK_EQ(result.counters.operations, result.reads);
	CHECK(result.elapsed_ns >= 40 * MS && result.elapsed_ns < 1000 * MS);
}

static void bytes_end_a_run_exactly(void)
{
	struct rw_workload w = workload(RW_SEQUENTIAL, 0, 0);

	w.threads = 3;
	w.total_bytes = FAKE_BLOCKS * FAKE_BS;
	run(w);
	CHECK_EQ(result.writes, FAKE_BLOCKS);
	CHECK_EQ(device.operations, FAKE_BLOCKS);
	for (int i = 0; i < FAKE_BLOCKS; i++)
		CHECK_EQ(device.touched[i][RW_WRITE], 1);
	CHECK(result.elapsed_ns > 0);
	w.total_bytes = 1;
	run(w);
	CHECK_EQ(result.writes, 1);
}

static void bytes_after_a_ramp(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 0);

	w.ramp_ns = 20 * MS;
	w.total_bytes = 1000 * FAKE_BS;
	run(w);
	CHECK_EQ(result.reads, 1000);
	CHECK(device.operations > 1000);
}

/* 3 threads over 256 blocks have 85 or 86 each, and go round in them. */
static void sequential_parts_wrap(void)
{
	struct rw_workload w = workload(RW_SEQUENTIAL, 100, 0);
	uint64_t first;

	w.threads = 3;
	w.total_bytes = 3 * 200 * FAKE_BS;
	run(w);
	for (int i = 0; i < FAKE_BLOCKS; i++)
		CHECK(device.touched[i][RW_READ] == 2 || device.touched[i][RW_READ] == 3);
	first = device.trace[0];
	CHECK_EQ(device.trace[1], first + FAKE_BS);
	CHECK_EQ(device.trace[84], first + 84 * FAKE_BS);
	CHECK(device.trace[86] == first || device.trace[86] == first + FAKE_BS);
}

static void range_is_kept(uint32_t access)
{
	struct rw_workload w = workload(access, 50, 50 * MS);

	w.offset = 100 * FAKE_BS;
	w.span = 50 * FAKE_BS;
	run(w);
	for (int i = 0; i < FAKE_BLOCKS; i++) {
		bool touched = device.touched[i][RW_READ] || device.touched[i][RW_WRITE];

		CHECK_EQ(touched, i >= 100 && i < 150);
	}
}

/* One thread, one operation at a time: the order is the workload's own. */
static void seed_decides(uint32_t access)
{
	static uint64_t first[500];
	struct rw_workload w = workload(access, 60, 0);
	int same = 0;

	w.threads = w.depth = 1;
	w.total_bytes = 500 * FAKE_BS;
	run(w);
	memcpy(first, device.trace, sizeof(first));
	run(w);
	CHECK(!memcmp(first, device.trace, sizeof(first)));
	w.seed++;
	run(w);
	for (int i = 0; i < 500; i++)
		same += first[i] == device.trace[i];
	CHECK(same < 100);
}

static void zipf_is_skewed(void)
{
	uint64_t most = 0, sum = 0;

	run(workload(RW_ZIPF, 100, 100 * MS));
	for (int i = 0; i < FAKE_BLOCKS; i++) {
		sum += device.touched[i][RW_READ];
		most = device.touched[i][RW_READ] > most ? device.touched[i][RW_READ] : most;
	}
	/* 1 / zeta(256, 0.9) = 0.13 of all, whichever thread asks. */
	CHECK(most > sum / 10 && most < sum / 6);
}

static void rate_is_kept(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 250 * MS);

	w.rate = 2000;
	run(w);
	CHECK(result.reads >= 400 && result.reads <= 520);
	CHECK(result.user_ns + result.system_ns < 150 * MS);
	w.rate = 5;
	w.runtime_ns = 300 * MS;
	run(w);
	CHECK(result.reads >= 1 && result.reads <= 3);
	CHECK(result.user_ns + result.system_ns < 20 * MS);
}

static void depth_is_kept_in_flight(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 100 * MS);

	w.threads = 1;
	w.depth = 32;
	fake_init(&device);
	device.delay_ns = 2 * MS;
	run_on(&w);
	/* Little's law: 32 in flight for 2 ms each, 16 per ms, less where the machine is busy. */
	CHECK(result.reads > 200 && result.reads <= 1650);
	CHECK(result.latency_min_ns >= 2 * MS);
}

static void batches_are_waited_for(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 100 * MS);

	w.threads = 1;
	w.depth = w.batch = 16;
	fake_init(&device);
	device.delay_ns = MS;
	run_on(&w);
	CHECK(result.reads % 16 == 0 && result.reads > 0);
}

static void series_has_full_seconds(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 1050 * MS);
	struct rw_run *run_;
	uint64_t series[3] = {7, 7, 7};

	fake_init(&device);
	device.delay_ns = MS;
	CHECK_EQ(rw_run_start(&device, &w, &run_), 0);
	CHECK_EQ(rw_run_series(run_, series, 3), -EBUSY);
	CHECK_EQ(rw_run_result(run_, &result), -EBUSY);
	CHECK_EQ(rw_run_histogram(run_, histogram), -EBUSY);
	CHECK_EQ(rw_run_poll(run_, &status, 300 * MS), 0);
	CHECK(!status.finished);
	CHECK(status.operations > 0 && status.elapsed_ns >= 290 * MS);
	CHECK_EQ(rw_run_poll(run_, &status, 5000 * MS), 0);
	CHECK_EQ(rw_run_result(run_, &result), 0);
	CHECK_EQ(result.series_length, 1);
	CHECK_EQ(rw_run_series(run_, series, 3), 1);
	CHECK(series[0] > result.reads / 2 && series[0] <= result.reads);
	CHECK_EQ(series[1], 7);
	CHECK(!strcmp(rw_run_detail(run_), ""));
	rw_run_destroy(run_);
}

static void pinning(void)
{
	struct rw_workload w = workload(RW_UNIFORM, 100, 20 * MS);
	cpu_set_t allowed, after;

	CHECK_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	w.threads = 1;
	w.first_cpu = 0;
	while (!CPU_ISSET(w.first_cpu, &allowed))
		w.first_cpu++;
	run(w);
	CHECK(result.reads > 0);
	CHECK_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
	CHECK(CPU_EQUAL(&allowed, &after));
}

int main(void)
{
	figures_agree();
	pure_directions();
	ramp_is_left_out();
	bytes_end_a_run_exactly();
	bytes_after_a_ramp();
	sequential_parts_wrap();
	range_is_kept(RW_SEQUENTIAL);
	range_is_kept(RW_UNIFORM);
	range_is_kept(RW_ZIPF);
	seed_decides(RW_UNIFORM);
	seed_decides(RW_ZIPF);
	zipf_is_skewed();
	rate_is_kept();
	depth_is_kept_in_flight();
	batches_are_waited_for();
	series_has_full_seconds();
	pinning();
	return rw_check_end();
}
