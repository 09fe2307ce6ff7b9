/* What the handles of kernel devices share. */
#ifndef THINAIR_IO_DEVICE_H
#define THINAIR_IO_DEVICE_H

#include "thinair/status.h"

/* An ioctl that a signal does not end. TA_ESYS: errno. */
ta_status ta_ioctl(int fd, unsigned long request, void *argument);
void ta_close_quietly(int fd); /* leaves the errno of what went wrong before */

#endif
