/*
 * ringway: block I/O on every path a Linux machine offers.
 *
 * This header is the manual of the native core.
 *
 *   target      what is opened: a file, a block device, "null:1GiB", "mem:256MiB"
 *   path        a way to move blocks: null, mem, posix, libaio, io_uring, io_uring_cmd
 *   device      an opened target; any thread may use it
 *   queue       submission and completion ring of one device, owned by the
 *               thread that created it
 *   buffer      memory that every path can reach without a copy
 *   operation   one read, write, flush, discard or write-zeroes; a token names
 *               it while it is in flight
 *   completion  token, result, raw status, latency
 *
 * Errors. Functions return 0 or a count, or a negative errno; `errno` is never
 * part of the contract. rw_detail() then holds a sentence for the calling
 * thread that says what was wrong and what to do. A refused call changes
 * nothing.
 *
 * Units. Offsets and lengths are bytes, times are nanoseconds. Every wait
 * takes a timeout; nothing waits for ever.
 *
 * Threads. A queue belongs to the thread that created it (-EREMOTE from
 * another) and to the process that created it (-ECHILD after a fork). A
 * device, the buffer pool and the registry may be used from any thread.
 */
#ifndef RINGWAY_H
#define RINGWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- errors */

/*
 * errno values with a meaning of their own here:
 *   EINVAL     misaligned offset, length or memory, or a malformed argument
 *   ERANGE     beyond the end of the device, or a depth out of range
 *   EREMOTE    a queue used from a thread that does not own it
 *   ECHILD     a device or queue used in a forked child
 *   EBADF      the device or queue is closed
 *   EROFS      a write to a device that was opened read-only
 *   EBUSY      the block device is in use, or the queue is full
 *   ETIME      the deadline passed; what is in flight stays in flight
 *   ENODATA    the file is shorter than it was when it was opened
 *   EINTR      a signal arrived; call again to go on
 *   ECANCELED  the operation was cancelled
 */

/* The sentence that belongs to the calling thread's last error. */
const char *rw_detail(void);
/* The raw status of a device that the calling thread's last error came from, 0: of none. */
uint32_t rw_status(void);
/* Notes sentence and status for the result of a failed operation; returns the result. */
int64_t rw_explain(uint32_t opcode, int64_t result, uint32_t status);
/*
 * A raw status is an NVMe completion's status field without its phase tag
 * (Base Specification 2.0, 3.3.3.2.1): bits 0-7 the code, 8-10 its type, 14 Do
 * Not Retry. This is the specification's name for it, "LBA Out of Range".
 */
const char *rw_status_name(uint32_t status);

/* ------------------------------------------------------------- memory */

/*
 * A buffer is a piece of a region: one pool of a few large memfd mappings
 * (huge pages when there are free ones), suballocated in pages. Every buffer
 * starts on a page, so it satisfies any alignment a path asks for up to that.
 *
 * A buffer is counted: the creator holds it once and every operation in flight
 * holds it once more. Its memory returns to the pool when the last holder
 * drops it, never while a device may still write to it.
 */
struct rw_buffer;

/* The memory of one operation; its address is 0 for those without data. */
struct rw_span {
	uintptr_t memory;
	uint64_t length;         /* bytes */
};

struct rw_memory_stats {
	uint64_t regions;        /* mappings the pool has made */
	uint64_t region_bytes;   /* their size */
	uint64_t huge_bytes;     /* of which on huge pages */
	uint64_t buffers;        /* buffers alive, registered memory included */
	uint64_t buffer_bytes;   /* their size */
};

/* A new zeroed buffer of at least `length` bytes; -ENOMEM when there is none. */
int rw_buffer_create(uint64_t length, struct rw_buffer **out);
/*
 * Memory the caller owns, made known to every device. The caller keeps it
 * mapped until rw_buffer_drop() has returned 1, or for ever.
 * -EEXIST when it overlaps memory that is registered already.
 */
int rw_buffer_register(void *memory, uint64_t length, struct rw_buffer **out);
void rw_buffer_hold(struct rw_buffer *buffer);
/* Returns 1 when this was the last holder and the memory is free again. */
int rw_buffer_drop(struct rw_buffer *buffer);
void *rw_buffer_memory(const struct rw_buffer *buffer);
uint64_t rw_buffer_length(const struct rw_buffer *buffer);
/* How many holders there are, for tests and for diagnosis. */
uint32_t rw_buffer_holders(const struct rw_buffer *buffer);
/* Does all of this memory lie in one buffer, so that devices reach it without a copy? */
bool rw_memory_known(const struct rw_span *span);
void rw_memory_stats(struct rw_memory_stats *out);

/* -------------------------------------------------------------- paths */

struct rw_path_info {
	const char *name;        /* "io_uring" */
	const char *summary;     /* one line */
	const char *scheme;      /* target prefix it serves, NULL: files and block devices */
};

struct rw_option_info {
	const char *name;        /* "sqpoll" */
	const char *summary;     /* one line */
	uint32_t bit;            /* for rw_open_request.options */
};

/* The registry; NULL past the end. */
const struct rw_path_info *rw_path_at(uint32_t index);
const struct rw_option_info *rw_path_option_at(uint32_t path, uint32_t index);

/* ------------------------------------------------------------- device */

enum rw_opcode {
	RW_READ = 0,
	RW_WRITE = 1,
	RW_FLUSH = 2,            /* completed writes are durable afterwards */
	RW_DISCARD = 3,          /* contents no longer needed, undefined afterwards */
	RW_WRITE_ZEROES = 4
};

struct rw_open_request {
	const char *target;      /* a path name, or "scheme:rest" */
	const char *path;        /* a path's name; NULL: the best that works here */
	uint32_t options;        /* bits of that path's options */
	bool writable;           /* writes are refused otherwise */
	bool direct;             /* O_DIRECT: past the page cache */
};

struct rw_device_info {
	uint64_t size;           /* bytes, as it was when the device was opened */
	uint32_t block_size;     /* offsets and lengths are multiples of it */
	uint32_t memory_alignment; /* memory addresses are multiples of it */
	uint32_t discard_alignment; /* offsets and lengths of discard and write-zeroes are multiples of it */
	uint32_t max_transfer;   /* longer reads and writes are split; bytes */
	uint32_t max_discard;    /* and longer discards */
	uint32_t max_zeroes;     /* and longer write-zeroes */
	uint32_t max_depth;      /* deepest queue */
	uint32_t opcodes;        /* bit (1 << opcode) for each that may be tried */
	uint32_t options;        /* option bits in force */
	bool writable;
	bool direct;
	bool has_event_fd;       /* queues of this device can be polled for */
	bool synchronous;        /* operations run one at a time, in the call that reaps them */
	const char *path;        /* name of the path in use */
	const char *target;      /* as given */
	const char *why;         /* why this path and these options; lives with the device */
};

struct rw_device;

/*
 * Can `path` with `options` serve `target` on this machine? 0, or a negative
 * errno with rw_detail() saying why not and what to do about it.
 */
int rw_probe(const struct rw_open_request *request);
int rw_device_open(const struct rw_open_request *request, struct rw_device **out);
/*
 * Quiesce: refuse new work, wait up to timeout_ns for calls and operations in
 * flight, release the target. 0, or -ETIME when something is still in flight:
 * then its memory stays held for good. Safe to call again.
 */
int rw_device_close(struct rw_device *device, int64_t timeout_ns);
/* Frees the handle of a closed device; one that could not be closed stays for good. */
void rw_device_destroy(struct rw_device *device);
void rw_device_info(const struct rw_device *device, struct rw_device_info *out);

/* A wait comes back at least this often, for the caller to look after its signals. */
enum { RW_SLICE_NS = 50000000 };

/*
 * One operation, start to end, from any thread. Returns the bytes moved: less
 * than its length only where the device ends inside its last block. -ETIME when
 * it did not end in time: it is abandoned. -EINTR after a signal and now and
 * then without one, so that the caller can look after its signals: then go on
 * with rw_device_resume(), or give up with rw_device_abandon().
 */
int64_t rw_device_transfer(struct rw_device *device, uint32_t opcode, uint64_t offset,
			   const struct rw_span *span, int64_t timeout_ns);
int64_t rw_device_resume(struct rw_device *device, int64_t timeout_ns);
/*
 * Gives up on what the calling thread's transfer or batch has in flight: waits
 * up to timeout_ns for it, then forgets it. Buffers stay held until the device
 * lets go of them. Returns how many operations were left in flight: memory
 * that is no buffer must outlive those.
 */
int rw_device_abandon(struct rw_device *device, int64_t timeout_ns);

/* -------------------------------------------------------------- batch */

/*
 * Many operations of one size in one call, over a queue that the device keeps
 * for the calling thread. Operation i moves bs bytes between offsets[i] and
 * the memory at i * bs.
 */
struct rw_batch {
	const int64_t *offsets;
	uint64_t count;
	uint64_t bs;
	struct rw_span memory;
	uint32_t opcode;
	uint32_t depth;
	int64_t *result;         /* bytes or negative errno per operation */
	int64_t *latency;        /* ns per operation; may be NULL */
	/* progress, zero at the start, written by rw_batch_run() */
	uint64_t next;           /* operations handed over */
	uint64_t done;           /* operations complete */
	uint64_t failed;         /* of which with a negative result */
	uint64_t first_failed;   /* the lowest index among these */
	uint32_t status;         /* and that operation's raw status */
};

/*
 * Runs the batch for at most slice_ns: 0 when every operation is complete,
 * -EAGAIN when there is more to do (call again), -EINTR after a signal (call
 * again, or rw_device_abandon()). Arguments are checked when batch->next is 0;
 * a refused batch has started nothing.
 */
int rw_batch_run(struct rw_device *device, struct rw_batch *batch, int64_t slice_ns);
/*
 * Fills *batch and runs its first slice of RW_SLICE_NS, in one call; result
 * and latency are the two halves of `out`, which has 2 * count entries.
 */
int rw_batch_begin(struct rw_device *device, struct rw_batch *batch, uint32_t opcode,
		   const int64_t *offsets, uint64_t count, uint64_t bs,
		   const struct rw_span *memory, uint32_t depth, int64_t *out);

/* -------------------------------------------------------------- queue */

struct rw_queue;

struct rw_op {
	uint64_t offset;
	uintptr_t memory;        /* 0 for operations without data */
	uint64_t length;
	uint64_t user_data;      /* handed back in the completion */
	uint32_t opcode;
	uint32_t flags;          /* 0 */
};

struct rw_completion {
	uint64_t token;
	uint64_t user_data;
	int64_t result;          /* bytes, or negative errno */
	uint64_t latency_ns;     /* submit to reap */
	uint32_t status;         /* the device's raw status, 0 where it has none; rw_status_name() */
	uint32_t opcode;
};

struct rw_counters {
	uint64_t operations;     /* completed */
	uint64_t syscalls;       /* made by the path for this queue */
	uint64_t doorbells;      /* register writes */
	uint64_t copies;         /* operations that went through a bounce copy or an unregistered buffer where registered ones were asked for */
	uint64_t retries;        /* resubmissions after EAGAIN or a short transfer */
	uint64_t parts;          /* device commands, more than operations where they were split */
};

/* The calling thread becomes the owner. -ERANGE when depth is out of range. */
int rw_queue_create(struct rw_device *device, uint32_t depth, struct rw_queue **out);
/*
 * Drains for up to timeout_ns and gives everything back but the handle, whose
 * calls answer -EBADF from then on. -ETIME when operations were still in
 * flight: the queue is closed all the same, their memory stays held. -EINTR
 * after a signal and -EBUSY when the owner is inside a call: it is not closed,
 * call again. Another thread may close a queue, but with option defer only the
 * owner can wait for what is in flight.
 */
int rw_queue_close(struct rw_queue *queue, int64_t timeout_ns);
/* Closes the queue unless it is closed, with the same answers, then frees the handle. */
int rw_queue_destroy(struct rw_queue *queue, int64_t timeout_ns);
/*
 * Fills a slot; nothing reaches the device before rw_queue_submit(). Returns
 * the token (positive), or a negative errno: -EBUSY when the queue is full.
 */
int64_t rw_queue_prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
			 const struct rw_span *span, uint64_t user_data);
/* The same for n operations; tokens[i] is written for those accepted. Returns their number. */
int rw_queue_prepare_many(struct rw_queue *queue, const struct rw_op *ops, uint32_t n,
			  int64_t *tokens);
/* Hands over what was prepared. Returns the number of operations handed over. */
int rw_queue_submit(struct rw_queue *queue);
/*
 * Completions: at least `min` unless the timeout passes (then what there is,
 * possibly 0), at most `max`. Spins for a time learnt from the device, then
 * sleeps. Submits what is prepared. -EINTR when a signal arrived before any.
 */
int rw_queue_reap(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		  int64_t timeout_ns);
/* Readable when there may be something to reap; -EOPNOTSUPP where the path has none. */
int rw_queue_event_fd(struct rw_queue *queue);
uint32_t rw_queue_depth(const struct rw_queue *queue);
uint32_t rw_queue_in_flight(const struct rw_queue *queue);
void rw_queue_counters(const struct rw_queue *queue, struct rw_counters *out);

/* ----------------------------------------------------------- workload */

enum rw_access { RW_SEQUENTIAL = 0, RW_UNIFORM = 1, RW_ZIPF = 2 };

enum { RW_MAX_THREADS = 64, RW_MAX_SERIES = 3600, RW_HISTOGRAM_BUCKETS = 7424 };

struct rw_workload {
	uint64_t offset;         /* first byte of the range */
	uint64_t span;           /* its length in bytes; 0: to the end */
	uint64_t bs;             /* bytes per operation */
	uint64_t total_bytes;    /* stop after so many; 0: by time only */
	uint64_t ramp_ns;        /* run before measuring */
	uint64_t runtime_ns;     /* measure for; 0: by bytes only */
	uint64_t rate;           /* operations per second over all threads; 0: unlimited */
	uint64_t seed;
	double zipf_theta;       /* skew, 0 < theta < 1 */
	uint32_t access;         /* enum rw_access */
	uint32_t read_percent;   /* 100: only reads, 0: only writes */
	uint32_t depth;          /* per thread */
	uint32_t threads;
	uint32_t batch;          /* completions to wait for at once; 1: as they come */
	uint32_t verify;         /* 0 no; 1 write a pattern and check it on every read */
	int32_t first_cpu;       /* thread i is pinned to first_cpu + i; -1: not pinned */
	uint32_t reserved;
};

/* What has been done so far, for a progress display. */
struct rw_run_status {
	uint64_t elapsed_ns;     /* since the measured part began; 0 while ramping */
	uint64_t operations;     /* measured so far */
	uint64_t bytes;
	uint32_t finished;       /* all threads have ended */
	int32_t error;           /* first error, negative errno, or 0 */
};

struct rw_run_result {
	uint64_t elapsed_ns;     /* the measured part */
	uint64_t reads, writes;  /* operations */
	uint64_t read_bytes, write_bytes;
	uint64_t errors;         /* operations that failed */
	uint64_t verify_errors;  /* blocks whose contents were wrong; the first is in rw_run_detail() */
	uint64_t user_ns, system_ns; /* CPU of the workload's threads */
	uint64_t helper_ns;      /* CPU of kernel threads that worked for them (SQPOLL, io workers) */
	uint64_t latency_min_ns, latency_max_ns, latency_sum_ns;
	int64_t punts;           /* operations io_uring handed to a worker; -1: cannot be counted here */
	struct rw_counters counters;
	uint32_t series_length;  /* full seconds in rw_run_series() */
	int32_t error;           /* first error that ended the run, -EILSEQ for wrong data, or 0 */
};

struct rw_run;

/* Starts the threads and returns; the device must stay open until rw_run_destroy(). */
int rw_run_start(struct rw_device *device, const struct rw_workload *workload,
		 struct rw_run **out);
/* Waits up to timeout_ns for the end, then tells how far it is. */
int rw_run_poll(struct rw_run *run, struct rw_run_status *out, int64_t timeout_ns);
/* Asks the threads to end soon; what was measured is kept. */
void rw_run_stop(struct rw_run *run);
/* -EBUSY until rw_run_poll() says finished. */
int rw_run_result(const struct rw_run *run, struct rw_run_result *out);
/* Operations in each full second; `out` holds series_length entries. */
int rw_run_series(const struct rw_run *run, uint64_t *out, uint32_t length);
/* Latency histogram of all operations; `out` holds RW_HISTOGRAM_BUCKETS counts. */
int rw_run_histogram(const struct rw_run *run, uint64_t *out);
const char *rw_run_detail(const struct rw_run *run);
/* Stops, waits for the threads, frees. */
void rw_run_destroy(struct rw_run *run);

/* Lowest value (ns) that falls into a histogram bucket, and the bucket of a value. */
uint64_t rw_histogram_value(uint32_t bucket);
uint32_t rw_histogram_bucket(uint64_t value_ns);

#ifdef __cplusplus
}
#endif

#endif
