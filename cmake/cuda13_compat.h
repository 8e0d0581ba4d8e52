/* SPDX-License-Identifier: BSD-3-Clause
 * Kokkos 4.7.0 calls two CUDA functions with their signatures of CUDA 12. CUDA 13 changed them: these overloads
 * bring the old ones back. Included before everything else when compiling for CUDA. */
#pragma once
#if defined(__CUDACC__) && defined(__cplusplus)
#include <cuda_runtime.h>
#if CUDART_VERSION >= 13000

inline cudaError_t
cudaMemPrefetchAsync(const void* pointer, size_t count, int device, cudaStream_t stream) {
  cudaMemLocation location{};
  location.type = device == cudaCpuDeviceId ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
  location.id = device == cudaCpuDeviceId ? 0 : device;
  return cudaMemPrefetchAsync(pointer, count, location, 0, stream);
}

inline cudaError_t cudaGraphAddDependencies(cudaGraph_t graph,
                                            const cudaGraphNode_t* from,
                                            const cudaGraphNode_t* to,
                                            size_t count) {
  return cudaGraphAddDependencies(graph, from, to, nullptr, count);
}

#endif
#endif
