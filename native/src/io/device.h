/* Shared by the handles of kernel devices. */
#ifndef THINAIR_IO_DEVICE_H
#define THINAIR_IO_DEVICE_H

#include "thinair/status.h"

/* ioctl, restarted after a signal. TA_ESYS: errno. */
ta_status ta_ioctl(int fd, unsigned long request, void *argument);
void ta_close_quietly(int fd); /* Closes and keeps errno. */

#endif
