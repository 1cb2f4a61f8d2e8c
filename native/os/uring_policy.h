/* Why the kernel refused to create an io_uring ring. */
#ifndef RW_OS_URING_POLICY_H
#define RW_OS_URING_POLICY_H

/*
 * Notes for rw_detail() why creating a ring failed with `error` (an errno of
 * either sign) and what to do: the sysctl kernel.io_uring_disabled, a seccomp
 * filter, a security module, a kernel without io_uring, the locked-memory
 * limit. Returns the negative errno; EACCES, which some filters answer, becomes
 * EPERM: it is the ring that is forbidden, not the target. `proc_root` is
 * "/proc" outside of tests.
 */
int rw_uring_refusal(int error, const char *proc_root);

#endif
