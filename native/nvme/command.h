/*
 * NVMe commands: submission queue entries of the NVM command set, filled in.
 *
 * "Base" is the NVM Express Base Specification 2.0, "NVM" the NVM Command Set
 * Specification 1.0. Fields are in the byte order of the CPU, which on all
 * machines that this runs on is NVMe's own, little-endian.
 */
#ifndef RW_NVME_COMMAND_H
#define RW_NVME_COMMAND_H

#include <assert.h>
#include <stdint.h>

/* NVM 3.2, figure 15; Flush is Base 7.1. */
enum rw_nvme_io_opcode {
	RW_NVME_FLUSH = 0x00,
	RW_NVME_WRITE = 0x01,
	RW_NVME_READ = 0x02,
	RW_NVME_WRITE_ZEROES = 0x08,
	RW_NVME_DATASET_MANAGEMENT = 0x09,
};

/* Base 5, figure 138. */
enum rw_nvme_admin_opcode {
	RW_NVME_IDENTIFY = 0x06,
};

enum {
	RW_NVME_MOST_BLOCKS = 1 << 16, /* of one Read, Write or Write Zeroes: NLB has 16 bits */
	RW_NVME_DEALLOCATE = 1 << 2,   /* Dataset Management, CDW11: NVM 3.2.3, figure 39 */
};

/*
 * A submission queue entry, Base 3.3.3.1. Where it goes to a queue the data
 * pointer is a pair of PRP entries; where it goes to the kernel it is an
 * address of this process and lengths in bytes, in the same places.
 */
struct rw_nvme_command {
	uint8_t opcode;
	uint8_t flags;           /* fused operation, PRP or SGL: 0 is neither fused nor SGL */
	uint16_t id;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t metadata;
	union {
		struct {
			uint64_t prp1, prp2;
		};
		struct {
			uint64_t address;
			uint32_t metadata_length, data_length;
		};
	};
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

static_assert(sizeof(struct rw_nvme_command) == 64, "Base 3.3.3.1: 64 bytes");

/* What Dataset Management is about, NVM 3.2.3.1, figure 41. */
struct rw_nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t slba;
};

static_assert(sizeof(struct rw_nvme_range) == 16, "NVM 3.2.3.1: 16 bytes");

/*
 * Each fills a command that is all zeroes, but for its id and data pointer.
 * `blocks` is a number, 1 and up; the field in the command counts from 0.
 */

/* Read, Write (NVM 3.2.4, 3.2.6) and Write Zeroes (NVM 3.2.8), which has no data. */
static inline void rw_nvme_fill_blocks(struct rw_nvme_command *command,
				       enum rw_nvme_io_opcode opcode, uint32_t nsid, uint64_t slba,
				       uint32_t blocks)
{
	command->opcode = (uint8_t)opcode;
	command->nsid = nsid;
	command->cdw10 = (uint32_t)slba;
	command->cdw11 = (uint32_t)(slba >> 32);
	command->cdw12 = blocks - 1;
}

/* Base 7.1: all that completed before is on non-volatile media when it ends. */
static inline void rw_nvme_fill_flush(struct rw_nvme_command *command, uint32_t nsid)
{
	command->opcode = RW_NVME_FLUSH;
	command->nsid = nsid;
}

/* NVM 3.2.3: the data are `ranges` range descriptors, 1 to 256. */
static inline void rw_nvme_fill_deallocate(struct rw_nvme_command *command, uint32_t nsid,
					   uint32_t ranges)
{
	command->opcode = RW_NVME_DATASET_MANAGEMENT;
	command->nsid = nsid;
	command->cdw10 = ranges - 1;
	command->cdw11 = RW_NVME_DEALLOCATE;
}

/* Base 5.17, figure 273; `csi` names an I/O command set where the structure is one's own. */
static inline void rw_nvme_fill_identify(struct rw_nvme_command *command, uint32_t nsid,
					 uint8_t cns, uint8_t csi)
{
	command->opcode = RW_NVME_IDENTIFY;
	command->nsid = nsid;
	command->cdw10 = cns;
	command->cdw11 = (uint32_t)csi << 24;
}

#endif
