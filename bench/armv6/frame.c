/* The sender's cost of one access unit of SIZE bytes, run under the plugin of count.c. Prints the packets per unit. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "thinair/h264.h"
#include "thinair/tx.h"

enum { MAGIC = 59999, BEGIN = 1, END = 2, FRAMES = 32 };
enum { EMPTY, SCAN, PACKETIZE, PUSH, REPAIR, SEALED, SEAL }; /* bench/armv6/__init__.py knows these numbers */

enum { SEALED_BYTES = 1200 }; /* of the packet whose sealing is counted separately */

static uint8_t unit[1 << 20], packet[TA_MAX_PACKET], sealed_packet[TA_MAX_PACKET + TA_SEAL_TAG];
static uint8_t keys[2][TA_SEAL_KEYS];

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

/* A TARGET with a repair ratio of a quarter (docs/wire-protocol.md). */
static void ask_for_repair(ta_tx *tx, int fd, ta_seal *seal) {
    uint8_t target[40 + TA_SEAL_CONTROL], covered[sizeof target];
    size_t size = 40;
    static const uint8_t said[40] = {0x88, 204,      0,        9,           [8] = 'T', 'A', 'I',
                                     'R',  [19] = 7, [23] = 1, [34] = 0xff, 0xff,      64};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(ta_tx_port(tx)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(target, said, sizeof said);
    if (seal) {
        check(ta_seal_rtcp(seal, target, sizeof said, covered, &size) == TA_OK, "seal");
        memcpy(target, covered, size);
    }
    check(sendto(fd, target, size, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)size, "target");
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    ta_tx_stats stats;
    ta_tx_stats_get(tx, &stats);
    check(stats.out.targets == 1, "target applied");
}

/* Counts a unit's push and reads its packets, with one symbol per `share` of them, from the socket. */
static size_t push(int region, ta_tx *tx, int fd, size_t size, const ta_frame_meta *meta, size_t share) {
    size_t count = 0;
    syscall(MAGIC, BEGIN, region);
    const ta_status status = ta_tx_push(tx, unit, size, meta, &count);
    syscall(MAGIC, END, region);
    check(status == TA_OK && count > 0, "push");
    for (size_t n = 0; n < count + (share ? (count + share - 1) / share : 0); n++)
        check(recv(fd, packet, sizeof packet, 0) > 0, "receive");
    return count;
}

int main(int argc, char **argv) {
    size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    uint16_t max_packet = argc == 3 ? (uint16_t)strtoul(argv[2], NULL, 10) : 0, port = 0;
    check(size >= 16 && size <= sizeof unit && max_packet > 0, "usage: frame BYTES MAX_PACKET;");
    fill(size);
    uint16_t repair_port, sealed_port;
    int fd = listener(&port), repair_fd = listener(&repair_port), sealed_fd = listener(&sealed_port);
    ta_packetizer_config packets = {.ssrc = 1, .payload_type = 96, .max_packet = max_packet, .elements = true};
    ta_tx_config config = {
        .host = "127.0.0.1", .port = port, .mode = TA_MODE_THINAIR, .packets = packets, .pace_group = 1};
    ta_packetizer *packetizer = NULL;
    ta_tx *tx = NULL, *repairing = NULL, *sealing = NULL;
    ta_seal *peer = NULL, *alone = NULL;
    ta_tx_config repair = config, sealed = config;
    repair.port = repair_port;
    sealed.port = sealed_port;
    sealed.encrypted = true;
    memset(keys[1], 1, sizeof keys[1]);
    const ta_seal_config down = {.own = keys[0], .peer = keys[1], .media_ssrc = 1},
                         up = {.own = keys[1], .peer = keys[0], .media_ssrc = 1};
    check(ta_packetizer_open(&packetizer, &packets) == TA_OK && ta_tx_open(&tx, &config) == TA_OK &&
              ta_tx_open(&repairing, &repair) == TA_OK && ta_tx_open(&sealing, &sealed) == TA_OK &&
              ta_seal_open(&peer) == TA_OK && ta_seal_open(&alone) == TA_OK,
          "open");
    check(ta_tx_install(sealing, &down) == TA_OK && ta_seal_install(peer, &up) == TA_OK &&
              ta_seal_install(alone, &down) == TA_OK,
          "keys");
    ta_tx_allow_media(tx, true);
    ta_tx_set_cookie(repairing, 7, 1);
    ta_tx_allow_media(repairing, true);
    ask_for_repair(repairing, repair_fd, NULL);
    ta_tx_set_cookie(sealing, 7, 1);
    ta_tx_allow_media(sealing, true);
    ask_for_repair(sealing, sealed_fd, peer);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the pump's thread is asleep */

    size_t count = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        ta_nal nals[4];
        size_t found, length;
        ta_frame_meta meta = {
            .frame_id = i,
            .rtp_time = i * 3000,
            .capture_ntp = 1ull << 63,
            .stamps = {
                .capture_us = 1000000, .dequeue_us = 1000100, .encode_in_us = 1000200, .encode_out_us = 1001000}};
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

        count = push(PUSH, tx, fd, size, &meta, 0);
        push(REPAIR, repairing, repair_fd, size, &meta, 4);
        push(SEALED, sealing, sealed_fd, size, &meta, 4);

        uint8_t media[SEALED_BYTES] = {0x80, 96, (uint8_t)(i >> 8), (uint8_t)i, [11] = 1};
        syscall(MAGIC, BEGIN, SEAL);
        status = ta_seal_rtp(alone, media, sizeof media, sealed_packet, &length);
        syscall(MAGIC, END, SEAL);
        check(status == TA_OK && length == sizeof media + TA_SEAL_TAG, "seal");
    }
    printf("%zu\n", count);
    ta_tx_close(&tx);
    ta_tx_close(&repairing);
    ta_tx_close(&sealing);
    ta_seal_close(&peer);
    ta_seal_close(&alone);
    ta_packetizer_close(&packetizer);
    close(fd);
    close(repair_fd);
    close(sealed_fd);
    return 0;
}
