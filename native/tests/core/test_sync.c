/* Sync calls, over a queue and at once: timeouts, going on after signals, giving up. */
#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/core/fake_path.h"

static struct rw_buffer *buffer;
static char *memory;

static int64_t start(struct fake_device *fake, uint32_t opcode, uint64_t offset, uint64_t length,
		     int64_t timeout_ns)
{
	struct rw_span span = span_of(memory, length);

	return rw_device_transfer(&fake->base, opcode, offset, &span, timeout_ns);
}

/* Goes on after each slice: on a busy machine one may be over at any time. */
static int64_t transfer(struct fake_device *fake, uint32_t opcode, uint64_t offset, uint64_t length,
			int64_t timeout_ns)
{
	int64_t result = start(fake, opcode, offset, length, timeout_ns);

	while (result == -EINTR)
		result = rw_device_resume(&fake->base, timeout_ns);
	return result;
}

static int64_t read_block(struct fake_device *fake, int64_t timeout_ns)
{
	return transfer(fake, RW_READ, 0, 512, timeout_ns);
}

/* ----------------------------------------------------------- on either path */

static void moves_data(const struct rw_path *path)
{
	struct fake_device *fake = fake_open(path, NULL);
	uint64_t length = 5 * FAKE_MAX + 512;

	memset(memory, 0, length);
	CHECK_EQ(transfer(fake, RW_READ, 512, length, RW_NS_PER_S), length);
	CHECK(fake_bytes_are(memory, 512, length));
	CHECK_EQ(fake->logged, 6);
	for (uint32_t i = 0; i < 6; i++) {
		CHECK_EQ(fake->log[i].offset, 512 + i * FAKE_MAX);
		CHECK_EQ(fake->log[i].memory, (uintptr_t)memory + i * FAKE_MAX);
		CHECK_EQ(fake->log[i].length, i < 5 ? FAKE_MAX : 512);
	}
	memset(memory, 0x77, 1024);
	CHECK_EQ(transfer(fake, RW_WRITE, 4096, 1024, RW_NS_PER_S), 1024);
	CHECK_EQ(fake->data[4096], 0x77);
	CHECK_EQ(fake->data[4096 + 1023], 0x77);
	CHECK_EQ(fake->data[4096 + 1024], fake_byte(4096 + 1024));
	CHECK_EQ(transfer(fake, RW_DISCARD, 0, 1024, RW_NS_PER_S), 1024);
	CHECK_EQ(transfer(fake, RW_FLUSH, 0, 0, RW_NS_PER_S), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void refusals(const struct rw_path *path)
{
	struct rw_device_info info = fake_info();
	struct fake_device *fake;

	info.writable = false;
	fake = fake_open(path, &info);
	CHECK_EQ(transfer(fake, RW_READ, 1, 512, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(transfer(fake, RW_READ, 0, 0, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(transfer(fake, RW_READ, FAKE_SIZE, 512, RW_NS_PER_S), -ERANGE);
	CHECK_EQ(transfer(fake, RW_WRITE, 0, 512, RW_NS_PER_S), -EROFS);
	CHECK_EQ(transfer(fake, 9, 0, 512, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(read_block(fake, RW_NS_PER_S), -EBADF);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EBADF);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), -EBADF);
	rw_device_destroy(&fake->base);
}

static void failures(const struct rw_path *path)
{
	struct fake_device *fake = fake_open(path, NULL);

	FAKE_SCRIPTED(fake, FAKE_ALL, -EIO);
	CHECK_EQ(transfer(fake, RW_READ, 0, FAKE_MAX + 512, RW_NS_PER_S), -EIO);
	/* Calls without a queue have no status. */
	CHECK_EQ(rw_status(), path->transfer ? 0 : 77);
	CHECK(strstr(rw_detail(), path->transfer ? "read failed" : "read: Generic Command Status"));
	FAKE_SCRIPTED(fake, -ENOSPC);
	CHECK_EQ(transfer(fake, RW_WRITE, 0, 512, RW_NS_PER_S), -ENOSPC);
	CHECK(strstr(rw_detail(), path->transfer ? "disk is full" : "(NVMe status 0x4d)"));
	FAKE_SCRIPTED(fake, 0);
	CHECK_EQ(transfer(fake, RW_READ, 0, 512, RW_NS_PER_S), -ENODATA);
	CHECK(strstr(rw_detail(), "shorter than it was"));
	FAKE_SCRIPTED(fake, 512, 100);
	CHECK_EQ(transfer(fake, RW_WRITE, 0, 2048, RW_NS_PER_S), -EIO);
	FAKE_SCRIPTED(fake, -EAGAIN, -EIO);
	CHECK_EQ(transfer(fake, RW_FLUSH, 0, 0, RW_NS_PER_S), -EIO);
	CHECK(strstr(rw_detail(), "flush"));
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	CHECK_EQ(fake_close(fake), 0);
}

static void short_transfers_and_retries(const struct rw_path *path)
{
	struct rw_device_info info = fake_info();
	struct fake_device *fake;

	info.size = 2 * FAKE_MAX + 100;
	fake = fake_open(path, &info);
	memset(memory, 0, 3 * FAKE_MAX);
	FAKE_SCRIPTED(fake, 1024, -EAGAIN, 512, -EINTR, -EAGAIN);
	CHECK_EQ(transfer(fake, RW_READ, 0, 2 * FAKE_MAX, RW_NS_PER_S), 2 * FAKE_MAX);
	CHECK(fake_bytes_are(memory, 0, 2 * FAKE_MAX));
	/* The device ends inside its last block. */
	FAKE_SCRIPTED(fake, 512);
	CHECK_EQ(transfer(fake, RW_READ, FAKE_MAX, FAKE_MAX + 512, RW_NS_PER_S), FAKE_MAX + 100);
	CHECK_EQ(transfer(fake, RW_READ, 2 * FAKE_MAX, 512, RW_NS_PER_S), 100);
	/* A flush tries again too, and has no length whatever it is told. */
	FAKE_SCRIPTED(fake, -EINTR, -EAGAIN);
	CHECK_EQ(transfer(fake, RW_FLUSH, 0, 512, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 3);
	CHECK_EQ(fake->log[2].length, 0);
	CHECK_EQ(fake_close(fake), 0);
}

/* A device that always says EAGAIN: asked less and less often, no longer than the timeout. */
static void never_ready(const struct rw_path *path)
{
	struct fake_device *fake = fake_open(path, NULL);
	int64_t began = rw_now_ns();

	fake->otherwise = -EAGAIN;
	CHECK_EQ(read_block(fake, 30 * RW_NS_PER_MS), -ETIME);
	CHECK(rw_now_ns() - began >= 30 * RW_NS_PER_MS);
	CHECK(rw_now_ns() - began < 5 * RW_NS_PER_S);
	CHECK(fake->logged <= 20);
	fake->otherwise = FAKE_ALL;
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

/* ------------------------------------------------------------------- at once */

/* Time is looked at between the parts; what was moved by then is no success. */
static void slow_parts_at_once(void)
{
	struct fake_device *fake = fake_open(&fake_sync_path, NULL);

	fake->delay_ns = 5 * RW_NS_PER_MS;
	CHECK_EQ(transfer(fake, RW_READ, 0, 8 * FAKE_MAX, 8 * RW_NS_PER_MS), -ETIME);
	CHECK(fake->logged < 8);
	CHECK(strstr(rw_detail(), "of 32768 bytes"));
	CHECK_EQ(transfer(fake, RW_READ, 0, 8 * FAKE_MAX, 10 * RW_NS_PER_S), 8 * FAKE_MAX);
	/* One part is never too late: it is done. */
	CHECK_EQ(read_block(fake, 0), 512);
	CHECK_EQ(fake->queues_made, 0);
	CHECK_EQ(fake_close(fake), 0);
}

static int64_t read_parts(struct fake_device *fake)
{
	return start(fake, RW_READ, 0, 5 * FAKE_MAX, 10 * RW_NS_PER_S);
}

/* Between parts the caller may look after its signals too, and do other things meanwhile. */
static void slices_at_once(void)
{
	struct fake_device *fake = fake_open(&fake_sync_path, NULL);
	struct fake_device *other = fake_open(&fake_sync_path, NULL);
	int64_t result;

	memset(memory, 0, 5 * FAKE_MAX);
	fake->delay_ns = 3 * RW_SLICE_NS / 5;
	result = read_parts(fake);
	CHECK_EQ(result, -EINTR);
	CHECK(fake->logged >= 1 && fake->logged < 5);
	CHECK_EQ(read_block(fake, RW_NS_PER_S), -EBUSY);
	CHECK_EQ(read_block(other, RW_NS_PER_S), 512);
	CHECK_EQ(read_parts(other), 5 * FAKE_MAX);
	memset(memory + 4 * FAKE_MAX, 0, FAKE_MAX);
	while (result == -EINTR)
		result = rw_device_resume(&fake->base, 10 * RW_NS_PER_S);
	CHECK_EQ(result, 5 * FAKE_MAX);
	CHECK_EQ(fake->logged, 5);
	CHECK(fake_bytes_are(memory, 0, 5 * FAKE_MAX));
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(fake_close(fake), 0);
	CHECK_EQ(fake_close(other), 0);
}

/* Given up, or the device closed meanwhile: that must not stand in the way of later ones. */
static void given_up_at_once(void)
{
	struct fake_device *fake = fake_open(&fake_sync_path, NULL);
	struct fake_device *other = fake_open(&fake_sync_path, NULL);

	fake->delay_ns = other->delay_ns = 3 * RW_SLICE_NS / 5;
	CHECK_EQ(read_parts(fake), -EINTR);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 0);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	CHECK_EQ(read_parts(fake), -EINTR);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EBADF);
	rw_device_destroy(&fake->base);
	/* Others come back in slices still. */
	CHECK_EQ(read_parts(other), -EINTR);
	CHECK_EQ(rw_device_abandon(&other->base, 0), 0);
	CHECK_EQ(fake_close(other), 0);
}

/* -------------------------------------------------------------------- queued */

static void one_queue_serves_a_thread(void)
{
	struct fake_device *one = fake_open(&fake_path, NULL), *two = fake_open(&fake_path, NULL);

	for (int i = 0; i < 5; i++) {
		CHECK_EQ(read_block(one, RW_NS_PER_S), 512);
		CHECK_EQ(read_block(two, RW_NS_PER_S), 512);
	}
	CHECK_EQ(one->queues_made, 1);
	CHECK_EQ(two->queues_made, 1);
	CHECK_EQ(fake_close(one), 0);
	CHECK_EQ(fake_close(two), 0);
}

/* After each slice the caller may look after its signals, then go on. */
static void slices(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	int64_t began = rw_now_ns();

	memset(memory, 0, 512);
	fake->held = true;
	CHECK_EQ(start(fake, RW_READ, 0, 512, 10 * RW_NS_PER_S), -EINTR);
	CHECK(rw_now_ns() - began >= RW_SLICE_NS);
	CHECK_EQ(rw_device_resume(&fake->base, 10 * RW_NS_PER_S), -EINTR);
	CHECK(rw_now_ns() - began >= 2 * RW_SLICE_NS && rw_now_ns() - began < 5 * RW_NS_PER_S);
	fake->held = false;
	CHECK_EQ(rw_device_resume(&fake->base, 10 * RW_NS_PER_S), 512);
	CHECK(fake_bytes_are(memory, 0, 512));
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(fake_close(fake), 0);
}

static void a_signal(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	fake->interruptions = 2;
	CHECK_EQ(start(fake, RW_READ, 0, 512, RW_NS_PER_S), -EINTR);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINTR);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	/* Its handler must not take that operation's completion for its own. */
	CHECK_EQ(read_block(fake, RW_NS_PER_S), -EBUSY);
	CHECK(strstr(rw_detail(), "signal handler"));
	fake->released = true;
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), 512);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

/* What does not end in time is abandoned: its memory stays held, its completion is nobody's. */
static void timeouts(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	int64_t began = rw_now_ns();

	FAKE_SCRIPTED(fake, FAKE_NEVER, FAKE_NEVER);
	CHECK_EQ(read_block(fake, 10 * RW_NS_PER_MS), -ETIME);
	CHECK(rw_now_ns() - began >= 10 * RW_NS_PER_MS);
	CHECK(rw_now_ns() - began < 5 * RW_NS_PER_S);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(read_block(fake, 0), -ETIME);
	CHECK_EQ(rw_buffer_holders(buffer), 3);
	/* The device goes on; so does the thread. */
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	CHECK_EQ(rw_buffer_holders(buffer), 3);
	fake->released = true;
	CHECK_EQ(transfer(fake, RW_WRITE, 0, 1024, RW_NS_PER_S), 1024);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

/* Abandoned ones fill the queue; once they have ended there is room again. */
static void many_timeouts(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	int n = 0;

	fake->held = true;
	while (read_block(fake, 0) == -ETIME && n < 100)
		n++;
	CHECK_EQ(n, 32);
	CHECK_EQ(read_block(fake, 0), -EBUSY);
	CHECK_EQ(rw_buffer_holders(buffer), 33);
	fake->held = false;
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void giving_up(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	int64_t began;

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	fake->interruptions = 1;
	CHECK_EQ(start(fake, RW_READ, 0, 2 * FAKE_MAX, RW_NS_PER_S), -EINTR);
	began = rw_now_ns();
	CHECK_EQ(rw_device_abandon(&fake->base, 10 * RW_NS_PER_MS), 1);
	CHECK(rw_now_ns() - began >= 10 * RW_NS_PER_MS);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 1);
	fake->interruptions = 1; /* a signal while giving up: the same answer */
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 1);
	CHECK_EQ(rw_device_resume(&fake->base, RW_NS_PER_S), -EINVAL);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	CHECK_EQ(read_block(fake, RW_NS_PER_S), 512);
	fake->released = true;
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

static void refused_by_the_path(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);

	fake->create_error = EMFILE;
	CHECK_EQ(read_block(fake, RW_NS_PER_S), -EMFILE);
	fake->create_error = 0;
	fake->submit_error = ENXIO;
	CHECK_EQ(read_block(fake, RW_NS_PER_S), -ENXIO);
	fake->submit_error = 0;
	/* It was given up: the next one is its own. */
	CHECK_EQ(transfer(fake, RW_READ, 0, 1024, RW_NS_PER_S), 1024);
	CHECK_EQ(fake->logged, 1);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(fake_close(fake), 0);
}

int main(void)
{
	static const struct rw_path *const paths[] = { &fake_path, &fake_sync_path };

	CHECK_EQ(rw_buffer_create(16 * FAKE_MAX, &buffer), 0);
	memory = rw_buffer_memory(buffer);
	for (int i = 0; i < 2; i++) {
		moves_data(paths[i]);
		refusals(paths[i]);
		failures(paths[i]);
		short_transfers_and_retries(paths[i]);
		never_ready(paths[i]);
	}
	slow_parts_at_once();
	slices_at_once();
	given_up_at_once();
	one_queue_serves_a_thread();
	slices();
	a_signal();
	timeouts();
	many_timeouts();
	giving_up();
	refused_by_the_path();
	CHECK_EQ(rw_buffer_drop(buffer), 1);
	return rw_check_end();
}
