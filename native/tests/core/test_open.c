/* Opening: by name, by choice, what is refused and why, what falls back. */
#define _GNU_SOURCE
#include "core/open.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/registry.h"
#include "tests/paths/real_file.h"

static struct rw_device *device;

static int open_as(const char *target, const char *path, uint32_t options)
{
	struct rw_open_request request = { .target = target, .path = path, .options = options };

	device = NULL;
	return rw_device_open(&request, &device);
}

static int probe_as(const char *target, const char *path, uint32_t options)
{
	struct rw_open_request request = { .target = target, .path = path, .options = options };

	return rw_probe(&request);
}

/* Opens and closes; what the device said of itself. */
static struct rw_device_info opened(const char *target, const char *path, char *why)
{
	struct rw_device_info info = { .path = "" };

	CHECK_EQ(open_as(target, path, 0), 0);
	if (!device)
		return info;
	rw_device_info(device, &info);
	CHECK(!strcmp(info.target, target));
	if (why)
		strcpy(why, info.why);
	info.why = info.target = NULL; /* they go with the device */
	real_close(device);
	return info;
}

static bool says(const char *text)
{
	if (strstr(rw_detail(), text))
		return true;
	fprintf(stderr, "\"%s\" does not say \"%s\"\n", rw_detail(), text);
	return false;
}

static int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

/* ------------------------------------------------------------------ by name */

static void by_name(void)
{
	char why[1024];
	struct rw_device_info info = opened("mem:1MiB", "mem", why);

	CHECK(!strcmp(info.path, "mem"));
	CHECK_EQ(info.size, 1 << 20);
	CHECK_EQ(info.options, 0);
	CHECK(!strcmp(why, "asked for by name"));
	CHECK(!strcmp(opened(real_name, "posix", NULL).path, "posix"));
	CHECK_EQ(opened(real_name, "posix", NULL).size, REAL_SIZE);
}

static void refused(const char *target, const char *path, uint32_t options, int code,
		    const char *text)
{
	CHECK_EQ(open_as(target, path, options), -code);
	CHECK(says(text));
	CHECK(!device);
	if (!path)
		return;
	CHECK_EQ(probe_as(target, path, options), -code);
	CHECK(says(text));
}

static void refusals(void)
{
	refused("", "mem", 0, EINVAL, "target is empty");
	refused("mem:1MiB", "nope", 0, EINVAL, "there is no path \"nope\"");
	refused("mem:1MiB", "posix", 0, EINVAL, "posix serves files and block devices, not mem:");
	refused(real_name, "mem", 0, EINVAL, "mem serves targets like mem:");
	refused("mem:1MiB", "mem", 1, EINVAL, "mem has no option 0x1");
	refused(real_name, "io_uring", 1u << 31, EINVAL, "io_uring has no option 0x80000000");
	refused("mem:many", "mem", 0, EINVAL, "\"many\" is not a size");
	refused("mem:0", NULL, 0, EINVAL, "no bytes");
	refused("null:", NULL, 0, EINVAL, "is not a size");
	CHECK_EQ(probe_as("mem:1MiB", NULL, 0), -EINVAL);
	CHECK_EQ(probe_as("mem:1MiB", "mem", 0), 0);
}

/* What is wrong with the target is told at once, whichever path is asked. */
static void wrong_targets(void)
{
	static const char *const paths[] = { NULL, "io_uring", "libaio", "posix" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		refused("/nowhere/at/all", paths[i], 0, ENOENT, "/nowhere/at/all does not exist");
		refused("/var/tmp", paths[i], 0, EISDIR, "is a directory");
		refused("/dev/null/x", paths[i], 0, ENOTDIR, "/dev/null/x");
	}
	CHECK(rw_open_is_final(-ENOENT));
	CHECK(rw_open_is_final(-EBUSY));
	CHECK(!rw_open_is_final(-EPERM));
	CHECK(!rw_open_is_final(-EOPNOTSUPP));
	CHECK(!rw_open_is_final(-EINVAL));
	CHECK(!rw_open_is_final(0));
}

/* ----------------------------------------------------------------- by choice */

static void by_choice(void)
{
	char why[1024];

	CHECK(!strcmp(opened("null:1GiB", NULL, why).path, "null"));
	CHECK(!strcmp(why, "the best path that works here"));
	CHECK(!strcmp(opened("mem:1MiB", NULL, NULL).path, "mem"));
	/* A file goes to the first in the registry's order that a probe lets pass. */
	for (uint32_t i = 0; rw_registry_at(i); i++) {
		const char *name = rw_registry_at(i)->info.name;

		if (probe_as(real_name, name, 0))
			continue;
		CHECK(!strcmp(opened(real_name, NULL, why).path, name));
		CHECK(!strncmp(why, "the best path", strlen("the best path")));
		break;
	}
}

static void options_are_chosen_one_by_one(void)
{
	const struct rw_path *uring = rw_registry_find("io_uring");
	struct rw_device_info info;
	uint32_t expected = 0;

	if (probe_as(real_name, "io_uring", 0))
		return;
	for (const struct rw_option_info *o = uring->options; o->name; o++)
		if ((uring->preferred & o->bit) &&
		    !probe_as(real_name, "io_uring", expected | o->bit))
			expected |= o->bit;
	info = opened(real_name, NULL, NULL);
	CHECK_EQ(info.options, expected);
	/* By name nothing is chosen that was not asked for. */
	CHECK_EQ(opened(real_name, "io_uring", NULL).options, 0);
}

/* From now on this process is refused io_uring, as in a container. */
static bool forbid_io_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int without_io_uring(void)
{
	struct rw_device_info info;
	char why[1024];

	if (!forbid_io_uring())
		return 0;
	rw_failures = 0;
	CHECK_EQ(open_as(real_name, "io_uring", 0), -EPERM);
	CHECK(says("seccomp"));
	info = opened(real_name, NULL, why);
	CHECK(!strcmp(info.path, probe_as(real_name, "libaio", 0) ? "posix" : "libaio"));
	CHECK(strstr(why, "the best path that works here; not used: io_uring: "));
	CHECK(strstr(why, "seccomp"));
	return rw_failures;
}

static void falls_back_and_says_why(void)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		_exit(without_io_uring() ? 1 : 0);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	int before;

	if (!real_create())
		return rw_skip("no file can be made in /var/tmp");
	before = open_descriptors();
	by_name();
	refusals();
	wrong_targets();
	by_choice();
	options_are_chosen_one_by_one();
	falls_back_and_says_why();
	CHECK_EQ(open_descriptors(), before);
	real_remove();
	return rw_check_end();
}
