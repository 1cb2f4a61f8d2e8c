/* The registry: one line per path. */
#include "core/registry.h"

#include <errno.h>
#include <string.h>

#include "core/device.h"
#include "core/error.h"
#include "core/queue.h"

extern const struct rw_path rw_null_path, rw_mem_path, rw_posix_path, rw_libaio_path,
	rw_io_uring_path, rw_io_uring_cmd_path;

/* Best first: the automatic choice takes the first that serves the target. */
static const struct rw_path *const paths[] = {
	&rw_io_uring_path,
	&rw_libaio_path,
	&rw_posix_path,
	&rw_io_uring_cmd_path,
	&rw_mem_path,
	&rw_null_path,
};

int rw_path_check(const struct rw_path *path)
{
	const char *name = path->info.name;

	if (!name || !path->info.summary)
		return rw_fail(EINVAL, "a path has no name or no summary");
	if (path->abi != RW_PATH_ABI)
		return rw_fail(EINVAL, "path %s was built for seam version %u, this is %u", name,
			       path->abi, RW_PATH_ABI);
	if (!path->probe || !path->open || !path->close || !path->queue_create ||
	    !path->queue_destroy || !path->submit || !path->reap)
		return rw_fail(EINVAL, "path %s lacks a hook that every path has", name);
	if (!path->map != !path->unmap)
		return rw_fail(EINVAL, "path %s has only one of map and unmap", name);
	if (path->device_size < sizeof(struct rw_device) ||
	    path->queue_size < sizeof(struct rw_queue))
		return rw_fail(EINVAL, "path %s does not embed the base structs", name);
	return 0;
}

const struct rw_path *rw_registry_at(uint32_t index)
{
	return index < sizeof(paths) / sizeof(paths[0]) ? paths[index] : NULL;
}

const struct rw_path *rw_registry_find(const char *name)
{
	const struct rw_path *path;

	for (uint32_t i = 0; (path = rw_registry_at(i)); i++)
		if (!strcmp(path->info.name, name))
			return path;
	return NULL;
}

bool rw_path_serves(const struct rw_path *path, const char *scheme)
{
	return !strcmp(path->info.scheme ? path->info.scheme : "", scheme);
}

bool rw_registry_serves(const char *scheme)
{
	const struct rw_path *path;

	for (uint32_t i = 0; (path = rw_registry_at(i)); i++)
		if (rw_path_serves(path, scheme))
			return true;
	return false;
}

const struct rw_path_info *rw_path_at(uint32_t index)
{
	const struct rw_path *path = rw_registry_at(index);

	return path ? &path->info : NULL;
}

const struct rw_option_info *rw_path_option_at(uint32_t index, uint32_t option)
{
	const struct rw_path *path = rw_registry_at(index);

	if (!path || !path->options)
		return NULL;
	for (uint32_t i = 0; path->options[i].name; i++)
		if (i == option)
			return &path->options[i];
	return NULL;
}
