/* Files and block devices: what opens and how, what is refused; flush, discard, zeroes. */
#define _GNU_SOURCE
#include "paths/file.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/clock.h"
#include "tests/check.h"
#include "tests/os/real_files.h"

extern const struct rw_path rw_posix_path;

static struct rw_file file;

static int open_it(const char *name, bool writable, bool direct)
{
	struct rw_open_request request = { .target = name, .writable = writable,
					   .direct = direct };
	struct rw_target target = { .text = name, .rest = name };
	int error, probed;

	memset(&file, 0, sizeof(file));
	file.fd = -1;
	probed = rw_file_probe(&target, &request);
	error = rw_file_open(&file.base, &target, &request);
	CHECK_EQ(probed, error); /* a probe says what an open would */
	return error;
}

static void close_it(void)
{
	rw_file_close(&file.base);
}

static int64_t special(uint32_t opcode, uint64_t offset, uint32_t length)
{
	struct rw_part part = { .opcode = (uint8_t)opcode, .offset = offset, .length = length };

	return rw_file_special(&file, &part);
}

static void refused(const char *name, bool writable, int code, const char *text)
{
	CHECK_EQ(open_it(name, writable, false), -code);
	CHECK(says(text));
}

/* -------------------------------------------------------------------- opening */

static void a_regular_file(void)
{
	const struct rw_device_info *info = &file.base.info;
	int flags;

	close(open_file("data", 0, 100000));
	CHECK_EQ(open_it(tree_path("data"), false, false), 0);
	CHECK_EQ(info->size, 100000);
	CHECK_EQ(info->block_size, 1);
	CHECK_EQ(info->memory_alignment, 1);
	CHECK_EQ(info->discard_alignment, 1);
	CHECK(!info->writable && !info->direct);
	CHECK(info->max_transfer >= 1 << 20);
	CHECK_EQ(info->max_transfer % 4096, 0);
	CHECK_EQ(info->max_depth, RW_MAX_DEPTH);
	flags = fcntl(file.fd, F_GETFL);
	/* O_NONBLOCK would make io_uring answer EAGAIN. */
	CHECK(!(flags & (O_NONBLOCK | O_DIRECT | O_RDWR | O_WRONLY)));
	CHECK(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	close_it();
	CHECK_EQ(open_it(tree_path("data"), true, false), 0);
	CHECK_EQ(fcntl(file.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK(info->writable);
	close_it();
	CHECK_EQ(fcntl(file.fd, F_GETFD), -1);
}

static void a_direct_file(void)
{
	const struct rw_device_info *info = &file.base.info;
	int error = open_it(tree_path("data"), true, true);

	if (error) {
		CHECK_EQ(error, -EOPNOTSUPP);
		fprintf(stderr, "direct part left out: %s\n", rw_detail());
		return;
	}
	CHECK(fcntl(file.fd, F_GETFL) & O_DIRECT);
	CHECK(info->direct);
	CHECK(info->block_size >= 512 && !(info->block_size & (info->block_size - 1)));
	CHECK(info->memory_alignment && !(info->memory_alignment & (info->memory_alignment - 1)));
	CHECK(info->discard_alignment >= info->block_size);
	close_it();
}

static void no_direct_io_in_memory(void)
{
	char name[] = "/dev/shm/ringway-test-XXXXXX";
	int fd = mkstemp(name), error;

	if (fd < 0)
		return;
	error = open_it(name, true, true);
	if (!error)
		close_it(); /* no tmpfs here */
	else
		CHECK_EQ(error, -EOPNOTSUPP);
	unlink(name);
	close(fd);
}

/* ------------------------------------------------------------------- refusals */

static void make_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, name);
	CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void what_is_no_file(void)
{
	int64_t start = rw_now_ns();

	tree_directory("directory");
	CHECK_EQ(mkfifo(tree_path("pipe"), 0600), 0);
	make_socket(tree_path("socket"));
	tree_link("nowhere", "broken");
	tree_link("loop", "loop");
	for (int writable = 0; writable < 2; writable++) {
		refused(tree_path("missing"), writable, ENOENT, "does not exist");
		refused(tree_path("broken"), writable, ENOENT, "does not exist");
		refused(tree_path("data/x"), writable, ENOTDIR, "cannot open");
		refused(tree_path("loop"), writable, ELOOP, "cannot open");
		refused(tree_path("directory"), writable, EISDIR, "directory");
		refused(tree_path("socket"), writable, ENXIO, "pipe or socket");
		refused("/dev/null", writable, EINVAL, "character device");
		refused("/dev/tty0/x", writable, ENOTDIR, "cannot open");
	}
	/* Nobody writes to this pipe, and nothing waits for that. */
	refused(tree_path("pipe"), false, EINVAL, "pipe");
	CHECK(rw_now_ns() - start < 5 * RW_NS_PER_S);
}

/* Permissions are for others than root. */
static void without_permission(void)
{
	close(open_file("secret", 0, 4096));
	chmod(tree_path("secret"), 0400);
	chmod(tree_root, 0755);
	if (geteuid() == 0 && seteuid(65534))
		return;
	if (geteuid() != 65534)
		CHECK_EQ(open_it(tree_path("secret"), false, false), 0);
	else
		refused(tree_path("secret"), false, EACCES, "no permission to read");
	if (file.fd >= 0)
		close_it();
	refused(tree_path("secret"), true, EACCES, "no permission to write to");
	if (getuid() == 0)
		CHECK_EQ(seteuid(0), 0);
}

/* ------------------------------------------------------ flush, discard, zeroes */

/* At most a page. */
static bool all_are(uint64_t from, uint64_t length, char byte)
{
	char bytes[4096];
	uint64_t wrong = 0;

	if (length > sizeof(bytes))
		return false;
	CHECK_EQ(pread(file.fd, bytes, length, (off_t)from), length);
	for (uint64_t i = 0; i < length; i++)
		wrong += bytes[i] != byte;
	return !wrong;
}

static void zeroes_and_holes(const char *name)
{
	char bytes[16384];
	struct stat before, after;

	if (open_it(name, true, false)) {
		fprintf(stderr, "zeroes in %s left out: %s\n", name, rw_detail());
		return;
	}
	memset(bytes, 0x5a, sizeof(bytes));
	CHECK_EQ(pwrite(file.fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	fstat(file.fd, &before);
	CHECK_EQ(special(RW_FLUSH, 0, 0), 0);
	CHECK_EQ(special(RW_WRITE_ZEROES, 1000, 2000), 2000);
	CHECK(all_are(0, 1000, 0x5a) && all_are(1000, 2000, 0) && all_are(3000, 1000, 0x5a));
	CHECK_EQ(special(RW_DISCARD, 8192, 4096), 4096);
	CHECK(all_are(4096, 4096, 0x5a) && all_are(8192, 4096, 0) && all_are(12288, 4096, 0x5a));
	/* To the last byte and beyond: the file does not grow. */
	CHECK_EQ(special(RW_WRITE_ZEROES, 12288, 8192), 8192);
	fstat(file.fd, &after);
	CHECK_EQ(after.st_size, before.st_size);
	close_it();
	CHECK_EQ(open_it(name, false, false), 0);
	CHECK_EQ(special(RW_WRITE_ZEROES, 0, 4096), -EBADF);
	CHECK_EQ(special(RW_DISCARD, 0, 4096), -EBADF);
	close_it();
}

static void in_memory_too(void)
{
	char name[] = "/dev/shm/ringway-test-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return;
	CHECK_EQ(ftruncate(fd, 16384), 0);
	zeroes_and_holes(name);
	unlink(name);
	close(fd);
}

/* -------------------------------------------------------------- block devices */

static void a_block_device(void)
{
	const struct rw_device_info *info = &file.base.info;
	struct rw_file first;

	CHECK_EQ(open_it(loop_node, false, false), 0);
	CHECK_EQ(info->size, 16 << 20);
	CHECK_EQ(info->block_size, 1);
	CHECK(info->discard_alignment >= 512);
	close_it();
	/* Written to by us alone: a second one to write is refused, a reader is not. */
	CHECK_EQ(open_it(loop_node, true, false), 0);
	CHECK(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	first = file;
	CHECK_EQ(open_it(loop_node, true, false), -EBUSY);
	CHECK_EQ(open_it(loop_node, false, true), 0);
	CHECK(info->block_size >= 512);
	close_it();
	file = first;
	CHECK_EQ(special(RW_WRITE_ZEROES, 4096, 8192), 8192);
	CHECK_EQ(special(RW_FLUSH, 0, 0), 0);
	if (info->opcodes & 1u << RW_DISCARD)
		CHECK_EQ(special(RW_DISCARD, 0, 4096), 4096);
	CHECK_EQ(special(RW_WRITE_ZEROES, 100, 8192), -EINVAL);
	close_it();
	CHECK_EQ(open_it(loop_node, true, true), 0);
	close_it();
}

static void loop_device(void)
{
	int disk = open_file("disk", 0, 16 << 20);
	int fd = loop_create(disk);

	if (fd < 0) {
		rw_skip("the part over a loop device: it takes root and the loop driver");
	} else {
		a_block_device();
		CHECK_EQ(ioctl(fd, LOOP_CLR_FD), 0);
		close(fd);
	}
	close(disk);
}

int main(void)
{
	tree_create();
	a_regular_file();
	a_direct_file();
	no_direct_io_in_memory();
	what_is_no_file();
	without_permission();
	zeroes_and_holes(tree_path("data"));
	in_memory_too();
	loop_device();
	tree_destroy();
	return rw_check_end();
}
