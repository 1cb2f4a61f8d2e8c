/* Who uses a block device: fake trees, and a loop device that is really in use. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "os/blockdev.h"
#include "tests/check.h"
#include "tests/os/real_files.h"

static char proc_root[80], sys_root[80];

/* --------------------------------------------------------- a fake machine */

/* A device under sys/devices/`at`, linked where the kernel links it. */
static void add_device(const char *at, const char *number, bool partition)
{
	const char *slash = strrchr(at, '/');
	const char *name = slash ? slash + 1 : at;
	char path[128], target[128];

	snprintf(path, sizeof(path), "sys/devices/%s/dev", at);
	tree_write(path, number);
	snprintf(path, sizeof(path), "sys/devices/%s/holders", at);
	tree_directory(path);
	if (partition) {
		snprintf(path, sizeof(path), "sys/devices/%s/partition", at);
		tree_write(path, "1\n");
	}
	snprintf(target, sizeof(target), "../../devices/%s", at);
	snprintf(path, sizeof(path), "sys/dev/block/%s", number);
	tree_link(target, path);
	snprintf(path, sizeof(path), "sys/class/block/%s", name);
	tree_link(target, path);
}

/* Two disks, one of them in two partitions, a RAID, a controller with '/' in its name. */
static void machine_create(void)
{
	tree_create();
	snprintf(proc_root, sizeof(proc_root), "%s/proc", tree_root);
	snprintf(sys_root, sizeof(sys_root), "%s/sys", tree_root);
	add_device("rwa", "8:0", false);
	add_device("rwa/rwa1", "8:1", true);
	add_device("rwa/rwa2", "8:2", true);
	add_device("rwb", "8:16", false);
	add_device("rwm0", "9:0", false);
	add_device("rwc!c0d0", "104:0", false);
	tree_write("proc/self/mountinfo",
		   "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
		   "25 24 0:23 / /dev/shm rw shared:3 master:1 - tmpfs tmpfs rw\n");
	tree_write("proc/swaps", "Filename\t\tType\t\tSize\tUsed\tPriority\n");
}

static int in_use(unsigned int major, unsigned int minor)
{
	return rw_block_number_in_use(major, minor, proc_root, sys_root);
}

/* ------------------------------------------------------------- who uses it */

static void nobody_uses_it(void)
{
	machine_create();
	CHECK_EQ(in_use(8, 0), 0);
	CHECK_EQ(in_use(8, 1), 0);
	CHECK_EQ(in_use(8, 16), 0);
	/* A kernel without swap. */
	tree_delete("proc/swaps");
	CHECK_EQ(in_use(8, 0), 0);
	tree_destroy();
}

static void mounts_count(void)
{
	machine_create();
	tree_write("proc/self/mountinfo",
		   "27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
		   "28 1 8:1 /home /home rw - ext4 /dev/root rw\n");
	CHECK_EQ(in_use(8, 1), -EBUSY);
	CHECK(says("rwa1 is mounted at /:"));
	/* The disk around the mounted partition is in use, its neighbour is not. */
	CHECK_EQ(in_use(8, 0), -EBUSY);
	CHECK(says("rwa1 is mounted at /:"));
	CHECK_EQ(in_use(8, 2), 0);
	CHECK_EQ(in_use(8, 16), 0);
	tree_destroy();
}

static void mounted_disk_covers_its_partitions(void)
{
	machine_create();
	tree_write("proc/self/mountinfo", "27 1 8:0 / /data rw - xfs /dev/rwa rw\n");
	CHECK_EQ(in_use(8, 2), -EBUSY);
	CHECK(says("rwa is mounted at /data:"));
	CHECK_EQ(in_use(8, 16), 0);
	tree_destroy();
}

/* btrfs and its like show an anonymous number; only the source names the disk. */
static void anonymous_mounts_count(void)
{
	machine_create();
	tree_write("proc/self/mountinfo",
		   "30 1 0:45 /@ /mnt/two\\040words\\134x rw - btrfs /dev/rwa2 rw,subvol=/@\n"
		   "31 1 0:46 / /c rw - btrfs /dev/rwc/c0d0 rw\n");
	CHECK_EQ(in_use(8, 2), -EBUSY);
	CHECK(says("rwa2 is mounted at /mnt/two words\\x:"));
	CHECK_EQ(in_use(8, 0), -EBUSY);
	CHECK_EQ(in_use(8, 1), 0);
	CHECK_EQ(in_use(104, 0), -EBUSY);
	CHECK(says("is mounted at /c:"));
	tree_destroy();
}

static void broken_mount_lines_are_harmless(void)
{
	machine_create();
	tree_write("proc/self/mountinfo",
		   "\n27\n27 1\n27 1 8:1\n27 1 8 / / rw - ext4 /dev/rwa1 rw\n"
		   "27 1 0:5 / /- rw - fuse.x - rw\n27 1 8:16 / / rw -\n");
	CHECK_EQ(in_use(8, 1), 0);
	/* A line that names the device is believed even where its end is missing. */
	CHECK_EQ(in_use(8, 16), -EBUSY);
	tree_destroy();
}

static void swap_counts(void)
{
	machine_create();
	tree_write("proc/swaps",
		   "Filename\t\tType\t\tSize\tUsed\tPriority\n"
		   "/swap\\040file                      file\t\t1048572\t0\t-2\n"
		   "/dev/rwa2                               partition\t1048572\t0\t-3\n");
	CHECK_EQ(in_use(8, 2), -EBUSY);
	CHECK(says("rwa2 is swap space: swapoff /dev/rwa2"));
	CHECK_EQ(in_use(8, 0), -EBUSY);
	CHECK_EQ(in_use(8, 1), 0);
	tree_destroy();
}

static void holders_count(void)
{
	machine_create();
	tree_link("../../../rwm0", "sys/devices/rwa/rwa1/holders/rwm0");
	CHECK_EQ(in_use(8, 1), -EBUSY);
	CHECK(says("rwa1 is held by rwm0"));
	CHECK_EQ(in_use(8, 0), -EBUSY);
	CHECK(says("rwa1 is held by rwm0"));
	CHECK_EQ(in_use(8, 2), 0);
	CHECK_EQ(in_use(9, 0), 0);
	tree_link("../../rwm0", "sys/devices/rwb/holders/rwm0");
	CHECK_EQ(in_use(8, 16), -EBUSY);
	tree_destroy();
}

/* What cannot be found out counts as in use. */
static void doubt_is_refusal(void)
{
	machine_create();
	CHECK_EQ(in_use(8, 99), -EBUSY);
	CHECK(says("mount sysfs"));
	tree_delete("proc/self/mountinfo");
	CHECK_EQ(in_use(8, 16), -EBUSY);
	CHECK(says("self/mountinfo cannot be read"));
	tree_destroy();
}

/* ------------------------------------------------------------ a loop device */

/* A program that has the device for itself is only known to the kernel. */
static void exclusive_opener_counts(int fd)
{
	int own;

	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), 0);
	own = open(loop_node, O_RDONLY | O_EXCL | O_CLOEXEC);
	CHECK(own >= 0);
	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), -EBUSY);
	CHECK(says("the kernel says"));
	close(own);
	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), 0);
}

static bool make_file_system(void)
{
	char command[128];

	snprintf(command, sizeof(command), "mkfs.ext4 -q %s >/dev/null 2>&1", loop_node);
	return system(command) == 0;
}

static void mounted_here(int fd)
{
	const char *point = tree_path("mount point");

	CHECK_EQ(mkdir(point, 0700), 0);
	if (mount(loop_node, point, "ext4", MS_RDONLY, NULL))
		return;
	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), -EBUSY);
	CHECK(says("mount point: unmount"));
	CHECK_EQ(umount(tree_path("mount point")), 0);
	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), 0);
}

/* The child mounts it where this process cannot see it, then waits to be killed. */
static pid_t mount_out_of_sight(void)
{
	int ready[2];
	char byte = 0;
	pid_t child;

	if (pipe(ready))
		return -1;
	child = fork();
	if (!child) {
		if (!unshare(CLONE_NEWNS) && !mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		    !mount(loop_node, tree_path("mount point"), "ext4", MS_RDONLY, NULL))
			byte = 1;
		if (write(ready[1], &byte, 1) == 1 && byte)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (child > 0 && (read(ready[0], &byte, 1) != 1 || !byte)) {
		waitpid(child, NULL, 0);
		child = -1;
	}
	close(ready[0]);
	return child;
}

static void mounted_elsewhere(int fd)
{
	pid_t child = mount_out_of_sight();

	if (child < 0)
		return;
	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), -EBUSY);
	CHECK(says("another namespace"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
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
		exclusive_opener_counts(fd);
		if (make_file_system()) {
			mounted_here(fd);
			mounted_elsewhere(fd);
		}
		CHECK_EQ(ioctl(fd, LOOP_CLR_FD), 0);
		close(fd);
	}
	close(file);
	tree_destroy();
}

static void other_descriptors(void)
{
	int fd = memfd_create("ringway-test", MFD_CLOEXEC);

	CHECK_EQ(rw_block_in_use(fd, "/proc", "/sys"), 0);
	close(fd);
	CHECK_EQ(rw_block_in_use(-1, "/proc", "/sys"), -EBADF);
}

int main(void)
{
	nobody_uses_it();
	mounts_count();
	mounted_disk_covers_its_partitions();
	anonymous_mounts_count();
	broken_mount_lines_are_harmless();
	swap_counts();
	holders_count();
	doubt_is_refusal();
	other_descriptors();
	loop_device();
	return rw_check_end();
}
