# libtorch, NCCL and the CUDA runtime without an installed toolkit (find_package(Torch) insists on one).
#
#   LibTorch_ROOT   a wheel's folder (…/site-packages/torch), an unpacked libtorch, or a cluster's module. Without it:
#                   the wheel in the checkout's .venv.
#
# Targets: libtorch::cpu, libtorch::cuda (adds libtorch_cuda, c10_cuda), nccl::nccl, cuda::runtime. The wheels have no
# unversioned .so, so libraries are linked by full path; one binary runs with and without a GPU.
if(NOT LibTorch_ROOT)
  file(GLOB _wheels ${CMAKE_SOURCE_DIR}/.venv/lib/python3.*/site-packages/torch)
  list(GET _wheels 0 LibTorch_ROOT)
endif()
get_filename_component(_site ${LibTorch_ROOT} DIRECTORY)

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h HINTS ${LibTorch_ROOT}/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU torch_cpu HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10 c10 HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_CUDA torch_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_CUDA c10_cuda HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)
# The OpenMP runtime that libtorch itself loads: a second one in the process would ignore at::set_num_threads.
find_file(LibTorch_GOMP NAMES libgomp.so.1 HINTS ${LibTorch_ROOT}/lib NO_DEFAULT_PATH)

find_path(CudaRuntime_INCLUDE_DIR cuda_runtime_api.h
  HINTS ${_site}/nvidia/cu13/include ${LibTorch_ROOT}/../cuda/include)
find_file(CudaRuntime_LIBRARY NAMES libcudart.so.13 libcudart.so
  HINTS ${_site}/nvidia/cu13/lib ${LibTorch_ROOT}/../cuda/lib64)
find_path(Nccl_INCLUDE_DIR nccl.h HINTS ${_site}/nvidia/nccl/include)
find_file(Nccl_LIBRARY NAMES libnccl.so.2 libnccl.so HINTS ${_site}/nvidia/nccl/lib)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU LibTorch_C10 LibTorch_CUDA LibTorch_C10_CUDA LibTorch_GOMP LibTorch_INCLUDE_DIR
    CudaRuntime_INCLUDE_DIR CudaRuntime_LIBRARY Nccl_INCLUDE_DIR Nccl_LIBRARY
  REASON_FAILURE_MESSAGE "run ./launch/quickstart.sh --only setup, or give -DLibTorch_ROOT=<folder with include/ and lib/>")

function(_breakeven_imported name library include)
  if(NOT TARGET ${name})
    add_library(${name} SHARED IMPORTED)
    set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${library}
      INTERFACE_INCLUDE_DIRECTORIES "${include}" INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
  endif()
endfunction()
_breakeven_imported(cuda::runtime ${CudaRuntime_LIBRARY} ${CudaRuntime_INCLUDE_DIR})
_breakeven_imported(nccl::nccl ${Nccl_LIBRARY} ${Nccl_INCLUDE_DIR})
_breakeven_imported(libtorch::c10 ${LibTorch_C10} ${LibTorch_INCLUDE_DIR})
_breakeven_imported(libtorch::cpu ${LibTorch_CPU} ${LibTorch_INCLUDE_DIR})
_breakeven_imported(libtorch::cuda ${LibTorch_CUDA} ${LibTorch_INCLUDE_DIR})
_breakeven_imported(libtorch::c10_cuda ${LibTorch_C10_CUDA} ${LibTorch_INCLUDE_DIR})
_breakeven_imported(libtorch::gomp ${LibTorch_GOMP} ${LibTorch_INCLUDE_DIR})
set_property(TARGET libtorch::cpu APPEND PROPERTY INTERFACE_LINK_LIBRARIES libtorch::c10)
set_property(TARGET libtorch::cuda APPEND PROPERTY INTERFACE_LINK_LIBRARIES
  libtorch::cpu libtorch::c10_cuda cuda::runtime)
set_property(TARGET libtorch::cpu APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS _GLIBCXX_USE_CXX11_ABI=1)
