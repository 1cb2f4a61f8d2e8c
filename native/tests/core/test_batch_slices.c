/* Batches in slices: going on after time and signals, giving up, starting anew. */
#include "tests/core/fake_batch.h"

static void slices_go_on_where_they_were(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(60, 4);
	int slices = 0, code;

	fake->delay_ns = 500000;
	do {
		uint64_t before = batch.done;
		int64_t start = rw_now_ns();

		code = rw_batch_run(&fake->base, &batch, RW_NS_PER_MS);
		CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
		CHECK(batch.done >= before && batch.next - batch.done <= 4);
		slices++;
	} while (code == -EAGAIN && slices < 1000);
	CHECK_EQ(code, 0);
	CHECK(slices > 2);
	CHECK_EQ(fake->logged, 60);
	check_complete(&batch);
	end(fake);
}

static void signals_and_going_on(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(60, 4), other = batch;
	int signals = 0, code;

	fake->delay_ns = 100000;
	fake->interruptions = 5;
	while ((code = rw_batch_run(&fake->base, &batch, RW_NS_PER_S)) == -EINTR) {
		signals++;
		/* A handler's own batch would take this one's completions. */
		CHECK_EQ(rw_batch_run(&fake->base, &other, RW_NS_PER_S), -EBUSY);
		CHECK_EQ(other.next, 0);
	}
	CHECK_EQ(code, 0);
	CHECK_EQ(signals, 5);
	CHECK_EQ(fake->logged, 60);
	check_complete(&batch);
	end(fake);
}

static void abandoned_and_used_again(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(100, 8);
	struct rw_buffer *lost;

	CHECK_EQ(rw_buffer_create(100 * BS, &lost), 0);
	batch.memory = span_of(rw_buffer_memory(lost), 100 * BS);
	FAKE_SCRIPTED(fake, FAKE_ALL, FAKE_NEVER, FAKE_NEVER, FAKE_NEVER, FAKE_ALL);
	fake->interruptions = 1;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0 - EINTR);
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_MS), 3);
	CHECK_EQ(rw_buffer_holders(lost), 4);
	CHECK_EQ(rw_buffer_drop(lost), 0);
	/* A new batch is not given what belonged to the old one, early or late. */
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	check_complete(&batch);
	fake->released = true;
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	check_complete(&batch);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 0);
	end(fake);
}

/* A deeper queue replaces one that still has something in flight: that one stays to land it. */
static void a_deeper_queue_beside_a_busy_one(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(8, 8);

	FAKE_SCRIPTED(fake, FAKE_NEVER);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_MS), -EAGAIN);
	CHECK_EQ(rw_device_abandon(&fake->base, 0), 1);
	batch = batch_of(100, 64);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), 0);
	CHECK_EQ(batch.done, 100);
	CHECK_EQ(fake->queues_made, 2);
	CHECK_EQ(fake->queues_destroyed, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 2);
	fake->released = true;
	end(fake);
}

static void a_failing_path(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(100, 8);

	fake->submit_error = ENXIO;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), -ENXIO);
	fake->submit_error = 0;
	CHECK_EQ(rw_device_abandon(&fake->base, RW_NS_PER_S), 0);
	CHECK_EQ(fake->logged, 0);
	CHECK_EQ(rw_buffer_holders(buffer), 1);
	CHECK_EQ(rw_device_close(&fake->base, RW_NS_PER_S), 0);
	batch = batch_of(100, 8);
	CHECK_EQ(rw_batch_run(&fake->base, &batch, RW_NS_PER_S), -EBADF);
	rw_device_destroy(&fake->base);
}

static void beginning(void)
{
	struct fake_device *fake = fake_open(&fake_path, NULL);
	struct rw_batch batch = batch_of(0, 0);
	struct rw_span span = span_of(memory, 64 * BS);
	int64_t out[2 * 64];
	int code;

	memset(&batch, 0xff, sizeof(batch));
	code = rw_batch_begin(&fake->base, &batch, RW_READ, offsets, 64, BS, &span, 16, out);
	while (code == -EAGAIN)
		code = rw_batch_run(&fake->base, &batch, RW_SLICE_NS);
	CHECK_EQ(code, 0);
	CHECK_EQ(batch.done, 64);
	for (int i = 0; i < 64; i++) {
		CHECK_EQ(out[i], BS);
		CHECK(out[64 + i] >= 0 && out[64 + i] < RW_NS_PER_S);
	}
	CHECK(data_is_right(64));
	fake->held = true;
	CHECK_EQ(rw_batch_begin(&fake->base, &batch, RW_READ, offsets, 64, BS, &span, 16, out),
		 -EAGAIN);
	fake->held = false;
	CHECK_EQ(rw_batch_run(&fake->base, &batch, 10 * RW_NS_PER_S), 0);
	CHECK_EQ(batch.done, 64);
	end(fake);
}

int main(void)
{
	begin_batches();
	slices_go_on_where_they_were();
	signals_and_going_on();
	abandoned_and_used_again();
	a_deeper_queue_beside_a_busy_one();
	a_failing_path();
	beginning();
	return end_batches();
}
