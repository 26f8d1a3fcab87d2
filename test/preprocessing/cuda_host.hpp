// Just enough of CUDA to run the kernels on the host, one block after another: blocks whose threads meet at
// __syncthreads get a real thread each, all others a loop.
#pragma once
#define SSMA_HOST_EMULATION
#include <barrier>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static
#define SSMA_INFINITY std::numeric_limits<float>::infinity()

struct Index { unsigned x, y; };
inline thread_local Index threadIdx, blockIdx, blockDim, gridDim;
inline std::unique_ptr<std::barrier<>> meeting;
inline void __syncthreads() { meeting->arrive_and_wait(); }
inline int atomicMin(int *address, int value) {
    const int old = *address;
    if (value < old) *address = value;
    return old;
}

inline int atomicMax(int *address, int value) {
    const int old = *address;
    if (value > old) *address = value;
    return old;
}

inline int atomicAdd(int *address, int value) {
    const int old = *address;
    *address = old + value;
    return old;
}

template <typename... A, std::size_t... I>
void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    kernel(*static_cast<A *>(arguments[I])...);
}

template <typename... A>
void run(void (*kernel)(A...), Index grid, Index block, bool meets, void **arguments) {
    const auto sequence = std::make_index_sequence<sizeof...(A)>();
    for (unsigned b = 0; b < grid.x * grid.y; ++b) {
        const auto one = [&](unsigned t) {
            gridDim = grid;
            blockDim = block;
            blockIdx = {b % grid.x, b / grid.x};
            threadIdx = {t % block.x, t / block.x};
            call(kernel, arguments, sequence);
        };
        const unsigned threads = block.x * block.y;
        if (!meets) {
            for (unsigned t = 0; t < threads; ++t) one(t);
            continue;
        }
        meeting = std::make_unique<std::barrier<>>(threads);
        std::vector<std::thread> all;
        for (unsigned t = 0; t < threads; ++t) all.emplace_back(one, t);
        for (auto &thread : all) thread.join();
    }
}

// extern "C" void run_<kernel>(grid.x, grid.y, block.x, block.y, arguments): cuLaunchKernel's way of passing them.
#define RUNNER(kernel, meets)                                                                                         \
    extern "C" void run_##kernel(unsigned gx, unsigned gy, unsigned bx, unsigned by, void **arguments) {              \
        run(kernel, {gx, gy}, {bx, by}, meets, arguments);                                                            \
    }
