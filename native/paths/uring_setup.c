/* io_uring rings: options, what each needs, registration; io_uring_setup(2). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "core/error.h"
#include "os/uring_policy.h"
#include "paths/uring.h"

/* How long the submitting kernel thread spins without work before it sleeps, ms. */
#define SQ_THREAD_IDLE 50

const struct rw_option_info rw_uring_options[] = {
	{ "fixed", "registered buffers and file: no page pinning or lookup per I/O",
	  RW_URING_FIXED },
	{ "sqpoll", "a kernel thread submits: no system call, but a core of its own",
	  RW_URING_SQPOLL },
	{ "iopoll", "completions are polled for: needs O_DIRECT and poll queues", RW_URING_IOPOLL },
	{ "defer", "single issuer with deferred task run: completions only when asked for",
	  RW_URING_DEFER },
	{ NULL, NULL, 0 },
};

int rw_uring_check_options(uint32_t options, bool direct, bool polls)
{
	if ((options & RW_URING_SQPOLL) && (options & RW_URING_DEFER))
		return rw_fail(EINVAL, "options sqpoll and defer exclude each other: defer wants the "
				       "submitting thread to enter the kernel, sqpoll avoids just that");
	if (!(options & RW_URING_IOPOLL))
		return 0;
	if (!direct)
		return rw_fail(EOPNOTSUPP, "option iopoll needs O_DIRECT: the page cache has nothing to "
					   "poll");
	if (!polls)
		return rw_fail(EOPNOTSUPP, "option iopoll needs a device with poll queues; this one has "
					   "none (for NVMe: nvme.poll_queues=N on the kernel command "
					   "line)");
	return 0;
}

static unsigned int setup_flags(uint32_t options)
{
	unsigned int flags = 0;

	if (options & RW_URING_SQPOLL)
		flags |= IORING_SETUP_SQPOLL;
	if (options & RW_URING_IOPOLL)
		flags |= IORING_SETUP_IOPOLL;
	if (options & RW_URING_DEFER)
		flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG;
	if (options & RW_URING_COMMANDS)
		flags |= IORING_SETUP_SQE128 | IORING_SETUP_CQE32;
	return flags;
}

static int refuse_ring(int error, uint32_t options)
{
	if (error == -EINVAL && (options & RW_URING_DEFER))
		return rw_fail(EOPNOTSUPP, "option defer needs Linux 6.1 or later");
	if (error == -EINVAL && (options & RW_URING_COMMANDS))
		return rw_fail(EOPNOTSUPP, "commands over io_uring need Linux 5.19 or later");
	error = rw_uring_refusal(error, "/proc");
	if (error == -EPERM && (options & RW_URING_SQPOLL))
		rw_fail_add(" (option sqpoll also needs root before Linux 5.13)");
	return error;
}

int rw_uring_ring_init(struct io_uring *ring, uint32_t entries, uint32_t options)
{
	struct io_uring_params params = {
		.flags = setup_flags(options),
		.sq_thread_idle = SQ_THREAD_IDLE,
	};
	int error = io_uring_queue_init_params(entries, ring, &params);

	if (error)
		return refuse_ring(error, options);
	if (!(params.features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(ring);
		return rw_fail(EOPNOTSUPP, "waiting with a deadline needs Linux 5.11 or later");
	}
	io_uring_ring_dontfork(ring);
	return 0;
}

/*
 * The kernel tears a ring down in the background: a file that is still
 * registered would stay open for a while after.
 */
void rw_uring_ring_exit(struct io_uring *ring, uint32_t options)
{
	if (options & RW_URING_FIXED)
		io_uring_unregister_files(ring);
	io_uring_queue_exit(ring);
}

int rw_uring_register(struct io_uring *ring, int fd, uint32_t slots)
{
	int error = io_uring_register_files(ring, &fd, 1);

	if (error)
		return rw_fail(-error, "the file could not be registered with the ring: %s",
			       strerror(-error));
	error = io_uring_register_buffers_sparse(ring, slots);
	if (error == -EINVAL)
		return rw_fail(EOPNOTSUPP, "option fixed needs Linux 5.19 or later");
	if (error)
		return rw_fail(-error, "no table for registered buffers: %s", strerror(-error));
	return 0;
}

int rw_uring_try_memory(struct io_uring *ring, uint32_t slot)
{
	struct iovec memory = { .iov_len = RW_SMALLEST_REGION };
	__u64 tag = 0;
	int error;

	memory.iov_base = mmap(NULL, memory.iov_len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory.iov_base == MAP_FAILED)
		return rw_fail(ENOMEM, "no memory to try registered buffers with");
	error = io_uring_register_buffers_update_tag(ring, slot, &memory, &tag, 1);
	munmap(memory.iov_base, memory.iov_len);
	if (error >= 0)
		return 0;
	return rw_fail(-error, "the kernel registers no %llu MiB of buffers (%s); raise the locked-memory "
			       "limit (ulimit -l, LimitMEMLOCK)", RW_SMALLEST_REGION >> 20,
		       strerror(-error));
}

/* --------------------------------------------------- the table of buffers */

/* Registers what lies at `window` of a region, or nothing, in place of what a slot had. */
static int set_slot(struct rw_uring_queue *queue, uint32_t slot, struct iovec memory)
{
	__u64 tag = 0;

	queue->line.base.counters.syscalls++;
	return io_uring_register_buffers_update_tag(&queue->ring, slot, &memory, &tag, 1);
}

static bool register_window(struct rw_uring_queue *queue, uint32_t slot, int region,
			    uint64_t window)
{
	uint64_t length = atomic_load(&rw_regions[region].length);
	uint64_t start = queue->window_shift < RW_URING_WHOLE ? window << queue->window_shift : 0;
	uint64_t rest = length - start, most = 1ull << queue->window_shift;
	struct iovec memory = {
		.iov_base = (char *)atomic_load(&rw_regions[region].base) + start,
		.iov_len = rest < most ? rest : most,
	};

	return memory.iov_len <= RW_LONGEST_REGISTERED && set_slot(queue, slot, memory) >= 0;
}

/*
 * Windows of a region have slots in a row. The rows of regions begin far apart,
 * for which their numbers' bits are turned round.
 */
static uint32_t place_of(const struct rw_uring_queue *queue, uint32_t region, uint64_t window)
{
	uint32_t start = 0;

	for (uint32_t bit = 1; bit < RW_MAX_REGIONS; bit <<= 1)
		start = start << 1 | !!(region & bit);
	return (start * (queue->slot_count / RW_MAX_REGIONS) + (uint32_t)window) &
	       (queue->slot_count - 1);
}

/* Which window of its region the part lies in; false when it lies in more than one. */
static bool find_window(const struct rw_uring_queue *queue, const struct rw_part *part,
			uint64_t *window)
{
	uintptr_t base = atomic_load_explicit(&rw_regions[part->region].base, memory_order_relaxed);
	uint64_t offset = part->memory - base;

	*window = offset >> queue->window_shift;
	return (offset + part->length - 1) >> queue->window_shift == *window;
}

int rw_uring_find_slot(struct rw_uring_queue *queue, const struct rw_part *part)
{
	uint32_t region = (uint32_t)part->region, place = region;
	uint32_t serial = atomic_load_explicit(&rw_regions[region].serial, memory_order_relaxed);
	struct rw_uring_slot *slot;
	uint64_t window = 0;

	if (queue->window_shift != RW_URING_WHOLE) {
		if (!find_window(queue, part, &window))
			return -1;
		place = place_of(queue, region, window);
	}
	slot = &queue->slots[place];
	if (slot->serial != serial || slot->window != window) {
		slot->serial = serial;
		slot->window = (uint32_t)window;
		slot->refused = !register_window(queue, place, part->region, window);
	}
	return slot->refused ? -1 : (int)place;
}

static bool region_lives(uint32_t serial)
{
	for (unsigned int i = 0; i < RW_MAX_REGIONS; i++)
		if (atomic_load(&rw_regions[i].length) && atomic_load(&rw_regions[i].serial) == serial)
			return true;
	return false;
}

void rw_uring_tidy(struct rw_uring_queue *queue)
{
	uint32_t removals = atomic_load_explicit(&rw_region_removals, memory_order_acquire);

	if (queue->removals == removals)
		return;
	queue->removals = removals;
	for (uint32_t i = 0; i < queue->slot_count; i++) {
		if (!queue->slots[i].serial || region_lives(queue->slots[i].serial))
			continue;
		queue->slots[i].serial = 0;
		set_slot(queue, i, (struct iovec){ .iov_base = NULL });
	}
}
