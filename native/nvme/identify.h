/*
 * What Identify answers, read into structs: namespaces, controllers, limits.
 * Sections as in nvme/command.h.
 */
#ifndef RW_NVME_IDENTIFY_H
#define RW_NVME_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum { RW_NVME_IDENTIFY_BYTES = 4096 };

/* Which structure to ask for, Base 5.17.1, figure 274. */
enum rw_nvme_cns {
	RW_NVME_CNS_NAMESPACE = 0x00,
	RW_NVME_CNS_CONTROLLER = 0x01,
	RW_NVME_CNS_SET_CONTROLLER = 0x06, /* of an I/O command set */
};

/* I/O command sets, Base 5.17.1, figure 276. */
enum rw_nvme_csi {
	RW_NVME_CSI_NVM = 0x00,
};

/* The namespace's own structure, NVM 4.1.5.1, figure 97. */
struct rw_nvme_namespace {
	uint64_t blocks;         /* NSZE; 0: there is no such namespace */
	uint32_t block_shift;    /* LBADS of the format in use: a block has 1 << so many bytes */
	uint32_t metadata_size;  /* MS, bytes with each block, 0: none */
	bool extended;           /* metadata follows each block's data in the same buffer */
	uint8_t protection;      /* DPS: type of end-to-end protection, 0: none */
	bool write_protected;    /* NSATTR */
};

/* The controller's, Base 5.17.2.1, figure 275. */
struct rw_nvme_controller {
	uint32_t namespaces;     /* NN, the highest namespace id */
	uint32_t max_transfer;   /* MDTS in bytes, of pages of 4 KiB; 0: no limit */
	uint16_t optional;       /* ONCS */
	bool write_cache;        /* VWC: what is written may be lost until a flush */
};

/* Bits of ONCS that matter here. */
enum {
	RW_NVME_HAS_DEALLOCATE = 1 << 2,
	RW_NVME_HAS_WRITE_ZEROES = 1 << 3,
};

/* The NVM command set's own limits, NVM 4.1.5.4, figure 102. Controllers before 2.0 tell none. */
struct rw_nvme_set_limits {
	uint32_t max_zeroes;     /* WZSL in bytes, of pages of 4 KiB; 0: none told */
	uint32_t max_deallocate; /* DMRSL in blocks of one range; 0: none told */
};

/* How much one command moves, in bytes: whole blocks. */
struct rw_nvme_limits {
	uint32_t transfer;
	uint32_t zeroes;
	uint32_t deallocate;
};

/* 0, or why this is no namespace of blocks that can be worked with. */
int rw_nvme_namespace_parse(const void *bytes, struct rw_nvme_namespace *out);
/*
 * Can its blocks be moved as data alone? 0, or -EOPNOTSUPP: a format with
 * metadata needs room for them, which no path here has.
 */
int rw_nvme_namespace_check(const struct rw_nvme_namespace *space);
void rw_nvme_controller_parse(const void *bytes, struct rw_nvme_controller *out);
void rw_nvme_set_limits_parse(const void *bytes, struct rw_nvme_set_limits *out);

/* Limits of commands of a namespace; `most` is what the host can move at once. */
struct rw_nvme_limits rw_nvme_limits_of(const struct rw_nvme_namespace *space,
					const struct rw_nvme_controller *controller,
					const struct rw_nvme_set_limits *set, uint32_t most);

#endif
