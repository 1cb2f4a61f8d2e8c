/* Reads /proc/self/task: who is an io_uring helper, and how long it has run. */
#include "os/helpers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rw_helpers_init(struct rw_helpers *helpers, const char *root)
{
	memset(helpers, 0, sizeof(*helpers));
	helpers->root = root;
}

void rw_helpers_deinit(struct rw_helpers *helpers)
{
	free(helpers->known);
	memset(helpers, 0, sizeof(*helpers));
}

/* The small file `name` of thread `tid`, as text; false when it is gone. */
static bool read_text(int directory, int32_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%d/%s", tid, name);
	fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool is_helper(int directory, int32_t tid)
{
	char comm[32];

	return read_text(directory, tid, "comm", comm, sizeof(comm)) &&
	       (!strncmp(comm, "iou-sqp-", 8) || !strncmp(comm, "iou-wrk-", 8));
}

/* Fields 14 and 15 of proc(5)'s stat: user and system time in clock ticks. */
static uint64_t cpu_from_stat(int directory, int32_t tid)
{
	unsigned long user, system;
	char text[512];
	char *after;

	if (!read_text(directory, tid, "stat", text, sizeof(text)))
		return 0;
	/* The name may hold spaces and brackets; nothing after its last bracket does. */
	after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			     &user, &system) != 2)
		return 0;
	return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* schedstat has nanoseconds, and is all zero in a kernel that does not keep them. */
static uint64_t cpu_ns(int directory, int32_t tid)
{
	char text[96];
	uint64_t ns = 0;

	if (read_text(directory, tid, "schedstat", text, sizeof(text)))
		ns = strtoull(text, NULL, 10);
	return ns ? ns : cpu_from_stat(directory, tid);
}

static struct rw_helper *find(struct rw_helpers *helpers, int32_t tid)
{
	struct rw_helper *more;

	for (uint32_t i = 0; i < helpers->count; i++)
		if (helpers->known[i].tid == tid)
			return &helpers->known[i];
	if (helpers->count == helpers->room) {
		more = realloc(helpers->known, (helpers->room * 2 + 16) * sizeof(*more));
		if (!more)
			return NULL;
		helpers->known = more;
		helpers->room = helpers->room * 2 + 16;
	}
	more = &helpers->known[helpers->count++];
	*more = (struct rw_helper){ .tid = tid };
	return more;
}

static void look_at(struct rw_helpers *helpers, int directory, int32_t tid)
{
	struct rw_helper *helper;
	uint64_t ns;

	if (!is_helper(directory, tid))
		return;
	helper = find(helpers, tid);
	if (!helper)
		return;
	ns = cpu_ns(directory, tid);
	/* A clock that went back is a new thread with an old thread's number. */
	helpers->total_ns += ns >= helper->last_ns ? ns - helper->last_ns : ns;
	helper->last_ns = ns;
}

void rw_helpers_sample(struct rw_helpers *helpers)
{
	DIR *tasks = opendir(helpers->root);
	struct dirent *entry;

	if (!tasks)
		return;
	while ((entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			look_at(helpers, dirfd(tasks), atoi(entry->d_name));
	closedir(tasks);
}

void rw_helpers_begin(struct rw_helpers *helpers)
{
	helpers->count = 0;
	rw_helpers_sample(helpers);
	helpers->total_ns = 0;
}
