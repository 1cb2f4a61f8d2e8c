/*
 * io_uring_cmd: trying it out. What a kernel takes shows only when it maps
 * memory for a command, so one block is read.
 *
 * Registered memory: up to Linux 6.15 a command counts as long as all that is
 * registered behind its memory, and what is longer than the driver maps at
 * once is refused with EINVAL. There, regions are registered in windows that
 * are as long as that, and transfers within a window use it.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "nvme/status.h"
#include "paths/io_uring_cmd.h"

/* A drive that does not answer within this is not worth opening. */
#define PATIENCE_NS (10 * RW_NS_PER_S)

/* A slot for each: kernels before 6.13 give what is replaced back a second later. */
enum { NOT_REGISTERED = -1, MEMORY_SLOT, LONG_SLOT, WINDOW_SLOT, SLOTS };

/* The result of the one request in the ring, -ETIME when it does not come. */
static int run(struct io_uring *ring)
{
	int64_t deadline = rw_now_ns() + PATIENCE_NS;
	struct io_uring_cqe *cqe = NULL;
	int result = io_uring_submit(ring);

	while (result >= 0 && !io_uring_cq_ready(ring)) {
		if (rw_now_ns() > deadline)
			return -ETIME;
		result = io_uring_get_events(ring);
		if (result == -EAGAIN || result == -EBUSY || result == -EINTR)
			result = 0;
	}
	if (result < 0)
		return result;
	io_uring_peek_cqe(ring, &cqe);
	result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return result;
}

/* `slot` has the memory registered, or is NOT_REGISTERED. */
static int read_block(const struct rw_cmd_device *device, struct io_uring *ring, void *memory,
		      int slot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	int file = slot == NOT_REGISTERED ? device->fd : 0;
	struct rw_nvme_command *command = rw_cmd_entry(sqe, file, slot);

	if (slot != NOT_REGISTERED)
		sqe->flags = IOSQE_FIXED_FILE;
	rw_nvme_fill_blocks(command, RW_NVME_READ, device->nsid, 0, 1);
	command->address = (uintptr_t)memory;
	command->data_length = 1u << device->block_shift;
	return run(ring);
}

/* Of the drive's own errors only those count that say the command is not for it. */
static int judge(int result, uint32_t options)
{
	const char *option = options & RW_URING_IOPOLL ? "option iopoll" : "registered memory";

	switch (result) {
	case -ETIME:
		return rw_fail(ETIME, "the drive did not answer a read of one block in %lld s",
			       PATIENCE_NS / RW_NS_PER_S);
	case -EACCES:
	case -EPERM:
		return rw_fail(EACCES, "the kernel lets only root (CAP_SYS_ADMIN) send NVMe commands "
			       "to this drive");
	case -EINVAL:
	case -EOPNOTSUPP:
		if (options & (RW_URING_IOPOLL | RW_URING_FIXED))
			return rw_fail(EOPNOTSUPP, "%s for NVMe commands needs Linux 6.1 or later",
				       option);
		return rw_fail(EOPNOTSUPP, "NVMe commands over io_uring need Linux 5.19 or later");
	default:
		return result < 0 ? rw_fail(-result, "the kernel refuses NVMe commands: %s",
					    strerror(-result)) : 0;
	}
}

/* The largest power of two bytes that the driver maps at once, so that twice that is too much. */
static uint64_t window_of(uint32_t segments)
{
	uint64_t window = (uint64_t)sysconf(_SC_PAGESIZE);

	while (segments >>= 1)
		window <<= 1;
	return window;
}

static int read_registered(struct rw_cmd_device *device, struct io_uring *ring, void *memory,
			   uint64_t length, int slot)
{
	struct iovec vector = { .iov_base = memory, .iov_len = length };
	__u64 tag = 0;
	int error = io_uring_register_buffers_update_tag(ring, (unsigned int)slot, &vector, &tag, 1);

	return error < 0 ? error : read_block(device, ring, memory, slot);
}

/* Whole regions, if more than the driver maps at once may be registered, or windows. */
static int try_registered(struct rw_cmd_device *device, struct io_uring *ring, void *memory,
			  uint64_t window)
{
	int result = read_registered(device, ring, memory, 2 * window, LONG_SLOT);

	if (result != -EINVAL)
		return result;
	device->window_shift = (uint32_t)__builtin_ctzll(window);
	return read_registered(device, ring, memory, window, WINDOW_SLOT);
}

static int try_read(struct rw_cmd_device *device, struct io_uring *ring, uint32_t options,
		    uint32_t segments)
{
	uint64_t window = window_of(segments);
	void *memory = mmap(NULL, 2 * window, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	int result;

	if (memory == MAP_FAILED)
		return rw_fail(ENOMEM, "no memory to try the drive with");
	if (options & RW_URING_FIXED)
		result = try_registered(device, ring, memory, window);
	else
		result = read_block(device, ring, memory, NOT_REGISTERED);
	if (result != -ETIME) /* what may still be written to stays */
		munmap(memory, 2 * window);
	return judge(result, options);
}

int rw_cmd_try(struct rw_cmd_device *device, uint32_t options, uint32_t max_segments)
{
	struct io_uring ring;
	int error;

	options |= RW_URING_COMMANDS;
	device->window_shift = RW_URING_WHOLE;
	error = rw_uring_ring_init(&ring, 1, options);
	if (error)
		return error;
	if (options & RW_URING_FIXED)
		error = rw_uring_register(&ring, device->fd, SLOTS);
	if (!error && (options & RW_URING_FIXED))
		error = rw_uring_try_memory(&ring, MEMORY_SLOT);
	if (!error)
		error = try_read(device, &ring, options, max_segments);
	rw_uring_ring_exit(&ring, options);
	return error;
}
