/* sysfs and ioctls of NVMe generic character devices; linux/nvme_ioctl.h. */
#define _GNU_SOURCE
#include "os/nvmechar.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/error.h"
#include "nvme/identify.h"
#include "os/blockdev.h"

/* Longest wait for Identify; the driver's own default is a minute. */
#define IDENTIFY_MS 5000

/* ------------------------------------------------------------------ sysfs */

/* Where a link leads to: the last component. */
static bool link_name(const char *path, char *name, size_t size)
{
	char target[512];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length <= 0)
		return false;
	target[length] = '\0';
	return (size_t)snprintf(name, size, "%s", basename(target)) < size;
}

static bool read_word(const char *path, const char *format, void *a, void *b, int wanted)
{
	FILE *file = fopen(path, "re");
	bool found;

	if (!file)
		return false;
	found = (b ? fscanf(file, format, a, b) : fscanf(file, format, a)) == wanted;
	fclose(file);
	return found;
}

/* A block device beside the character device: nvme0n1 beside ng0n1. */
static void find_block(const char *folder, struct rw_nvmechar *out)
{
	unsigned int major_number, minor_number;
	char path[512];

	snprintf(out->block_name, sizeof(out->block_name), "nvme%.24s", out->name + 2);
	snprintf(path, sizeof(path), "%s/../%s/dev", folder, out->block_name);
	if (read_word(path, "%u:%u", &major_number, &minor_number, 2))
		out->block = makedev(major_number, minor_number);
}

static uint64_t queue_fact(dev_t block, const char *sys_root, const char *name, uint64_t otherwise)
{
	uint64_t value = otherwise;

	rw_queue_number(major(block), minor(block), sys_root, name, &value);
	return value;
}

/*
 * The driver maps at most max_segments pieces for a command, and memory that
 * does not start on a page's edge lies in one page more than it fills.
 */
static void read_queue(const char *sys_root, struct rw_nvmechar *out)
{
	enum { DEFAULT_KB = 128, DEFAULT_SEGMENTS = 33 };
	uint64_t block = queue_fact(out->block, sys_root, "logical_block_size", 4096);
	uint64_t hardware = queue_fact(out->block, sys_root, "max_hw_sectors_kb", DEFAULT_KB) << 10;
	uint64_t segments = queue_fact(out->block, sys_root, "max_segments", DEFAULT_SEGMENTS);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), mapped;

	mapped = segments > 1 ? (segments - 1) * page : page;
	if (mapped > hardware)
		mapped = hardware;
	out->max_transfer = mapped < 1 << 30 ? (uint32_t)mapped : 1 << 30;
	out->max_segments = segments < UINT16_MAX ? (uint32_t)segments : UINT16_MAX;
	/* Kernels before 6.1 do not tell, and want memory aligned like blocks. */
	out->memory_alignment = (uint32_t)queue_fact(out->block, sys_root, "dma_alignment",
						     block - 1) + 1;
	out->polls = queue_fact(out->block, sys_root, "io_poll", 0) > 0;
	out->read_only = queue_fact(out->block, sys_root, "../ro", 0) > 0;
}

static bool is_zoned(dev_t block, const char *sys_root)
{
	char path[512], word[32] = "none";

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u/queue/zoned", sys_root, major(block),
		 minor(block));
	read_word(path, "%31s", word, NULL, 1);
	return strcmp(word, "none") != 0;
}

bool rw_nvmechar_find(dev_t device, const char *sys_root, struct rw_nvmechar *out)
{
	char folder[256], path[512], class[32];

	*out = (struct rw_nvmechar){ .block = 0 };
	snprintf(folder, sizeof(folder), "%s/dev/char/%u:%u", sys_root, major(device), minor(device));
	snprintf(path, sizeof(path), "%s/subsystem", folder);
	if (!link_name(path, class, sizeof(class)) || strcmp(class, "nvme-generic") ||
	    !link_name(folder, out->name, sizeof(out->name)) || strncmp(out->name, "ng", 2))
		return false;
	find_block(folder, out);
	if (!out->block)
		return true;
	read_queue(sys_root, out);
	out->zoned = is_zoned(out->block, sys_root);
	return true;
}

int rw_nvmechar_refuse(dev_t device, const char *sys_root)
{
	struct rw_nvmechar found;

	if (!rw_nvmechar_find(device, sys_root, &found))
		return 0;
	return rw_fail(EMEDIUMTYPE, "%s is the character device of an NVMe namespace: path io_uring_cmd "
		       "serves it; name /dev/%s for this one", found.name, found.block_name);
}

bool rw_nvmechar_beside(dev_t block, const char *sys_root, char *name, size_t size)
{
	char folder[256], path[512], block_name[32];
	unsigned int controller, namespace;

	snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u", sys_root, major(block), minor(block));
	if (!link_name(folder, block_name, sizeof(block_name)) ||
	    sscanf(block_name, "nvme%un%u", &controller, &namespace) != 2)
		return false;
	snprintf(name, size, "ng%un%u", controller, namespace);
	snprintf(path, sizeof(path), "%s/class/nvme-generic/%s", sys_root, name);
	return !access(path, F_OK);
}

/* ------------------------------------------------------------ exclusive use */

static int open_block(const struct rw_nvmechar *device)
{
	struct stat status;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", device->block_name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return rw_fail(EBUSY, "whether %s is in use cannot be found out: its block device %s "
			       "does not open (%s); writing needs both", device->name, path,
			       strerror(errno));
	if (!fstat(fd, &status) && S_ISBLK(status.st_mode) && status.st_rdev == device->block)
		return fd;
	close(fd);
	return rw_fail(EBUSY, "whether %s is in use cannot be found out: %s is not its block device",
		       device->name, path);
}

int rw_nvmechar_claim(const struct rw_nvmechar *device, int *claim)
{
	/* Tells who uses it even where the block device does not open. */
	int fd, error = rw_block_number_in_use(major(device->block), minor(device->block), "/proc",
					       "/sys");

	if (error)
		return error;
	fd = open_block(device);
	if (fd < 0)
		return fd;
	*claim = rw_block_claim(fd);
	close(fd);
	return *claim < 0 ? *claim : 0;
}

/* ----------------------------------------------------------------- ioctls */

int rw_nvmechar_id(int fd)
{
	int id = ioctl(fd, NVME_IOCTL_ID);

	if (id > 0)
		return id;
	return rw_fail(id ? errno : ENODEV, "the driver does not tell the namespace's id: %s",
		       strerror(id ? errno : ENODEV));
}

int rw_nvmechar_identify(int fd, uint32_t nsid, uint8_t cns, uint8_t csi, void *out)
{
	struct rw_nvme_command command = { .nsid = 0 };
	struct nvme_passthru_cmd64 request = { .timeout_ms = IDENTIFY_MS };
	int status;

	rw_nvme_fill_identify(&command, nsid, cns, csi);
	request.opcode = command.opcode;
	request.nsid = command.nsid;
	request.cdw10 = command.cdw10;
	request.cdw11 = command.cdw11;
	request.addr = (uintptr_t)out;
	request.data_len = RW_NVME_IDENTIFY_BYTES;
	status = ioctl(fd, NVME_IOCTL_ADMIN64_CMD, &request);
	return status < 0 ? -errno : status;
}
