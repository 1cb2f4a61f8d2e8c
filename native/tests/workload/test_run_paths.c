/* A verifying run over every path that this machine can open, helper threads included. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "ringway.h"
#include "tests/check.h"

enum { BYTES = 4 << 20 };

static struct rw_run_result result;

static void check_run(struct rw_device *device, const struct rw_workload *workload)
{
	struct rw_run_status status;
	struct rw_run *run;

	CHECK_EQ(rw_run_start(device, workload, &run), 0);
	CHECK_EQ(rw_run_poll(run, &status, 10 * RW_NS_PER_S), 0);
	CHECK(status.finished);
	CHECK_EQ(rw_run_result(run, &result), 0);
	CHECK_EQ(result.error, 0);
	if (result.error)
		fprintf(stderr, "%s\n", rw_run_detail(run));
	CHECK_EQ(result.counters.operations, result.reads + result.writes);
	rw_run_destroy(run);
}

static void several_runs(struct rw_device *device, bool keeps_data)
{
	struct rw_workload w = { .bs = 8192, .total_bytes = BYTES, .seed = 3,
				 .access = RW_SEQUENTIAL, .depth = 16, .threads = 2, .batch = 4,
				 .verify = keeps_data, .first_cpu = -1 };

	check_run(device, &w);
	CHECK_EQ(result.writes, BYTES / 8192);
	w.read_percent = 100;
	w.bs = 4096;
	check_run(device, &w);
	CHECK_EQ(result.reads, BYTES / 4096);
	w.read_percent = 50;
	w.access = RW_ZIPF;
	w.zipf_theta = 0.9;
	w.batch = 1;
	check_run(device, &w);
	CHECK_EQ(result.reads + result.writes, BYTES / 4096);
	CHECK_EQ(result.verify_errors, 0);
	/* Long enough for the kernel to account for its own threads, tick by tick. */
	w.total_bytes = 0;
	w.runtime_ns = 60 * RW_NS_PER_MS;
	check_run(device, &w);
	CHECK(result.reads && result.writes);
}

static bool run_on(struct rw_open_request request)
{
	struct rw_device *device;

	if (rw_device_open(&request, &device)) {
		fprintf(stderr, "%s left out: %s\n", request.path, rw_detail());
		return false;
	}
	several_runs(device, strcmp(request.path, "null"));
	CHECK_EQ(rw_device_close(device, RW_NS_PER_S), 0);
	rw_device_destroy(device);
	return true;
}

static uint32_t option_bit(uint32_t path, const char *name)
{
	const struct rw_option_info *option;

	for (uint32_t i = 0; (option = rw_path_option_at(path, i)); i++)
		if (!strcmp(option->name, name))
			return option->bit;
	return 0;
}

static void every_path(const char *file)
{
	const struct rw_path_info *path;

	for (uint32_t i = 0; (path = rw_path_at(i)); i++) {
		struct rw_open_request request = { .target = file, .path = path->name,
						   .writable = true };
		char target[64];
		uint32_t poller = option_bit(i, "sqpoll");

		snprintf(target, sizeof(target), "%s:4MiB", path->scheme ? path->scheme : "");
		if (path->scheme)
			request.target = target;
		run_on(request);
		request.options = poller;
		if (poller && run_on(request))
			CHECK(result.helper_ns > 0);
	}
}

int main(void)
{
	char file[] = "/var/tmp/ringway-run-XXXXXX";
	int fd = mkstemp(file);

	if (fd < 0 || ftruncate(fd, BYTES))
		return rw_skip("no file can be made in /var/tmp");
	every_path(file);
	unlink(file);
	close(fd);
	return rw_check_end();
}
