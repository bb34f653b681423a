#include "comm/watched_world.h"

#include <unistd.h>

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "comm/base/code_names.h"
#include "comm/contract_check.h"

namespace breakeven {
namespace {

// One plane's calls: numbered, noted, and checked where asked for.
class CallNotes {
 public:
  CallNotes(Plane plane, HeartbeatLine& line) : plane_(plane), line_(line) {}

  void SetChannel(Control* channel) { channel_ = channel; }

  // From the moment a rank arrives at a collective until it leaves it.
  class Scope {
   public:
    Scope(CallNotes& notes, CollectiveCall call, int64_t num_bytes, const void* caller)
        : notes_(notes) {
      notes_.line_.Begin(notes_.plane_, call.kind, num_bytes, CodeOffset(caller));
      call.number = ++notes_.num_calls_;
      if (notes_.channel_ != nullptr) notes_.Check(call, caller);
    }
    ~Scope() { notes_.line_.End(notes_.plane_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    CallNotes& notes_;
  };

 private:
  void Check(CollectiveCall& call, const void* caller) {
    call.sites = CallersFrom(caller);
    try {
      CheckSameCollective(*channel_, plane_ == Plane::kData ? "data" : "control", call);
    } catch (...) {
      line_.End(plane_);  // no destructor of the scope runs
      throw;
    }
  }

  const Plane plane_;
  HeartbeatLine& line_;
  Control* channel_ = nullptr;
  uint64_t num_calls_ = 0;
};

// The caller of the function in which it stands: these functions are reached by virtual calls, never inlined.
#define BE_CALLER __builtin_return_address(0)

class WatchedCommunicator final : public Communicator {
 public:
  WatchedCommunicator(std::unique_ptr<Communicator> inner, HeartbeatLine& line,
                      MakeChannel make_channel)
      : inner_(std::move(inner)),
        make_channel_(std::move(make_channel)),
        notes_(Plane::kData, line) {}

  void CheckContract() {
    if (channel_ != nullptr || world_size() == 1 || !make_channel_) return;
    channel_ = make_channel_();
    notes_.SetChannel(channel_.get());
  }

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  std::string_view name() const override { return inner_->name(); }

  Memory Allocate(int64_t num_bytes) override {
    const CallNotes::Scope scope(notes_, {.count = num_bytes, .kind = CollectiveKind::kAllocate},
                                 num_bytes, BE_CALLER);
    return inner_->Allocate(num_bytes);
  }
  void AllReduce(Buffer inout, ReduceOp op, Stream stream) override {
    const CallNotes::Scope scope(notes_, CallOf(CollectiveKind::kAllReduce, inout, op),
                                 BytesOf(inout), BE_CALLER);
    inner_->AllReduce(inout, op, stream);
  }
  void ReduceScatter(Buffer in, Buffer out, ReduceOp op, Stream stream) override {
    const CallNotes::Scope scope(notes_, CallOf(CollectiveKind::kReduceScatter, in, op),
                                 BytesOf(in), BE_CALLER);
    inner_->ReduceScatter(in, out, op, stream);
  }
  void AllGather(Buffer in, Buffer out, Stream stream) override {
    const CallNotes::Scope scope(notes_, CallOf(CollectiveKind::kAllGather, out, ReduceOp::kSum),
                                 BytesOf(out), BE_CALLER);
    inner_->AllGather(in, out, stream);
  }
  void Broadcast(Buffer inout, int root, Stream stream) override {
    CollectiveCall call = CallOf(CollectiveKind::kBroadcast, inout, ReduceOp::kSum);
    call.root = root;
    const CallNotes::Scope scope(notes_, call, BytesOf(inout), BE_CALLER);
    inner_->Broadcast(inout, root, stream);
  }
  void Barrier() override {
    const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kBarrier}, 0, BE_CALLER);
    inner_->Barrier();
  }
  void Abort(std::string_view reason) noexcept override { inner_->Abort(reason); }
  void Close() override {
    {
      const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kClose}, 0, BE_CALLER);
      inner_->Close();
    }
    notes_.SetChannel(nullptr);
    if (channel_ != nullptr) channel_->Close();
  }

 private:
  static int64_t BytesOf(const Buffer& buffer) { return buffer.count * SizeOf(buffer.dtype); }
  static CollectiveCall CallOf(CollectiveKind kind, const Buffer& buffer, ReduceOp op) {
    return {.count = buffer.count, .kind = kind, .dtype = buffer.dtype, .op = op};
  }

  const std::unique_ptr<Communicator> inner_;
  const MakeChannel make_channel_;
  std::unique_ptr<Control> channel_;
  CallNotes notes_;
};

class WatchedControl final : public Control {
 public:
  WatchedControl(std::unique_ptr<Control> inner, HeartbeatLine& line)
      : inner_(std::move(inner)), line_(line), notes_(Plane::kControl, line) {}

  // The plane carries its own checks: a gather before each call.
  void CheckContract() {
    if (world_size() > 1) notes_.SetChannel(inner_.get());
  }

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  int local_rank() const override { return inner_->local_rank(); }
  int local_size() const override { return inner_->local_size(); }
  int node_rank() const override { return inner_->node_rank(); }
  int num_nodes() const override { return inner_->num_nodes(); }

  void AllReduce(std::span<int64_t> values, ReduceOp op) override {
    const CallNotes::Scope scope(notes_, CallOf(std::ssize(values), DType::kInt64, op),
                                 std::ssize(values) * 8, BE_CALLER);
    inner_->AllReduce(values, op);
  }
  void AllReduce(std::span<double> values, ReduceOp op) override {
    const CallNotes::Scope scope(notes_, CallOf(std::ssize(values), DType::kFloat64, op),
                                 std::ssize(values) * 8, BE_CALLER);
    inner_->AllReduce(values, op);
  }
  void Broadcast(std::string& text, int root) override {
    const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kBroadcast, .root = root},
                                 std::ssize(text), BE_CALLER);
    inner_->Broadcast(text, root);
  }
  std::vector<std::string> AllGather(std::string_view text) override {
    const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kAllGather}, std::ssize(text),
                                 BE_CALLER);
    return inner_->AllGather(text);
  }
  void Barrier() override {
    const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kBarrier}, 0, BE_CALLER);
    inner_->Barrier();
  }
  [[noreturn]] void Abort(int exit_code, std::string_view reason) noexcept override {
    line_.EnterPhase(Phase::kEnded, -1);  // it ends on purpose, and says why itself
    inner_->Abort(exit_code, reason);
    std::terminate();  // never reached: g++ forgets that a virtual function does not return
  }
  void Close() override {
    const CallNotes::Scope scope(notes_, {.kind = CollectiveKind::kClose}, 0, BE_CALLER);
    inner_->Close();
  }

 private:
  static CollectiveCall CallOf(int64_t count, DType dtype, ReduceOp op) {
    return {.count = count, .kind = CollectiveKind::kAllReduce, .dtype = dtype, .op = op};
  }

  const std::unique_ptr<Control> inner_;
  HeartbeatLine& line_;
  CallNotes notes_;
};

#ifdef NDEBUG
constexpr bool kAlwaysCheck = false;
#else
constexpr bool kAlwaysCheck = true;
#endif

}  // namespace

void WatchWorld(World& world, WatchSetup setup, MakeChannel make_channel) {
  HeartbeatLine& line = *setup.page.lines[setup.page.own];
  world.watchdog = std::make_unique<Watchdog>(std::move(setup));
  world.data =
      std::make_unique<WatchedCommunicator>(std::move(world.data), line, std::move(make_channel));
  world.control = std::make_unique<WatchedControl>(std::move(world.control), line);
}

void WatchSingleWorld(World& world) {
  WatchSetup setup;
  setup.hosts = {DescribeProcess().host};
  setup.nodes = {0};
  setup.page = MakeLocalPage({0});
  setup.abort_job = [](int exit_code) { ::_exit(exit_code); };
  WatchWorld(world, std::move(setup), nullptr);
}

void SetWatch(World& world, const WatchdogConfig& config) {
  if (world.watchdog == nullptr) return;
  world.watchdog->SetLimits(config);
  if (!config.check_collectives && !kAlwaysCheck) return;
  if (auto* control = dynamic_cast<WatchedControl*>(world.control.get())) {
    control->CheckContract();
  }
  if (auto* data = dynamic_cast<WatchedCommunicator*>(world.data.get())) data->CheckContract();
}

}  // namespace breakeven
