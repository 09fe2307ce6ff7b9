/* Internals of the MMAL encoder: mmal.c opens and closes the component, mmal_run.c passes pictures and units. */
#ifndef THINAIR_IO_MMAL_PRIVATE_H
#define THINAIR_IO_MMAL_PRIVATE_H

#include "mmal_abi.h"
#include "sys.h"
#include "thinair/encoder.h"

enum {
    TA_MMAL_PENDING = 16,           /* pictures submitted whose unit is not out yet */
    TA_MMAL_OUTPUTS = 16,           /* output buffers at most */
    TA_MMAL_TOKENS = 32,            /* the source's buffers */
    TA_MMAL_SLOTS = 2,              /* units: one handed out, one being assembled */
    TA_MMAL_UNDECODABLE_UNITS = 60, /* discarded before the first key frame; more mean that the encoder has failed */
    TA_MMAL_SKIPPED_US = 250000,    /* a picture without a unit for this long was skipped by the rate control */
    TA_MMAL_SKIPPED_MAX = 4,
    /* Stuck: no unit for this long, and a picture held as long or TA_MMAL_SKIPPED_MAX skipped. */
    TA_MMAL_STUCK_US = 1000000,
    TA_MMAL_CLOSE_US = 1000000, /* a failed component that has not closed by then is abandoned */
};

typedef struct ta_mmal_library {
#define TA_MMAL_MEMBER(result, name, parameters) result(*name) parameters;
    TA_MMAL_CALLS(TA_MMAL_MEMBER)
} ta_mmal_library;

typedef struct ta_vcsm_library {
    TA_VCSM_CALLS(TA_MMAL_MEMBER)
} ta_vcsm_library;

typedef struct ta_mmal_slot {
    uint8_t *data;
    size_t size;
    bool taken; /* handed out by take() */
} ta_mmal_slot;

typedef struct ta_mmal {
    ta_encoder base;
    ta_encoder_config config;
    const ta_mmal_library *lib;
    const ta_vcsm_library *vcsm; /* NULL: pictures are copied */
    ta_mmal_component *component;
    ta_mmal_port *input, *output;
    ta_mmal_pool *pictures, *coded; /* buffer headers of the input and of the output */
    uint32_t stride, lines;         /* of a picture in the encoder's layout */
    int eventfd;                    /* readable while `ready` or `freed` hold something, or the encoder has failed */

    pthread_mutex_t lock; /* protects what the callbacks share with the owner */
    ta_mmal_buffer *ready[TA_MMAL_OUTPUTS];
    size_t ready_head, ready_count;
    uint32_t freed[TA_MMAL_TOKENS];
    size_t freed_head, freed_count;
    uint32_t held; /* pictures that the component has not returned */
    bool error_seen;
    uint32_t error; /* MMAL status of an error event */

    struct {
        uint64_t capture_us, submit_us;
    } pending[TA_MMAL_PENDING];
    size_t pending_head, pending_count;
    uint64_t silent_us; /* when the first picture after the last unit was submitted; 0: none */
    uint64_t submit_us; /* when the last picture was submitted */
    uint32_t skipped;   /* pictures in a row that timed out */
    ta_mmal_slot slots[TA_MMAL_SLOTS];
    size_t slot_size, joining; /* joining: index of the slot being filled */
    bool begun, whole, key,
        bad;          /* unit being assembled: has picture bytes, is complete, is an IDR, is to be discarded */
    bool synced;      /* a key frame was received, and every unit since was usable */
    uint64_t unit_us; /* its picture's capture time */
    uint32_t undecodable;
    unsigned imported[TA_MMAL_TOKENS]; /* vcsm handles, 0: not yet */
    uint64_t copied;
    ta_notes notes;
    int failure; /* errno of the fatal failure; 0: none */
    char reason[TA_NOTE_MAX];
} ta_mmal;

extern const ta_encoder_ops ta_mmal_ops;

void ta_mmal_on_input(ta_mmal_port *port, ta_mmal_buffer *buffer);
void ta_mmal_on_output(ta_mmal_port *port, ta_mmal_buffer *buffer);
void ta_mmal_on_control(ta_mmal_port *port, ta_mmal_buffer *buffer);
int ta_mmal_set(const ta_mmal *m, ta_mmal_port *port, uint32_t id, uint32_t value);
void ta_mmal_close(ta_encoder **encoder);

#endif
