/* The tracepoint's number from tracefs, and perf events that count it. */
#include "os/punts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/error.h"

#define TRACEFS "/sys/kernel/tracing"
#define TRACEPOINT "events/io_uring/io_uring_queue_async_work/id"

/* The inode of the machine's own pid namespace is fixed (PROC_PID_INIT_INO). */
#define INIT_PID_NAMESPACE UINT32_C(0xeffffffc)

/* The kernel takes one page; "||common_pid==4194304" and some for each thread. */
enum { FILTER_BYTES = 4096, FILTER_TERM = 28 };

_Static_assert(RW_PUNTS_MAX_THREADS * FILTER_TERM < FILTER_BYTES, "the filter fits");

/* The tracepoint's number, or a negative errno; looked up once per process. */
static int tracepoint;

static int read_number(int directory)
{
	int fd = openat(directory, TRACEPOINT, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n;
	int code = errno;

	if (fd < 0)
		return -code;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoi(text) : -EIO;
}

static int look_in_mounted_tracefs(void)
{
	int directory = open(TRACEFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int number;

	if (directory < 0)
		return -errno;
	number = read_number(directory);
	close(directory);
	return number;
}

/*
 * A mount that is attached nowhere and goes away with its file descriptor
 * (fsmount(2), Linux 5.2): the machine's mounts stay as they are.
 */
static int look_in_detached_tracefs(void)
{
	int context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	int directory = -1, number;

	if (context < 0)
		return -errno;
	if (!syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		directory = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	number = directory < 0 ? -errno : read_number(directory);
	close(context);
	if (directory >= 0)
		close(directory);
	return number;
}

static void look_up_tracepoint(void)
{
	tracepoint = look_in_mounted_tracefs();
	if (tracepoint <= 0)
		tracepoint = look_in_detached_tracefs();
}

/* The filter compares the numbers that threads have outside any container. */
static bool in_init_pid_namespace(void)
{
	struct stat status;

	return !stat("/proc/self/ns/pid", &status) && status.st_ino == INIT_PID_NAMESPACE;
}

static int check_machine(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, look_up_tracepoint);
	if (tracepoint <= 0)
		return rw_fail(tracepoint ? -tracepoint : EIO,
			       "punts cannot be counted: %s/%s cannot be read; run as root",
			       TRACEFS, TRACEPOINT);
	if (!in_init_pid_namespace())
		return rw_fail(EOPNOTSUPP, "punts cannot be counted inside a container with "
			       "process numbers of its own; run outside it");
	return 0;
}

static int open_on_cpu(int cpu, const char *filter)
{
	struct perf_event_attr attr;
	int fd, code;

	memset(&attr, 0, sizeof(attr));
	attr.type = PERF_TYPE_TRACEPOINT;
	attr.size = sizeof(attr);
	attr.config = (uint64_t)tracepoint;
	attr.disabled = 1; /* before it has its filter it would count everybody's */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) && !ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		return fd;
	code = -errno;
	close(fd);
	return code;
}

static int open_on_cpus(struct rw_punts *punts, const char *filter)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_CONF);

	punts->fds = calloc((size_t)cpus, sizeof(*punts->fds));
	if (!punts->fds)
		return rw_fail(ENOMEM, "no memory to count punts");
	for (int cpu = 0; cpu < cpus; cpu++) {
		int fd = open_on_cpu(cpu, filter);

		if (fd >= 0)
			punts->fds[punts->count++] = fd;
		else if (fd != -ENODEV) /* ENODEV: the CPU is offline */
			return rw_fail(-fd, "punts cannot be counted: perf events on tracepoints "
				       "are refused; run as root or with CAP_PERFMON");
	}
	return 0;
}

int rw_punts_open(struct rw_punts *punts, const int32_t *threads, uint32_t n)
{
	char filter[FILTER_BYTES] = "";
	int used = 0, code = check_machine();

	memset(punts, 0, sizeof(*punts));
	if (code)
		return code;
	if (!n || n > RW_PUNTS_MAX_THREADS)
		return rw_fail(EINVAL, "punts can be counted for 1 to %d threads",
			       RW_PUNTS_MAX_THREADS);
	for (uint32_t i = 0; i < n; i++)
		used += snprintf(filter + used, sizeof(filter) - (size_t)used, "%scommon_pid==%d",
				 i ? "||" : "", threads[i]);
	code = open_on_cpus(punts, filter);
	if (code)
		rw_punts_close(punts);
	return code;
}

void rw_punts_close(struct rw_punts *punts)
{
	for (uint32_t i = 0; i < punts->count; i++)
		close(punts->fds[i]);
	free(punts->fds);
	memset(punts, 0, sizeof(*punts));
}

int64_t rw_punts_read(const struct rw_punts *punts)
{
	uint64_t sum = 0, count;

	for (uint32_t i = 0; i < punts->count; i++) {
		if (read(punts->fds[i], &count, sizeof(count)) != sizeof(count))
			return -1;
		sum += count;
	}
	return punts->count ? (int64_t)sum : -1;
}
