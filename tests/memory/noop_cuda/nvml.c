/* A stand-in for libnvidia-ml.so.1: what torch's allocator asks when it maps memory and when it has none left. */
#define NOT_SUPPORTED 3

int nvmlInit(void) { return 0; }
int nvmlInit_v2(void) { return 0; }

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 13000;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 1;
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **handle) {
    (void)id;
    *handle = (void *)1;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    (void)index;
    *handle = (void *)1;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses(void *device, unsigned *count, void *processes) {
    (void)device, (void)processes;
    *count = 0;
    return 0;
}

int nvmlDeviceGetGpuFabricInfoV(void) { return NOT_SUPPORTED; }
int nvmlDeviceGetNvLinkRemoteDeviceType(void) { return NOT_SUPPORTED; }
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void) { return NOT_SUPPORTED; }
int nvmlSystemGetDriverBranch(void) { return NOT_SUPPORTED; }
