/* The receiving pump's packet log: the beginning of each packet, opened if sealed, as records of a pcap file
 * (tcpdump.org, LINKTYPE_RAW), each with a generated IP and UDP header, so that readers show addresses and ports. */
#include "rx_private.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, UDP_HEADER = 8, RECORD_HEADER = 16, PROTOCOL_UDP = 17, HOP_LIMIT = 64 };

struct ta_logged_packet {
    uint64_t time_us;
    uint32_t size, kept;
    bool out;
    ta_address peer;
    uint8_t data[TA_PACKET_SNAP];
};

ta_status ta_rx_open_packets(ta_rx *rx) {
    rx->packet_log = calloc(TA_PACKET_LOG_SIZE, sizeof *rx->packet_log);
    return rx->packet_log ? TA_OK : TA_ENOMEM;
}

void ta_rx_log_packet(ta_rx *rx, const uint8_t *data, size_t size, uint64_t time_us, const ta_address *peer, bool out) {
    if (!rx->packet_log)
        return;
    if (rx->packets_logged - rx->packets_taken == TA_PACKET_LOG_SIZE) { /* the log is full: the oldest is dropped */
        rx->packets_taken++;
        rx->stats.packets_not_logged++;
    }
    ta_logged_packet *n = &rx->packet_log[rx->packets_logged++ % TA_PACKET_LOG_SIZE];
    *n = (ta_logged_packet){.time_us = time_us, .size = (uint32_t)size, .out = out, .peer = *peer};
    n->kept = size < TA_PACKET_SNAP ? (uint32_t)size : TA_PACKET_SNAP;
    memcpy(n->data, data, n->kept);
}

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Writes the peer's address, four or sixteen bytes; returns its size. */
static size_t address_bytes(const ta_address *peer, uint8_t out[16], uint16_t *port) {
    if (peer->storage.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &peer->storage, sizeof four);
        memcpy(out, &four.sin_addr, 4);
        *port = ntohs(four.sin_port);
        return 4;
    }
    struct sockaddr_in6 six;
    memcpy(&six, &peer->storage, sizeof six);
    *port = ntohs(six.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
        memcpy(out, six.sin6_addr.s6_addr + 12, 4);
        return 4;
    }
    memcpy(out, &six.sin6_addr, 16);
    return 16;
}

/* Writes an IPv4 or IPv6 header (RFC 791, RFC 8200) and a UDP header. Our own address is unknown and stays zero. */
static size_t put_headers(uint8_t *out, const ta_logged_packet *n, uint16_t own_port) {
    uint8_t address[16];
    uint16_t port = 0;
    const size_t width = address_bytes(&n->peer, address, &port), ip = width == 4 ? IPV4_HEADER : IPV6_HEADER;
    const uint32_t udp_size = n->size + UDP_HEADER;
    memset(out, 0, ip + UDP_HEADER);
    if (width == 4) {
        out[0] = 0x45;
        put16(out + 2, udp_size + IPV4_HEADER);
        out[8] = HOP_LIMIT;
        out[9] = PROTOCOL_UDP;
        memcpy(out + (n->out ? 16 : 12), address, 4);
        uint32_t sum = 0;
        for (size_t i = 0; i < IPV4_HEADER; i += 2)
            sum += (uint32_t)(out[i] << 8 | out[i + 1]);
        sum = (sum & 0xffff) + (sum >> 16);
        put16(out + 10, ~(sum + (sum >> 16)) & 0xffff);
    } else {
        out[0] = 0x60;
        put16(out + 4, udp_size);
        out[6] = PROTOCOL_UDP;
        out[7] = HOP_LIMIT;
        memcpy(out + (n->out ? 24 : 8), address, 16);
    }
    put16(out + ip, n->out ? own_port : port);
    put16(out + ip + 2, n->out ? port : own_port);
    put16(out + ip + 4, udp_size);
    return ip + UDP_HEADER;
}

size_t ta_rx_packets(ta_rx *rx, uint8_t *out, size_t capacity) {
    size_t used = 0;
    pthread_mutex_lock(&rx->lock);
    while (rx->packets_taken < rx->packets_logged && capacity - used >= TA_PACKET_RECORD) {
        const ta_logged_packet *n = &rx->packet_log[rx->packets_taken++ % TA_PACKET_LOG_SIZE];
        const size_t headers = put_headers(out + used + RECORD_HEADER, n, rx->port);
        const uint32_t head[4] = {(uint32_t)(n->time_us / 1000000u), (uint32_t)(n->time_us % 1000000u),
                                  (uint32_t)headers + n->kept, (uint32_t)headers + n->size};
        memcpy(out + used, head, sizeof head);
        memcpy(out + used + RECORD_HEADER + headers, n->data, n->kept);
        used += RECORD_HEADER + headers + n->kept;
    }
    pthread_mutex_unlock(&rx->lock);
    return used;
}
