// SPDX-License-Identifier: Apache-2.0
// What all kernels share. Every image is row-major without padding; one thread makes one pixel, x along a warp.
//
// The kernels use no shared memory for windows: a window's pixels come from the L1 cache, which serves a warp's
// neighbouring reads as fast, and the code stays the algorithm. The same source compiles for the host under
// SSMA_HOST_EMULATION, where the tests run it against the CPU implementation.
#pragma once

#ifndef SSMA_HOST_EMULATION
#define SSMA_INFINITY __int_as_float(0x7f800000)
#endif

// The numbers of the algorithms are not stated in these sources.
#ifndef EMPTY_BELOW
#error "the constants are missing: compile with DEFINITIONS of ssma_ros.kernels.cuda.compiler"
#endif

#define PIXEL_OR_RETURN(x, y, width, height)                                                                          \
    const int x = blockIdx.x * blockDim.x + threadIdx.x;                                                              \
    const int y = blockIdx.y * blockDim.y + threadIdx.y;                                                              \
    if (x >= (width) || y >= (height)) return

static __device__ __forceinline__ int clamped(int i, int size) { return i < 0 ? 0 : (i < size ? i : size - 1); }

// OpenCV's BORDER_REFLECT_101: reflected at the ends without repeating them.
static __device__ __forceinline__ int mirrored(int i, int size) {
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i : 2 * size - 2 - i;
    return i;
}

static __device__ __forceinline__ float lower(float a, float b) { return a < b ? a : b; }
static __device__ __forceinline__ float upper(float a, float b) { return a > b ? a : b; }
