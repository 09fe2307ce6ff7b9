/* Counts the instructions that a program under qemu-arm executes: a TCG plugin for API version 1 (QEMU 4.2 to 8.2).
 * Counts of C code are the same at each run, to the last digit, as long as one thread works at a time.
 *
 * The guest marks regions by a system call that no kernel has: syscall(59999, 1, id) begins one, syscall(59999, 2, id)
 * ends it. Arguments: out=FILE gets the result as JSON; mark=NUMBER notes the count at the first system call of this
 * number, as often as needed. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of QEMU's include/qemu/qemu-plugin.h, which Debian 12 has in no package. */
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
enum { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*tb_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_callback)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_callback callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *counter, uint64_t add);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_callback callback);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *), void *data);

EXPORT int qemu_plugin_version = 1;

enum { MAGIC = 59999, BEGIN = 1, END = 2, REGIONS = 16, MARKS = 8 };

static uint64_t total;
static struct { uint64_t began, sum, least, most, times; } regions[REGIONS];
static struct {
    int64_t number;
    uint64_t at; /* 0: not yet */
} marks[MARKS];
static size_t mark_count;
static const char *path = "/dev/stderr";

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &total, qemu_plugin_tb_n_insns(tb));
}

static void end_region(uint64_t r) {
    uint64_t n = total - regions[r].began;
    regions[r].sum += n;
    regions[r].least = regions[r].times == 0 || n < regions[r].least ? n : regions[r].least;
    regions[r].most = n > regions[r].most ? n : regions[r].most;
    regions[r].times++;
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t what, uint64_t region, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    for (size_t i = 0; i < mark_count; i++)
        if (marks[i].number == number && marks[i].at == 0)
            marks[i].at = total;
    if (number != MAGIC || region >= REGIONS)
        return;
    if (what == BEGIN)
        regions[region].began = total;
    else if (what == END)
        end_region(region);
}

static void finished(qemu_plugin_id_t id, void *data) {
    (void)id, (void)data;
    FILE *out = fopen(path, "w");
    if (!out)
        return;
    fprintf(out, "{\"total\": %" PRIu64 ", \"regions\": {", total);
    const char *comma = "";
    for (int r = 0; r < REGIONS; r++) {
        if (!regions[r].times)
            continue;
        fprintf(out,
                "%s\"%d\": {\"sum\": %" PRIu64 ", \"least\": %" PRIu64 ", \"most\": %" PRIu64 ", \"times\": %" PRIu64
                "}",
                comma, r, regions[r].sum, regions[r].least, regions[r].most, regions[r].times);
        comma = ", ";
    }
    fprintf(out, "}, \"marks\": {");
    for (size_t i = 0; i < mark_count; i++)
        fprintf(out, "%s\"%" PRId64 "\": %" PRIu64, i ? ", " : "", marks[i].number, marks[i].at);
    fprintf(out, "}}\n");
    fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            path = strdup(argv[i] + 4);
        else if (strncmp(argv[i], "mark=", 5) == 0 && mark_count < MARKS)
            marks[mark_count++].number = atoll(argv[i] + 5);
        else
            return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
