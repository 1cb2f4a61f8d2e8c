/* The table of statuses: Base 3.3.3.2.1, figures 94 to 97; NVM 3.1.2, figures 10 and 13. */
#include "nvme/status.h"

#include <errno.h>
#include <stddef.h>

struct meaning {
	uint16_t code;           /* SCT << 8 | SC */
	uint16_t error;
	const char *name;
	const char *sentence;
};

static const struct meaning meanings[] = {
	/* Generic command status. */
	{ 0x000, 0, "Successful Completion", "" },
	{ 0x001, EOPNOTSUPP, "Invalid Command Opcode", "the drive does not know this command" },
	{ 0x002, EINVAL, "Invalid Field in Command",
	  "the drive does not support the command with these arguments" },
	{ 0x003, EIO, "Command ID Conflict", "two commands in flight had the same id" },
	{ 0x004, EIO, "Data Transfer Error", "the data could not be moved to or from memory" },
	{ 0x005, EIO, "Commands Aborted due to Power Loss Notification", "the drive is losing power" },
	{ 0x006, EIO, "Internal Error", "the drive had an error of its own; see its error log" },
	{ 0x007, ECANCELED, "Command Abort Requested", "it was aborted, perhaps after a timeout" },
	{ 0x008, ECANCELED, "Command Aborted due to SQ Deletion", "its queue was deleted" },
	{ 0x009, EIO, "Command Aborted due to Failed Fused Command", "" },
	{ 0x00a, EIO, "Command Aborted due to Missing Fused Command", "" },
	{ 0x00b, ENODEV, "Invalid Namespace or Format",
	  "the namespace is detached, was deleted or has a format the command cannot use" },
	{ 0x00c, EIO, "Command Sequence Error", "" },
	{ 0x013, EINVAL, "PRP Offset Invalid", "the memory is not aligned as the drive needs it" },
	{ 0x01c, EBUSY, "Sanitize Failed", "sanitize the drive again before it can be used" },
	{ 0x01d, EBUSY, "Sanitize In Progress", "the drive is being erased: wait for its end" },
	{ 0x020, EROFS, "Namespace is Write Protected", "lift the write protection of the namespace" },
	{ 0x021, EAGAIN, "Command Interrupted", "the drive was busy and asks for the command again" },
	{ 0x022, EAGAIN, "Transient Transport Error", "the command may be sent again" },
	{ 0x080, ENODATA, "LBA Out of Range",
	  "the namespace is smaller than it was when it was opened; open it again" },
	{ 0x081, ENOSPC, "Capacity Exceeded", "the drive has no room left to allocate blocks in" },
	{ 0x082, EAGAIN, "Namespace Not Ready", "the namespace is not ready yet" },
	{ 0x083, EBUSY, "Reservation Conflict", "another host has reserved the namespace" },
	{ 0x084, EBUSY, "Format In Progress", "the namespace is being formatted: wait for its end" },
	/* Command specific status of the NVM command set. */
	{ 0x180, EINVAL, "Conflicting Attributes", "" },
	{ 0x181, EILSEQ, "Invalid Protection Information", "" },
	{ 0x182, EROFS, "Attempted Write to Read Only Range", "these blocks are read-only" },
	{ 0x183, EINVAL, "Command Size Limit Exceeded",
	  "the drive takes less than it tells in one command" },
	/* Media and data integrity errors. */
	{ 0x280, EIO, "Write Fault", "the drive could not write to its media" },
	{ 0x281, EIO, "Unrecovered Read Error", "the drive could not read its media" },
	{ 0x282, EILSEQ, "End-to-end Guard Check Error", "the data do not fit their checksum" },
	{ 0x283, EILSEQ, "End-to-end Application Tag Check Error", "" },
	{ 0x284, EILSEQ, "End-to-end Reference Tag Check Error", "" },
	{ 0x285, EILSEQ, "Compare Failure", "" },
	{ 0x286, EACCES, "Access Denied", "the drive is locked or this host has no access to it" },
	{ 0x287, EIO, "Deallocated or Unwritten Logical Block",
	  "these blocks were never written, and the drive is set to say so" },
	/* Path related status. */
	{ 0x300, EIO, "Internal Path Error", "" },
	{ 0x301, EIO, "Asymmetric Access Persistent Loss", "use another path to the namespace" },
	{ 0x302, EIO, "Asymmetric Access Inaccessible", "use another path to the namespace" },
	{ 0x303, EAGAIN, "Asymmetric Access Transition", "the path to the namespace is changing" },
	{ 0x360, EIO, "Controller Pathing Error", "" },
	{ 0x370, EAGAIN, "Host Pathing Error", "the controller is being reset, or gone" },
	{ 0x371, ECANCELED, "Command Aborted By Host", "it was aborted by the host's driver" },
};

static const struct meaning *find(uint32_t status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == (status & RW_NVME_CODE))
			return &meanings[i];
	return NULL;
}

const char *rw_nvme_status_name(uint32_t status)
{
	static const char *const types[] = {
		"Generic Command Status", "Command Specific Status",
		"Media and Data Integrity Error", "Path Related Status",
		"Reserved Status", "Reserved Status", "Reserved Status", "Vendor Specific Status",
	};
	const struct meaning *meaning = find(status);

	return meaning ? meaning->name : types[status >> 8 & 7];
}

const char *rw_nvme_status_sentence(uint32_t status)
{
	const struct meaning *meaning = find(status);

	return meaning ? meaning->sentence : "";
}

int rw_nvme_status_error(uint32_t status)
{
	const struct meaning *meaning = find(status);

	if (!meaning)
		return -EIO;
	if (meaning->error == EAGAIN && (status & RW_NVME_DO_NOT_RETRY))
		return -EIO;
	return -meaning->error;
}
