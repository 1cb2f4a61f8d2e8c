/* What the two paths without a device, null and mem, say of themselves. */
#ifndef RW_PATHS_MEMORY_H
#define RW_PATHS_MEMORY_H

#include "core/device.h"

/* Direct devices move whole blocks, as a drive does; buffered ones any bytes. */
static inline void rw_memory_info(struct rw_device *device, uint64_t size,
				  const struct rw_open_request *request)
{
	device->info.size = size;
	device->info.block_size = request->direct ? 512 : 1;
	device->info.memory_alignment = 1;
	device->info.max_transfer = RW_SYNC_PART;
	device->info.max_depth = RW_MAX_DEPTH;
	device->info.opcodes = 1u << RW_READ | 1u << RW_WRITE | 1u << RW_FLUSH |
			       1u << RW_DISCARD | 1u << RW_WRITE_ZEROES;
	device->info.writable = request->writable;
	device->info.direct = request->direct;
}

#endif
