/* CPU time of io_uring helper threads, from a directory made to look like /proc/self/task. */
#define _GNU_SOURCE
#include "os/helpers.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static char root[64];

static void put(int tid, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%d", root, tid);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%d/%s", root, tid, name);
	file = fopen(path, "w");
	CHECK(file);
	if (!file)
		return;
	fputs(text, file);
	fclose(file);
}

static void put_thread(int tid, const char *comm, uint64_t ns)
{
	char text[64];

	put(tid, "comm", comm);
	snprintf(text, sizeof(text), "%" PRIu64 " 52778 2\n", ns);
	put(tid, "schedstat", text);
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
	(void)status;
	(void)flag;
	(void)walk;
	return remove(path);
}

static void drop(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void drop_thread(int tid)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%d", root, tid);
	drop(path);
}

static void set_up(struct rw_helpers *helpers)
{
	strcpy(root, "/tmp/ringway-helpers-XXXXXX");
	CHECK(mkdtemp(root));
	rw_helpers_init(helpers, root);
}

static void tear_down(struct rw_helpers *helpers)
{
	rw_helpers_deinit(helpers);
	drop(root);
}

static void only_helpers_count(void)
{
	struct rw_helpers helpers;

	set_up(&helpers);
	put_thread(100, "python3\n", 5000);
	put_thread(101, "iou-sqp-100\n", 700);
	put_thread(102, "iou-wrk-100\n", 40);
	rw_helpers_begin(&helpers);
	CHECK_EQ(helpers.total_ns, 0);
	put_thread(100, "python3\n", 9000);
	put_thread(101, "iou-sqp-100\n", 1700);
	put_thread(102, "iou-wrk-100\n", 50);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 1010);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 1010);
	tear_down(&helpers);
}

static void threads_come_and_go(void)
{
	struct rw_helpers helpers;

	set_up(&helpers);
	rw_helpers_begin(&helpers);
	for (int tid = 1; tid <= 40; tid++)
		put_thread(tid, "iou-wrk-1\n", 10);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 400);
	for (int tid = 1; tid <= 39; tid++)
		drop_thread(tid);
	put_thread(40, "iou-wrk-1\n", 15);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 405);
	tear_down(&helpers);
}

static void a_reused_number_is_a_new_thread(void)
{
	struct rw_helpers helpers;

	set_up(&helpers);
	put_thread(7, "iou-wrk-1\n", 1000);
	rw_helpers_begin(&helpers);
	put_thread(7, "iou-wrk-1\n", 30);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 30);
	tear_down(&helpers);
}

static void ticks_when_there_is_no_schedstat(void)
{
	uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	struct rw_helpers helpers;

	set_up(&helpers);
	rw_helpers_begin(&helpers);
	put(9, "comm", "iou-wrk-1\n");
	put(9, "stat", "9 (iou-wrk) (1 x)) S 1 9 9 0 -1 4194304 1 2 3 4 30 12 0 0 20 0 1 0 5 6\n");
	put_thread(10, "iou-sqp-1\n", 0);
	put(10, "stat", "10 (iou-sqp-1) R 1 9 9 0 -1 4194304 1 2 3 4 0 5 0 0 20 0 1 0 5 6\n");
	put(11, "comm", "iou-sqp-1\n");
	put(11, "stat", "11 nonsense\n");
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 47 * tick_ns);
	tear_down(&helpers);
}

static void nothing_there(void)
{
	struct rw_helpers helpers;

	rw_helpers_init(&helpers, "/nonexistent");
	rw_helpers_begin(&helpers);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 0);
	rw_helpers_deinit(&helpers);
	rw_helpers_init(&helpers, RW_HELPERS_ROOT);
	rw_helpers_begin(&helpers);
	rw_helpers_sample(&helpers);
	CHECK_EQ(helpers.total_ns, 0);
	rw_helpers_deinit(&helpers);
}

int main(void)
{
	only_helpers_count();
	threads_come_and_go();
	a_reused_number_is_a_new_thread();
	ticks_when_there_is_no_schedstat();
	nothing_there();
	return rw_check_end();
}
