/* An outdated libmmal: nearly every function is missing. */
__attribute__((visibility("default"))) int mmal_component_create(const char *name, void **component) {
    (void)name;
    *component = (void *)0;
    return 4;
}
