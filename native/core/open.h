/* How a device comes to be: between the opening calls and device.c. */
#ifndef RW_CORE_OPEN_H
#define RW_CORE_OPEN_H

#include <stdbool.h>

#include "core/device.h"

/* A zeroed device of that path with one reference; NULL without memory. */
struct rw_device *rw_device_new(const struct rw_path *path, const char *target);
/* The path has opened it: from now on it is known. */
void rw_device_publish(struct rw_device *device);
/* Does this error lie with the target, so that another path would meet it too? */
bool rw_open_is_final(int error);

#endif
