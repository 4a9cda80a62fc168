/* A stand-in for libnvidia-ml.so.1, told what to answer by environment variables:
 * FAKE_NVML_GPUS="total:free[:mig][,total:free...]" in MiB, FAKE_NVML_INIT and FAKE_NVML_MEMORY = return codes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long bytes_t;
typedef struct { bytes_t total, free, used; } memory_t;
typedef struct { bytes_t total, free; int mig; } gpu_t;

static int code(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static unsigned gpus(gpu_t *out, unsigned room) {
    const char *text = getenv("FAKE_NVML_GPUS");
    char copy[512];
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", text ? text : "");
    for (char *entry = strtok(copy, ","); entry && count < room; entry = strtok(NULL, ","), count++) {
        out[count].mig = strstr(entry, ":mig") != NULL;
        sscanf(entry, "%llu:%llu", &out[count].total, &out[count].free);
    }
    return count;
}

static unsigned index_of(void *handle) { return (unsigned)(size_t)handle - 1; }

int nvmlInitWithFlags(unsigned flags) { (void)flags; return code("FAKE_NVML_INIT"); }
int nvmlInit_v2(void) { return code("FAKE_NVML_INIT"); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int result) { (void)result; return "told to fail"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    gpu_t all[8];
    *count = gpus(all, 8);
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(size_t)(index + 1);
    return 0;
}

int nvmlDeviceGetName(void *handle, char *out, unsigned size) {
    snprintf(out, size, "Fake GPU %u", index_of(handle));
    return 0;
}

int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) {
    snprintf(out, size, "GPU-0000-%u", index_of(handle));
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_t *out) {
    gpu_t all[8];
    if (index_of(handle) == 0 && code("FAKE_NVML_MEMORY")) return code("FAKE_NVML_MEMORY");
    gpus(all, 8);
    out->total = all[index_of(handle)].total << 20;
    out->free = all[index_of(handle)].free << 20;
    out->used = out->total - out->free;
    return 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    gpu_t all[8];
    gpus(all, 8);
    *current = *pending = all[index_of(handle)].mig;
    return 0;
}
