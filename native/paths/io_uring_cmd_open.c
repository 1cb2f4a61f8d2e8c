/* io_uring_cmd: opening a namespace's character device, and why not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "nvme/identify.h"
#include "os/nvmechar.h"
#include "paths/io_uring_cmd.h"

/* ---------------------------------------------------------- which target */

/* A namespace, and the name its character device is opened by. */
struct found {
	struct rw_nvmechar facts;
	char node[PATH_MAX];
};

/*
 * Commands to a namespace that was named by its block device go to the
 * character device beside it. -EMEDIUMTYPE: the core asks other paths.
 */
static int find_beside(const char *name, dev_t block, struct found *out)
{
	char beside[32];
	struct stat status;

	if (!rw_nvmechar_beside(block, "/sys", beside, sizeof(beside)))
		return rw_fail(EMEDIUMTYPE, "path io_uring_cmd sends NVMe commands to a namespace, "
			       "/dev/ngXnY or /dev/nvmeXnY (Linux 5.13 or later); %s is none", name);
	snprintf(out->node, sizeof(out->node), "/dev/%s", beside);
	if (stat(out->node, &status))
		return rw_fail(EMEDIUMTYPE, "the character device of %s, %s, is not there: in a container "
			       "it must be passed in too", name, out->node);
	if (!S_ISCHR(status.st_mode) || !rw_nvmechar_find(status.st_rdev, "/sys", &out->facts) ||
	    out->facts.block != block)
		return rw_fail(EMEDIUMTYPE, "path io_uring_cmd sends commands to whole namespaces, and %s "
			       "is a part of one: name %s", name, out->node);
	return 0;
}

static int refuse_kind(const char *name)
{
	return rw_fail(EMEDIUMTYPE, "path io_uring_cmd serves the character device of an NVMe namespace, "
		       "/dev/ngXnY, and %s is none%s", name, access("/sys/class/nvme-generic", F_OK) ?
		       "; the kernel shows no such device here" : "");
}

static int find_target(const struct rw_target *target, struct found *out)
{
	struct stat status;
	int code;

	if (stat(target->rest, &status)) {
		code = errno;
		return code == ENOENT ? rw_fail(code, "%s does not exist", target->text) :
		       rw_fail(code, "cannot open %s: %s", target->text, strerror(code));
	}
	if (S_ISBLK(status.st_mode))
		return find_beside(target->text, status.st_rdev, out);
	if (!S_ISCHR(status.st_mode) || !rw_nvmechar_find(status.st_rdev, "/sys", &out->facts))
		return refuse_kind(target->text);
	snprintf(out->node, sizeof(out->node), "%s", target->rest);
	return 0;
}

/* What the path cannot do with this namespace, as far as sysfs tells. */
static int check_kind(const struct rw_nvmechar *facts, const struct rw_open_request *request)
{
	if (!facts->block)
		return rw_fail(EOPNOTSUPP, "%s is no namespace of blocks (another I/O command set, or one "
			       "the kernel does not know)", facts->name);
	if (facts->zoned)
		return rw_fail(EOPNOTSUPP, "%s is a zoned namespace: its zones are written from start to "
			       "end, which this path does not keep to; use the block device %s",
			       facts->name, facts->block_name);
	if (!request->direct)
		return rw_fail(EOPNOTSUPP, "NVMe commands always go past the page cache: open %s with "
			       "direct=True (--direct)", facts->name);
	return rw_uring_check_options(request->options, request->direct, facts->polls);
}

/* ---------------------------------------------------------------- opening */

static int refuse_permission(const struct rw_nvmechar *facts)
{
	return rw_fail(EACCES, "no permission to send NVMe commands to %s: run as root (CAP_SYS_ADMIN); "
		       "since Linux 6.2 whoever may open the device may read, and write where it may "
		       "be opened for writing", facts->name);
}

static int open_node(const struct found *target, bool writable)
{
	const struct rw_nvmechar *facts = &target->facts;
	struct rw_nvmechar found;
	struct stat status;
	int fd = open(target->node, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	int code = errno;

	if (fd < 0 && (code == EACCES || code == EPERM))
		return refuse_permission(facts);
	if (fd < 0)
		return rw_fail(code, "cannot open %s: %s", target->node, strerror(code));
	if (!fstat(fd, &status) && rw_nvmechar_find(status.st_rdev, "/sys", &found) &&
	    !strcmp(found.name, facts->name))
		return fd;
	close(fd);
	return rw_fail(ENXIO, "%s became another device while it was opened", target->node);
}

struct identity {
	struct rw_nvme_namespace space;
	struct rw_nvme_controller controller;
	struct rw_nvme_set_limits set;
};

static int identify(int fd, uint32_t nsid, const struct rw_nvmechar *facts, struct identity *out)
{
	_Alignas(RW_PAGE) uint8_t bytes[RW_NVME_IDENTIFY_BYTES];
	int error = rw_nvmechar_identify(fd, nsid, RW_NVME_CNS_NAMESPACE, 0, bytes);

	if (error == -EACCES || error == -EPERM)
		return refuse_permission(facts);
	if (!error)
		error = rw_nvme_namespace_parse(bytes, &out->space);
	else
		error = rw_fail(error < 0 ? -error : EIO, "%s does not answer Identify (%s %d)",
				facts->name, error < 0 ? "errno" : "NVMe status", error);
	if (!error)
		error = rw_nvme_namespace_check(&out->space);
	if (error)
		return error;
	if (rw_nvmechar_identify(fd, 0, RW_NVME_CNS_CONTROLLER, 0, bytes))
		return rw_fail(EIO, "the controller of %s does not answer Identify", facts->name);
	rw_nvme_controller_parse(bytes, &out->controller);
	/* Of NVMe 2.0, and from Linux 6.2 on for CAP_SYS_ADMIN alone: its limits are a help. */
	if (!rw_nvmechar_identify(fd, 0, RW_NVME_CNS_SET_CONTROLLER, RW_NVME_CSI_NVM, bytes))
		rw_nvme_set_limits_parse(bytes, &out->set);
	return 0;
}

static void fill_info(struct rw_device_info *info, const struct identity *identity,
		      const struct rw_nvmechar *facts, const struct rw_open_request *request)
{
	struct rw_nvme_limits limits = rw_nvme_limits_of(&identity->space, &identity->controller,
							 &identity->set, facts->max_transfer);
	uint16_t optional = identity->controller.optional;

	info->size = identity->space.blocks << identity->space.block_shift;
	info->block_size = 1u << identity->space.block_shift;
	info->memory_alignment = facts->memory_alignment;
	info->max_transfer = limits.transfer;
	info->max_discard = limits.deallocate;
	info->max_zeroes = limits.zeroes;
	info->max_depth = RW_MAX_DEPTH;
	info->opcodes = 1u << RW_READ | 1u << RW_WRITE | 1u << RW_FLUSH;
	if (optional & RW_NVME_HAS_DEALLOCATE)
		info->opcodes |= 1u << RW_DISCARD;
	if (optional & RW_NVME_HAS_WRITE_ZEROES)
		info->opcodes |= 1u << RW_WRITE_ZEROES;
	info->writable = request->writable;
	info->direct = true;
}

static int claim(struct rw_cmd_device *device, const struct rw_nvmechar *facts,
		 const struct identity *identity, const struct rw_open_request *request)
{
	if (!request->writable)
		return 0;
	if (facts->read_only || identity->space.write_protected)
		return rw_fail(EROFS, "%s is read-only", facts->name);
	return rw_nvmechar_claim(facts, &device->claim);
}

/* All that the open descriptor takes; it is the caller's when this fails. */
static int open_namespace(struct rw_cmd_device *device, const struct rw_nvmechar *facts,
			  const struct rw_open_request *request)
{
	struct identity identity = { .set = { 0 } };
	int error, nsid = rw_nvmechar_id(device->fd);

	if (nsid < 0)
		return nsid;
	error = identify(device->fd, (uint32_t)nsid, facts, &identity);
	if (error)
		return error;
	device->nsid = (uint32_t)nsid;
	device->block_shift = identity.space.block_shift;
	fill_info(&device->base.info, &identity, facts, request);
	error = rw_cmd_try(device, request->options, facts->max_segments);
	return error ? error : claim(device, facts, &identity, request);
}

int rw_cmd_open(struct rw_device *base, const struct rw_target *target,
		const struct rw_open_request *request)
{
	struct rw_cmd_device *device = (struct rw_cmd_device *)base;
	struct found found;
	int error = find_target(target, &found);

	if (!error)
		error = check_kind(&found.facts, request);
	if (error)
		return error;
	device->claim = -1;
	device->fd = open_node(&found, request->writable);
	if (device->fd < 0)
		return device->fd;
	error = open_namespace(device, &found.facts, request);
	if (error)
		close(device->fd);
	return error;
}

int rw_cmd_probe(const struct rw_target *target, const struct rw_open_request *request)
{
	struct rw_cmd_device device = { .fd = -1 };
	int error = rw_cmd_open(&device.base, target, request);

	if (!error)
		rw_cmd_close(&device.base);
	return error;
}

void rw_cmd_close(struct rw_device *base)
{
	const struct rw_cmd_device *device = (const struct rw_cmd_device *)base;

	close(device->fd);
	if (device->claim >= 0)
		close(device->claim);
}
