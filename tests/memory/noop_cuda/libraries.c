/* The functions of cuBLAS, cuBLASLt and cuFFT that answer with something. All others that torch calls are generated:
 * they succeed and do nothing. */
#include <stddef.h>

static long handle[64];

int cublasCreate_v2(void **out) {
    *out = handle;
    return 0;
}

int cublasGetMathMode(void *blas, int *mode) {
    (void)blas;
    *mode = 0;
    return 0;
}

int cublasGetPointerMode_v2(void *blas, int *mode) {
    (void)blas;
    *mode = 0;
    return 0;
}

size_t cublasLtGetVersion(void) { return 130101; }

int cublasLtMatmulAlgoGetHeuristic(void *blas, void *operation, void *a, void *b, void *c, void *d, void *preference,
                                   int wanted, void *results, int *found) {
    (void)blas, (void)operation, (void)a, (void)b, (void)c, (void)d, (void)preference, (void)wanted, (void)results;
    *found = 1;
    return 0;
}

int cublasLtMatmulDescCreate(void **out) {
    *out = handle;
    return 0;
}

int cublasLtMatmulPreferenceCreate(void **out) {
    *out = handle;
    return 0;
}

int cublasLtMatrixLayoutCreate(void **out) {
    *out = handle;
    return 0;
}

int cufftCreate(int *plan) {
    static int count;
    *plan = ++count;
    return 0;
}

int cufftXtMakePlanMany(int plan, int rank, long long *sizes, long long *in_embed, long long in_stride,
                        long long in_distance, int in_type, long long *out_embed, long long out_stride,
                        long long out_distance, int out_type, long long batch, size_t *workspace) {
    (void)plan, (void)rank, (void)sizes, (void)in_embed, (void)in_stride, (void)in_distance, (void)in_type;
    (void)out_embed, (void)out_stride, (void)out_distance, (void)out_type, (void)batch;
    *workspace = 0;
    return 0;
}
