/* The punt counter against a ring whose requests are forced to a worker, or not. */
#define _GNU_SOURCE
#include "os/punts.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "ringway.h"
#include "tests/check.h"

enum { READS = 5 };

/* READS reads of this program's own file; `flags` go to each. */
static bool read_some(struct io_uring *ring, unsigned int flags)
{
	static char memory[READS][512];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool right = fd >= 0;

	for (int i = 0; i < READS && right; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		io_uring_prep_read(sqe, fd, memory[i], sizeof(memory[i]), 0);
		io_uring_sqe_set_flags(sqe, flags);
	}
	if (right)
		right = io_uring_submit_and_wait(ring, READS) == READS;
	for (int i = 0; i < READS && right; i++) {
		struct io_uring_cqe *cqe;

		right = !io_uring_wait_cqe(ring, &cqe) && cqe->res == 512;
		io_uring_cqe_seen(ring, cqe);
	}
	close(fd);
	return right;
}

static int tracefs_mounts(void)
{
	FILE *mounts = fopen("/proc/self/mounts", "r");
	char line[1024];
	int count = 0;

	while (mounts && fgets(line, sizeof(line), mounts))
		count += strstr(line, " tracefs ") != NULL;
	if (mounts)
		fclose(mounts);
	return count;
}

static void counts_what_is_forced(struct io_uring *ring, const struct rw_punts *punts)
{
	CHECK_EQ(rw_punts_read(punts), 0);
	CHECK(read_some(ring, 0));
	CHECK(read_some(ring, 0));
	CHECK_EQ(rw_punts_read(punts), 0);
	CHECK(read_some(ring, IOSQE_ASYNC));
	CHECK_EQ(rw_punts_read(punts), READS);
}

static void leaves_other_threads_out(struct io_uring *ring)
{
	int32_t others[2] = {1, 2};
	struct rw_punts punts;

	CHECK_EQ(rw_punts_open(&punts, others, 2), 0);
	CHECK(read_some(ring, IOSQE_ASYNC));
	CHECK_EQ(rw_punts_read(&punts), 0);
	rw_punts_close(&punts);
}

/* As many as a run with a submission poller per thread can have. */
static void takes_many_threads(struct io_uring *ring)
{
	int32_t threads[2 * RW_MAX_THREADS];
	struct rw_punts punts;

	for (int i = 0; i < 2 * RW_MAX_THREADS; i++)
		threads[i] = 4194304 - i;
	threads[77] = gettid();
	CHECK_EQ(rw_punts_open(&punts, threads, 2 * RW_MAX_THREADS), 0);
	CHECK(read_some(ring, IOSQE_ASYNC));
	CHECK_EQ(rw_punts_read(&punts), READS);
	rw_punts_close(&punts);
	CHECK_EQ(rw_punts_open(&punts, threads, 0), -EINVAL);
	CHECK_EQ(rw_punts_open(&punts, threads, 1000), -EINVAL);
	CHECK_EQ(rw_punts_read(&punts), -1);
	rw_punts_close(&punts);
}

int main(void)
{
	int mounts = tracefs_mounts();
	int32_t self = gettid();
	struct rw_punts punts;
	struct io_uring ring;

	if (rw_punts_open(&punts, &self, 1))
		return rw_skip(rw_detail());
	CHECK_EQ(tracefs_mounts(), mounts);
	if (io_uring_queue_init(8, &ring, 0))
		return rw_skip("no io_uring here");
	counts_what_is_forced(&ring, &punts);
	leaves_other_threads_out(&ring);
	takes_many_threads(&ring);
	io_uring_queue_exit(&ring);
	rw_punts_close(&punts);
	CHECK_EQ(rw_punts_read(&punts), -1);
	return rw_check_end();
}
