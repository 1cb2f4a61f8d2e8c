/* All paths there are. */
#ifndef RW_CORE_REGISTRY_H
#define RW_CORE_REGISTRY_H

#include <stdbool.h>

#include "core/path.h"

/* The path at `index`, NULL past the end; in the order the automatic choice tries them. */
const struct rw_path *rw_registry_at(uint32_t index);
/* The path of that name, NULL when there is none. */
const struct rw_path *rw_registry_find(const char *name);
/* Does some path serve targets that start with "scheme:"? */
bool rw_registry_serves(const char *scheme);
/* Does this path serve this scheme ("": files and block devices)? */
bool rw_path_serves(const struct rw_path *path, const char *scheme);
/* 0, or -EINVAL with what its table lacks. */
int rw_path_check(const struct rw_path *path);

#endif
