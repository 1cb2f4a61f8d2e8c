/* The registry: what a path's table must have, and that every path has it. */
#include "core/registry.h"

#include <errno.h>
#include <string.h>

#include "tests/check.h"
#include "tests/core/fake_path.h"

/* ------------------------------------------------------------- what is checked */

static int check_without(size_t hook)
{
	struct rw_path path = fake_path;

	memset((char *)&path + hook, 0, sizeof(path.probe));
	return rw_path_check(&path);
}

static void every_hook_is_asked_for(void)
{
	static const size_t hooks[] = {
		offsetof(struct rw_path, probe), offsetof(struct rw_path, open),
		offsetof(struct rw_path, close), offsetof(struct rw_path, queue_create),
		offsetof(struct rw_path, queue_destroy), offsetof(struct rw_path, submit),
		offsetof(struct rw_path, reap),
	};

	CHECK_EQ(rw_path_check(&fake_path), 0);
	CHECK_EQ(rw_path_check(&fake_sync_path), 0);
	CHECK_EQ(rw_path_check(&fake_bare_path), 0);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		CHECK_EQ(check_without(hooks[i]), -EINVAL);
		CHECK(strstr(rw_detail(), "fake lacks a hook"));
	}
	CHECK_EQ(check_without(offsetof(struct rw_path, map)), -EINVAL);
	CHECK_EQ(check_without(offsetof(struct rw_path, unmap)), -EINVAL);
	CHECK(strstr(rw_detail(), "only one of map and unmap"));
	CHECK_EQ(check_without(offsetof(struct rw_path, event_fd)), 0);
}

static void data_is_checked_too(void)
{
	struct rw_path path = fake_path;

	path.info.name = NULL;
	CHECK_EQ(rw_path_check(&path), -EINVAL);
	path = fake_path;
	path.info.summary = NULL;
	CHECK_EQ(rw_path_check(&path), -EINVAL);
	path = fake_path;
	path.abi = RW_PATH_ABI + 1;
	CHECK_EQ(rw_path_check(&path), -EINVAL);
	CHECK(strstr(rw_detail(), "seam version"));
	path = fake_path;
	path.device_size = sizeof(struct rw_device) - 1;
	CHECK_EQ(rw_path_check(&path), -EINVAL);
	path = fake_path;
	path.queue_size = sizeof(struct rw_queue) - 1;
	CHECK_EQ(rw_path_check(&path), -EINVAL);
	CHECK(strstr(rw_detail(), "base structs"));
}

/* --------------------------------------------------------- what is registered */

static void check_options(uint32_t index)
{
	const struct rw_path *path = rw_registry_at(index);
	const struct rw_option_info *option;
	uint32_t bits = 0, n;

	for (n = 0; (option = rw_path_option_at(index, n)); n++) {
		CHECK(option->name[0] && option->summary[0]);
		CHECK(option->bit && !(option->bit & (option->bit - 1)));
		CHECK(!(bits & option->bit));
		bits |= option->bit;
		for (uint32_t i = 0; i < n; i++)
			CHECK(strcmp(option->name, rw_path_option_at(index, i)->name));
	}
	CHECK(!rw_path_option_at(index, n + 1));
	CHECK(!(path->preferred & ~bits));
}

static void every_path_passes(void)
{
	uint32_t n;

	for (n = 0; rw_path_at(n); n++) {
		const struct rw_path *path = rw_registry_at(n);

		CHECK_EQ(rw_path_check(path), 0);
		CHECK(rw_path_at(n) == &path->info);
		CHECK(path->info.name[0] && path->info.summary[0]);
		CHECK(rw_registry_find(path->info.name) == path);
		CHECK(rw_registry_serves(path->info.scheme ? path->info.scheme : ""));
		for (uint32_t i = 0; i < n; i++)
			CHECK(strcmp(path->info.name, rw_path_at(i)->name));
		check_options(n);
	}
	CHECK(n >= 5);
	CHECK(!rw_registry_at(n));
	CHECK(!rw_registry_at(UINT32_MAX));
	CHECK(!rw_path_option_at(n, 0));
}

static void finding(void)
{
	CHECK(!rw_registry_find("fake"));
	CHECK(!rw_registry_find(""));
	CHECK(rw_registry_find("posix"));
	CHECK(!rw_registry_serves("fake"));
	CHECK(rw_path_serves(rw_registry_find("posix"), ""));
	CHECK(!rw_path_serves(rw_registry_find("posix"), "mem"));
	CHECK(rw_path_serves(rw_registry_find("mem"), "mem"));
	CHECK(!rw_path_serves(rw_registry_find("mem"), ""));
}

int main(void)
{
	every_hook_is_asked_for();
	data_is_checked_too();
	every_path_passes();
	finding();
	return rw_check_end();
}
