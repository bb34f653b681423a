# The contract's checks, run by comm_tests on threads and by mpi_contract under mpirun.
set(contract_sources comm/communicator_contract.cpp comm/reduction_contract.cpp comm/control_contract.cpp
  comm/contract_memory.cpp)
add_library(communicator_contract STATIC ${contract_sources})
target_link_libraries(communicator_contract PUBLIC comm)
target_link_libraries(comm_tests PRIVATE communicator_contract)

# The contract under mpirun. Everything that Open MPI must be told stands in the environment, so that the command line is
# the one of any MPI. ThreadSanitizer knows nothing of the synchronisation inside MPI: not there.
if(BREAKEVEN_SANITIZE MATCHES "thread")
  return()
endif()

add_executable(mpi_contract comm/mpi_contract_main.cpp)
target_link_libraries(mpi_contract PRIVATE communicator_contract fault_point_injected)
target_compile_definitions(mpi_contract PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)

set(mpi_test_environment
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
  ASAN_OPTIONS=detect_leaks=0)  # Open MPI keeps much of what it allocates

# mpi_test(name exit_code ranks arguments…): passes when mpirun ends with exactly this code and leaves no shared memory behind.
function(mpi_test name exit_code ranks)
  add_test(NAME mpi.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/comm/expect_end.sh ${exit_code}
    ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:mpi_contract> ${ARGN})
  set_tests_properties(mpi.${name} PROPERTIES TIMEOUT 300 PROCESSORS 2 ENVIRONMENT "${mpi_test_environment}")
endfunction()

foreach(ranks RANGE 1 5)
  mpi_test(contract_${ranks} 0 ${ranks} mpi)
  mpi_test(shared_memory_${ranks} 0 ${ranks} shared_memory)
endforeach()
# Several nodes in one: equal and unequal ones, and ranks without a neighbour.
mpi_test(shared_memory_4_on_2_nodes 0 4 shared_memory/2)
mpi_test(shared_memory_5_on_2_nodes 0 5 shared_memory/2)
mpi_test(shared_memory_3_on_3_nodes 0 3 shared_memory/3)
# One rank ends in each of the ways there are: the job ends with its code and nobody hangs.
foreach(backend mpi shared_memory)
  mpi_test(${backend}_abort 70 3 ${backend} abort)
  mpi_test(${backend}_abort_from_thread 70 2 ${backend} abort_from_thread)
  mpi_test(${backend}_throw 76 2 ${backend} throw)
  mpi_test(${backend}_leave 3 2 ${backend} leave)
  # A rank that takes another way than the others is named, by the check of calls.
  mpi_test(${backend}_mistake 76 3 ${backend} mistake)
  set_property(TEST mpi.${backend}_mistake APPEND PROPERTY ENVIRONMENT CHECK_CALLS=1)
  # A rank that is killed inside a collective, by the fault seam.
  mpi_test(${backend}_kill 137 3 ${backend})
  set_property(TEST mpi.${backend}_kill APPEND PROPERTY ENVIRONMENT BREAKEVEN_FAULT=comm.all_reduce@5:1=kill)
endforeach()
# GPUs that are asked for and not there: one message, 78, on any machine.
mpi_test(nccl_without_gpu 78 2 nccl)
set_property(TEST mpi.nccl_without_gpu APPEND PROPERTY ENVIRONMENT CUDA_VISIBLE_DEVICES=-1)
# A fault that does not parse is never passed over.
mpi_test(mistyped_fault 64 1 mpi)
set_property(TEST mpi.mistyped_fault APPEND PROPERTY ENVIRONMENT BREAKEVEN_FAULT=comm.all_reduce@5:1=kil)
# Memory from /dev/shm where one rank gets no memfd; plain messages where there is no shared memory at all; and copies where
# there is too little for large buffers.
mpi_test(shared_memory_devshm 0 3 shared_memory)
set_property(TEST mpi.shared_memory_devshm APPEND PROPERTY ENVIRONMENT BREAKEVEN_FAULT=shared_memory.memfd:1=errno:38)
mpi_test(shared_memory_devshm_kill 137 3 shared_memory)
set_property(TEST mpi.shared_memory_devshm_kill APPEND PROPERTY ENVIRONMENT
  BREAKEVEN_FAULT=shared_memory.memfd:1=errno:38,comm.all_reduce@20:2=kill)
mpi_test(shared_memory_none 0 3 shared_memory)
set_property(TEST mpi.shared_memory_none APPEND PROPERTY ENVIRONMENT
  BREAKEVEN_FAULT=shared_memory.reserve:2=errno:ENOSPC EXPECT_BACKEND=mpi)
mpi_test(shared_memory_little 0 3 shared_memory)
mpi_test(shared_memory_little_4_on_2_nodes 0 4 shared_memory/2)
set_property(TEST mpi.shared_memory_little mpi.shared_memory_little_4_on_2_nodes APPEND PROPERTY ENVIRONMENT
  FAULTS_OF_CHECKS=shared_memory.reserve:2=errno:ENOSPC)
mpi_test(shared_memory_none_4 0 4 shared_memory)
set_property(TEST mpi.shared_memory_none_4 APPEND PROPERTY ENVIRONMENT
  BREAKEVEN_FAULT=shared_memory.reserve:3=errno:ENOSPC EXPECT_BACKEND=mpi)
# Started by a launcher of another family: every process is alone.
add_test(NAME mpi.singletons COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/comm/expect_end.sh 64 $<TARGET_FILE:mpi_contract>)
set_tests_properties(mpi.singletons PROPERTIES TIMEOUT 60
  ENVIRONMENT "${mpi_test_environment};SLURM_STEP_ID=0;SLURM_PROCID=3;SLURM_STEP_NUM_TASKS=4")

# The watchdog's job: tests/system/test_watchdog_job.py starts it, stops and kills its ranks, and cuts its network.
add_executable(watchdog_job comm/watchdog_job.cpp)
target_link_libraries(watchdog_job PRIVATE comm fault_point_injected)
target_compile_definitions(watchdog_job PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
