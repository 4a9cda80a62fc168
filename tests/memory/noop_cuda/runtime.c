/* A CUDA runtime without a GPU, preloaded before libcudart: memory is counted but never backed, kernels do nothing.
 *
 * torch's own allocator runs on it unchanged. NOOP_CUDA_BYTES is the memory of the device (default 16 GiB), beyond
 * which an allocation fails as on a GPU. NOOP_CUDA_CAPABILITY is "major.minor" (default 8.0); all other figures are an
 * A30's. Copies to the device are dropped, copies from it are zeros. Addresses ascend and are never given out again. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <driver_types.h>

#define PAGE ((size_t)2 << 20)
#define FIRST_ADDRESS ((size_t)1 << 40) /* far below what Linux gives to programs */
#define MAX_SEGMENTS 65536
#define MULTIPROCESSORS 56
#define SHARED_BYTES 49152
#define SHARED_BYTES_OPTIN 166912
#define SHARED_BYTES_MULTIPROCESSOR 167936
#define THREADS_MULTIPROCESSOR 2048
#define DRIVER_OUT_OF_MEMORY 2

/* Functions that have nothing to do, whatever their arguments are. */
#define NOTHING(name) \
    cudaError_t name(void) { return cudaSuccess; }

static size_t used, next_address = FIRST_ADDRESS;
static struct { size_t address, bytes; } segments[MAX_SEGMENTS];
static int segment_count;

static size_t device_bytes(void) {
    const char *text = getenv("NOOP_CUDA_BYTES");
    return text ? strtoull(text, NULL, 10) : (size_t)16 << 30;
}

static void capability(int *major, int *minor) {
    const char *text = getenv("NOOP_CUDA_CAPABILITY");
    if (sscanf(text ? text : "8.0", "%d.%d", major, minor) != 2) abort();
}

static size_t whole_pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static int on_device(const void *pointer) {
    return (size_t)pointer >= FIRST_ADDRESS && (size_t)pointer < next_address;
}

/* Memory */

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
    int place = 0;
    bytes = whole_pages(bytes);
    *pointer = NULL;
    if (used + bytes > device_bytes()) return cudaErrorMemoryAllocation;
    while (place < segment_count && segments[place].bytes) place++;
    if (place == MAX_SEGMENTS) abort();
    if (place == segment_count) segment_count++;
    segments[place].address = next_address;
    segments[place].bytes = bytes;
    *pointer = (void *)next_address;
    next_address += bytes;
    used += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *pointer) {
    for (int place = 0; pointer && place < segment_count; place++)
        if (segments[place].bytes && segments[place].address == (size_t)pointer) {
            used -= segments[place].bytes;
            segments[place].bytes = 0;
            break;
        }
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    *total = device_bytes();
    *free_bytes = *total - used;
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    (void)kind;
    if (on_device(to)) return cudaSuccess;
    if (on_device(from)) memset(to, 0, bytes);
    else memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
    (void)stream;
    return cudaMemcpy(to, from, bytes, kind);
}

NOTHING(cudaMemcpy2DAsync)
NOTHING(cudaMemset)
NOTHING(cudaMemsetAsync)

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned flags) {
    (void)flags;
    *pointer = malloc(bytes);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *pointer) {
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags) {
    (void)flags;
    *device = host;
    return cudaSuccess;
}

NOTHING(cudaHostRegister)
NOTHING(cudaHostUnregister)

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *pointer) {
    memset(out, 0, sizeof *out);
    out->type = on_device(pointer) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
    out->devicePointer = on_device(pointer) ? (void *)pointer : NULL;
    return cudaSuccess;
}

/* Expandable segments: the driver's functions, which torch asks for by name. A handle is the size of its memory. */

static int reserve_addresses(size_t *address, size_t bytes) {
    *address = next_address;
    next_address += whole_pages(bytes);
    return 0;
}

static int create_memory(unsigned long long *handle, size_t bytes) {
    if (used + bytes > device_bytes()) return DRIVER_OUT_OF_MEMORY;
    *handle = bytes;
    used += bytes;
    return 0;
}

static int release_memory(unsigned long long handle) {
    used -= handle;
    return 0;
}

static int granularity(size_t *bytes) {
    *bytes = PAGE;
    return 0;
}

static int attribute_zero(int *value) {
    *value = 0;
    return 0;
}

static int error_text(int error, const char **text) {
    (void)error;
    *text = "error of the no-op driver";
    return 0;
}

static int nothing(void) { return 0; }

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version,
                                             unsigned long long flags, enum cudaDriverEntryPointQueryResult *found) {
    static const struct { const char *name; void *function; } functions[] = {
        {"cuMemAddressReserve", reserve_addresses}, {"cuMemCreate", create_memory},
        {"cuMemRelease", release_memory}, {"cuMemGetAllocationGranularity", granularity},
        {"cuDeviceGetAttribute", attribute_zero}, {"cuGetErrorString", error_text},
    };
    (void)version, (void)flags;
    *function = nothing;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(name, functions[i].name)) *function = functions[i].function;
    if (found) *found = cudaDriverEntryPointSuccess;
    return cudaSuccess;
}

/* The device */

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device) {
    (void)device;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "no-op CUDA");
    capability(&out->major, &out->minor);
    out->totalGlobalMem = device_bytes();
    out->multiProcessorCount = MULTIPROCESSORS;
    out->warpSize = 32;
    out->maxThreadsPerBlock = 1024;
    out->maxThreadsPerMultiProcessor = THREADS_MULTIPROCESSOR;
    out->maxThreadsDim[0] = out->maxThreadsDim[1] = 1024;
    out->maxThreadsDim[2] = 64;
    out->maxGridSize[0] = 2147483647;
    out->maxGridSize[1] = out->maxGridSize[2] = 65535;
    out->regsPerBlock = out->regsPerMultiprocessor = 65536;
    out->sharedMemPerBlock = SHARED_BYTES;
    out->sharedMemPerBlockOptin = SHARED_BYTES_OPTIN;
    out->sharedMemPerMultiprocessor = SHARED_BYTES_MULTIPROCESSOR;
    out->l2CacheSize = 24 << 20;
    out->textureAlignment = 512;
    out->concurrentKernels = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    int major, minor;
    (void)device;
    capability(&major, &minor);
    switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = minor; break;
    case cudaDevAttrMultiProcessorCount: *value = MULTIPROCESSORS; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = THREADS_MULTIPROCESSOR; break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = 65536; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = SHARED_BYTES; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SHARED_BYTES_OPTIN; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = SHARED_BYTES_MULTIPROCESSOR; break;
    default: *value = 0;
    }
    return cudaSuccess;
}

NOTHING(cudaDeviceSynchronize)
NOTHING(cudaGetLastError)
NOTHING(cudaPeekAtLastError)
NOTHING(cudaSetDevice)

/* Streams and events: everything is finished at once */

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
    static size_t count = 16; /* smaller handles stand for default streams */
    (void)flags, (void)priority;
    *stream = (cudaStream_t)++count;
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    (void)stream;
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    return cudaStreamIsCapturing(stream, status);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    (void)flags;
    *event = (cudaEvent_t)1;
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    (void)from, (void)to;
    *milliseconds = 0;
    return cudaSuccess;
}

NOTHING(cudaEventDestroy)
NOTHING(cudaEventQuery)
NOTHING(cudaEventRecord)
NOTHING(cudaEventRecordWithFlags)
NOTHING(cudaEventSynchronize)
NOTHING(cudaStreamQuery)
NOTHING(cudaStreamSynchronize)
NOTHING(cudaStreamWaitEvent)
NOTHING(cudaThreadExchangeStreamCaptureMode)

/* Kernels */

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *function) {
    (void)function;
    memset(out, 0, sizeof *out);
    out->maxThreadsPerBlock = 1024;
    out->numRegs = 32;
    out->binaryVersion = out->ptxVersion = 80;
    out->maxDynamicSharedSizeBytes = SHARED_BYTES;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function, int threads, size_t shared) {
    (void)function, (void)shared;
    *blocks = THREADS_MULTIPROCESSOR / threads;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function, int threads,
                                                                   size_t shared, unsigned flags) {
    (void)flags;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, threads, shared);
}

NOTHING(cudaFuncSetAttribute)
NOTHING(cudaLaunchCooperativeKernel)
NOTHING(cudaLaunchKernel)
NOTHING(cudaLaunchKernelExC)
