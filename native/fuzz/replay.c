/* Runs a fuzz target over files, and over every file in a .tar archive (POSIX ustar): for compilers without libFuzzer,
 * and for tests. */
#include "fuzz.h"

enum { BLOCK = 512, SIZE_AT = 124, SIZE_DIGITS = 12, TYPE_AT = 156 };

/* Runs the next `size` bytes of `file` as one input. The buffer is exactly as long, so that ASan sees a read past
 * it. */
static int replay(FILE *file, size_t size) {
    uint8_t *data = malloc(size);
    const bool read = data && fread(data, 1, size, file) == size;
    if (read)
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return read ? 0 : -1;
}

/* Returns the number of inputs; -1 if the archive is damaged or holds anything but files. */
static long replay_archive(FILE *file) {
    char header[BLOCK + 1] = "";
    for (long count = 0; fread(header, 1, BLOCK, file) == BLOCK; count++) {
        if (header[0] == 0)
            return count;                  /* zeros mark the end */
        header[SIZE_AT + SIZE_DIGITS] = 0; /* already terminated by a space or zero */
        const size_t size = strtoul(header + SIZE_AT, NULL, 8);
        if ((header[TYPE_AT] != '0' && header[TYPE_AT] != 0) || replay(file, size) < 0)
            return -1;
        if (fseek(file, (long)((BLOCK - size % BLOCK) % BLOCK), SEEK_CUR) < 0)
            return -1;
    }
    return -1;
}

static long replay_file(FILE *file) {
    long size;
    if (fseek(file, 0, SEEK_END) < 0 || (size = ftell(file)) < 0)
        return -1;
    rewind(file);
    return replay(file, (size_t)size) < 0 ? -1 : 1;
}

int main(int argc, char **argv) {
    long inputs = 0;
    for (int i = 1; i < argc; i++) {
        const char *suffix = strrchr(argv[i], '.');
        FILE *file = fopen(argv[i], "rb");
        const long count = !file                                 ? -1
                         : suffix && strcmp(suffix, ".tar") == 0 ? replay_archive(file)
                                                                 : replay_file(file);
        if (file)
            fclose(file);
        if (count < 0) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        inputs += count;
    }
    printf("%ld inputs replayed\n", inputs);
    return inputs > 0 ? 0 : 1;
}
