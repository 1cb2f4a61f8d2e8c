/* Which cause is named when io_uring is refused, over fake /proc trees. */
#define _GNU_SOURCE
#include "os/uring_policy.h"

#include <errno.h>
#include <string.h>

#include "ringway.h"
#include "tests/check.h"
#include "tests/os/fake_tree.h"

#define ADMIN "CapEff:\t000001ffffffffff\n"
#define PLAIN "CapEff:\t0000000000000000\n"
#define FILTER "Seccomp:\t2\n"
#define NO_FILTER "Seccomp:\t0\n"

/* The sentence for `error` under the given settings; NULL leaves a file out. */
static const char *told(int error, const char *disabled, const char *group, const char *status)
{
	int ret;

	tree_create();
	if (disabled)
		tree_write("sys/kernel/io_uring_disabled", disabled);
	if (group)
		tree_write("sys/kernel/io_uring_group", group);
	if (status)
		tree_write("self/status", status);
	ret = rw_uring_refusal(error, tree_root);
	tree_destroy();
	if (error == EACCES)
		CHECK_EQ(ret, -EPERM);
	else
		CHECK_EQ(ret, error < 0 ? error : -error);
	return rw_detail();
}

static void sysctl_is_named(void)
{
	const char *text;

	CHECK(strstr(told(EPERM, "2\n", "-1\n", PLAIN NO_FILTER), "io_uring_disabled=2"));
	CHECK(strstr(told(-EPERM, "2\n", "-1\n", ADMIN NO_FILTER), "io_uring_disabled=2"));
	CHECK(!strstr(rw_detail(), "seccomp"));
	text = told(EPERM, "2\n", "-1\n", PLAIN FILTER);
	CHECK(strstr(text, "io_uring_disabled=2"));
	CHECK(strstr(text, "seccomp"));
}

static void group_is_named(void)
{
	const char *groups = "Gid:\t7\t7\t7\t7\nGroups:\t20 4711 \n";
	char status[128];

	CHECK(strstr(told(EPERM, "1\n", "-1\n", PLAIN NO_FILTER), "without CAP_SYS_ADMIN"));
	CHECK(strstr(told(EPERM, "1\n", "1234\n", PLAIN NO_FILTER), "outside group 1234"));
	/* A member, or root, is not stopped by the sysctl: the filter it is. */
	snprintf(status, sizeof(status), "%s%s%s", groups, PLAIN, FILTER);
	CHECK(strstr(told(EPERM, "1\n", "4711\n", status), "seccomp filter"));
	CHECK(strstr(told(EPERM, "1\n", "7\n", status), "seccomp filter"));
	CHECK(strstr(told(EPERM, "1\n", "8\n", status), "outside group 8"));
	CHECK(strstr(told(EPERM, "1\n", "-1\n", ADMIN FILTER), "seccomp filter"));
	/* Root of a user namespace has the capability there, but it does not count. */
	CHECK(strstr(told(EPERM, "1\n", "-1\n", ADMIN NO_FILTER), "user namespace"));
}

static void seccomp_is_named(void)
{
	CHECK(strstr(told(EPERM, "0\n", "-1\n", PLAIN FILTER), "seccomp filter"));
	CHECK(strstr(told(EACCES, "0\n", "-1\n", PLAIN FILTER), "seccomp filter"));
	CHECK(strstr(told(ENOSYS, "0\n", "-1\n", PLAIN FILTER), "seccomp filter"));
	/* Before Linux 6.6 there is no sysctl. */
	CHECK(strstr(told(EPERM, NULL, NULL, PLAIN FILTER), "forbidden by the seccomp filter"));
	CHECK(strstr(told(ENOSYS, NULL, NULL, PLAIN FILTER), "or the kernel was built without"));
}

static void other_causes(void)
{
	CHECK(strstr(told(EPERM, "0\n", "-1\n", PLAIN NO_FILTER), "security module"));
	CHECK(strstr(told(EPERM, NULL, NULL, NULL), "security module"));
	CHECK(strstr(told(ENOSYS, NULL, NULL, PLAIN NO_FILTER), "CONFIG_IO_URING"));
	CHECK(strstr(told(ENOMEM, "0\n", "-1\n", PLAIN NO_FILTER), "memory"));
	CHECK(strstr(told(EMFILE, "0\n", "-1\n", PLAIN NO_FILTER), "ulimit -n"));
	CHECK(strstr(told(EINVAL, "0\n", "-1\n", PLAIN NO_FILTER), strerror(EINVAL)));
}

/* A group list longer than any line buffer is read to its end. */
static void many_groups(void)
{
	static char status[20000];
	size_t used = 0;

	used += (size_t)sprintf(status, PLAIN FILTER "Groups:\t");
	for (int i = 0; i < 2000; i++)
		used += (size_t)sprintf(status + used, "%d ", 100000 + i);
	sprintf(status + used, "4711 \n");
	CHECK(strstr(told(EPERM, "1\n", "4711\n", status), "forbidden by the seccomp filter"));
}

int main(void)
{
	sysctl_is_named();
	group_is_named();
	seccomp_is_named();
	other_causes();
	many_groups();
	return rw_check_end();
}
