/* NVMe character devices in sysfs, and the ioctls of their driver: a fake tree, a fake drive. */
#define _GNU_SOURCE
#include "os/nvmechar.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <linux/nvme_ioctl.h>
#include <stdarg.h>
#include <sys/sysmacros.h>

#include "ringway.h"
#include "tests/check.h"
#include "tests/os/fake_tree.h"

/* ------------------------------------------------------------------- sysfs */

static char sys_root[80];

/* ng7n1 and nvme7n1 of one controller, as sysfs shows them. */
static void drive_create(void)
{
	tree_create();
	snprintf(sys_root, sizeof(sys_root), "%s/sys", tree_root);
	tree_directory("sys/class/nvme-generic/");
	tree_directory("sys/devices/nvme7/ng7n1/");
	tree_directory("sys/devices/nvme7/nvme7n1/");
	tree_link("../../../class/nvme-generic", "sys/devices/nvme7/ng7n1/subsystem");
	tree_link("../../devices/nvme7/ng7n1", "sys/dev/char/245:1");
	tree_link("../../devices/nvme7/ng7n1", "sys/class/nvme-generic/ng7n1");
	tree_link("../../devices/nvme7/nvme7n1", "sys/dev/block/259:3");
	tree_write("sys/devices/nvme7/nvme7n1/dev", "259:3\n");
	tree_write("sys/devices/nvme7/nvme7n1/ro", "0\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/logical_block_size", "512\n");
}

static void facts_of_a_namespace(void)
{
	struct rw_nvmechar facts;

	drive_create();
	tree_write("sys/devices/nvme7/nvme7n1/queue/max_hw_sectors_kb", "512\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/max_segments", "127\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/dma_alignment", "3\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/io_poll", "1\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/zoned", "none\n");
	CHECK(rw_nvmechar_find(makedev(245, 1), sys_root, &facts));
	CHECK(!strcmp(facts.name, "ng7n1"));
	CHECK(!strcmp(facts.block_name, "nvme7n1"));
	CHECK_EQ(facts.block, makedev(259, 3));
	CHECK(facts.polls && !facts.zoned && !facts.read_only);
	CHECK_EQ(facts.memory_alignment, 4);
	CHECK_EQ(facts.max_segments, 127);
	/* One segment less, for memory that begins inside a page. */
	CHECK_EQ(facts.max_transfer, 126 * sysconf(_SC_PAGESIZE));
	tree_write("sys/devices/nvme7/nvme7n1/queue/max_hw_sectors_kb", "128\n");
	tree_write("sys/devices/nvme7/nvme7n1/queue/zoned", "host-managed\n");
	tree_write("sys/devices/nvme7/nvme7n1/ro", "1\n");
	CHECK(rw_nvmechar_find(makedev(245, 1), sys_root, &facts));
	CHECK_EQ(facts.max_transfer, 128 << 10);
	CHECK(facts.zoned && facts.read_only);
	tree_destroy();
}

/* What older kernels do not tell is assumed to be little. */
static void facts_not_told(void)
{
	struct rw_nvmechar facts;

	drive_create();
	CHECK(rw_nvmechar_find(makedev(245, 1), sys_root, &facts));
	CHECK_EQ(facts.memory_alignment, 512);
	CHECK_EQ(facts.max_transfer, 128 << 10);
	CHECK(!facts.polls && !facts.zoned);
	tree_delete("sys/devices/nvme7/nvme7n1/dev");
	CHECK(rw_nvmechar_find(makedev(245, 1), sys_root, &facts));
	CHECK_EQ(facts.block, 0);
	tree_destroy();
}

static void other_devices(void)
{
	struct rw_nvmechar facts;

	drive_create();
	tree_directory("sys/class/mem/");
	tree_directory("sys/devices/virtual/mem/null/");
	tree_link("../../../../class/mem", "sys/devices/virtual/mem/null/subsystem");
	tree_link("../../devices/virtual/mem/null", "sys/dev/char/1:3");
	CHECK(!rw_nvmechar_find(makedev(1, 3), sys_root, &facts));
	CHECK(!rw_nvmechar_find(makedev(9, 9), sys_root, &facts));
	CHECK_EQ(rw_nvmechar_refuse(makedev(1, 3), sys_root), 0);
	CHECK_EQ(rw_nvmechar_refuse(makedev(245, 1), sys_root), -EMEDIUMTYPE);
	CHECK(strstr(rw_detail(), "path io_uring_cmd serves it; name /dev/nvme7n1"));
	tree_destroy();
}

static void the_character_device_beside_a_block_device(void)
{
	char name[32];

	drive_create();
	CHECK(rw_nvmechar_beside(makedev(259, 3), sys_root, name, sizeof(name)));
	CHECK(!strcmp(name, "ng7n1"));
	tree_directory("sys/devices/nvme7/nvme7n1/nvme7n1p2/");
	tree_link("../../devices/nvme7/nvme7n1/nvme7n1p2", "sys/dev/block/259:4");
	CHECK(rw_nvmechar_beside(makedev(259, 4), sys_root, name, sizeof(name)));
	CHECK(!strcmp(name, "ng7n1"));
	tree_link("../../devices/sda", "sys/dev/block/8:0");
	CHECK(!rw_nvmechar_beside(makedev(8, 0), sys_root, name, sizeof(name)));
	tree_delete("sys/class/nvme-generic/ng7n1"); /* before Linux 5.13 */
	CHECK(!rw_nvmechar_beside(makedev(259, 3), sys_root, name, sizeof(name)));
	tree_destroy();
}

/* ------------------------------------------------------------------- ioctls */

/* The driver: answers in the place of the kernel's. */
static struct {
	int answer, code;
	struct nvme_passthru_cmd64 got;
} driver;

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;

	(void)fd;
	if (request == NVME_IOCTL_ADMIN64_CMD) {
		va_start(arguments, request);
		driver.got = *va_arg(arguments, struct nvme_passthru_cmd64 *);
		va_end(arguments);
	} else {
		CHECK_EQ(request, NVME_IOCTL_ID);
	}
	errno = driver.code;
	return driver.answer;
}

static void namespace_ids(void)
{
	driver.answer = 3;
	CHECK_EQ(rw_nvmechar_id(0), 3);
	driver.answer = -1;
	driver.code = ENOTTY;
	CHECK_EQ(rw_nvmechar_id(0), -ENOTTY);
	CHECK(strstr(rw_detail(), "does not tell the namespace's id"));
}

static void identify(void)
{
	char bytes[4096];

	driver.answer = 0;
	CHECK_EQ(rw_nvmechar_identify(0, 3, 0x06, 0x02, bytes), 0);
	CHECK_EQ(driver.got.opcode, 0x06);
	CHECK_EQ(driver.got.nsid, 3);
	CHECK_EQ(driver.got.cdw10, 0x06);
	CHECK_EQ(driver.got.cdw11, 0x02000000);
	CHECK_EQ(driver.got.addr, (uintptr_t)bytes);
	CHECK_EQ(driver.got.data_len, 4096);
	CHECK(driver.got.timeout_ms > 0);
	driver.answer = 0x4002;
	CHECK_EQ(rw_nvmechar_identify(0, 3, 0, 0, bytes), 0x4002);
	driver.answer = -1;
	driver.code = EACCES;
	CHECK_EQ(rw_nvmechar_identify(0, 3, 0, 0, bytes), -EACCES);
}

int main(void)
{
	facts_of_a_namespace();
	facts_not_told();
	other_devices();
	the_character_device_beside_a_block_device();
	namespace_ids();
	identify();
	return rw_check_end();
}
