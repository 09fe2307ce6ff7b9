/* The double of an MMAL component: see README.md. One lock per component; callbacks run without it, on the component's
 * thread. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "pcm.h"

#define EXPORT __attribute__((visibility("default")))
#define NAMED(a, b, c, d) ((fourcc)(a) | (fourcc)(b) << 8 | (fourcc)(c) << 16 | (fourcc)(d) << 24)

enum { OK = 0, NO_MEMORY = 1, NO_SPACE = 2, INVALID = 3, NO_SYSTEM = 4, IO_ERROR = 7 };
enum { CONTROL = 1, INPUT = 2, OUTPUT = 3 };
enum { FRAME_START = 2, FRAME_END = 4, KEY = 8, CONFIG = 32, CORRUPTED = 512 };
enum { GROUP_VIDEO = 0x20000, LAST_VIDEO = 0x38, PARAMETER_WORDS = 8, PARAMETER_LIMIT = 392 };
enum {
    ZERO_COPY = 4,
    INTRAPERIOD = 0x20003,
    I_FRAME = 0x2000b,
    REFRESH = 0x2000c,
    LOW_LATENCY = 0x2001d,
    INLINE_HEADER = 0x2002a,
    SPS_TIMING = 0x20030,
};

typedef void (*callback)(struct port *, struct header *);

struct queue {
    pthread_mutex_t lock;
    struct header *first, **last;
};

struct header_priv {
    struct pool *owner;
    unsigned char *payload;
    uint32_t payload_size;
};

struct port_priv {
    struct es_format format, *given; /* given: the value that the port's `format` must keep */
    struct es_video video;
    callback call;
    struct header *waiting[64];
    uint32_t count;      /* entries of `waiting` */
    uint32_t contexts;   /* free; buffer_num at enable */
    uint32_t in_transit; /* until the callback has returned */
    uint32_t zero_copy;
};

struct faults {
    uint32_t create, stuck, hang, junk, error, skip, split, refuse, nopts, commit, corrupt;
};

struct component_priv {
    struct port ports[3], *list[3];
    struct port_priv privs[3];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int running, stop;
    struct faults faults;
    struct pcm_stream stream;
    uint32_t pictures, since_key;
    unsigned char *coded;
    struct header error_header;
    uint32_t error_status;
    uint32_t parameters[LAST_VIDEO][PARAMETER_WORDS];
};

static int violations, components;
static struct component_priv *newest;

static void broken_rule(const char *rule) {
    fprintf(stderr, "libmmal double: %s\n", rule);
    violations++;
}

/* ---- queues, pools ---- */

static void queue_put(struct queue *q, struct header *h) {
    pthread_mutex_lock(&q->lock);
    h->next = NULL;
    *q->last = h;
    q->last = &h->next;
    pthread_mutex_unlock(&q->lock);
}

EXPORT struct header *mmal_queue_get(struct queue *q) {
    pthread_mutex_lock(&q->lock);
    struct header *h = q->first;
    if (h && !(q->first = h->next))
        q->last = &q->first;
    pthread_mutex_unlock(&q->lock);
    return h;
}

EXPORT struct pool *mmal_pool_create(unsigned count, uint32_t size) {
    struct pool *pool = calloc(1, sizeof *pool);
    pool->queue = calloc(1, sizeof *pool->queue);
    pthread_mutex_init(&pool->queue->lock, NULL);
    pool->queue->last = &pool->queue->first;
    pool->count = count;
    pool->headers = calloc(count, sizeof *pool->headers);
    for (unsigned i = 0; i < count; i++) {
        struct header *h = pool->headers[i] = calloc(1, sizeof *h);
        h->priv = calloc(1, sizeof *h->priv);
        *h->priv = (struct header_priv){pool, size ? calloc(1, size) : NULL, size};
        h->payload = h->priv->payload;
        h->payload_size = size;
        queue_put(pool->queue, h);
    }
    return pool;
}

EXPORT void mmal_pool_destroy(struct pool *pool) {
    for (uint32_t i = 0; i < pool->count; i++) {
        free(pool->headers[i]->priv->payload);
        free(pool->headers[i]->priv);
        free(pool->headers[i]);
    }
    pthread_mutex_destroy(&pool->queue->lock);
    free(pool->queue);
    free(pool->headers);
    free(pool);
}

EXPORT void mmal_buffer_header_release(struct header *h) {
    if (!h->priv || !h->priv->owner)
        return; /* an event's */
    h->used = h->start = h->flags = 0;
    h->pts = h->dts = INT64_MIN;
    queue_put(h->priv->owner->queue, h);
}

/* ---- the component's thread ---- */

static void call_back(struct port *port, struct header *h) { /* the lock is held, and released during the call */
    struct component_priv *c = port->component->priv;
    port->priv->contexts++;
    pthread_mutex_unlock(&c->lock);
    port->priv->call(port, h);
    pthread_mutex_lock(&c->lock);
    port->priv->in_transit--;
    pthread_cond_broadcast(&c->changed);
}

static struct header *take_waiting(struct port_priv *p) {
    struct header *h = p->waiting[0];
    memmove(p->waiting, p->waiting + 1, --p->count * sizeof *p->waiting);
    return h;
}

/* Returns when a port is disabled, as the genuine one does. */
static void emit(struct component_priv *c, const uint8_t *data, size_t size, uint32_t flags, int64_t pts) {
    const struct port *in = &c->ports[1];
    struct port *out = &c->ports[2];
    for (size_t done = 0; done < size;) {
        while (!c->stop && in->enabled && out->enabled && !out->priv->count)
            pthread_cond_wait(&c->changed, &c->lock);
        if (c->stop || !in->enabled || !out->enabled)
            return;
        struct header *h = take_waiting(out->priv);
        size_t part = size - done, room = h->payload_size;
        room = c->faults.split && c->faults.split < room ? c->faults.split : room;
        part = part < room ? part : room;
        memcpy(h->payload, data + done, part);
        h->used = (uint32_t)part;
        h->start = 0;
        h->command = 0;
        h->pts = c->faults.nopts || flags & CONFIG ? INT64_MIN : pts;
        h->dts = INT64_MIN;
        h->flags = (done == 0 ? FRAME_START : 0u) | (done + part == size ? flags : flags & ~(uint32_t)FRAME_END);
        done += part;
        call_back(out, h);
    }
}

static const uint8_t *shared_memory(const unsigned char *handle) {
    static const void *(*map)(unsigned);
    if (!map) {
        void *library = dlopen("libvcsm.so", RTLD_NOW), *symbol = library ? dlsym(library, "vcsm_double_map") : NULL;
        memcpy(&map, &symbol, sizeof map);
    }
    return map ? map((unsigned)(uintptr_t)handle) : NULL;
}

static void encode(struct component_priv *c, const struct header *h) {
    const struct es_video *v = c->ports[1].format->video;
    fourcc encoding = c->ports[1].format->encoding;
    int packed = encoding == NAMED('U', 'Y', 'V', 'Y') || encoding == NAMED('Y', 'U', 'Y', 'V');
    struct pcm_picture picture = {(uint32_t)v->crop[2],
                                  (uint32_t)v->crop[3],
                                  v->padded_width * (packed ? 2 : 1),
                                  v->padded_height,
                                  (char)encoding,
                                  c->ports[1].priv->zero_copy ? shared_memory(h->payload) : h->payload + h->start};
    uint32_t period = c->parameters[INTRAPERIOD - GROUP_VIDEO][0], *wanted = &c->parameters[I_FRAME - GROUP_VIDEO][0];
    int key = c->pictures == 1 || *wanted || (period && c->since_key >= period);
    if (key) {
        *wanted = 0;
        c->since_key = 0;
        if (c->pictures == 1 || c->parameters[INLINE_HEADER - GROUP_VIDEO][0]) {
            int timing = c->parameters[SPS_TIMING - GROUP_VIDEO][0] != 0;
            size_t size = pcm_headers(c->coded, picture.width, picture.height, timing ? (uint32_t)v->rate[0] : 0,
                                      (uint32_t)v->rate[1]);
            emit(c, c->coded, size, CONFIG | FRAME_END, h->pts);
        }
    }
    c->since_key++;
    size_t size = pcm_picture(&c->stream, c->coded, &picture, key);
    emit(c, c->coded, size, FRAME_END | (key ? KEY : 0u) | (c->faults.corrupt == c->pictures ? CORRUPTED : 0u), h->pts);
}

static void send_error(struct component_priv *c) {
    c->error_status = IO_ERROR;
    c->error_header = (struct header){.command = NAMED('E', 'R', 'R', 'O'),
                                      .payload = (unsigned char *)&c->error_status,
                                      .payload_size = sizeof c->error_status,
                                      .used = sizeof c->error_status};
    c->ports[0].priv->in_transit++;
    call_back(&c->ports[0], &c->error_header);
}

static void *work(void *argument) {
    struct component_priv *c = argument;
    struct port *in = &c->ports[1];
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->stop && !(in->enabled && in->component->enabled && in->priv->count))
            pthread_cond_wait(&c->changed, &c->lock);
        if (c->stop)
            break;
        c->pictures++;
        const struct faults *f = &c->faults;
        if (f->stuck && c->pictures >= f->stuck) { /* keeps the picture and stays silent */
            while (!c->stop && in->priv->count)
                pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        struct header *h = take_waiting(in->priv);
        for (uint32_t i = 0; c->pictures == 1 && i < f->junk; i++)
            emit(c, (const uint8_t *)"\0\0\0\1\x41\xff\xff\xff\xff" + i % 2 * 4, 5, FRAME_END, INT64_MIN);
        if (f->error == c->pictures)
            send_error(c);
        else if (!(f->skip && c->pictures % f->skip == 0) && !c->parameters[LOW_LATENCY - GROUP_VIDEO][0])
            encode(c, h);
        call_back(in, h);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- component ---- */

static uint32_t fault(const char *name) {
    const char *text = getenv("MMAL_DOUBLE");
    const char *at = text ? strstr(text, name) : NULL;
    return !at ? 0 : at[strlen(name)] == '=' ? (uint32_t)strtoul(at + strlen(name) + 1, NULL, 0) : 1;
}

static void set_sizes(struct port *port) { /* also what a format commit resets */
    const struct es_video *v = port->format->video;
    port->least_buffers = port->advised_buffers = port->buffers = port->kind == CONTROL ? 3 : 1;
    uint32_t size = port->kind == INPUT ? v->padded_width * v->padded_height * 2 : 65536;
    port->least_size = port->advised_size = port->size = size;
}

EXPORT int mmal_component_create(const char *name, struct component **out) {
    *out = NULL;
    struct faults f = {fault("create"), fault("stuck"),  fault("hang"),   fault("junk"),
                       fault("error"),  fault("skip"),   fault("split"),  fault("refuse"),
                       fault("nopts"),  fault("commit"), fault("corrupt")};
    if (f.create || strcmp(name, "vc.ril.video_encode") != 0)
        return f.create ? (int)f.create : NO_SYSTEM;
    struct component *component = calloc(1, sizeof *component);
    struct component_priv *c = component->priv = calloc(1, sizeof *c);
    c->faults = f;
    component->name = "vc.ril.video_encode";
    for (uint32_t i = 0; i < 3; i++) {
        struct port *port = c->list[i] = &c->ports[i];
        port->priv = &c->privs[i];
        port->kind = i + CONTROL;
        port->component = component;
        port->format = port->priv->given = &port->priv->format;
        port->format->video = &port->priv->video;
        set_sizes(port);
    }
    component->control = c->list[0];
    component->inputs = component->outputs = 1;
    component->input = &c->list[1];
    component->output = &c->list[2];
    component->ports = 3;
    component->port = c->list;
    static const uint32_t refresh[] = {0, 7, 9, 0, 11}; /* values that must survive a set */
    memcpy(c->parameters[REFRESH - GROUP_VIDEO], refresh, sizeof refresh);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    newest = c;
    components++;
    *out = component;
    return OK;
}

EXPORT int mmal_component_enable(struct component *component) {
    component->enabled = 1;
    component->priv->running = pthread_create(&component->priv->thread, NULL, work, component->priv) == 0;
    return component->priv->running ? OK : NO_MEMORY;
}

EXPORT int mmal_component_disable(struct component *component) {
    component->enabled = 0;
    return OK;
}

EXPORT int mmal_component_destroy(struct component *component) {
    struct component_priv *c = component->priv;
    for (int i = 0; i < 3; i++)
        if (c->ports[i].enabled)
            broken_rule("destroyed with an enabled port");
    pthread_mutex_lock(&c->lock);
    c->stop = 1;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->running)
        pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    components--;
    if (newest == c)
        newest = NULL;
    free(c->coded);
    free(c);
    free(component);
    return OK;
}

/* ---- ports ---- */

EXPORT int mmal_port_format_commit(struct port *port) {
    struct component_priv *c = port->component->priv;
    if (port->format != port->priv->given)
        broken_rule("port->format was replaced");
    const struct es_video *v = port->format->video;
    if (c->faults.commit || (port->kind == INPUT && (v->padded_width % 32 || v->padded_height % 16)))
        return c->faults.commit ? (int)c->faults.commit : INVALID;
    if (port->kind == OUTPUT && (port->format->encoding != NAMED('H', '2', '6', '4') || !port->format->bitrate))
        return INVALID;
    set_sizes(port);
    if (port->kind == INPUT) { /* the output takes over the size */
        set_sizes(&c->ports[2]);
        *c->ports[2].format->video = *port->format->video;
        free(c->coded);
        c->coded = malloc(pcm_capacity((uint32_t)port->format->video->crop[2], (uint32_t)port->format->video->crop[3]));
    }
    return OK;
}

EXPORT int mmal_port_enable(struct port *port, callback call) {
    if (port->enabled || !port->buffers || port->buffers < port->least_buffers || port->size < port->least_size)
        return INVALID;
    port->priv->call = call;
    port->priv->contexts = port->buffers;
    port->enabled = 1;
    return OK;
}

EXPORT int mmal_port_disable(struct port *port) {
    struct component_priv *c = port->component->priv;
    if (!port->enabled)
        return INVALID;
    pthread_mutex_lock(&c->lock);
    port->enabled = 0;
    pthread_cond_broadcast(&c->changed);
    while (port->priv->count && !c->faults.hang) {
        struct header *h = take_waiting(port->priv);
        h->used = 0;
        call_back(port, h);
    }
    while (port->priv->in_transit)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return OK;
}

EXPORT int mmal_port_send_buffer(struct port *port, struct header *h) {
    struct component_priv *c = port->component->priv;
    if (h->payload_size && !h->payload)
        return INVALID;
    pthread_mutex_lock(&c->lock);
    int status = !port->enabled ? INVALID : port->priv->contexts == 0 ? NO_MEMORY : OK;
    if (port->kind == OUTPUT && h->used)
        broken_rule("an output buffer came with bytes in it");
    if (status == OK) {
        port->priv->contexts--;
        port->priv->in_transit++;
        port->priv->waiting[port->priv->count++] = h;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

static uint32_t *parameter_place(struct port *port, const uint32_t *parameter, int *status) {
    uint32_t at = parameter[0] - GROUP_VIDEO;
    struct component_priv *c = port->component->priv;
    if (c->running && pthread_equal(c->thread, pthread_self())) {
        fprintf(stderr, "libmmal double: a parameter was touched from a callback, where the genuine one may hang\n");
        abort();
    }
    *status = parameter[0] == c->faults.refuse                           ? INVALID
            : parameter[1] > PARAMETER_LIMIT                             ? NO_SPACE
            : parameter[0] == ZERO_COPY                                  ? OK
            : at >= LAST_VIDEO || parameter[1] > 8 + 4 * PARAMETER_WORDS ? NO_SYSTEM
                                                                         : OK;
    return parameter[0] == ZERO_COPY ? &port->priv->zero_copy : c->parameters[at < LAST_VIDEO ? at : 0];
}

EXPORT int mmal_port_parameter_set(struct port *port, const uint32_t *parameter) {
    struct component_priv *c = port->component->priv;
    int status;
    uint32_t *place = parameter_place(port, parameter, &status);
    if (status == OK && parameter[0] == REFRESH && (parameter[3] != 7 || parameter[4] != 9 || parameter[6] != 11))
        status = INVALID;
    pthread_mutex_lock(&c->lock);
    if (status == OK)
        memcpy(place, parameter + 2, parameter[1] - 8);
    pthread_mutex_unlock(&c->lock);
    return status;
}

EXPORT int mmal_port_parameter_get(struct port *port, uint32_t *parameter) {
    int status;
    const uint32_t *place = parameter_place(port, parameter, &status);
    if (status == OK)
        memcpy(parameter + 2, place, parameter[1] - 8);
    return status;
}

/* ---- for tests ---- */

EXPORT uint32_t mmal_double_parameter(uint32_t id, uint32_t word) {
    return newest ? newest->parameters[(id - GROUP_VIDEO) % LAST_VIDEO][word % PARAMETER_WORDS] : 0;
}

EXPORT int mmal_double_violations(void) { return violations; }

EXPORT int mmal_double_components(void) { return components; }
