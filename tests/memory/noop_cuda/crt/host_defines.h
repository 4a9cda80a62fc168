/* What driver_types.h asks of the CUDA compiler, for gcc: the package of CUDA headers leaves this file out. */
#define __align__(n)
#define __builtin_align__(n)
#define __cudart_builtin__
#define __device__
#define __device_builtin__
#define __device_builtin_surface_type__
#define __device_builtin_texture_type__
#define __host__
#define CUDARTAPI
#define CUDARTAPI_CDECL
