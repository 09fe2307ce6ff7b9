/* What one access unit of SIZE bytes costs the sender: run under the plugin of count.c. Prints the packets per unit. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "thinair/io.h"

enum { MAGIC = 59999, BEGIN = 1, END = 2, FRAMES = 32 };
enum { EMPTY, SCAN, PACKETIZE, PUSH, REPAIR }; /* bench/armv6/__init__.py knows these numbers */

static uint8_t unit[1 << 20], packet[TA_MAX_PACKET];

static void check(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "frame: %s failed\n", what);
    exit(1);
}

/* One slice of noise with emulation prevention (H.264 7.4.1.1), which is what entropy coding looks like. */
static void fill(size_t size) {
    static const uint8_t start[5] = {0, 0, 0, 1, 0x41};
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        unit[i] = i < sizeof start ? start[i] : (uint8_t)(state >> 24);
        if (i > sizeof start && unit[i] <= 3 && unit[i - 1] == 0 && unit[i - 2] == 0)
            unit[i] = 3;
    }
    unit[size - 1] = 0x80;
}

static int listener(uint16_t *port) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
    *port = ntohs(address.sin_port);
    return fd;
}

/* The receiver's word that a quarter as many symbols are to follow each frame: docs/wire-protocol.md, TARGET. */
static void ask_for_repair(ta_tx *tx, int fd) {
    uint8_t target[40] = {0x88, 204, 0, 9, [8] = 'T', 'A', 'I', 'R', [19] = 7, [23] = 1, [34] = 0xff, 0xff, 64};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ta_tx_port(tx)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(sendto(fd, target, sizeof target, 0, (struct sockaddr *)&to, sizeof to) == sizeof target, "target");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    ta_tx_stats stats;
    ta_tx_stats_get(tx, &stats);
    check(stats.out.targets == 1, "target applied");
}

int main(int argc, char **argv) {
    size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    uint16_t max_packet = argc == 3 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0, port = 0;
    check(size >= 16 && size <= sizeof unit && max_packet > 0, "usage: frame BYTES MAX_PACKET;");
    fill(size);
    uint16_t repair_port;
    int fd = listener(&port), repair_fd = listener(&repair_port);
    ta_packetizer_config packets = {.ssrc = 1, .payload_type = 96, .max_packet = max_packet, .elements = true};
    ta_tx_config config = {.host = "127.0.0.1", .port = port, .mode = TA_MODE_THINAIR, .packets = packets, .pace_group = 1};
    ta_packetizer *packetizer = NULL;
    ta_tx *tx = NULL, *repairing = NULL;
    ta_tx_config repair = config;
    repair.port = repair_port;
    check(ta_packetizer_open(&packetizer, &packets) == TA_OK && ta_tx_open(&tx, &config) == TA_OK &&
              ta_tx_open(&repairing, &repair) == TA_OK, "open");
    ta_tx_allow_media(tx, true);
    ta_tx_set_cookie(repairing, 7, 1);
    ta_tx_allow_media(repairing, true);
    ask_for_repair(repairing, repair_fd);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the pump's thread has gone to sleep */

    size_t count = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        ta_nal nals[4];
        size_t found, length;
        ta_frame_meta meta = {.frame_id = i, .rtp_time = i * 3000, .capture_ntp = 1ull << 63,
                              .stamps = {.capture_us = 1000000, .dequeue_us = 1000100, .encode_in_us = 1000200, .encode_out_us = 1001000}};
        syscall(MAGIC, BEGIN, EMPTY);
        syscall(MAGIC, END, EMPTY);

        syscall(MAGIC, BEGIN, SCAN);
        found = ta_annexb_split(unit, size, nals, 4);
        syscall(MAGIC, END, SCAN);
        check(found == 1, "scan");

        syscall(MAGIC, BEGIN, PACKETIZE);
        ta_status status = ta_packetizer_push(packetizer, unit, size, &meta);
        while (status == TA_OK)
            status = ta_packetizer_next(packetizer, packet, sizeof packet, &length);
        syscall(MAGIC, END, PACKETIZE);
        check(status == TA_AGAIN, "packetize");

        syscall(MAGIC, BEGIN, PUSH);
        status = ta_tx_push(tx, unit, size, &meta, &count);
        syscall(MAGIC, END, PUSH);
        check(status == TA_OK && count > 0, "push");
        for (size_t n = 0; n < count; n++)
            check(recv(fd, packet, sizeof packet, 0) > 0, "receive");

        syscall(MAGIC, BEGIN, REPAIR);
        status = ta_tx_push(repairing, unit, size, &meta, &count);
        syscall(MAGIC, END, REPAIR);
        check(status == TA_OK && count > 0, "push with repair");
        for (size_t n = 0; n < count + (count + 3) / 4; n++)
            check(recv(repair_fd, packet, sizeof packet, 0) > 0, "receive");
    }
    printf("%zu\n", count);
    ta_tx_close(&tx);
    ta_tx_close(&repairing);
    ta_packetizer_close(&packetizer);
    close(fd);
    close(repair_fd);
    return 0;
}
