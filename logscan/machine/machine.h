/* What the C files of the machine share. Nothing here calls Python or keeps state between calls; no function allocates what it
 * does not free, and none aborts: each returns a negative number when memory is wanting. */
#ifndef LOGSCAN_MACHINE_H
#define LOGSCAN_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#endif
