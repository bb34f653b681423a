// The watchdog where ranks are processes of an MPI job: heartbeats in a node's shared memory, and messages between nodes on
// a communicator of their own.
#include <mpi.h>

#include <list>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/log.h"
#include "comm/mpi_support.h"
#include "comm/shared_memory_communicator.h"
#include "comm/shared_memory_window.h"
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

// COLLECTIVE. Each rank's line lies in a segment of its own, the alarm in the first one's. nullopt on all ranks where one has no
// memory to share.
std::optional<HeartbeatPage> MakeSharedPage(Control& control, const std::vector<int>& nodes) {
  struct Segment {
    HeartbeatLine line;
    AlarmFlag alarm;
  };
  HeartbeatPage page;
  for (int rank = 0; rank < control.world_size(); ++rank) {
    if (nodes[static_cast<size_t>(rank)] != control.node_rank()) continue;
    if (rank == control.rank()) page.own = page.ranks.size();
    page.ranks.push_back(rank);
  }
  for (const SegmentSource source : {SegmentSource::kMemfd, SegmentSource::kDevShm}) {
    WindowResult window = MakeWindow(control, page.ranks, source, sizeof(Segment));
    if (!window.block.has_value()) continue;
    const auto block = std::make_shared<SharedBlock>(std::move(*window.block));
    new (block->base(page.own)) Segment();
    control.Barrier();  // the others' objects are there
    for (size_t i = 0; i < page.ranks.size(); ++i) {
      auto* segment = std::launder(reinterpret_cast<Segment*>(block->base(i)));
      page.lines.push_back(&segment->line);
      if (i == 0) page.alarm = &segment->alarm;
    }
    page.memory = block;
    return page;
  }
  return std::nullopt;
}

}  // namespace

void WatchMpiWorld(World& world) {
  Control& control = *world.control;
  WatchSetup setup;
  setup.rank = world.rank();
  setup.hosts = control.AllGather(DescribeProcess().host);
  setup.nodes = FindNodes(control).node_of;
  if (auto page = MakeSharedPage(control, setup.nodes)) {
    setup.page = std::move(*page);
  } else {
    LogInfo("watchdog: no shared memory for heartbeats, each rank watches alone");
    setup.page = MakeLocalPage({world.rank()});
    std::iota(setup.nodes.begin(), setup.nodes.end(), 0);
  }
  const bool one_page = setup.page.ranks.size() == setup.hosts.size();
  if (!one_page) setup.link = std::make_unique<MpiLink>();
  setup.abort_job = [](int exit_code) { AbortJob(exit_code, ""); };
  WatchWorld(world, std::move(setup));
}

}  // namespace breakeven
