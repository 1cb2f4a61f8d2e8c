/* Facts about files, queues and block devices: fake trees, files, a loop device. */
#define _GNU_SOURCE
#include "os/blockdev.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "tests/check.h"
#include "tests/os/real_files.h"

/* -------------------------------------------------------------- queue facts */

static char sys_root[80];

/* A disk with one partition, as sysfs shows them. */
static void disk_create(void)
{
	tree_create();
	snprintf(sys_root, sizeof(sys_root), "%s/sys", tree_root);
	tree_write("sys/devices/rwa/rwa1/partition", "1\n");
	tree_link("../../devices/rwa", "sys/dev/block/8:0");
	tree_link("../../devices/rwa/rwa1", "sys/dev/block/8:1");
}

static void queue_facts_of_a_disk_and_its_partition(void)
{
	struct rw_file_facts facts = { 0 };

	disk_create();
	tree_write("sys/devices/rwa/queue/logical_block_size", "512\n");
	tree_write("sys/devices/rwa/queue/dma_alignment", "3\n");
	tree_write("sys/devices/rwa/queue/nr_requests", "256\n");
	tree_write("sys/devices/rwa/queue/max_sectors_kb", "1280\n");
	tree_write("sys/devices/rwa/queue/discard_max_bytes", "2147450880\n");
	tree_write("sys/devices/rwa/queue/write_zeroes_max_bytes", "0\n");
	tree_write("sys/devices/rwa/queue/io_poll", "1\n");
	rw_queue_facts(8, 1, sys_root, &facts);
	CHECK_EQ(facts.block_size, 512);
	CHECK_EQ(facts.device_block, 512);
	CHECK_EQ(facts.memory_alignment, 4);
	CHECK_EQ(facts.queue_depth, 256);
	CHECK_EQ(facts.max_transfer, 1280 << 10);
	CHECK(facts.discards && !facts.write_zeroes && facts.polls);
	tree_destroy();
}

static void queue_facts_without_and_beyond_limits(void)
{
	struct rw_file_facts facts = { 0 };

	disk_create();
	rw_queue_facts(0, 45, sys_root, &facts);
	CHECK_EQ(facts.block_size, 4096);
	CHECK_EQ(facts.memory_alignment, 4096);
	CHECK_EQ(facts.queue_depth, 0);
	CHECK_EQ(facts.max_transfer, 128 << 10);
	CHECK(!facts.discards && !facts.write_zeroes && !facts.polls);
	/* Some drivers have no limit, some one that is not whole blocks. */
	tree_write("sys/devices/rwa/queue/logical_block_size", "4096\n");
	tree_write("sys/devices/rwa/queue/max_sectors_kb", "2147483647\n");
	rw_queue_facts(8, 0, sys_root, &facts);
	CHECK_EQ(facts.max_transfer, 1 << 30);
	tree_write("sys/devices/rwa/queue/max_sectors_kb", "127\n");
	rw_queue_facts(8, 0, sys_root, &facts);
	CHECK_EQ(facts.max_transfer, 124 << 10);
	tree_destroy();
}

static void zram_wants_whole_pages(void)
{
	struct rw_file_facts facts = { 0 };

	disk_create();
	tree_write("sys/devices/rwa/queue/logical_block_size", "4096\n");
	tree_write("sys/devices/rwa/queue/dma_alignment", "511\n");
	rw_queue_facts(8, 0, sys_root, &facts);
	CHECK_EQ(facts.memory_alignment, 512);
	tree_write("sys/devices/rwa/disksize", "1048576\n");
	rw_queue_facts(8, 1, sys_root, &facts);
	CHECK(facts.whole_pages);
	CHECK_EQ(facts.memory_alignment, 4096);
	tree_destroy();
}

/* --------------------------------------------------------------- real files */

static void facts_of_a_file(void)
{
	struct rw_file_facts facts;
	struct statvfs fs;
	int fd;

	tree_create();
	fd = open_file("file", 0, 12345);
	CHECK_EQ(rw_file_facts(fd, false, &facts), 0);
	CHECK(!facts.block && !facts.polls && facts.discards);
	CHECK_EQ(facts.read_only, !fstatvfs(fd, &fs) && (fs.f_flag & ST_RDONLY));
	CHECK_EQ(facts.size, 12345);
	CHECK_EQ(facts.block_size, 1);
	CHECK_EQ(facts.memory_alignment, 1);
	CHECK_EQ(facts.device_block, 1);
	CHECK_EQ(facts.max_transfer, 1 << 30);
	close(fd);
	tree_destroy();
}

/* What is told must be true: a transfer at exactly that alignment works. */
static void direct_alignment_is_enough(void)
{
	struct rw_file_facts facts;
	char *memory;
	int fd;

	tree_create();
	fd = open_file("file", O_DIRECT, 1 << 20);
	if (fd >= 0) {
		CHECK_EQ(rw_file_facts(fd, true, &facts), 0);
		CHECK(facts.block_size && !(facts.block_size & (facts.block_size - 1)));
		memory = aligned_alloc(4096, 16384);
		CHECK_EQ(pread(fd, memory + facts.memory_alignment, facts.block_size,
			       facts.block_size), facts.block_size);
		free(memory);
		close(fd);
	}
	tree_destroy();
}

static void memory_files_punt(void)
{
	struct rw_file_facts facts;
	int fd = memfd_create("ringway-test", MFD_CLOEXEC);

	CHECK_EQ(rw_file_facts(fd, false, &facts), 0);
	CHECK(facts.discards && !facts.write_zeroes);
	CHECK_EQ(facts.size, 0);
	close(fd);
}

static void refused(int fd, int code, const char *text)
{
	struct rw_file_facts facts;

	CHECK(fd >= 0);
	CHECK_EQ(rw_file_facts(fd, false, &facts), -code);
	CHECK(says(text));
	close(fd);
}

static void other_kinds_are_refused(void)
{
	struct rw_file_facts facts;
	int ends[2];

	refused(open("/", O_RDONLY | O_DIRECTORY), EISDIR, "is a directory");
	refused(open("/dev/null", O_RDONLY), EINVAL, "a character device");
	CHECK_EQ(pipe(ends), 0);
	refused(ends[0], EINVAL, "a pipe");
	close(ends[1]);
	refused(socket(AF_UNIX, SOCK_STREAM, 0), EINVAL, "a socket");
	CHECK_EQ(rw_file_facts(-1, false, &facts), -EBADF);
}

/* ------------------------------------------------------------ a loop device */

static void loop_facts(int fd)
{
	struct rw_file_facts facts;

	CHECK_EQ(rw_file_facts(fd, false, &facts), 0);
	CHECK(facts.block && !facts.read_only);
	CHECK_EQ(facts.size, 16 << 20);
	CHECK_EQ(facts.block_size, 1);
	CHECK(facts.device_block >= 512);
	CHECK_EQ(facts.max_transfer % facts.device_block, 0);
	CHECK_EQ(rw_file_facts(fd, true, &facts), 0);
	CHECK_EQ(facts.block_size, facts.device_block);
	CHECK(facts.queue_depth > 0);
}

static void loop_device(void)
{
	int file, fd;

	tree_create();
	file = open_file("disk", 0, 16 << 20);
	fd = loop_create(file);
	if (fd < 0) {
		rw_skip("the part over a loop device: it takes root and the loop driver");
	} else {
		loop_facts(fd);
		CHECK_EQ(ioctl(fd, LOOP_CLR_FD), 0);
		close(fd);
	}
	close(file);
	tree_destroy();
}

static void empty_device_is_refused(void)
{
	int number = loop_number();
	int fd = -1;

	if (number >= 0) {
		snprintf(loop_node, sizeof(loop_node), "/dev/loop%d", number);
		fd = open(loop_node, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		refused(fd, ENOMEDIUM, "size 0");
}

int main(void)
{
	queue_facts_of_a_disk_and_its_partition();
	queue_facts_without_and_beyond_limits();
	zram_wants_whole_pages();
	facts_of_a_file();
	direct_alignment_is_enough();
	memory_files_punt();
	other_kinds_are_refused();
	loop_device();
	empty_device_is_refused();
	return rw_check_end();
}
