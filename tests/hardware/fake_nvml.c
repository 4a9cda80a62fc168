/* A stand-in for libnvidia-ml.so.1 that answers what FAKE_NVML tells it to: "key=value" in lines.
 *
 *   gpus=2                              how many there are
 *   return.<function>=18                what a function returns instead of success
 *   missing.<function>=1                not here, as in an old driver
 *   <device>.<field>=...                device: 0, 1, ...; 0/1 is MIG slice 1 of GPU 0
 *     name, uuid, total, reserved, used (MiB), processes=pid:MiB,pid:unknown
 *     mig=1, slots=7 (places for slices; a slice is there if it has a uuid)
 *     return.<function>=15              as above, for this device alone
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long bytes_t;
typedef struct { bytes_t total, free, used; } memory_v1_t;
typedef struct { unsigned version; bytes_t total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned pid; bytes_t used; unsigned gpu_instance, compute_instance; } process_t;
enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7,
       FUNCTION_NOT_FOUND = 13, VERSION_MISMATCH = 25 };
static const unsigned MEMORY_V2 = 0x02000028;

static const char *told(const char *key) {
    static char value[256];
    const char *line = getenv("FAKE_NVML");
    size_t length = strlen(key);
    for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, key, length) && line[length] == '=') {
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return value;
        }
    return NULL;
}

static bytes_t number(const char *key, bytes_t otherwise) {
    const char *value = told(key);
    return value ? strtoull(value, NULL, 10) : otherwise;
}

/* A handle is 1 + GPU, plus 100 * (1 + slice) for a slice. */
static void *handle_of(unsigned gpu, int slice) { return (void *)(size_t)(1 + gpu + 100 * (slice + 1)); }

static const char *key(void *handle, const char *field) {
    static char text[128];
    unsigned code = (unsigned)(size_t)handle, gpu = code % 100 - 1;
    if (code < 100) snprintf(text, sizeof text, "%u.%s", gpu, field);
    else snprintf(text, sizeof text, "%u/%u.%s", gpu, code / 100 - 1, field);
    return text;
}

static int result(void *handle, const char *function) {
    char text[128];
    snprintf(text, sizeof text, "missing.%s", function);
    if (number(text, 0)) return FUNCTION_NOT_FOUND;
    snprintf(text, sizeof text, "return.%s", function);
    int code = (int)number(text, SUCCESS);
    return code || !handle ? code : (int)number(key(handle, text), SUCCESS);
}
#define ANSWER(handle) do { int code = result(handle, __func__); if (code) return code; } while (0)

static int say(const char *text, char *out, unsigned size) {
    if (!text) return NOT_SUPPORTED;
    snprintf(out, size, "%s", text);
    return SUCCESS;
}

static memory_v2_t memory(void *handle) {
    memory_v2_t m = {.version = MEMORY_V2};
    m.total = number(key(handle, "total"), 8192) << 20;
    m.reserved = number(key(handle, "reserved"), 0) << 20;
    m.used = number(key(handle, "used"), 0) << 20;
    m.free = m.total - m.reserved - m.used;
    return m;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; ANSWER(NULL); return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "told to fail"; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) { ANSWER(NULL); return say("570.86", out, size); }
int nvmlSystemGetNVMLVersion(char *out, unsigned size) { ANSWER(NULL); return say("12.570.86", out, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { ANSWER(NULL); *version = 12080; return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    ANSWER(NULL);
    *count = (unsigned)number("gpus", 0);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = handle_of(index, -1);
    ANSWER(*handle);
    return index < number("gpus", 0) ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetName(void *handle, char *out, unsigned size) {
    ANSWER(handle);
    const char *name = told(key(handle, "name"));
    return say(name ? name : "Fake GPU", out, size);
}

int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) {
    ANSWER(handle);
    const char *uuid = told(key(handle, "uuid"));
    if (!uuid) snprintf(out, size, "GPU-0000-%u", (unsigned)(size_t)handle % 100 - 1);
    return uuid ? say(uuid, out, size) : SUCCESS;
}

/* The first version counts what the driver keeps as used. */
int nvmlDeviceGetMemoryInfo(void *handle, memory_v1_t *out) {
    ANSWER(handle);
    memory_v2_t m = memory(handle);
    *out = (memory_v1_t){m.total, m.free, m.used + m.reserved};
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2_t *out) {
    ANSWER(handle);
    if (out->version != MEMORY_V2) return VERSION_MISMATCH;
    *out = memory(handle);
    return SUCCESS;
}

static int processes(void *handle, unsigned *count, process_t *out) {
    const char *entry = told(key(handle, "processes"));
    unsigned room = *count, found = 0;
    for (; entry && *entry; entry = strchr(entry, ',') ? strchr(entry, ',') + 1 : NULL, found++) {
        const char *amount = strchr(entry, ':') + 1;
        process_t process = {(unsigned)atoi(entry), strtoull(amount, NULL, 10) << 20, ~0u, ~0u};
        if (!strncmp(amount, "unknown", 7)) process.used = ~0ull;
        if (found < room && out) out[found] = process;
    }
    *count = found;
    return found > room || (found && !out) ? TOO_SMALL : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_t *out) {
    ANSWER(handle);
    return processes(handle, count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_t *out) {
    (void)out;
    ANSWER(handle);
    *count = 0;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    ANSWER(handle);
    const char *mode = told(key(handle, "mig"));
    if (!mode) return NOT_SUPPORTED;
    *current = *pending = (unsigned)atoi(mode);
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    ANSWER(handle);
    *count = (unsigned)number(key(handle, "slots"), 7);
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *whole, unsigned index, void **handle) {
    *handle = handle_of((unsigned)(size_t)whole - 1, (int)index);
    ANSWER(*handle);
    return told(key(*handle, "uuid")) ? SUCCESS : NOT_FOUND;
}
