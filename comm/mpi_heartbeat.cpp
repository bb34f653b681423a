// The watchdog's means where ranks are processes of an MPI job: a page in a node's shared memory, and messages between
// nodes on a communicator of their own.
#include <mpi.h>

#include <list>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/log.h"
#include "comm/mpi_support.h"
#include "comm/watched_world.h"

namespace breakeven {
namespace {

constexpr int kTag = 0;

class MpiLink final : public HeartbeatLink {
 public:
  MpiLink() {
    CheckMpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    CountOpenMpiCommunicator(1);
    CheckMpi(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }

  void Send(int rank, const std::string& message) override {
    sent_.push_back({message, MPI_REQUEST_NULL});
    Sent& sent = sent_.back();
    const int code = MPI_Isend(sent.bytes.data(), static_cast<int>(sent.bytes.size()), MPI_BYTE,
                               rank, kTag, comm_, &sent.request);
    if (code != MPI_SUCCESS) sent_.pop_back();
  }

  std::optional<std::string> Receive() override {
    std::erase_if(sent_, [](Sent& sent) {
      int done = 0;
      return MPI_Test(&sent.request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done != 0;
    });
    int here = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, kTag, comm_, &here, &status) != MPI_SUCCESS || here == 0) {
      return std::nullopt;
    }
    int num_bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &num_bytes);
    std::string message(static_cast<size_t>(num_bytes), '\0');
    if (MPI_Recv(message.data(), num_bytes, MPI_BYTE, status.MPI_SOURCE, kTag, comm_,
                 MPI_STATUS_IGNORE) != MPI_SUCCESS) {
      return std::nullopt;
    }
    return message;
  }

  void Close() override {
    CheckMpi(MPI_Comm_free(&comm_), "MPI_Comm_free");
    CountOpenMpiCommunicator(-1);
  }

 private:
  struct Sent {
    std::string bytes;  // stays where it is until the message has gone
    MPI_Request request;
  };
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::list<Sent> sent_;
};

// The ranks of a node, and a window of their shared memory.
struct NodeWindow {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Win window = MPI_WIN_NULL;
};

size_t PageBytes(size_t num_lines) {
  return sizeof(AlarmFlag) + num_lines * sizeof(HeartbeatLine) + alignof(HeartbeatLine);
}

// False, on this rank, when the window cannot be had.
bool MapPage(const NodeWindow& node, HeartbeatPage& page) {
  MPI_Aint num_bytes = 0;
  int unit = 0;
  void* base = nullptr;
  if (MPI_Win_shared_query(node.window, 0, &num_bytes, &unit, &base) != MPI_SUCCESS) return false;
  size_t space = static_cast<size_t>(num_bytes);
  if (std::align(alignof(HeartbeatLine), sizeof(AlarmFlag), base, space) == nullptr) return false;
  auto* memory = static_cast<char*>(base);
  // The node's first rank makes the objects; they are there for the others when all have agreed.
  const auto make_or_find = [&]<typename T>(T*& object, char* at) {
    object = page.own == 0 ? new (at) T() : std::launder(reinterpret_cast<T*>(at));
  };
  make_or_find(page.alarm, memory);
  memory += sizeof(AlarmFlag);
  page.lines.resize(page.ranks.size());
  for (HeartbeatLine*& line : page.lines) {
    make_or_find(line, memory);
    memory += sizeof(HeartbeatLine);
  }
  return true;
}

// COLLECTIVE over MPI_COMM_WORLD. The same answer on every rank.
bool AllAgree(bool yes) {
  int value = yes ? 1 : 0;
  CheckMpi(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD),
           "MPI_Allreduce");
  return value != 0;
}

// COLLECTIVE over MPI_COMM_WORLD. nullopt on all ranks when a node has no shared memory to give.
std::optional<HeartbeatPage> MakeSharedPage(int rank) {
  NodeWindow node;
  CheckMpi(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node.comm),
      "MPI_Comm_split_type");
  CheckMpi(MPI_Comm_set_errhandler(node.comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  int local_rank = 0;
  int local_size = 1;
  CheckMpi(MPI_Comm_rank(node.comm, &local_rank), "MPI_Comm_rank");
  CheckMpi(MPI_Comm_size(node.comm, &local_size), "MPI_Comm_size");
  HeartbeatPage page;
  page.own = static_cast<size_t>(local_rank);
  page.ranks.resize(static_cast<size_t>(local_size));
  CheckMpi(MPI_Allgather(&rank, 1, MPI_INT, page.ranks.data(), 1, MPI_INT, node.comm),
           "MPI_Allgather");
  const MPI_Aint num_bytes =
      local_rank == 0 ? static_cast<MPI_Aint>(PageBytes(page.ranks.size())) : 0;
  void* own_part = nullptr;
  const bool have = MPI_Win_allocate_shared(num_bytes, 1, MPI_INFO_NULL, node.comm, &own_part,
                                            &node.window) == MPI_SUCCESS;
  if (!AllAgree(have) || !AllAgree(MapPage(node, page))) {
    if (have) MPI_Win_free(&node.window);
    MPI_Comm_free(&node.comm);
    return std::nullopt;
  }
  CountOpenMpiCommunicator(1);
  page.close = [node]() mutable {
    CheckMpi(MPI_Win_free(&node.window), "MPI_Win_free");
    CheckMpi(MPI_Comm_free(&node.comm), "MPI_Comm_free");
    CountOpenMpiCommunicator(-1);
  };
  return page;
}

}  // namespace

void WatchMpiWorld(World& world) {
  Control& control = *world.control;
  WatchSetup setup;
  setup.rank = world.rank();
  setup.hosts = control.AllGather(DescribeProcess().host);
  for (const std::string& node : control.AllGather(std::to_string(control.node_rank()))) {
    setup.nodes.push_back(std::stoi(node));
  }
  if (auto page = MakeSharedPage(world.rank())) {
    setup.page = std::move(*page);
  } else {
    if (world.is_root()) {
      LogWarning(
          "watchdog: a node has no shared memory for MPI (is /dev/shm full?); each rank watches "
          "alone");
    }
    setup.page = MakeLocalPage({world.rank()});
    for (int rank = 0; rank < world.world_size(); ++rank)
      setup.nodes[static_cast<size_t>(rank)] = rank;
  }
  if (setup.page.ranks.size() < static_cast<size_t>(world.world_size())) {
    setup.link = std::make_unique<MpiLink>();
  }
  setup.abort_job = [](int exit_code) { AbortJob(exit_code, ""); };
  WatchWorld(world, std::move(setup), MakeMpiControl);
}

}  // namespace breakeven
