/* One way to fail: a negative errno to return, a sentence for rw_detail(). */
#ifndef RW_CORE_ERROR_H
#define RW_CORE_ERROR_H

#include <stdint.h>

/*
 * Notes the sentence for the calling thread and returns -code. The sentence
 * says what was wrong and what to do; it does not repeat strerror().
 */
int rw_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends to the sentence noted last: what a higher layer knows about it. */
void rw_fail_add(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Notes the device's raw status beside the sentence noted last. */
void rw_fail_status(uint32_t status);

#endif
