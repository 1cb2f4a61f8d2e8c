/*
 * A device in memory with faults on demand, in the place of the core's device,
 * queue and buffers: it sees every operation of a run, completes them in
 * another order than they came, and notes what a run must never do.
 */
#ifndef RW_TESTS_FAKE_DEVICE_H
#define RW_TESTS_FAKE_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ringway.h"

enum fake_fault {
	FAKE_NO_FAULT,
	FAKE_ERROR,              /* the operation ends with -EIO */
	FAKE_SHORT,              /* it moves 512 bytes less */
	FAKE_LOST_WRITE,         /* success is told, nothing is written */
	FAKE_MISPLACED_WRITE,    /* it lands one block further on */
	FAKE_TORN_WRITE,         /* the second half is missing */
	FAKE_FLIPPED_BIT         /* a read returns one wrong bit */
};

enum { FAKE_BS = 4096, FAKE_BLOCKS = 256, FAKE_TRACE = 4096 };

struct rw_device {
	struct rw_device_info info;
	unsigned char data[FAKE_BLOCKS * FAKE_BS];
	pthread_mutex_t lock;

	/* What a test asks for. */
	enum fake_fault fault;
	uint64_t fault_from;     /* index of the first operation that has it */
	uint64_t fault_count;
	int64_t delay_ns;        /* of each operation */
	bool hang;               /* nothing completes */
	uint32_t queues_allowed;

	/* What was seen. */
	uint64_t operations, faults;
	uint64_t touched[FAKE_BLOCKS][2]; /* reads, writes */
	uint64_t overlaps;       /* operations that met another one on the same block */
	uint64_t misuses;        /* memory twice in flight, out of range, and the like */
	uint32_t in_flight[FAKE_BLOCKS];
	uint32_t queues, open_queues, buffers;
	bool signals_blocked;
	uint32_t traced;         /* of the queue created first */
	uint64_t trace[FAKE_TRACE]; /* offset, and 1 for a write */
};

void fake_init(struct rw_device *device);

#endif
