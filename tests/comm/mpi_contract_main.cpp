// The contract under mpirun, with MPI's own collectives as the oracle. Arguments: BACK_END, or
// BACK_END/NODES to deal the ranks to pretended nodes; and `check`, or one of the endings that a
// test looks at from outside: `abort`, `abort_from_thread`, `throw`, `leave`, `mistake`.
#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include "comm/base/error.h"
#include "comm/base/fault_injection.h"
#include "comm/base/log.h"
#include "comm/data_plane.h"
#include "comm/world.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/communicator_contract_values.h"
#include "tests/comm/contract_memory.h"

namespace breakeven {
namespace {

using contract::Expect;

template <typename T>
void CompareWithMpi(World& world, DType dtype, MPI_Datatype type, ReduceOp op, MPI_Op mpi_op) {
  for (const int count : {1, 7, 1000, 100003}) {
    std::vector<char> ours = contract::Values(dtype, count, world.rank());
    // Where a sum of bytes overflows, Open MPI 4.1 saturates or wraps by the element's place in a
    // vector.
    if (dtype == DType::kUInt8) {
      for (char& byte : ours) byte = static_cast<char>(static_cast<uint8_t>(byte) % 32);
    }
    std::vector<char> mpis = ours;
    const Memory memory = contract::MakeMemory(world.device, static_cast<int64_t>(ours.size()));
    contract::Write(world.device, memory.data(), ours);
    world.data->AllReduce({memory.data(), count, dtype, world.device}, op, Stream{});
    ours = contract::Read(world.device, memory.data(), memory.num_bytes());
    MPI_Allreduce(MPI_IN_PLACE, mpis.data(), count, type, mpi_op, MPI_COMM_WORLD);
    const T* a = reinterpret_cast<const T*>(ours.data());
    const T* b = reinterpret_cast<const T*>(mpis.data());
    // Sums of floats differ by the order: at most an ulp of the largest term for each rank.
    const bool exact = std::is_integral_v<T> || op != ReduceOp::kSum;
    const double epsilon = sizeof(T) == 4 ? 1.2e-7 : 2.3e-16;
    for (int i = 0; i < count; ++i) {
      double largest = 0;
      for (int r = 0; r < world.world_size(); ++r) {
        largest = std::max(largest, std::abs(contract::RealValue(r, i)));
      }
      const double bound = exact ? 0 : epsilon * largest * world.world_size() * world.world_size();
      if (std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])) <= bound) continue;
      Expect(false, contract::Name(dtype, op, count) + ": element " + std::to_string(i) + " is " +
                        std::to_string(a[i]) + ", MPI_Allreduce says " + std::to_string(b[i]));
    }
  }
}

void AgreesWithMpiAllreduce(World& world) {
  const std::pair<ReduceOp, MPI_Op> ops[] = {
      {ReduceOp::kSum, MPI_SUM}, {ReduceOp::kMax, MPI_MAX}, {ReduceOp::kMin, MPI_MIN}};
  for (const auto& [op, mpi_op] : ops) {
    CompareWithMpi<float>(world, DType::kFloat32, MPI_FLOAT, op, mpi_op);
    CompareWithMpi<double>(world, DType::kFloat64, MPI_DOUBLE, op, mpi_op);
    CompareWithMpi<int32_t>(world, DType::kInt32, MPI_INT32_T, op, mpi_op);
    CompareWithMpi<int64_t>(world, DType::kInt64, MPI_INT64_T, op, mpi_op);
    CompareWithMpi<uint8_t>(world, DType::kUInt8, MPI_UINT8_T, op, mpi_op);
  }
}

// A root that no rank is: MPI itself refuses it, on every rank, before anything is sent.
void MpiErrorsSayWhereAndWhatToDo(World& world) {
  std::string text = "nothing was thrown";
  try {
    world.control->Broadcast(text, world.world_size());
  } catch (const Error& error) {
    Expect(error.kind() == ErrorKind::kCommunication, "the kind is kCommunication");
    text = error.what();
  }
  const std::string self = "rank " + std::to_string(world.rank()) + " of " +
                           std::to_string(world.world_size()) + " on " + DescribeProcess().host;
  for (const std::string& part :
       {"MPI_Bcast of " + self, std::string("MPI_ERR_ROOT"), std::string("expected success"),
        std::string("(DoBroadcast, comm/mpi_control.cpp:"),
        std::string("in control Broadcast, call "), std::string(" at comm/mpi_contract_main.cpp:"),
        std::string("give the same command again")}) {
    Expect(text.find(part) != std::string::npos, "'" + part + "' stands in: " + text);
  }
}

int RunChecks(World& world) {
  std::vector<contract::Check> checks = contract::Checks();
  checks.push_back({"AgreesWithMpiAllreduce", AgreesWithMpiAllreduce});
  // Of these alone: what stands when they begin has been made without.
  if (const char* faults = std::getenv("FAULTS_OF_CHECKS")) SetFaults(faults);
  checks.push_back({"MpiErrorsSayWhereAndWhatToDo", MpiErrorsSayWhereAndWhatToDo});
  for (const contract::Check& check : checks) {
    try {
      check.run(world);
    } catch (const std::exception& error) {
      // Other ranks may be inside a collective by now: nothing but an abort gets them out.
      world.control->Abort(1, std::string(check.name) + ": " + error.what());
    }
  }
  const int size = world.world_size();
  const bool root = world.is_root();
  const std::string name(world.data->name());
  world.Close();
  if (root) std::printf("%zu checks passed on %d ranks, %s\n", checks.size(), size, name.c_str());
  return 0;
}

int Run(World& world, const std::string& what) {
  const bool last = world.rank() == world.world_size() - 1;
  if (what == "check") return RunChecks(world);
  if (what == "abort" && last) world.control->Abort(70, "abort was asked for");
  if (what == "abort_from_thread" && last) {
    std::thread([&] { world.control->Abort(70, "abort was asked for"); }).join();
  }
  if (what == "throw" && last) throw Error(ErrorKind::kCommunication, "this rank has failed");
  if (what == "leave" && last) return 3;
  if (what == "mistake") {
    const Memory memory = contract::MakeMemory(world.device, 4);
    const Buffer buffer{memory.data(), 1, DType::kFloat32, world.device};
    if (last) world.data->Broadcast(buffer, 0, Stream{});
    if (!last) world.data->AllReduce(buffer, ReduceOp::kSum, Stream{});
  }
  world.data->Barrier();  // where the others wait
  return 0;
}

// "shared_memory/2": a back end, and how many nodes there shall seem to be.
CommConfig ParseBackend(const std::string& text, int world_size) {
  CommConfig config;
  const size_t slash = text.find('/');
  config.backend = text.substr(0, slash);
  config.check_calls = std::getenv("CHECK_CALLS") != nullptr;
  if (slash == std::string::npos) return config;
  config.pretend_nodes = std::stoi(text.substr(slash + 1));
  contract::NodesInOrder().resize(static_cast<size_t>(config.pretend_nodes));
  for (int rank = 0; rank < world_size; ++rank) {
    const int node = rank * config.pretend_nodes / world_size;
    contract::NodesInOrder()[static_cast<size_t>(node)].push_back(rank);
  }
  return config;
}

int Main(int argc, char** argv) {
  MpiSession session(&argc, &argv);
  World world = session.MakeWorld();
  const CommConfig config = ParseBackend(argc > 1 ? argv[1] : "mpi", world.world_size());
  try {
    const bool on_gpus =
        config.backend == "nccl";  // each rank its own; shared where there are fewer
    OpenDataPlane(world, config,
                  {.choice = on_gpus ? DeviceChoice::kCuda : DeviceChoice::kCpu,
                   .allow_shared_gpu = std::getenv("ALLOW_SHARED_GPU") != nullptr});
    const char* expected = std::getenv("EXPECT_BACKEND");
    Expect(world.data->name() == (expected != nullptr ? expected : config.backend),
           "the back end is " + std::string(world.data->name()));
    return Run(world, argc > 2 ? argv[2] : "check");
  } catch (const Error& error) {
    if (error.on_all_ranks()) {
      if (world.is_root()) LogError(error.what());
      world.Close();
      return error.exit_code();
    }
    world.control->Abort(error.exit_code(), error.what());
    return error.exit_code();  // never reached
  }
}

}  // namespace
}  // namespace breakeven

int main(int argc, char** argv) {
  try {
    return breakeven::Main(argc, argv);
  } catch (const breakeven::Error& error) {
    breakeven::LogError(error.what());
    return error.exit_code();
  }
}
