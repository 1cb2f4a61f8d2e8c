/* Tells sysctl from seccomp from an old kernel when io_uring is refused. */
#define _GNU_SOURCE
#include "os/uring_policy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/error.h"

#define CAP_SYS_ADMIN_BIT 21

/* The settings that decide, as /proc shows them. */
struct policy {
	bool has_sysctl;         /* since Linux 6.6, and only with io_uring */
	long disabled;           /* kernel.io_uring_disabled: 0 no, 1 outside a group, 2 yes */
	long group;              /* kernel.io_uring_group; -1: no group */
	bool filtered;           /* this process runs under a seccomp filter */
	bool exempt;             /* CAP_SYS_ADMIN, or a member of the group */
};

/* What /proc/self/status says. */
struct identity {
	int seccomp;             /* 2: filter */
	uint64_t capabilities;   /* effective */
	bool member;             /* of the group asked for */
};

static bool read_number(const char *proc_root, const char *name, long *out)
{
	char path[512];
	FILE *file;
	bool found;

	snprintf(path, sizeof(path), "%s/%s", proc_root, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	found = fscanf(file, "%ld", out) == 1;
	fclose(file);
	return found;
}

static bool lists(const char *numbers, long wanted)
{
	char *end;

	for (;; numbers = end) {
		long number = strtol(numbers, &end, 10);

		if (end == numbers)
			return false;
		if (number == wanted)
			return true;
	}
}

static struct identity read_identity(const char *proc_root, long group)
{
	struct identity self = { 0 };
	char path[512];
	char *line = NULL;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/self/status", proc_root);
	file = fopen(path, "re");
	if (!file)
		return self;
	while (getline(&line, &room, file) >= 0) {
		if (!strncmp(line, "Seccomp:", 8))
			self.seccomp = atoi(line + 8);
		else if (!strncmp(line, "CapEff:", 7))
			self.capabilities = strtoull(line + 7, NULL, 16);
		else if (!strncmp(line, "Gid:", 4))
			self.member |= lists(line + 4, group);
		else if (!strncmp(line, "Groups:", 7))
			self.member |= lists(line + 7, group);
	}
	free(line);
	fclose(file);
	return self;
}

static struct policy read_policy(const char *proc_root)
{
	struct policy policy = { .group = -1 };
	struct identity self;

	policy.has_sysctl = read_number(proc_root, "sys/kernel/io_uring_disabled",
					&policy.disabled);
	read_number(proc_root, "sys/kernel/io_uring_group", &policy.group);
	self = read_identity(proc_root, policy.group);
	policy.filtered = self.seccomp == 2;
	policy.exempt = self.member || (self.capabilities >> CAP_SYS_ADMIN_BIT & 1);
	return policy;
}

static int refused_by_seccomp(int code)
{
	return rw_fail(code, "io_uring is forbidden by the seccomp filter this process runs under "
		       "(container defaults do that): allow io_uring_setup, io_uring_enter and "
		       "io_uring_register in its profile, or run with seccomp=unconfined");
}

static int refused_by_group(int code, const struct policy *policy)
{
	if (policy->group < 0)
		rw_fail(code, "io_uring is forbidden by the sysctl kernel.io_uring_disabled=1 to "
			"processes without CAP_SYS_ADMIN: set it to 0, or set "
			"kernel.io_uring_group to a group and join it");
	else
		rw_fail(code, "io_uring is forbidden by the sysctl kernel.io_uring_disabled=1 to "
			"processes outside group %ld: join that group, or set the sysctl to 0",
			policy->group);
	if (policy->exempt)
		rw_fail_add(" (root of a user namespace does not count)");
	return -code;
}

static int refused_by_sysctl(int code, const struct policy *policy)
{
	if (policy->disabled >= 2)
		rw_fail(code, "io_uring is forbidden to every process by the sysctl "
			"kernel.io_uring_disabled=%ld: set it to 0 (sysctl -w "
			"kernel.io_uring_disabled=0)", policy->disabled);
	else
		refused_by_group(code, policy);
	if (policy->filtered)
		rw_fail_add("; this process also runs under a seccomp filter, which may forbid it "
			    "too");
	return -code;
}

/* EPERM or EACCES: the sysctl when it applies to this process, else a filter. */
static int not_permitted(int code, const struct policy *policy)
{
	bool outside = policy->disabled == 1 && !policy->exempt;

	if (policy->disabled >= 2 || outside)
		return refused_by_sysctl(code, policy);
	if (policy->filtered)
		return refused_by_seccomp(code);
	if (policy->disabled == 1)
		return refused_by_sysctl(code, policy);
	return rw_fail(code, "io_uring is forbidden, and neither by the sysctl "
		       "kernel.io_uring_disabled nor by a seccomp filter: ask the security module "
		       "(SELinux, AppArmor) and its audit log");
}

/* ENOSYS: a kernel without io_uring; filters like to say the same. */
static int not_there(int code, const struct policy *policy)
{
	if (policy->filtered && policy->has_sysctl)
		return refused_by_seccomp(code);
	if (policy->filtered)
		return rw_fail(code, "io_uring is not there: the seccomp filter this process runs "
			       "under hides it, or the kernel was built without it; try outside "
			       "the container");
	return rw_fail(code, "this kernel has no io_uring: it takes Linux 5.1 built with "
		       "CONFIG_IO_URING");
}

static int out_of_memory(int code)
{
	struct rlimit limit = { 0, 0 };

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return rw_fail(code, "the kernel has no memory for an io_uring ring: use a smaller "
			       "depth, or close devices");
	return rw_fail(code, "no memory for an io_uring ring; before Linux 5.12 rings count "
		       "against locked memory (ulimit -l: %llu KiB): raise it, or use a smaller "
		       "depth", (unsigned long long)limit.rlim_cur >> 10);
}

int rw_uring_refusal(int error, const char *proc_root)
{
	int code = error < 0 ? -error : error;
	struct policy policy = read_policy(proc_root);

	switch (code) {
	case EPERM:
	case EACCES:
		return not_permitted(EPERM, &policy);
	case ENOSYS:
		return not_there(code, &policy);
	case ENOMEM:
		return out_of_memory(code);
	case EMFILE:
	case ENFILE:
		return rw_fail(code, "no file descriptor left for an io_uring ring: raise ulimit "
			       "-n, or close devices");
	default:
		return rw_fail(code, "creating an io_uring ring failed: %s", strerror(code));
	}
}
