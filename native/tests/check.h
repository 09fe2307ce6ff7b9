/* A test program: CHECK reports what does not hold, RUN names the test, main ends with `return failures != 0`. */
#ifndef THINAIR_TESTS_CHECK_H
#define THINAIR_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: %s: %s does not hold\n", __FILE__, __LINE__, __func__, #condition); \
            failures++;                                                                                 \
        }                                                                                               \
    } while (0)

#define RUN(test)    \
    do {             \
        puts(#test); \
        test();      \
    } while (0)

#endif
