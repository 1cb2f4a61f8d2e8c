/* Who uses a block device: mounts, swap, holders, and the kernel's own word for it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/error.h"
#include "os/blockdev.h"

/* The device in question and where to look. */
struct inquiry {
	dev_t device;
	const char *proc_root;
	const char *sys_root;
};

/* ------------------------------------------------------ devices in sysfs */

/* Reads "major:minor" from a sysfs file. */
static bool read_device(const char *path, dev_t *out)
{
	unsigned int major_number, minor_number;
	FILE *file = fopen(path, "re");
	bool found;

	if (!file)
		return false;
	found = fscanf(file, "%u:%u", &major_number, &minor_number) == 2;
	fclose(file);
	if (found)
		*out = makedev(major_number, minor_number);
	return found;
}

/* The disk that `device` is a partition of. */
static bool disk_of(const struct inquiry *q, dev_t device, dev_t *out)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u/partition", q->sys_root, major(device),
		 minor(device));
	if (access(path, F_OK))
		return false;
	snprintf(path, sizeof(path), "%s/dev/block/%u:%u/../dev", q->sys_root, major(device),
		 minor(device));
	return read_device(path, out);
}

/* Would a write to the device in question reach what `other` holds? */
static bool shares_blocks(const struct inquiry *q, dev_t other)
{
	dev_t disk;

	if (other == q->device)
		return true;
	if (disk_of(q, other, &disk) && disk == q->device)
		return true;
	return disk_of(q, q->device, &disk) && disk == other;
}

/* "sda1", for sentences. */
static const char *device_name(const struct inquiry *q, dev_t device, char *name, size_t size)
{
	char path[512], target[512];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", q->sys_root, major(device),
		 minor(device));
	length = readlink(path, target, sizeof(target) - 1);
	if (length > 0) {
		target[length] = '\0';
		snprintf(name, size, "%s", basename(target));
	} else {
		snprintf(name, size, "%u:%u", major(device), minor(device));
	}
	return name;
}

/* The device that sysfs knows by a node's name: '/' below /dev is '!' there. */
static bool device_named(const struct inquiry *q, const char *node, dev_t *out)
{
	char path[512];
	size_t start;

	if (strncmp(node, "/dev/", 5))
		return false;
	snprintf(path, sizeof(path), "%s/class/block/", q->sys_root);
	start = strlen(path);
	snprintf(path + start, sizeof(path) - start, "%s", node + 5);
	for (char *c = path + start; *c; c++) {
		if (*c == '/')
			*c = '!';
	}
	strncat(path, "/dev", sizeof(path) - strlen(path) - 1);
	return read_device(path, out);
}

/*
 * A node can be known to sysfs by its name, or be a link or a container's own
 * node that only its device number gives away: either is enough to be careful.
 */
static bool node_shares_blocks(const struct inquiry *q, const char *node, dev_t *out)
{
	struct stat st;

	if (device_named(q, node, out) && shares_blocks(q, *out))
		return true;
	if (node[0] != '/' || stat(node, &st) || !S_ISBLK(st.st_mode))
		return false;
	*out = st.st_rdev;
	return shares_blocks(q, *out);
}

/* -------------------------------------------------------------- /proc */

/* Undoes the kernel's octal escapes (\040 is a space) in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned int code;

		if (sscanf(from, "\\%3o", &code) == 1 && strspn(from + 1, "01234567") >= 3) {
			*to = (char)code;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* One line of /proc/self/mountinfo: proc(5) gives its fields. */
struct mount {
	dev_t device;
	char *point;
	char *source;            /* NULL: the line ends before it */
};

static bool parse_mount(char *line, struct mount *out)
{
	enum { DEVICE = 2, POINT = 4, BEFORE_OPTIONAL = 5, SOURCE_AFTER_DASH = 2 };
	unsigned int major_number = 0, minor_number = 0;
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	int dash = 0;

	*out = (struct mount){ 0 };
	for (int i = 0; word && !out->source; i++, word = strtok_r(NULL, " \n", &save)) {
		if (i == DEVICE && sscanf(word, "%u:%u", &major_number, &minor_number) != 2)
			return false;
		if (i == POINT)
			out->point = word;
		else if (i > BEFORE_OPTIONAL && !dash && !strcmp(word, "-"))
			dash = i;
		else if (dash && i == dash + SOURCE_AFTER_DASH)
			out->source = word;
	}
	if (!out->point)
		return false;
	out->device = makedev(major_number, minor_number);
	unescape(out->point);
	if (out->source)
		unescape(out->source);
	return true;
}

static int check_mount(const struct inquiry *q, char *line)
{
	struct mount mount;
	dev_t user;
	char name[64];

	if (!parse_mount(line, &mount))
		return 0;
	user = mount.device;
	if (!shares_blocks(q, user) &&
	    (!mount.source || !node_shares_blocks(q, mount.source, &user)))
		return 0;
	return rw_fail(EBUSY, "%s is mounted at %s: unmount it before writing",
		       device_name(q, user, name, sizeof(name)), mount.point);
}

static int check_swap(const struct inquiry *q, char *line)
{
	char *save = NULL, *node = strtok_r(line, " \t\n", &save);
	dev_t user;
	char name[64];

	if (!node)
		return 0;
	unescape(node);
	if (!node_shares_blocks(q, node, &user))
		return 0;
	return rw_fail(EBUSY, "%s is swap space: swapoff %s before writing",
		       device_name(q, user, name, sizeof(name)), node);
}

/* Gives every line to `check` until one says that the device is in use. */
static int check_lines(const struct inquiry *q, const char *file_name,
		       int (*check)(const struct inquiry *q, char *line))
{
	char path[512];
	char *line = NULL;
	size_t room = 0;
	int ret = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", q->proc_root, file_name);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!ret && getline(&line, &room, file) >= 0)
		ret = check(q, line);
	free(line);
	fclose(file);
	return ret;
}

static int check_mounts(const struct inquiry *q)
{
	int ret = check_lines(q, "self/mountinfo", check_mount);

	if (ret && ret != -EBUSY)
		return rw_fail(EBUSY, "whether the device is mounted cannot be found out: "
			       "%s/self/mountinfo cannot be read (%s)", q->proc_root,
			       strerror(-ret));
	return ret;
}

static int check_swaps(const struct inquiry *q)
{
	int ret = check_lines(q, "swaps", check_swap);

	/* A kernel without swap has no such file. */
	if (ret && ret != -EBUSY && ret != -ENOENT)
		return rw_fail(EBUSY, "whether the device is swap cannot be found out: %s/swaps "
			       "cannot be read (%s)", q->proc_root, strerror(-ret));
	return ret == -EBUSY ? ret : 0;
}

/* ------------------------------------------------------------ holders */

/* The first entry of a directory that is not "." or ".."; false when empty. */
static bool first_entry(const char *path, char *name, size_t size)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool found = false;

	if (!directory)
		return false;
	while (!found && (entry = readdir(directory))) {
		found = entry->d_name[0] != '.';
		if (found)
			snprintf(name, size, "%s", entry->d_name);
	}
	closedir(directory);
	return found;
}

static int check_holder(const struct inquiry *q, const char *name)
{
	char path[768], holder[256];
	dev_t device;

	snprintf(path, sizeof(path), "%s/class/block/%s/dev", q->sys_root, name);
	if (!read_device(path, &device) || !shares_blocks(q, device))
		return 0;
	snprintf(path, sizeof(path), "%s/class/block/%s/holders", q->sys_root, name);
	if (!first_entry(path, holder, sizeof(holder)))
		return 0;
	return rw_fail(EBUSY, "%s is held by %s (device mapper, RAID or the like): take that down "
		       "before writing", name, holder);
}

static int check_holders(const struct inquiry *q)
{
	char path[512];
	DIR *directory;
	struct dirent *entry;
	int ret = 0;

	snprintf(path, sizeof(path), "%s/class/block", q->sys_root);
	directory = opendir(path);
	if (!directory)
		return rw_fail(EBUSY, "whether the device has holders cannot be found out: %s "
			       "cannot be read (%s)", path, strerror(errno));
	while (!ret && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			ret = check_holder(q, entry->d_name);
	}
	closedir(directory);
	return ret;
}

/* Without its entry in sysfs nobody could say what its partitions are. */
static int check_known(const struct inquiry *q)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", q->sys_root, major(q->device),
		 minor(q->device));
	if (!access(path, F_OK))
		return 0;
	return rw_fail(EBUSY, "whether the device is in use cannot be found out: %s does not "
		       "exist; mount sysfs", path);
}

int rw_block_number_in_use(unsigned int major_number, unsigned int minor_number,
		       const char *proc_root, const char *sys_root)
{
	const struct inquiry q = { makedev(major_number, minor_number), proc_root, sys_root };
	int ret = check_known(&q);

	if (!ret)
		ret = check_mounts(&q);
	if (!ret)
		ret = check_swaps(&q);
	if (!ret)
		ret = check_holders(&q);
	return ret;
}

/*
 * What /proc and /sys cannot show - a mount in another namespace, a second
 * member of a multi-device file system - the kernel still knows: it refuses
 * to open the device exclusively. Another such inquiry at the same moment is
 * its user too, so ask again before believing it.
 */
static int ask_kernel(int fd)
{
	enum { TRIES = 5, PAUSE_US = 2000 };
	char path[64];
	int own, code = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (int i = 0; i < TRIES; i++) {
		own = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
		if (own >= 0) {
			close(own);
			return 0;
		}
		code = errno;
		if (code != EBUSY)
			return rw_fail(EBUSY, "whether the device is in use cannot be found out: "
				       "it does not open (%s)", strerror(code));
		usleep(PAUSE_US);
	}
	return rw_fail(EBUSY, "the kernel says the device or a part of it is in use: by a mount in "
		       "another namespace, a multi-device file system or a program that opened it "
		       "exclusively; release it before writing");
}

int rw_block_in_use(int fd, const char *proc_root, const char *sys_root)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st)) {
		ret = errno;
		return rw_fail(ret, "the target cannot be examined: %s", strerror(ret));
	}
	if (!S_ISBLK(st.st_mode))
		return 0;
	ret = rw_block_number_in_use(major(st.st_rdev), minor(st.st_rdev), proc_root, sys_root);
	return ret ? ret : ask_kernel(fd);
}

int rw_block_claim(int fd)
{
	int claim, error = rw_block_in_use(fd, "/proc", "/sys");
	char name[32];

	if (error)
		return error;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd); /* this device, whatever the name is now */
	claim = open(name, O_RDONLY | O_EXCL | O_CLOEXEC | O_NOCTTY);
	if (claim >= 0)
		return claim;
	error = errno;
	if (error == EBUSY)
		return rw_fail(error, "the block device is in use by the kernel; unmount or release it "
			       "before writing");
	return rw_fail(error, "the block device cannot be held exclusively: %s", strerror(error));
}
