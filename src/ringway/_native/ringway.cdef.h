/*
 * What Python sees of native/include/ringway.h, declaration by declaration, without its
 * explanations. `make lint` fails when the two differ (tools/check_cdef.py).
 */

/* errors */

const char *rw_detail(void);
uint32_t rw_status(void);
int64_t rw_explain(uint32_t opcode, int64_t result, uint32_t status);
const char *rw_status_name(uint32_t status);

/* memory */

struct rw_buffer;

struct rw_span {
	uintptr_t memory;
	uint64_t length;
};

struct rw_memory_stats {
	uint64_t regions;
	uint64_t region_bytes;
	uint64_t huge_bytes;
	uint64_t buffers;
	uint64_t buffer_bytes;
};

int rw_buffer_create(uint64_t length, struct rw_buffer **out);
int rw_buffer_register(void *memory, uint64_t length, struct rw_buffer **out);
void rw_buffer_hold(struct rw_buffer *buffer);
int rw_buffer_drop(struct rw_buffer *buffer);
void *rw_buffer_memory(const struct rw_buffer *buffer);
uint64_t rw_buffer_length(const struct rw_buffer *buffer);
uint32_t rw_buffer_holders(const struct rw_buffer *buffer);
bool rw_memory_known(const struct rw_span *span);
void rw_memory_stats(struct rw_memory_stats *out);

/* paths */

struct rw_path_info {
	const char *name;
	const char *summary;
	const char *scheme;
};

struct rw_option_info {
	const char *name;
	const char *summary;
	uint32_t bit;
};

const struct rw_path_info *rw_path_at(uint32_t index);
const struct rw_option_info *rw_path_option_at(uint32_t path, uint32_t index);

/* device */

enum rw_opcode {
	RW_READ = 0,
	RW_WRITE = 1,
	RW_FLUSH = 2,
	RW_DISCARD = 3,
	RW_WRITE_ZEROES = 4
};

struct rw_open_request {
	const char *target;
	const char *path;
	uint32_t options;
	bool writable;
	bool direct;
};

struct rw_device_info {
	uint64_t size;
	uint32_t block_size;
	uint32_t memory_alignment;
	uint32_t discard_alignment;
	uint32_t max_transfer;
	uint32_t max_discard;
	uint32_t max_zeroes;
	uint32_t max_depth;
	uint32_t opcodes;
	uint32_t options;
	bool writable;
	bool direct;
	bool has_event_fd;
	bool synchronous;
	const char *path;
	const char *target;
	const char *why;
};

struct rw_device;
int rw_probe(const struct rw_open_request *request);
int rw_device_open(const struct rw_open_request *request, struct rw_device **out);
int rw_device_close(struct rw_device *device, int64_t timeout_ns);
void rw_device_destroy(struct rw_device *device);
void rw_device_info(const struct rw_device *device, struct rw_device_info *out);

enum { RW_SLICE_NS = 50000000 };

int64_t rw_device_transfer(struct rw_device *device, uint32_t opcode, uint64_t offset,
			   const struct rw_span *span, int64_t timeout_ns);
int64_t rw_device_resume(struct rw_device *device, int64_t timeout_ns);
int rw_device_abandon(struct rw_device *device, int64_t timeout_ns);

/* batch */

struct rw_batch {
	const int64_t *offsets;
	uint64_t count;
	uint64_t bs;
	struct rw_span memory;
	uint32_t opcode;
	uint32_t depth;
	int64_t *result;
	int64_t *latency;
	uint64_t next;
	uint64_t done;
	uint64_t failed;
	uint64_t first_failed;
	uint32_t status;
};

int rw_batch_run(struct rw_device *device, struct rw_batch *batch, int64_t slice_ns);
int rw_batch_begin(struct rw_device *device, struct rw_batch *batch, uint32_t opcode,
		   const int64_t *offsets, uint64_t count, uint64_t bs,
		   const struct rw_span *memory, uint32_t depth, int64_t *out);

/* queue */

struct rw_queue;

struct rw_op {
	uint64_t offset;
	uintptr_t memory;
	uint64_t length;
	uint64_t user_data;
	uint32_t opcode;
	uint32_t flags;
};

struct rw_completion {
	uint64_t token;
	uint64_t user_data;
	int64_t result;
	uint64_t latency_ns;
	uint32_t status;
	uint32_t opcode;
};

struct rw_counters {
	uint64_t operations;
	uint64_t syscalls;
	uint64_t doorbells;
	uint64_t copies;
	uint64_t retries;
	uint64_t parts;
};

int rw_queue_create(struct rw_device *device, uint32_t depth, struct rw_queue **out);
int rw_queue_close(struct rw_queue *queue, int64_t timeout_ns);
int rw_queue_destroy(struct rw_queue *queue, int64_t timeout_ns);
int64_t rw_queue_prepare(struct rw_queue *queue, uint32_t opcode, uint64_t offset,
			 const struct rw_span *span, uint64_t user_data);
int rw_queue_prepare_many(struct rw_queue *queue, const struct rw_op *ops, uint32_t n,
			  int64_t *tokens);
int rw_queue_submit(struct rw_queue *queue);
int rw_queue_reap(struct rw_queue *queue, struct rw_completion *out, uint32_t min, uint32_t max,
		  int64_t timeout_ns);
int rw_queue_event_fd(struct rw_queue *queue);
uint32_t rw_queue_depth(const struct rw_queue *queue);
uint32_t rw_queue_in_flight(const struct rw_queue *queue);
void rw_queue_counters(const struct rw_queue *queue, struct rw_counters *out);

/* workload */

enum rw_access { RW_SEQUENTIAL = 0, RW_UNIFORM = 1, RW_ZIPF = 2 };

enum { RW_MAX_THREADS = 64, RW_MAX_SERIES = 3600, RW_HISTOGRAM_BUCKETS = 7424 };

struct rw_workload {
	uint64_t offset;
	uint64_t span;
	uint64_t bs;
	uint64_t total_bytes;
	uint64_t ramp_ns;
	uint64_t runtime_ns;
	uint64_t rate;
	uint64_t seed;
	double zipf_theta;
	uint32_t access;
	uint32_t read_percent;
	uint32_t depth;
	uint32_t threads;
	uint32_t batch;
	uint32_t verify;
	int32_t first_cpu;
	uint32_t reserved;
};

struct rw_run_status {
	uint64_t elapsed_ns;
	uint64_t operations;
	uint64_t bytes;
	uint32_t finished;
	int32_t error;
};

struct rw_run_result {
	uint64_t elapsed_ns;
	uint64_t reads, writes;
	uint64_t read_bytes, write_bytes;
	uint64_t errors;
	uint64_t verify_errors;
	uint64_t user_ns, system_ns;
	uint64_t helper_ns;
	uint64_t latency_min_ns, latency_max_ns, latency_sum_ns;
	int64_t punts;
	struct rw_counters counters;
	uint32_t series_length;
	int32_t error;
};

struct rw_run;
int rw_run_start(struct rw_device *device, const struct rw_workload *workload,
		 struct rw_run **out);
int rw_run_poll(struct rw_run *run, struct rw_run_status *out, int64_t timeout_ns);
void rw_run_stop(struct rw_run *run);
int rw_run_result(const struct rw_run *run, struct rw_run_result *out);
int rw_run_series(const struct rw_run *run, uint64_t *out, uint32_t length);
int rw_run_histogram(const struct rw_run *run, uint64_t *out);
const char *rw_run_detail(const struct rw_run *run);
void rw_run_destroy(struct rw_run *run);
uint64_t rw_histogram_value(uint32_t bucket);
uint32_t rw_histogram_bucket(uint64_t value_ns);
