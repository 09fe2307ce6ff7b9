/* The clock of everything outside src/core. */
#ifndef THINAIR_CLOCK_H
#define THINAIR_CLOCK_H

#include <stdint.h>

/* Returns CLOCK_MONOTONIC in microseconds. */
uint64_t ta_now_us(void);

/* Returns at `when_us` or later; the last `spin_us` are spent spinning, for precision. */
void ta_sleep_until_us(uint64_t when_us, uint64_t spin_us);

#endif
