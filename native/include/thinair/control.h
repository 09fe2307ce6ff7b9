/* Addresses and control datagrams, as both pumps handle them. A pump is one socket and the thread that owns it. */
#ifndef THINAIR_CONTROL_H
#define THINAIR_CONTROL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    TA_CONTROL_CAPACITY = 64, /* control datagrams waiting for Python; further ones are dropped and counted */
    TA_CONTROL_MAX = 1500,    /* bytes of one */
    TA_NOTE_MAX = 160,        /* bytes of a note: what the system refused, as text */
    TA_NOTES = 6,
};

typedef enum ta_mode {
    TA_MODE_THINAIR, /* frame elements, session, repair */
    TA_MODE_RTP,     /* plain RFC 6184 */
    TA_MODE_ANNEXB,  /* raw byte stream */
} ta_mode;

typedef struct ta_address {
    struct sockaddr_storage storage;
    socklen_t size;
} ta_address;

typedef struct ta_control { /* a received control datagram, opened if it was sealed */
    uint8_t data[TA_CONTROL_MAX];
    size_t size;
    uint64_t arrival_us;
    ta_address from;
} ta_control;

/* Writes the address without port to `text` of at least INET6_ADDRSTRLEN bytes, and the port. IPv4-mapped addresses are
 * written as IPv4. */
void ta_address_text(const ta_address *address, char *text, size_t capacity, uint16_t *port);

#endif
