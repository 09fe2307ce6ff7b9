/* The part of libvcsm for zero-copy import: a handle for a descriptor's memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
    void *memory;
    size_t size;
} imports[64];

EXPORT int vcsm_init(void) {
    const char *faults = getenv("MMAL_DOUBLE");
    return faults && strstr(faults, "novcsm") ? -1 : 0;
}

EXPORT void vcsm_exit(void) {}

EXPORT unsigned vcsm_import_dmabuf(int descriptor, const char *name) {
    (void)name;
    const char *faults = getenv("MMAL_DOUBLE");
    struct stat file;
    if ((faults && strstr(faults, "noimport")) || fstat(descriptor, &file) != 0)
        return 0;
    for (unsigned i = 0; i < 64; i++) {
        if (imports[i].memory)
            continue;
        void *memory = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (memory == MAP_FAILED)
            return 0;
        imports[i].memory = memory;
        imports[i].size = (size_t)file.st_size;
        return i + 1;
    }
    return 0;
}

/* The VideoCore's name of the memory: another number than the handle. */
EXPORT unsigned vcsm_vc_hdl_from_hdl(unsigned handle) { return handle | 0xc0de0000u; }

EXPORT void vcsm_free(unsigned handle) {
    munmap(imports[handle - 1].memory, imports[handle - 1].size);
    imports[handle - 1].memory = NULL;
}

EXPORT const void *vcsm_double_map(unsigned vc_handle) {
    return vc_handle >> 16 == 0xc0de ? imports[(vc_handle & 0xffffu) - 1].memory : NULL;
}
