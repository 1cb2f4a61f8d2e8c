/*
 * A path whose device follows a script: a test says what becomes of each part,
 * when and in which order; what the core asks of the path is written down.
 */
#ifndef RW_TESTS_CORE_FAKE_PATH_H
#define RW_TESTS_CORE_FAKE_PATH_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/device.h"
#include "core/queue.h"
#include "core/region.h"

enum { FAKE_SCRIPT = 64, FAKE_LOG = 4096, FAKE_SIZE = 1 << 20, FAKE_MAX = 4096 };

/* What a script may say of a part besides bytes moved and negative errnos. */
#define FAKE_ALL INT64_MIN         /* moved completely */
#define FAKE_NEVER (INT64_MIN + 1) /* not completed until the device is `released` */

struct fake_device {
	struct rw_device base;
	unsigned char *data;             /* what it stores; at first fake_byte(i) at i */

	/* What a test asks for. */
	int64_t script[FAKE_SCRIPT];     /* of the parts, in the order they are accepted */
	uint32_t scripted;
	int64_t otherwise;               /* behind the script's end; FAKE_ALL unless told */
	uint32_t ring;                   /* parts it takes before one completes; 0: all */
	bool newest_first;               /* completions come in that order */
	int64_t delay_ns;                /* of every part */
	bool full;                       /* it takes nothing */
	int map_error, submit_error, create_error, event_fd_error;
	_Atomic bool held;               /* nothing completes */
	_Atomic bool released;           /* FAKE_NEVER ends too */
	_Atomic uint32_t interruptions;  /* so many waiting reaps answer -EINTR */

	/* What was seen. */
	pthread_mutex_t seen_lock;
	struct rw_part log[FAKE_LOG];    /* parts accepted or carried out at once */
	uint32_t logged;
	uint32_t submits;                /* calls */
	uint32_t out, most_out;          /* parts accepted and not completed */
	uint32_t maps[RW_MAX_REGIONS], unmaps[RW_MAX_REGIONS];
	uint32_t queues_made, queues_destroyed, closed;
	bool queue_left_at_close;
	_Atomic uint32_t waiters;        /* reaps and transfers that wait right now */
};

/* Queued, with every optional hook but transfer; and one with transfer, like posix. */
extern const struct rw_path fake_path, fake_sync_path;
/* No optional hook at all. */
extern const struct rw_path fake_bare_path;

/*
 * What devices are like unless told otherwise: FAKE_SIZE bytes in blocks of
 * 512, FAKE_MAX bytes per part, depth up to 64, writable, every operation.
 */
struct rw_device_info fake_info(void);
/* A device of that path, as if opened; `info` NULL: fake_info(). */
struct fake_device *fake_open(const struct rw_path *path, const struct rw_device_info *info);
/* Closes and frees; what is in flight has a second to end. Returns what closing returned. */
int fake_close(struct fake_device *fake);
/* A queue of it for the calling thread; NULL when it is refused. */
struct rw_queue *fake_queue(struct fake_device *fake, uint32_t depth);
/* Replaces the script and starts the log anew. */
void fake_script(struct fake_device *fake, uint32_t n, const int64_t *results);
#define FAKE_SCRIPTED(fake, ...) \
	fake_script(fake, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
		    (int64_t[]){ __VA_ARGS__ })

static inline unsigned char fake_byte(uint64_t at)
{
	return (unsigned char)(at * 31 + (at >> 9) * 7 + 1);
}

/* Do `length` bytes of memory hold what the device holds from `offset` on at first? */
static inline bool fake_bytes_are(const void *memory, uint64_t offset, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (((const unsigned char *)memory)[i] != fake_byte(offset + i))
			return false;
	return true;
}

static inline struct rw_span span_of(const void *memory, uint64_t length)
{
	return (struct rw_span){ (uintptr_t)memory, length };
}

#endif
