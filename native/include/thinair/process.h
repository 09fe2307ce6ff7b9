/* Settings of the whole process or of the calling thread. */
#ifndef THINAIR_PROCESS_H
#define THINAIR_PROCESS_H

#include <stdbool.h>

/* Protects keys in memory: no core dumps, no debugger of the same user (prctl(2), PR_SET_DUMPABLE). Returns 0 or
 * errno. */
int ta_disable_core_dumps(void);

/* Allocates blocks of 128 KiB and more by mmap, and returns them to the system when freed (mallopt(3)). Keeps the heap
 * from fragmenting while an encoder allocates its pictures; off again while pictures are allocated one by one. glibc
 * only. */
void ta_map_large_blocks(bool on);

/* Requests SCHED_FIFO for the calling thread and threads it starts later. Returns 0 or errno. */
int ta_realtime(int priority);

#endif
