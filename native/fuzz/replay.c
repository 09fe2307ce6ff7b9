/* Runs a fuzz target over every file of the files and directories given: for compilers without libFuzzer, and for tests. */
#include <dirent.h>

#include "fuzz.h"

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *data = size >= 0 ? malloc((size_t)size + 1) : NULL;
    size_t got = data ? fread(data, 1, (size_t)size, file) : 0;
    fclose(file);
    if (data)
        LLVMFuzzerTestOneInput(data, got);
    free(data);
    return data ? 0 : -1;
}

int main(int argc, char **argv) {
    unsigned long files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (!directory) {
            if (replay_file(argv[i]) < 0)
                fprintf(stderr, "%s: cannot be read\n", argv[i]);
            else
                files++;
            continue;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
            char path[4096];
            int length = snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.' && length < (int)sizeof path && replay_file(path) == 0)
                files++;
        }
        closedir(directory);
    }
    printf("%lu files replayed\n", files);
    return files > 0 ? 0 : 1;
}
